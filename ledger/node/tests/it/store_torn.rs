//! The ledger's database cut at every 512 bytes, beside a log that is whole or cut as well: what opens is
//! the chain up to some block, whole and as it was; anything else is named, with what to do.

use std::path::{Path, PathBuf};

use ledger::state::State;
use ledger_node::store::{Store, StoreError};
use tempfile::TempDir;

use crate::store::assert_told;
use crate::street::Street;

/// Blocks in the database's file, and as many in its log.
const BLOCKS_EACH: usize = 6;
/// What a disk writes at once.
const SECTOR: usize = 512;

/// What a power failure leaves to be found.
struct Torn {
    dir: TempDir,
    street: Street,
    /// After genesis and after each block.
    states: Vec<State>,
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Torn {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut street = Street::new(2);
        let mut states = vec![street.state.clone()];
        let mut files = Vec::new();
        for _ in 0..2 {
            let (store, _) = Store::open(dir.path(), &street.genesis).await.unwrap();
            for _ in 0..BLOCKS_EACH {
                street.commit_next(&store).await;
                states.push(street.state.clone());
            }
            files = [database(dir.path()), log(dir.path())]
                .map(|path| std::fs::read(path).unwrap())
                .into();
            // Brings the log's blocks into the database's file.
            store.close().await;
        }
        let [database, log] = files.try_into().unwrap();
        assert!(log.len() > 40 * SECTOR && database.len() > 40 * SECTOR);
        Self { dir, street, states, database, log }
    }

    /// What is found if these files are.
    async fn found(&self, database_kept: usize, log_kept: usize) -> Result<usize, StoreError> {
        let dir = self.dir.path();
        std::fs::write(database(dir), &self.database[..database_kept]).unwrap();
        std::fs::write(log(dir), &self.log[..log_kept]).unwrap();
        let (store, state) = Store::open(dir, &self.street.genesis).await?;
        let height = usize::try_from(state.height()).unwrap();
        assert!(state == self.states[height], "another state at {height}");
        for height in 1..=state.height() {
            assert!(store.decided(height).await.unwrap().is_some(), "no block {height}");
        }
        store.close().await;
        Ok(height)
    }

    fn assert_told(&self, error: &StoreError) {
        assert_told(error, &database(self.dir.path()));
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("ledger.sqlite")
}

fn log(dir: &Path) -> PathBuf {
    dir.join("ledger.sqlite-wal")
}

#[tokio::test]
async fn a_torn_database_is_made_whole_by_its_log_or_named() {
    let torn = Torn::new().await;
    let (mut whole, mut named) = (0, 0);
    for kept in (0..torn.database.len()).step_by(SECTOR) {
        // Whatever the log does not hold is gone, and nothing less than all of it is a chain.
        match torn.found(kept, torn.log.len()).await {
            Ok(height) => {
                assert_eq!(height, 2 * BLOCKS_EACH, "cut at {kept}");
                whole += 1;
            }
            Err(error) => {
                torn.assert_told(&error);
                named += 1;
            }
        }
        // Torn alike, nothing of the cut pages is anywhere else.
        let log_kept = torn.log.len() / SECTOR * kept / torn.database.len() * SECTOR;
        match torn.found(kept, log_kept).await {
            Ok(0) => assert!(kept < 4096, "an empty file is a new one: {kept}"),
            Ok(height) => assert!(height >= BLOCKS_EACH, "cut at {kept} and {log_kept}"),
            Err(error) => torn.assert_told(&error),
        }
    }
    assert!(named > 0, "{whole} whole, {named} named");
}
