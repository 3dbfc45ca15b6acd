//! What people do wrong is told before anything starts: one sentence that names the option or the
//! file, and exit code 2.

use std::path::Path;
use std::process::Output;

use crate::scenario::stage::{free_port, program};

/// Runs the program; whoever makes a mistake must not wait long for an answer.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        program().args(arguments).output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

/// Expects exit code 2 and one sentence with all of the words.
fn refused(arguments: &[&str], words: &[&str]) {
    let (code, _, told) = run(arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {told}");
    for part in words {
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
    assert_eq!(told.trim().lines().count(), 1, "{arguments:?}: {told}");
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

#[test]
fn options_out_of_range_are_named_with_their_range() {
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let port = address.rsplit(':').next().expect("a port");
    refused(&["demo", "--headless", "--port", port], &["--port", port, "is in use"]);
    refused(&["demo", "--headless", "--port", "0"], &["--port must be 1 to 65535"]);
    refused(&["demo", "--headless", "--households", "1"], &["--households must be 2 to 500"]);
    refused(&["demo", "--headless", "--validators", "26"], &["--validators must be 1 to 25"]);
    let fast = ["demo", "--headless", "--speed", "1e300"];
    refused(&fast, &["--speed must be 1 to 600, but it is 1e300\n"]);
    refused(&["demo", "--headless", "--speed=NaN"], &["--speed must be 1 to 600"]);
    refused(&["simulate", "meter", "--tcp", &address], &["--tcp", &address, "is in use"]);
    let missing = ["simulate", "meter", "--household", "13"];
    refused(&missing, &["--household must be 1 to 12, but it is 13"]);
    refused(&["simulate", "meter", "--household", "0"], &["--household must be 1 to 12"]);
    let many = ["simulate", "meter", "--households", "4000000000"];
    refused(&many, &["--households must be 2 to 500"]);
    refused(&["simulate", "meter", "--clock", "soon"], &["--clock: expected"]);
}

#[test]
fn the_installer_s_commands_say_what_they_want() {
    refused(&["agent", "scan", "--tcp", "meter:port"], &["--tcp", "expected HOST or HOST:PORT"]);
    refused(&["agent", "scan", "--rtu-over-tcp", "meter"], &["--rtu-over-tcp", "HOST:PORT"]);
    refused(&["agent", "check", "--config", "/no/agent.toml"], &["/no/agent.toml"]);
    let (code, _, told) = run(&["agent"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--config"), "{told}");
    let (code, _, told) = run(&["agent", "scan", "--units", "0"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("unit ids from 1 to 255"), "{told}");
}

#[test]
fn a_misspelt_log_filter_is_named_by_every_command() {
    let commands: [&[&str]; 5] = [
        &["demo", "--headless"],
        &["demo"],
        &["node", "--config", "x"],
        &["agent", "--config", "x"],
        &["simulate", "meter"],
    ];
    for command in commands {
        for filter in ["info,mesh=loud", "mesh=loud", "loud"] {
            let arguments = [command, &["--log", filter]].concat();
            let (code, _, told) = run(&arguments);
            assert_eq!(code, Some(2), "{arguments:?}: {told}");
            let bad = filter.rsplit(',').next().expect("a part");
            let named = told.contains("--log") && told.contains(&format!("{bad:?} is neither"));
            assert!(named, "{arguments:?}: {told}");
        }
    }
}

#[test]
fn files_that_cannot_be_read_are_named_with_their_option() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing.toml").display().to_string();
    for role in ["node", "agent", "dashboard"] {
        refused(&[role, "--config", &missing], &["--config", "missing.toml"]);
    }
    refused(&["verify", "receipt", &missing, "--genesis", &missing], &["missing.toml"]);
}

#[test]
fn a_report_that_could_not_be_written_is_refused_before_the_demo() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let (data_dir, port) = (data.display().to_string(), free_port().to_string());
    let nowhere = dir.path().join("nowhere").join("report.json").display().to_string();
    let folder = dir.path().display().to_string();
    for (report, words) in [(&nowhere, "nowhere"), (&folder, "is a directory")] {
        let arguments = ["demo", "--headless", "--port", &port, "--data-dir", &data_dir];
        let arguments = [&arguments[..], &["--report", report]].concat();
        refused(&arguments, &["--report", report, words]);
        assert!(!data.exists(), "nothing was started");
    }
}

#[test]
fn damaged_files_of_a_demo_are_named_with_what_to_do() {
    let cases: [(&str, &str, &str); 5] = [
        ("genesis.toml", "", "another --data-dir"),
        ("genesis.toml", "name = \"Str", "another --data-dir"),
        ("market-time", "", "another --data-dir"),
        ("validator-1/mesh.key", "", "remove it"),
        ("house-01", "", "another --data-dir"),
    ];
    for (file, text, remedy) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(file);
        write(&path, text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("its owner's alone");
        let (data_dir, port) = (dir.path().display().to_string(), free_port().to_string());
        let arguments = ["demo", "--headless", "--port", &port, "--data-dir", &data_dir];
        refused(&arguments, &[&path.display().to_string(), "is damaged", remedy]);
    }
}

#[test]
fn a_statement_and_a_chain_are_told_from_what_never_was_one() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let genesis = format!("{golden}/street.toml");
    let statement = format!("{golden}/statement.json");
    let (code, said, _) = run(&["verify", "statement", &statement, "--genesis", &genesis]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("Proved: after block 8 party "), "{said}");
    let arguments = ["verify", "statement", &statement, "--genesis", &genesis, "--json"];
    assert!(run(&arguments).1.contains("\"proved\":true"));
    let other = format!("{golden}/genesis.toml");
    let (code, said, _) = run(&["verify", "statement", &statement, "--genesis", &other]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("Not proved: block 8: "), "{said}");
    let receipt = format!("{golden}/receipt.json");
    refused(&["verify", "statement", &receipt, "--genesis", &genesis], &["this is no statement"]);
    refused(&["verify", "chain", &receipt, "--genesis", &genesis], &["this is no chain file"]);
}

#[test]
fn what_never_was_a_receipt_is_told_from_one_that_does_not_hold() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let genesis = format!("{golden}/genesis.toml");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("receipt.json");
    let file = path.display().to_string();
    let arguments = ["verify", "receipt", &file, "--genesis", &genesis];
    for (text, words) in [
        ("", "the file is empty"),
        (r#"{"status":404,"detail":"No such block."}"#, "No such block."),
        (r#"{"error":"too slow"}"#, "too slow"),
        ("[]", "other JSON"),
        ("<html>", "not the JSON of one"),
    ] {
        write(&path, text);
        refused(&arguments, &[&file, "this is no receipt", words, "/api/v1/receipts/"]);
    }
    let receipt = std::fs::read_to_string(format!("{golden}/receipt.json")).expect("the receipt");
    write(&path, &receipt);
    assert_eq!(run(&arguments).0, Some(0));
    write(&path, &receipt.replacen("\"size\": ", "\"size\": 1", 1));
    let (code, said, _) = run(&arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("Not proved: step "), "{said}");
    let (_, help, _) = run(&["verify", "receipt", "--help"]);
    assert!(
        help.contains("Exit codes: 0 proved; 1 a proof that does not hold, and it says"),
        "{help}"
    );
}
