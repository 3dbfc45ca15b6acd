//! What Cargo.lock may hold: version floors, one libp2p, no git sources, known licences.

use cargo_metadata::semver::Version;

use crate::arrows::metadata;

/// Versions below these have known holes (shared reference `reliability.md` section 3).
const FLOORS: [(&str, &str, &str); 7] = [
    ("libp2p-gossipsub", "0.49.5", "CVE-2026-33040, CVE-2026-34219, GHSA-g3g5-x568-qvqx"),
    ("libp2p-quic", "0.13.1", "GHSA-5hq8-qhww-jm7q"),
    ("quinn-proto", "0.11.15", "CVE-2026-31812, CVE-2026-25800"),
    ("h2", "0.4.16", "RUSTSEC-2026-0258"),
    ("libsqlite3-sys", "0.37.0", "bundles SQLite 3.51.3, whose WAL-reset bug is fixed"),
    ("tokio-modbus", "0.17.0", "the guards in meter-agent are written for it"),
    ("ed25519-dalek", "2.2.0", "the one signature rule"),
];

/// yamux: libp2p carries the old line beside the sound one, for peers of the past.
const YAMUX_FLOOR: (&str, &str) = ("0.13.10", "CVE-2026-31814, CVE-2026-32314");

const ONE_COPY: [&str; 6] = [
    "libp2p",
    "libp2p-gossipsub",
    "libp2p-swarm",
    "libp2p-identity",
    "libsqlite3-sys",
    "ed25519-dalek",
];

const BANNED: [(&str, &str); 3] = [
    ("bincode", "RUSTSEC-2025-0141, unmaintained: borsh is the canonical encoding"),
    ("openssl-sys", "one TLS and crypto stack, in Rust"),
    ("rsa", "RUSTSEC-2023-0071"),
];

const LICENCES: [&str; 14] = [
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "MPL-2.0",
    "Unlicense",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "MIT-0",
];

#[test]
fn versions_are_not_below_their_floors() {
    let metadata = metadata();
    for package in &metadata.packages {
        for (name, floor, why) in FLOORS {
            let floor = Version::parse(floor).expect("a version");
            let low = *package.name == *name && package.version < floor;
            assert!(!low, "{name} {} is below {floor}: {why}", package.version);
        }
        for (name, why) in BANNED {
            assert_ne!(package.name.as_str(), name, "{why}");
        }
    }
    let (floor, why) = YAMUX_FLOOR;
    let floor = Version::parse(floor).expect("a version");
    let yamux = metadata.packages.iter().filter(|it| *it.name == *"yamux");
    let best = yamux.map(|it| it.version.clone()).max().expect("yamux");
    assert!(best >= floor, "yamux {best} is below {floor}: {why}");
}

#[test]
fn what_must_be_one_is_one() {
    let metadata = metadata();
    for name in ONE_COPY {
        let count = metadata.packages.iter().filter(|it| *it.name == *name).count();
        assert_eq!(count, 1, "{name}");
    }
}

#[test]
fn everything_comes_from_the_registry_or_from_here() {
    let metadata = metadata();
    for package in &metadata.packages {
        match &package.source {
            None => assert!(metadata.workspace_members.contains(&package.id), "{}", package.name),
            Some(source) => assert!(source.is_crates_io(), "{} from {source}", package.name),
        }
    }
}

#[test]
fn every_licence_is_one_we_may_use() {
    let metadata = metadata();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none");
        assert!(allowed(licence), "{} {}: {licence}", package.name, package.version);
    }
}

/// Whether an SPDX expression can be met by allowed licences: every part of an AND, one of an OR.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression.split(" AND ").all(|part| {
        part.split(" OR ").any(|licence| {
            let licence = licence.split(" WITH ").next().unwrap_or_default().trim();
            LICENCES.contains(&licence)
        })
    })
}

#[test]
fn the_licence_check_can_fail() {
    assert!(allowed("MIT OR GPL-3.0"));
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!allowed("GPL-3.0-only"));
    assert!(!allowed("MIT AND GPL-3.0"));
    assert!(!allowed("none"));
}
