//! The taste of the house, as far as a machine can hold it.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the workspace, with its path from the root.
fn rust_files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let rooms = [
        "src",
        "market",
        "ledger",
        "meter-agent",
        "web/src",
        "web/build.rs",
        "simulators",
        "tests/house",
    ];
    let mut todo: Vec<PathBuf> = rooms.iter().map(|room| root().join(room)).collect();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            todo.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a file");
            files.push((path.strip_prefix(root()).expect("inside").to_owned(), text));
        }
    }
    assert!(files.len() > 50, "the files are found");
    files
}

#[test]
fn files_are_short_enough_to_read() {
    for (path, text) in rust_files() {
        let lines = text.lines().count();
        let limit = if path == Path::new("src/main.rs") { 150 } else { 520 };
        assert!(lines <= limit, "{} has {lines} lines, at most {limit}", path.display());
    }
}

#[test]
fn nothing_is_left_half_done() {
    let marks = ["todo!(", "unimplemented!(", concat!("TO", "DO"), concat!("FIX", "ME")];
    for (path, text) in rust_files() {
        for mark in marks {
            let here = path == Path::new("tests/house/tidy.rs");
            assert!(here || !text.contains(mark), "{}: {mark}", path.display());
        }
    }
}

#[test]
fn rooms_have_no_rooms_for_everything() {
    for (path, _) in rust_files() {
        for vague in ["utils.rs", "util.rs", "common.rs", "helpers.rs", "misc.rs"] {
            assert!(!path.ends_with(vague), "{}: name it for what it is", path.display());
        }
    }
}

#[test]
fn every_room_keeps_the_house_lints() {
    for (path, text) in manifests() {
        assert!(text.contains("[lints]\nworkspace = true"), "{}", path.display());
    }
}

fn manifests() -> Vec<(PathBuf, String)> {
    let rooms =
        ["", "market", "market/mesh", "ledger", "ledger/node", "meter-agent", "web", "simulators"];
    let read = |room: &&str| {
        let path = root().join(room).join("Cargo.toml");
        (path.clone(), std::fs::read_to_string(path).expect("a manifest"))
    };
    rooms.iter().map(read).collect()
}

#[test]
fn lock_files_name_no_download_host() {
    for lock in ["web/ui/package-lock.json", "tests/browser/package-lock.json"] {
        let text = std::fs::read_to_string(root().join(lock)).expect("a lock file");
        assert!(!text.contains("\"resolved\": \"http"), "{lock}");
    }
}
