//! Any bytes are a chain file of some blocks that follow, or end with an error; nobody but the golden
//! validators can sign the first block.
#![no_main]

use std::sync::LazyLock;

use ledger::chain_file::ChainFile;
use ledger::genesis::{self, Genesis};
use libfuzzer_sys::fuzz_target;

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
    let text = include_str!("../../tests/golden/genesis.toml");
    genesis::read(text).expect("the golden genesis")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut chain) = ChainFile::open(bytes, &GENESIS) {
        assert!(chain.by_ref().all(|header| header.is_err()));
        assert_eq!(chain.follower().state().height(), 0);
    }
});
