//! The ledger's database: what is damaged is named, with what to do, and nothing panics.

use std::path::{Path, PathBuf};

use ledger::block::BlockHash;
use ledger::state::State;
use ledger_node::store::{Store, StoreError, check_again};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::street::{Street, certify};

/// Past the first snapshot.
pub(crate) const BLOCKS: u64 = 70;

/// A stopped node's ledger.
pub(crate) struct Stored {
    pub(crate) dir: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) street: Street,
}

impl Stored {
    /// Of a small street, with something in every eighth block.
    pub(crate) async fn new() -> Self {
        Self::of(3, 8).await
    }

    /// With more in it than the store keeps in memory.
    pub(crate) async fn large() -> Self {
        let stored = Self::of(50, 1).await;
        let length = std::fs::metadata(&stored.path).unwrap().len();
        assert!(length > 3 << 20, "{length} bytes");
        stored
    }

    async fn of(households: u16, full_every: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut street = Street::new(households);
        let (store, _) = Store::open(dir.path(), &street.genesis).await.unwrap();
        for height in 1..=BLOCKS {
            if height % full_every == 0 {
                street.commit_next(&store).await;
            } else {
                let time = street.state.time().plus_millis(1_000);
                street.commit(&store, time, Vec::new()).await;
            }
        }
        store.close().await;
        let path = dir.path().join("ledger.sqlite");
        Self { dir, path, street }
    }

    pub(crate) async fn open(&self) -> Result<(Store, State), StoreError> {
        Store::open(self.dir.path(), &self.street.genesis).await
    }
}

/// Names the file and gets the operator going again.
pub(crate) fn assert_told(error: &StoreError, path: &Path) {
    let words = error.to_string();
    assert!(words.contains(&path.display().to_string()), "{words}");
    assert!(words.contains("hidamari node repair") && words.contains("last-signed"), "{words}");
}

#[tokio::test]
async fn a_stored_chain_is_found_again() {
    let stored = Stored::new().await;
    let dir = stored.dir.path();
    let time = Store::last_block_time(dir).await.unwrap();
    assert_eq!(time, Some(stored.street.state.time()));
    let (store, found) = stored.open().await.unwrap();
    assert!(found == stored.street.state);
    store.close().await;
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Store::last_block_time(empty.path()).await.unwrap(), None);
    assert!(!Store::exists(empty.path()), "looking makes nothing");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_with_what_to_do() {
    let stored = Stored::new().await;
    let garbage: Vec<u8> = (0..20_000_u32).map(|n| (n * 37 % 251).to_le_bytes()[0]).collect();
    std::fs::write(&stored.path, &garbage).unwrap();
    let error = stored.open().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_told(&error, &stored.path);
    assert_told(&Store::last_block_time(stored.dir.path()).await.unwrap_err(), &stored.path);
    assert_eq!(std::fs::read(&stored.path).unwrap(), garbage, "nothing is changed");
}

#[tokio::test]
async fn a_truncated_file_is_named_with_what_to_do() {
    let stored = Stored::new().await;
    let whole = std::fs::read(&stored.path).unwrap();
    for part in 1..24 {
        let cut = whole.len() * part / 24;
        std::fs::write(&stored.path, &whole[..cut]).unwrap();
        match stored.open().await {
            Err(error) => assert_told(&error, &stored.path),
            Ok(_) => panic!("a file without its end at {cut} of {} is whole", whole.len()),
        }
        remove_companions(&stored.path);
    }
}

