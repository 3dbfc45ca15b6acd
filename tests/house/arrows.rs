//! Which room may use which (design section 1), as a golden file.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

pub(crate) fn metadata() -> Metadata {
    MetadataCommand::new().other_options(["--locked".to_owned()]).exec().expect("cargo metadata")
}

#[test]
fn the_arrows_between_the_rooms_are_those_of_the_golden_file() {
    let metadata = metadata();
    let rooms: Vec<_> = metadata.workspace_packages();
    let names: Vec<&str> = rooms.iter().map(|room| room.name.as_str()).collect();
    let mut arrows = BTreeMap::new();
    for room in &rooms {
        let mut uses: Vec<&str> = room
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .map(|dependency| dependency.name.as_str())
            .filter(|name| names.contains(name))
            .collect();
        uses.sort_unstable();
        arrows.insert(room.name.to_string(), uses.join(" "));
    }
    let found: String = arrows.iter().map(|(room, uses)| format!("{room} -> {uses}\n")).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/arrows.txt");
    if std::env::var_os("HIDAMARI_REWRITE").is_some() {
        std::fs::write(path, &found).expect("written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden file");
    assert_eq!(found, golden, "an arrow changed; if it is meant, run with HIDAMARI_REWRITE=1");
}

#[test]
fn the_pure_rooms_stay_pure() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    for pure in ["market", "ledger"] {
        let package = metadata.workspace_packages().into_iter().find(|it| *it.name == *pure);
        let mut todo = vec![package.expect("the room").id.clone()];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(id) = todo.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            let name = metadata[&id].name.as_str();
            for banned in ["tokio", "libp2p", "sqlx", "axum", "reqwest"] {
                assert_ne!(name, banned, "{pure} must not reach {banned}");
            }
            let node = resolve.nodes.iter().find(|node| node.id == id).expect("a node");
            let normal = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            });
            todo.extend(normal.map(|dependency| dependency.pkg.clone()));
        }
    }
}
