//! Any bytes are a transaction in its one spelling, or none.
#![no_main]

use ledger::transaction::Transaction;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(transaction) = Transaction::from_bytes(bytes) {
        assert_eq!(transaction.to_bytes(), bytes);
        let _ = transaction.subject();
    }
});