#[tokio::test]
async fn a_bad_row_is_named_by_table_and_height() {
    let damages = [
        ("UPDATE blocks SET header = x'00' WHERE height = 41", "blocks, height 41"),
        ("UPDATE blocks SET hash = x'00' WHERE height = 41", "blocks, height 41"),
        ("DELETE FROM blocks WHERE height = 41", "blocks, height 41"),
        (
            "UPDATE blocks SET header = (SELECT header FROM blocks WHERE height = 3), \
             block = (SELECT block FROM blocks WHERE height = 3) WHERE height = 41",
            "blocks, height 41",
        ),
        ("UPDATE blocks SET block = x'01' WHERE height = 40", "blocks, height 40"),
        ("UPDATE blocks SET certificate = x'' WHERE height = 1", "blocks, height 1"),
        ("UPDATE blocks SET results = x'0000' WHERE height = 70", "blocks, height 70"),
        ("UPDATE snapshots SET state = x'00'", "snapshots, height 64"),
        ("UPDATE meta SET value = value || '0' WHERE key = 'chain'", "meta"),
    ];
    for (damage, named) in damages {
        let stored = Stored::new().await;
        execute(&stored.path, damage).await;
        let error = stored.open().await.unwrap_err();
        assert_told(&error, &stored.path);
        assert!(error.to_string().contains(&format!("table {named}")), "{damage}: {error}");
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_is_named_also_where_all_digests_are_right() {
    let mut stored = Stored::new().await;
    let (store, _) = stored.open().await.unwrap();
    let time = stored.street.state.time().plus_millis(1_000);
    let next = stored.street.block(time, Vec::new());
    let mut proof = certify(&next);
    proof.signatures.truncate(2);
    store.commit(&next.block, &proof, &next.results, &next.state).await.unwrap();
    store.close().await;
    stored.street.state = next.state;
    let error = stored.open().await.unwrap_err();
    assert_told(&error, &stored.path);
    assert!(error.to_string().contains("height 71: its certificate does not hold"), "{error}");
}

/// The store has the file to itself, so the damage comes from below it: a page on the disk.
#[tokio::test]
async fn what_is_damaged_while_the_node_runs_is_told_and_not_served() {
    let stored = Stored::large().await;
    let (store, _) = stored.open().await.unwrap();
    assert!(store.damage().is_empty());
    let mut file = std::fs::read(&stored.path).unwrap();
    let (bytes, _) = store.decided(40).await.unwrap().unwrap();
    let at = file.windows(64).position(|window| window == &bytes[400..464]).unwrap();
    file[at + 32] ^= 1;
    std::fs::write(&stored.path, &file).unwrap();
    check_again(&store, &stored.street.genesis).await.unwrap_err();
    assert!(store.served(40, 5, false, usize::MAX).await.is_err());
    assert_eq!(store.served(38, 5, true, usize::MAX).await.unwrap().len(), 2);
    assert!(store.decided(40).await.is_err());
    assert!(store.decided(41).await.unwrap().is_some());
    let named: Vec<_> = store.damage().iter().map(ToString::to_string).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].starts_with("table blocks, height 40"), "{named:?}");
    store.close().await;
}

#[tokio::test]
async fn a_database_of_something_else_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.sqlite");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    let tables = "CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash TEXT, header TEXT); \
                  INSERT INTO blocks VALUES (1, 'a', 'b')";
    sqlx::raw_sql(tables).execute(&mut other).await.unwrap();
    sqlx::Connection::close(other).await.unwrap();
    let error = Store::open(dir.path(), &crate::street::genesis(3)).await.unwrap_err();
    assert_told(&error, &path);
}

#[tokio::test]
async fn a_store_that_is_open_cannot_be_opened_again() {
    let stored = Stored::new().await;
    let (store, _) = stored.open().await.unwrap();
    let error = stored.open().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::InUse { path: named } if *named == stored.path),
        "{error}"
    );
    store.close().await;
    let (store, state) = stored.open().await.unwrap();
    let next = stored.street.block(state.time().plus_millis(1_000), Vec::new());
    let proof = certify(&next);
    store.commit(&next.block, &proof, &next.results, &next.state).await.unwrap();
    let twice = store.commit(&next.block, &proof, &next.results, &next.state).await;
    let words = twice.unwrap_err().to_string();
    assert!(words.contains(&stored.path.display().to_string()), "{words}");
    store.close().await;
}

