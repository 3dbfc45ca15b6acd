//! Erasing parties: what a request on the ledger asks for, a node does, once and wholly.

use std::path::Path;

use ledger::acts::{Join, Measure, Purpose, join_consent};
use ledger::transaction::Transaction;
use ledger_node::store::{ErasureStanding, Store, check_again};
use market::energy::Energy;
use market::keys::SigningKey;
use market::signed::Signed;
use market::zone::ZoneId;

use crate::repair::mend_alone;
use crate::store::{BLOCKS, Stored};
use crate::street::{metering_point, party, party_key, validator_key};

const DAY_MS: i64 = 86_400_000;

/// The height of the block that asks to erase both parties.
const REQUESTED_AT: u64 = BLOCKS + 5;

fn newcomer_key() -> SigningKey {
    SigningKey::from_seed(&[55; 32])
}

/// A newcomer joins by an invitation; it and the first household are revoked, and erased once all
/// is final.
async fn asked_to_erase() -> (Stored, Store) {
    let mut stored = Stored::new().await;
    let (store, _) = stored.open().await.unwrap();
    let street = &mut stored.street;
    let (chain, invitation) = (street.genesis.chain_id(), SigningKey::from_seed(&[66; 32]));
    let purpose = Purpose::NewMember {
        party: party(9),
        metering_point: metering_point(9),
        zone: ZoneId(0),
        import_max: Energy::from_wh(100),
        export_max: Energy::ZERO,
    };
    let expires_at = street.state.time().plus_millis(DAY_MS);
    let (key, by) = (newcomer_key(), invitation.public());
    let consent = key.sign(&join_consent(&chain, &by));
    let join = Join { community: chain, invitation: by, key: key.public(), consent };
    let join = Transaction::Join(Signed::sign(join, &chain, &invitation).into_envelope());
    let invite = street.act(1, Measure::Invite { invitation: by, purpose, expires_at });
    let enrol = street.act(2, Measure::Enrol { invitation: by, key: key.public() });
    let revoke = |n| Measure::Revoke { party: party(n) };
    let erase = |n| Measure::Erase { party: party(n) };
    let both = |first, of: &dyn Fn(u16) -> Measure| {
        vec![street.act(first, of(0)), street.act(first + 1, of(9))]
    };
    let blocks = [
        (1_000, vec![invite]),
        (1_000, vec![join, enrol]),
        (1_000, both(3, &revoke)),
        (3 * DAY_MS, Vec::new()),
        (1_000, both(5, &erase)),
    ];
    for (wait_ms, said) in blocks {
        let time = stored.street.state.time().plus_millis(wait_ms);
        stored.street.commit(&store, time, said).await;
    }
    assert_eq!(stored.street.state.height(), REQUESTED_AT);
    (stored, store)
}

async fn go_on(stored: &mut Stored, store: &Store, through: u64) {
    while stored.street.state.height() < through {
        let time = stored.street.state.time().plus_millis(1_000);
        stored.street.commit(store, time, Vec::new()).await;
    }
}

/// How often bytes stand in the files of a directory: ledger, log, backups.
fn count(dir: &Path, canary: &[u8]) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
    files.map(|file| file.windows(canary.len()).filter(|bytes| *bytes == canary).count()).sum()
}

/// What only the two parties' leaves say: keys, metering points, and a signature of an order.
fn canaries(signature: &[u8]) -> Vec<Vec<u8>> {
    vec![
        newcomer_key().public().as_bytes().to_vec(),
        metering_point(9).as_bytes().to_vec(),
        signature.to_vec(),
    ]
}

/// The signature of the first household's order in block 8.
async fn signature_of(stored: &Stored, store: &Store) -> Vec<u8> {
    let (bytes, _) = store.decided(8).await.unwrap().unwrap();
    let block = ledger::block::Block::from_bytes(&bytes).unwrap();
    let said = block.transactions.iter().find(|said| said.concerns(&party(0))).unwrap().to_bytes();
    assert!(count(stored.dir.path(), party_key(1).public().as_bytes()) > 0);
    said[said.len() - 64..].to_vec()
}

