//! Copies of a ledger: made while it grows, restored where nothing is.

use ledger_node::restore::{RestoreError, restore};
use ledger_node::store::{BackupError, Store, check_again};
use market::time::Timestamp;

use crate::store::{BLOCKS, Stored, execute};

const LATER: Timestamp = Timestamp::from_millis(4_000_000_000_000);

#[tokio::test]
async fn a_backup_made_while_blocks_are_committed_is_a_whole_chain() {
    let mut stored = Stored::new().await;
    let genesis = stored.street.genesis.clone();
    let (store, _) = stored.open().await.unwrap();
    let to = stored.dir.path().join("copy");
    let copying = {
        let (store, genesis, to) = (store.clone(), genesis.clone(), to.clone());
        tokio::spawn(async move { store.backup(&genesis, &to, |_| {}).await })
    };
    // Over the next snapshot, at which the one before the last is dropped.
    for _ in 0..64 {
        let time = stored.street.state.time().plus_millis(1_000);
        stored.street.commit(&store, time, Vec::new()).await;
        tokio::task::yield_now().await;
    }
    let height = copying.await.unwrap().unwrap();
    assert!((BLOCKS..=BLOCKS + 64).contains(&height), "{height}");
    let expected = store.served(1, u16::MAX, true, usize::MAX).await.unwrap();
    let again = store.backup(&genesis, &to, |_| {}).await.unwrap_err();
    assert!(matches!(again, BackupError::Exists { .. }), "{again}");
    store.close().await;

    let fresh = tempfile::tempdir().unwrap();
    let restored = restore(fresh.path(), &genesis, &to, LATER).await.unwrap();
    assert_eq!(restored, height);
    let (store, _) = Store::open(fresh.path(), &genesis).await.unwrap();
    let served = store.served(1, u16::MAX, true, usize::MAX).await.unwrap();
    assert_eq!(served, expected[..usize::try_from(height).unwrap()]);
    store.close().await;
    let mark = std::fs::read_to_string(fresh.path().join("watch-until")).unwrap();
    assert_eq!(mark.trim(), LATER.as_millis().to_string());
    assert!(!fresh.path().join("last-signed").exists(), "nobody knows what was signed");
}

#[tokio::test]
async fn a_backup_of_one_user_is_nobody_elses_and_a_damaged_ledger_gives_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let stored = Stored::large().await;
    let genesis = &stored.street.genesis;
    let (store, _) = stored.open().await.unwrap();
    let to = stored.dir.path().join("copy");
    let mut told = Vec::new();
    store.backup(genesis, &to, |progress| told.push(progress.height)).await.unwrap();
    assert_eq!(told.last(), Some(&BLOCKS));
    assert!(told.is_sorted() && told.len() > 2, "{told:?}");
    let mode = std::fs::metadata(&to).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Damaged on the disk while the node runs.
    let mut file = std::fs::read(&stored.path).unwrap();
    let (bytes, _) = store.decided(40).await.unwrap().unwrap();
    let at = file.windows(64).position(|window| window == &bytes[400..464]).unwrap();
    file[at + 32] ^= 1;
    std::fs::write(&stored.path, &file).unwrap();
    // The small cache forgets the page as it was while others are read.
    store.served(1, 39, true, usize::MAX).await.unwrap();
    store.served(41, 39, true, usize::MAX).await.unwrap();
    check_again(&store, genesis).await.unwrap_err();
    let other = stored.dir.path().join("other");
    let error = store.backup(genesis, &other, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("height 40"), "{error}");
    assert!(!other.exists());
    store.close().await;
}

#[tokio::test]
async fn nothing_is_restored_over_something_or_from_a_damaged_backup() {
    let stored = Stored::new().await;
    let genesis = &stored.street.genesis;
    let (store, _) = stored.open().await.unwrap();
    let to = stored.dir.path().join("copy");
    store.backup(genesis, &to, |_| {}).await.unwrap();
    store.close().await;

    let error = restore(stored.dir.path(), genesis, &to, LATER).await.unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
    let signed = tempfile::tempdir().unwrap();
    std::fs::write(signed.path().join("last-signed"), "").unwrap();
    let error = restore(signed.path(), genesis, &to, LATER).await.unwrap_err();
    assert!(error.to_string().contains("last-signed"), "{error}");

    execute(&to, "UPDATE blocks SET results = x'00' WHERE height = 9").await;
    let fresh = tempfile::tempdir().unwrap();
    let error = restore(fresh.path(), genesis, &to, LATER).await.unwrap_err();
    assert!(error.to_string().contains("table blocks, height 9"), "{error}");
    let left: Vec<_> = std::fs::read_dir(fresh.path()).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(left.len(), 1, "only the lock: {left:?}");
}
