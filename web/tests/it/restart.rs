//! What survives: a restart, a damaged file, a foreign directory, a block that does not follow.

use std::path::Path;

use ledger::block::CommittedBlock;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use web::{Dashboard, DataDirError, FollowError, HouseholdPages, StoreError, WebError};

use crate::community::{Community, party};
use crate::stage::{BLOCKS, StoppedClock, config, follow_all};

async fn open(dir: &Path, community: &Community) -> Result<Dashboard, WebError> {
    let config = config(dir, community, HouseholdPages::Open);
    Dashboard::open(&config, StoppedClock::at(community.time())).await
}

async fn filled(community: &Community) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let mut dashboard = open(dir.path(), community).await.expect("it opens");
    follow_all(&mut dashboard, &community.blocks).await;
    dashboard.close().await;
    dir
}

/// What a page of each kind says, as text.
async fn says(dashboard: &Dashboard) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/api/v1", listener.local_addr().expect("an address"));
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(dashboard.serve(listener, shutdown.clone()));
    let mut said = String::new();
    let who = party(2);
    for path in [
        "/now".to_owned(),
        "/prices".to_owned(),
        "/auctions/latest".to_owned(),
        "/blocks".to_owned(),
        format!("/households/{who}"),
        format!("/households/{who}/trades"),
        format!("/households/{who}/orders"),
    ] {
        let response = reqwest::get(format!("{base}{path}")).await.expect("an answer");
        said.push_str(&response.text().await.expect("text"));
    }
    shutdown.cancel();
    server.await.expect("the server ends");
    said
}

