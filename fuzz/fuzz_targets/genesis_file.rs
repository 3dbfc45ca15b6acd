//! Any text is a genesis that holds and can be written again, or none.
#![no_main]

use ledger::genesis;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(read) = genesis::read(text) {
        assert_eq!(read.check(), Ok(()));
        let written = genesis::write(&read).expect("what was read can be written");
        assert_eq!(genesis::read(&written), Ok(read));
    }
});
