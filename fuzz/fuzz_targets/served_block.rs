//! Any bytes are a served block in its one spelling, or none; and a light follower that knows the
//! golden genesis follows none of them, because nobody signed it.
#![no_main]

use std::sync::LazyLock;

use ledger::follower::LightFollower;
use ledger::genesis;
use ledger::results::ServedBlock;
use libfuzzer_sys::fuzz_target;

static AT_GENESIS: LazyLock<LightFollower> = LazyLock::new(|| {
    let text = include_str!("../../tests/golden/genesis.toml");
    LightFollower::at_genesis(&genesis::read(text).expect("the golden genesis"))
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(served) = borsh::from_slice::<ServedBlock>(bytes) {
        assert_eq!(borsh::to_vec(&served).expect("in memory"), bytes);
        assert!(AT_GENESIS.clone().follow(&served).is_err());
    }
});