async fn spoil(dir: &Path, statement: &'static str) {
    let file = dir.join("data/read_model.sqlite");
    let options = SqliteConnectOptions::new().filename(file);
    let pool = SqlitePool::connect_with(options).await.expect("the file opens");
    let done = sqlx::query(statement).execute(&pool).await.expect("the statement runs");
    assert!(done.rows_affected() > 0, "{statement} hits something");
    pool.close().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_ended() {
    let community = Community::after_blocks(BLOCKS);
    let dir = filled(&community).await;
    let dashboard = open(dir.path(), &community).await.expect("it opens");
    assert_eq!(dashboard.height(), BLOCKS as u64);
    let before = says(&dashboard).await;
    dashboard.close().await;
    // The same without any snapshot: replayed from genesis.
    spoil(dir.path(), "DELETE FROM snapshots").await;
    let mut dashboard = open(dir.path(), &community).await.expect("it opens");
    assert_eq!(says(&dashboard).await, before);
    // A block that is served again is not written again.
    let again = dashboard.follow(community.blocks[3].clone()).await;
    assert!(matches!(again, Err(FollowError::Junk(_))), "{again:?}");
    assert_eq!(says(&dashboard).await, before);
    dashboard.close().await;
}

#[tokio::test]
async fn damage_is_found_at_the_start_and_made_good() {
    let community = Community::after_blocks(BLOCKS);
    let dir = filled(&community).await;
    let dashboard = open(dir.path(), &community).await.expect("it opens");
    let sound = says(&dashboard).await;
    dashboard.close().await;
    let damages = [
        // The snapshot's bytes, its height, an earlier version of the projection.
        "UPDATE snapshots SET state = CAST('junk' AS BLOB)",
        "UPDATE snapshots SET height = height - 1",
        "UPDATE community SET projection = 0",
    ];
    let bodies = "UPDATE blocks SET committed = CAST('junk' AS BLOB) WHERE height = 100";
    spoil(dir.path(), bodies).await;
    let mut dashboard = open(dir.path(), &community).await.expect("it opens");
    assert_eq!(dashboard.height(), 99, "the snapshot's own block is damaged");
    follow_all(&mut dashboard, &community.blocks[99..]).await;
    assert_eq!(says(&dashboard).await, sound);
    dashboard.close().await;
    for damage in damages {
        spoil(dir.path(), damage).await;
        let dashboard = open(dir.path(), &community).await.expect("it opens");
        assert_eq!(dashboard.height(), BLOCKS as u64, "{damage}");
        assert_eq!(says(&dashboard).await, sound, "{damage}");
        dashboard.close().await;
    }
    // A block behind the snapshot is gone: what follows it is dropped and can be followed again.
    spoil(dir.path(), "DELETE FROM blocks WHERE height = 105").await;
    let mut dashboard = open(dir.path(), &community).await.expect("it opens");
    assert_eq!(dashboard.height(), 104);
    follow_all(&mut dashboard, &community.blocks[104..]).await;
    assert_eq!(says(&dashboard).await, sound);
    dashboard.close().await;
    // A bit of a stored block is flipped.
    spoil(
        dir.path(),
        "UPDATE blocks SET committed = \
         CAST(substr(committed, 1, 60) || CAST('x' AS BLOB) || substr(committed, 62) AS BLOB) \
         WHERE height = 107",
    )
    .await;
    let mut dashboard = open(dir.path(), &community).await.expect("it opens");
    assert_eq!(dashboard.height(), 106);
    follow_all(&mut dashboard, &community.blocks[106..]).await;
    assert_eq!(says(&dashboard).await, sound);
    dashboard.close().await;
}

/// Names the file and says how everything comes back.
fn assert_told(error: &WebError, dir: &Path) {
    let words = error.to_string();
    let path = dir.join("data/read_model.sqlite");
    assert!(words.contains(&path.display().to_string()), "{words}");
    assert!(words.contains("delete read_model.sqlite") && words.contains("made anew"), "{words}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_can_be_deleted() {
    let community = Community::after_blocks(BLOCKS);
    let dir = filled(&community).await;
    let dashboard = open(dir.path(), &community).await.expect("it opens");
    let sound = says(&dashboard).await;
    dashboard.close().await;
    let file = dir.path().join("data/read_model.sqlite");
    let whole = std::fs::read(&file).expect("a file");
    let garbage: Vec<u8> = (0..9_000_u32).map(|n| (n * 37 % 251).to_le_bytes()[0]).collect();
    std::fs::write(&file, garbage).expect("written");
    let error = open(dir.path(), &community).await.err().expect("an error");
    assert!(matches!(error, WebError::Store(StoreError::Damaged { .. })), "{error}");
    assert_told(&error, dir.path());
    for part in 1..16 {
        std::fs::write(&file, &whole[..whole.len() * part / 16]).expect("written");
        match open(dir.path(), &community).await {
            Err(error) => assert_told(&error, dir.path()),
            // What is read at the start is whole, or was made anew.
            Ok(dashboard) => dashboard.close().await,
        }
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
        }
    }
    std::fs::remove_file(&file).expect("deleted");
    let mut dashboard = open(dir.path(), &community).await.expect("it opens");
    assert_eq!(dashboard.height(), 0);
    follow_all(&mut dashboard, &community.blocks).await;
    assert_eq!(says(&dashboard).await, sound);
    dashboard.close().await;
}

#[tokio::test]
async fn a_second_dashboard_on_the_directory_is_refused_before_it_writes() {
    let community = Community::after_blocks(3);
    let dir = filled(&community).await;
    let dashboard = open(dir.path(), &community).await.expect("it opens");
    let data = dir.path().join("data");
    std::fs::remove_file(data.join("read_model.sqlite")).expect("deleted");
    let error = open(dir.path(), &community).await.err().expect("an error");
    assert!(matches!(error, WebError::DataDir(DataDirError::InUse { .. })), "{error}");
    assert!(error.to_string().contains(&data.display().to_string()), "{error}");
    assert!(!data.join("read_model.sqlite").exists(), "nothing is written");
    dashboard.close().await;
    open(dir.path(), &community).await.expect("free again").close().await;
}

#[tokio::test]
async fn the_directory_of_another_community_is_refused_by_name() {
    let community = Community::after_blocks(3);
    let dir = filled(&community).await;
    let other = Community::founded("Other Village");
    let error = open(dir.path(), &other).await.err().expect("an error");
    let WebError::Store(StoreError::OtherCommunity { found, expected, .. }) = &error else {
        panic!("another error: {error}")
    };
    assert_eq!(*found, community.genesis.chain_id().to_string());
    assert_eq!(*expected, other.genesis.chain_id());
    assert!(error.to_string().contains("name another data directory"), "{error}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let community = Community::founded("Sunny Village");
    let dir = tempfile::tempdir().expect("a directory");
    let mut broken = config(dir.path(), &community, HouseholdPages::Open);
    std::fs::write(dir.path().join("data"), "a file").expect("written");
    let clock = || StoppedClock::at(community.time());
    let error = Dashboard::open(&broken, clock()).await.err().expect("an error").to_string();
    assert!(error.contains("data") && error.contains("choose one that can be written"), "{error}");
    std::fs::write(&broken.genesis, "name = 1").expect("written");
    let error = Dashboard::open(&broken, clock()).await.err().expect("an error").to_string();
    assert!(error.contains("genesis.toml") && error.contains("line 1"), "{error}");
    broken.genesis = dir.path().join("nowhere.toml");
    let error = Dashboard::open(&broken, clock()).await.err().expect("an error").to_string();
    assert!(error.contains("nowhere.toml"), "{error}");
}

#[tokio::test]
async fn blocks_that_do_not_follow_change_nothing() {
    let community = Community::after_blocks(8);
    let dir = tempfile::tempdir().expect("a directory");
    let mut dashboard = open(dir.path(), &community).await.expect("it opens");
    follow_all(&mut dashboard, &community.blocks[..6]).await;
    let before = says(&dashboard).await;
    let next = &community.blocks[6];
    let changed = |change: &dyn Fn(&mut CommittedBlock)| {
        let mut block = next.clone();
        change(&mut block);
        block
    };
    let junk = [
        community.blocks[7].clone(),
        community.blocks[5].clone(),
        changed(&|block| block.block.header.height += 1),
        changed(&|block| block.certificate.signatures.truncate(2)),
        changed(&|block| block.certificate.signatures[1] = block.certificate.signatures[0]),
        changed(&|block| block.certificate.round += 1),
        changed(&|block| block.block.transactions.clear()),
        changed(&|block| block.block.transactions.reverse()),
        changed(&|block| block.block.header.state_root = block.block.header.results_root),
        Community::after_blocks(1).blocks.remove(0),
    ];
    for block in junk {
        let error = dashboard.follow(block).await.expect_err("it does not follow");
        assert!(matches!(error, FollowError::Junk(_)), "{error}");
        assert_eq!(dashboard.height(), 6);
    }
    assert_eq!(says(&dashboard).await, before);
    follow_all(&mut dashboard, &community.blocks[6..]).await;
    assert_eq!(dashboard.height(), 8);
    dashboard.close().await;
}
