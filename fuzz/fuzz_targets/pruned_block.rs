//! Any bytes are a pruned block whose header covers its leaves, in its one spelling, or none; and
//! what is erased from it leaves the roots as they are.
#![no_main]

use ledger::pruned::PrunedBlock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut pruned) = PrunedBlock::from_bytes(bytes) {
        assert_eq!(pruned.to_bytes(), bytes);
        pruned.erase_all();
        assert_eq!(pruned.verify(), Ok(()));
    }
});
