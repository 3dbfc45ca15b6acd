//! Any bytes are a block whose header covers its body, in its one spelling, or none.
#![no_main]

use ledger::block::Block;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(block) = Block::from_bytes(bytes) {
        assert_eq!(block.to_bytes(), bytes);
        assert_eq!(block.check_body(), Ok(()));
    }
});
