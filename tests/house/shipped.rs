//! What the program must not have in it: the ways in which tests hurt it.

use crate::arrows::metadata;

#[test]
fn the_program_cannot_be_told_to_die_or_to_lie() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_hidamari")).expect("the program");
    let holds = |words: &str| program.windows(words.len()).any(|at| at == words.as_bytes());
    assert!(holds("HIDAMARI_PASSPHRASE_FILE"), "its variables can be found in it");
    for test_only in ["HIDAMARI_DIE_AT", "HIDAMARI_SIGNED", "BeforeRecordRename"] {
        assert!(!holds(test_only), "{test_only}");
    }
}

#[test]
fn the_engine_is_built_without_its_byzantine_part() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let mut seen = 0;
    for node in &resolve.nodes {
        let name = metadata[&node.id].name.as_str();
        assert_ne!(name, "arc-malachitebft-engine-byzantine");
        if name.starts_with("arc-malachitebft-") {
            seen += 1;
            let features: Vec<_> = node.features.iter().map(ToString::to_string).collect();
            assert!(!features.iter().any(|it| it.contains("byzantine")), "{name}: {features:?}");
        }
    }
    assert!(seen > 5, "the engine is found");
}
