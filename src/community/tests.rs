use super::*;
use clap::Parser;
use std::os::unix::fs::PermissionsExt as _;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Community,
}

fn parse(arguments: &[&str]) -> Community {
    let words = ["community", "init"].into_iter().chain(arguments.iter().copied());
    Line::try_parse_from(words).expect("arguments").command
}

/// Founds with plain keys and without questions.
fn found_with(dir: &Path, more: &[&str]) -> Result<ExitCode, CommunityError> {
    let dir = dir.to_str().expect("text").to_owned();
    let mut arguments = vec![dir.as_str(), "--no-questions", "--plain-keys", "--json"];
    arguments.extend(more);
    run(&parse(&arguments), Timestamp::from_millis(1_800_000_123_456))
}

const FOUR: [&str; 15] = [
    "--name",
    "Sunny Lane",
    "--country",
    "de",
    "--operator",
    "anna",
    "--zone",
    "Feeder 1",
    "--invite",
    "house-1@Feeder 1",
    "--validator",
    "n1=192.0.2.1",
    "--validator",
    "n2=192.0.2.2",
    "--validator=n3=192.0.2.3",
];

fn four() -> Vec<&'static str> {
    FOUR.into_iter().chain(["--validator", "n4=2001:db8::4,consensus=9001,mesh=4002"]).collect()
}

#[test]
fn what_is_written_is_whole_private_and_loads() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = scratch.path().join("lane");
    found_with(&dir, &four()).expect("founded");
    let genesis = std::fs::read_to_string(dir.join("genesis.toml")).expect("a genesis");
    let genesis = ledger::genesis::read(&genesis).expect("a genesis that holds");
    assert_eq!(genesis.validators.count(), 4);
    assert_eq!((genesis.currency.as_str(), genesis.invitations.len()), ("EUR", 1));
    let keys = mesh::key_file::Keychain::plain();
    for name in ["n1", "n2", "n3", "n4"] {
        let folder = dir.join("validators").join(name);
        let node = ledger_node::config::NodeConfig::load(&folder.join("node.toml"), &keys);
        let node = node.expect("a configuration that loads");
        assert_eq!(node.genesis, genesis);
        assert_eq!(node.consensus.peers.len(), 3);
        for key in ["validator.key", "consensus.key", "mesh.key"] {
            let mode = std::fs::metadata(folder.join(key)).expect("a key").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }
    let mode = std::fs::metadata(&dir).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let file = dir.join("invitations").join("house-1.toml");
    let invitation = crate::invitation::Invitation::given(file.to_str().expect("text"));
    let invitation = invitation.expect("an invitation");
    assert_eq!(invitation.chain, genesis.chain_id());
    assert!(genesis.invitations.contains_key(&invitation.public()));
    assert_eq!(invitation.bootstrap.len(), 4);
    let left: Vec<_> = std::fs::read_dir(scratch.path()).expect("a directory").collect();
    assert_eq!(left.len(), 1, "nothing half made stays: {left:?}");
}

#[test]
fn nothing_is_ever_overwritten() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = scratch.path().join("lane");
    std::fs::create_dir(&dir).expect("a folder");
    std::fs::write(dir.join("precious"), "x").expect("written");
    let refused = found_with(&dir, &four()).expect_err("refused");
    assert!(matches!(refused, CommunityError::Exists(_)), "{refused}");
    assert!(dir.join("precious").exists());
}

#[test]
fn what_is_missing_or_does_not_fit_is_named_and_nothing_is_written() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = scratch.path().join("lane");
    let told = |arguments: &[&str]| found_with(&dir, arguments).expect_err("refused").to_string();
    let cases: [(&[&str], &str); 9] = [
        (&[], "--country"),
        (&["--country", "de"], "--validator"),
        (&["--country", "de", "--validator", "a=192.0.2.1"], "--operator"),
        (&["--country", "de", "--validator", "a=192.0.2.1", "--operator", "o"], "--name"),
        (
            &["--validator", "a=192.0.2.1", "--validator", "b=192.0.2.1"],
            "both listen on 192.0.2.1:9000",
        ),
        (&["--validator", "a=192.0.2.1", "--validator", "A=192.0.2.2"], "named twice"),
        (&["--validator", "../a=192.0.2.1"], "names a folder"),
        (&["--validator", "a=0.0.0.0"], "cannot reach"),
        (&["--invite", "h@Nowhere", "--validator", "a=192.0.2.1"], "no zone of this label"),
    ];
    for (arguments, words) in cases {
        let complete = ["--name", "L", "--country", "de", "--operator", "o"];
        let arguments: Vec<&str> = match words.starts_with("--") {
            true => arguments.to_vec(),
            false => complete.iter().chain(arguments).copied().collect(),
        };
        let told = told(&arguments);
        assert!(told.contains(words), "{arguments:?}: {told}");
        assert!(!dir.exists(), "{arguments:?}");
    }
    let plan = scratch.path().join("plan.toml");
    std::fs::write(&plan, "name = \"L\"\ncolour = \"red\"\n").expect("written");
    let told = told(&["--from", plan.to_str().expect("text")]);
    assert!(told.contains("line 2") && told.contains("colour"), "{told}");
}

#[test]
fn counts_that_are_not_3f_plus_1_are_told() {
    for good in [4, 7, 10, 100] {
        assert_eq!(warn_of_count(good), None, "{good}");
    }
    for (count, words) in
        [(1, "alone"), (2, "bear 0"), (3, "bear 0"), (5, "bear 1"), (6, "7 bear 2")]
    {
        assert!(warn_of_count(count).is_some_and(|told| told.contains(words)), "{count}");
    }
}

#[test]
fn every_country_founds_a_sound_community() {
    for country in presets::Country::ALL {
        let scratch = tempfile::tempdir().expect("a directory");
        let mut arguments = four();
        arguments[3] = country.code();
        let founded = found_with(&scratch.path().join("lane"), &arguments);
        assert!(founded.is_ok(), "{country:?}: {founded:?}");
    }
}