#[tokio::test]
async fn erasure_leaves_nothing_linkable_on_the_disk() {
    let (mut stored, store) = asked_to_erase().await;
    let (chain, key) = (stored.street.genesis.chain_id(), validator_key(1));
    let canaries = canaries(&signature_of(&stored, &store).await);
    for canary in &canaries {
        assert!(count(stored.dir.path(), canary) > 0, "{canary:?} was never there");
    }
    let waiting = ErasureStanding::Waiting { requested_at: REQUESTED_AT, due_at: 192 };
    go_on(&mut stored, &store, 191).await;
    assert_eq!(store.carry_out_erasures(&chain, &key).await.unwrap(), []);
    assert_eq!(store.erasure_of(&party(9), &chain).await.unwrap(), waiting);
    assert_eq!(store.erasure_of(&party(1), &chain).await.unwrap(), ErasureStanding::NotRequested);
    // A copy of before names the parties; what is done to it later is below.
    let old_copy = tempfile::tempdir().unwrap();
    let old = old_copy.path().join("ledger.sqlite");
    store.backup(&stored.street.genesis, &old, |_| {}).await.unwrap();

    go_on(&mut stored, &store, 200).await;
    let receipts = store.carry_out_erasures(&chain, &key).await.unwrap();
    let parties: Vec<_> = receipts.iter().map(|receipt| receipt.erasure.party).collect();
    assert_eq!(parties, [party(0), party(9)], "two requests in one block are two receipts");
    for receipt in &receipts {
        receipt.verify(&chain).unwrap();
        assert_eq!(receipt.erasure.requested_at, REQUESTED_AT);
        let done = ErasureStanding::Done(receipt.clone());
        assert_eq!(store.erasure_of(&receipt.erasure.party, &chain).await.unwrap(), done);
        let mut forged = receipt.clone();
        forged.erasure.leaves_count += 1;
        assert!(forged.verify(&chain).is_err());
    }
    // Invitation, joining, enrolment, revocation, and the request itself.
    let newcomer = &receipts[1].erasure;
    assert_eq!((newcomer.heights.as_slice(), newcomer.leaves_count), (&[71, 72, 73, 75][..], 5));
    assert!(receipts[0].erasure.leaves_count > 16, "{:?}", receipts[0]);
    assert_eq!(store.carry_out_erasures(&chain, &key).await.unwrap(), [], "once is enough");
    // While it runs: the file, its free pages, and the log.
    for canary in &canaries {
        assert_eq!(count(stored.dir.path(), canary), 0, "{canary:?} is left");
    }
    assert!(count(stored.dir.path(), party_key(1).public().as_bytes()) > 0, "others stay");
    check_again(&store, &stored.street.genesis).await.unwrap();
    let new_copy = tempfile::tempdir().unwrap();
    let to = new_copy.path().join("ledger.sqlite");
    store.backup(&stored.street.genesis, &to, |_| {}).await.unwrap();
    store.close().await;
    let (store, state) = stored.open().await.unwrap();
    assert!(state == stored.street.state, "the chain still holds");
    assert_eq!(store.erasures(&chain).await.unwrap(), receipts);
    store.close().await;
    let report = mend_alone(&stored).await.unwrap();
    assert_eq!((report.height, report.damaged.len()), (200, 0));
    for canary in &canaries {
        assert_eq!(count(new_copy.path(), canary), 0, "a copy has {canary:?}");
        assert!(count(old_copy.path(), canary) > 0, "the older copy does not know yet");
    }

    // The older copy goes on with the chain, and forgets by itself.
    let (store, mut state) = Store::open(old_copy.path(), &stored.street.genesis).await.unwrap();
    assert_eq!(state.height(), 191);
    std::mem::swap(&mut stored.street.state, &mut state);
    go_on(&mut stored, &store, 192).await;
    let again = store.carry_out_erasures(&chain, &key).await.unwrap();
    assert_eq!(again.len(), 2);
    for canary in &canaries {
        assert_eq!(count(old_copy.path(), canary), 0, "the older copy keeps {canary:?}");
    }
    store.close().await;
}
