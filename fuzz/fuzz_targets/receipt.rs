//! Any text is a receipt in its one spelling, or none; and only the golden one itself proves
//! anything against the golden genesis.
#![no_main]

use std::sync::LazyLock;

use ledger::genesis::{self, Genesis};
use ledger::receipt::Receipt;
use libfuzzer_sys::fuzz_target;

const GOLDEN: &str = include_str!("../../tests/golden/receipt.json");

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
    let text = include_str!("../../tests/golden/genesis.toml");
    genesis::read(text).expect("the golden genesis")
});

fuzz_target!(|text: &str| {
    if let Ok(receipt) = Receipt::from_json(text) {
        assert_eq!(receipt.to_json(), text);
        assert_eq!(receipt.verify(&GENESIS).is_ok(), text == GOLDEN);
    }
});