/// A byte anywhere in the file: found and named, or it changes nothing that is read.
#[tokio::test]
async fn every_flipped_byte_of_the_file_is_named_or_harmless() {
    let stored = Stored::new().await;
    let whole = std::fs::read(&stored.path).unwrap();
    // A prime, so that every offset in a page comes up; about 160 flips.
    let step = (whole.len() / 120) | 1;
    let (mut found, mut harmless) = (0, 0);
    for at in (0..whole.len()).step_by(step).chain((0..100).step_by(3)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&stored.path, &flipped).unwrap();
        match stored.open().await {
            Err(error) => {
                assert!(error.to_string().contains("ledger.sqlite"), "{at}: {error}");
                found += 1;
            }
            Ok((store, state)) => {
                assert!(state == stored.street.state, "byte {at}");
                let served = store.served(1, 100, true, usize::MAX).await.unwrap();
                assert_eq!(served.len() as u64, BLOCKS, "byte {at}");
                harmless += 1;
                store.close().await;
            }
        }
        remove_companions(&stored.path);
    }
    assert!(found > harmless, "{found} of {} flips were found", found + harmless);
}

/// A flipped byte in any column of any table.
#[tokio::test]
async fn every_flipped_byte_of_a_row_is_named() {
    let stored = Stored::new().await;
    let whole = std::fs::read(&stored.path).unwrap();
    for (table, columns) in [
        ("blocks", &["hash", "header", "block", "certificate", "results", "digest"][..]),
        ("snapshots", &["header", "certificate", "state", "digest"]),
    ] {
        for column in columns {
            for place in 0..6 {
                std::fs::write(&stored.path, &whole).unwrap();
                flip(&stored.path, table, column, place).await;
                let error = stored.open().await.unwrap_err().to_string();
                let named = error.contains(&format!("table {table}, height 64"));
                assert!(named, "{table}.{column} at {place}/6: {error}");
                remove_companions(&stored.path);
            }
        }
    }
}

/// Flips a bit at so many sixths of a column of the row at height 64.
async fn flip(path: &Path, table: &str, column: &str, place: usize) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut database = options.connect().await.unwrap();
    let query = format!("SELECT {column} FROM {table} WHERE height = 64");
    let query = sqlx::query_scalar::<_, Vec<u8>>(sqlx::AssertSqlSafe(query));
    let mut bytes = query.fetch_one(&mut database).await.unwrap();
    let at = bytes.len() * place / 6;
    bytes[at] ^= 0x10;
    let query = format!("UPDATE {table} SET {column} = ? WHERE height = 64");
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(bytes);
    query.execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
}

/// A log that is cut anywhere gives a chain that ends earlier, or is refused.
#[tokio::test]
async fn a_log_cut_at_every_512_bytes_gives_a_prefix_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut street = Street::new(2);
    let (store, _) = Store::open(dir.path(), &street.genesis).await.unwrap();
    let mut hashes = vec![BlockHash::default()];
    for _ in 0..5 {
        hashes.push(street.commit_next(&store).await.block.hash());
    }
    let files = ["ledger.sqlite", "ledger.sqlite-wal"];
    let [main, log] = files.map(|file| std::fs::read(dir.path().join(file)).unwrap());
    store.close().await;
    assert!(log.len() > 30_000, "the log holds the chain: {}", log.len());
    let mut heights = std::collections::BTreeSet::new();
    for cut in (0..=log.len()).step_by(512) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join(files[0]), &main).unwrap();
        std::fs::write(copy.path().join(files[1]), &log[..cut]).unwrap();
        match Store::open(copy.path(), &street.genesis).await {
            Ok((store, state)) => {
                let height = usize::try_from(state.height()).unwrap();
                assert_eq!(state.tip(), hashes[height], "cut at {cut}");
                heights.insert(height);
                store.close().await;
            }
            Err(error) => assert_told(&error, &copy.path().join(files[0])),
        }
    }
    assert!(heights.len() > 3, "{heights:?}");
}

pub(crate) fn remove_companions(path: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

pub(crate) async fn execute(path: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
}
