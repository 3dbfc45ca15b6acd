//! The ledger's database: what is damaged is named, with what to do, and nothing panics.

use std::path::{Path, PathBuf};

use ledger::block::BlockHash;
use ledger::certificate::CommitCertificate;
use ledger::draft::{Draft, Executed};
use ledger::genesis::Genesis;
use ledger::state::State;
use ledger_node::store::{Store, StoreError};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

/// Past the first snapshot.
const BLOCKS: u64 = 70;

fn genesis() -> Genesis {
    ledger::genesis::read(include_str!("../../../../tests/golden/genesis.toml")).unwrap()
}

fn block_after(state: &State) -> Executed {
    Draft::open(state, state.time().plus_millis(1_000)).unwrap().finish().unwrap()
}

fn certificate(executed: &Executed) -> CommitCertificate {
    let (height, block) = (executed.block.header.height, executed.block.hash());
    CommitCertificate { height, round: 0, block, signatures: Vec::new() }
}

/// A stopped node's ledger and the state after it.
async fn stored() -> (TempDir, PathBuf, State) {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut state) = Store::open(dir.path(), &genesis()).await.unwrap();
    for _ in 0..BLOCKS {
        let executed = block_after(&state);
        let proof = certificate(&executed);
        store.commit(&executed.block, &proof, &executed.results, &executed.state).await.unwrap();
        state = executed.state;
    }
    store.close().await;
    let path = dir.path().join("ledger.sqlite");
    (dir, path, state)
}

/// Names the file and gets the operator going again.
fn assert_told(error: &StoreError, path: &Path) {
    let words = error.to_string();
    assert!(words.contains(&path.display().to_string()), "{words}");
    assert!(words.contains("move ledger.sqlite") && words.contains("last-signed"), "{words}");
}

#[tokio::test]
async fn a_stored_chain_is_found_again() {
    let (dir, _, state) = stored().await;
    assert_eq!(Store::last_block_time(dir.path()).await.unwrap(), Some(state.time()));
    let (store, found) = Store::open(dir.path(), &genesis()).await.unwrap();
    assert_eq!(found, state);
    store.close().await;
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Store::last_block_time(empty.path()).await.unwrap(), None);
    assert!(!Store::exists(empty.path()), "looking makes nothing");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_with_what_to_do() {
    let (dir, path, _) = stored().await;
    let garbage: Vec<u8> = (0..20_000_u32).map(|n| (n * 37 % 251).to_le_bytes()[0]).collect();
    std::fs::write(&path, &garbage).unwrap();
    let error = Store::open(dir.path(), &genesis()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_told(&error, &path);
    assert_told(&Store::last_block_time(dir.path()).await.unwrap_err(), &path);
    assert_eq!(std::fs::read(&path).unwrap(), garbage, "nothing is changed");
}

#[tokio::test]
async fn a_truncated_file_is_named_with_what_to_do() {
    let (dir, path, state) = stored().await;
    let whole = std::fs::read(&path).unwrap();
    for part in 1..24 {
        let cut = whole.len() * part / 24;
        std::fs::write(&path, &whole[..cut]).unwrap();
        match Store::open(dir.path(), &genesis()).await {
            Err(error) => assert_told(&error, &path),
            // Only pages that the chain does not need can be missing.
            Ok((store, found)) => {
                assert_eq!(found, state, "cut at {cut}");
                store.close().await;
            }
        }
        for file in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
            let _ = std::fs::remove_file(dir.path().join(file));
        }
    }
}

#[tokio::test]
async fn a_bad_row_is_named_by_table_and_height() {
    let damages = [
        "UPDATE blocks SET header = x'00' WHERE height = 41",
        "UPDATE blocks SET hash = x'00' WHERE height = 41",
        "DELETE FROM blocks WHERE height = 41",
        "UPDATE blocks SET header = (SELECT header FROM blocks WHERE height = 3) WHERE height = 41",
    ];
    for damage in damages {
        let (dir, path, _) = stored().await;
        execute(&path, damage).await;
        let error = Store::open(dir.path(), &genesis()).await.unwrap_err();
        assert_told(&error, &path);
        assert!(error.to_string().contains("table blocks, height 41"), "{error}");
    }
    // Bodies are read when they are wanted.
    let (dir, path, _) = stored().await;
    execute(&path, "UPDATE blocks SET block = x'01', results = x'', certificate = x''").await;
    let error = Store::open(dir.path(), &genesis()).await.unwrap_err();
    assert!(error.to_string().contains("table blocks, height 65"), "behind the snapshot: {error}");
    assert_told(&error, &path);
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
    let error = Store::open(dir.path(), &genesis()).await.unwrap_err();
    assert_told(&error, &path);
}

#[tokio::test]
async fn a_store_that_is_open_cannot_be_opened_again() {
    let (dir, path, _) = stored().await;
    let (store, _) = Store::open(dir.path(), &genesis()).await.unwrap();
    let error = Store::open(dir.path(), &genesis()).await.unwrap_err();
    assert!(matches!(&error, StoreError::InUse { path: named } if *named == path), "{error}");
    store.close().await;
    let (store, state) = Store::open(dir.path(), &genesis()).await.unwrap();
    let next = block_after(&state);
    let proof = CommitCertificate { block: BlockHash::default(), ..certificate(&next) };
    store.commit(&next.block, &proof, &next.results, &next.state).await.unwrap();
    let twice = store.commit(&next.block, &proof, &next.results, &next.state).await;
    let words = twice.unwrap_err().to_string();
    assert!(words.contains(&path.display().to_string()), "{words}");
    store.close().await;
}

async fn execute(path: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
}
