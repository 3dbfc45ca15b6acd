//! Any text is a statement in its one spelling, or none; and only the golden one itself proves
//! anything against the golden street.
#![no_main]

use std::sync::LazyLock;

use ledger::genesis::{self, Genesis};
use ledger::statement::StatementBundle;
use libfuzzer_sys::fuzz_target;

const GOLDEN: &str = include_str!("../../tests/golden/statement.json");

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
    let text = include_str!("../../tests/golden/street.toml");
    genesis::read(text).expect("the golden genesis")
});

fuzz_target!(|text: &str| {
    if let Ok(bundle) = StatementBundle::from_json(text) {
        assert_eq!(bundle.to_json(), text);
        assert_eq!(bundle.verify(&GENESIS).is_ok(), text == GOLDEN);
    }
});
