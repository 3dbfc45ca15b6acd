//! Forgetting: old bodies go, the chain stays.

use ledger_node::store::Store;
use market::time::Timestamp;

use crate::repair::mend_alone;
use crate::store::{BLOCKS, Stored};

const LATER: Timestamp = Timestamp::from_millis(4_000_000_000_000);

/// Long enough that what the first blocks were about is final.
async fn with_an_old_part() -> (Stored, Store) {
    let mut stored = Stored::new().await;
    let (store, _) = stored.open().await.unwrap();
    for height in BLOCKS + 1..=200 {
        let wait_ms = if height == BLOCKS + 40 { 3 * 86_400_000 } else { 1_000 };
        let time = stored.street.state.time().plus_millis(wait_ms);
        stored.street.commit(&store, time, Vec::new()).await;
    }
    (stored, store)
}

#[tokio::test]
async fn bodies_of_final_periods_are_forgotten_and_the_chain_still_holds() {
    let (stored, store) = with_an_old_part().await;
    let (bytes, _) = store.decided(40).await.unwrap().unwrap();
    let canary = bytes[300..364].to_vec();
    let nothing = store.prune(&stored.street.state, stored.street.genesis.starts_at).await;
    assert_eq!(nothing.unwrap(), 0, "nothing is that old");
    let pruned = store.prune(&stored.street.state, LATER).await.unwrap();
    // The newest snapshot is at 192, and the one before it may still be needed.
    assert_eq!((pruned, store.min_height()), (127, 128));
    assert!(store.decided(40).await.unwrap().is_none());
    assert!(store.served(40, 5, true, usize::MAX).await.unwrap().is_empty());
    assert_eq!(store.served(128, 500, true, usize::MAX).await.unwrap().len(), 73);
    store.close().await;
    let file = std::fs::read(&stored.path).unwrap();
    assert!(!file.windows(64).any(|window| window == canary), "left in a free page");

    let (store, state) = stored.open().await.unwrap();
    assert!(state == stored.street.state);
    assert_eq!(store.min_height(), 128);
    // Copies are pruned as well.
    let to = stored.dir.path().join("copy");
    assert_eq!(store.backup(&stored.street.genesis, &to, |_| {}).await.unwrap(), 200);
    store.close().await;
    let report = mend_alone(&stored).await.unwrap();
    assert_eq!((report.height, report.damaged.len()), (200, 0));
}

#[tokio::test]
async fn blocks_of_open_periods_stay() {
    let stored = Stored::new().await;
    let (store, _) = stored.open().await.unwrap();
    assert_eq!(store.prune(&stored.street.state, LATER).await.unwrap(), 0);
    store.close().await;
}
