//! The outbox across restarts.

use ledger::results::Settled;
use ledger::transaction::Transaction;
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateIndex;
use market::keys::{ChainId, SigningKey};
use market::member::{Member, MeteringPointId, PartyId};
use market::money::Money;
use market::order::{OrderId, Preferences, Side, Step};
use market::reading::Quality;
use market::settlement::{Delivery, Expected, Facts, Metered, ZonePrices, settle};
use market::tariff::Rates;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::trade::{Path, Trade};
use market::zone::{ZoneId, ZoneTree};
use meter_agent::forecast::Surroundings;
use meter_agent::interval::ClosedInterval;
use meter_agent::outbox::{
    BlockEffects, ChainPosition, Fill, Kept, Outbox, OutboxError, OwnTransaction, Restored,
};
use meter_agent::signer::{Content, Draft, Signer, sequence_of};
use std::collections::BTreeMap;
use std::path::Path as FilePath;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const PARTY: PartyId = PartyId::from_bytes([2; 16]);

fn signer() -> Signer {
    let key = SigningKey::from_seed(&[7; 32]);
    let member = Member {
        key: key.public(),
        metering_point: MeteringPointId::from_bytes([3; 16]),
        zone: ZoneId(0),
        import_max: Energy::from_wh(2_500),
        export_max: Energy::from_wh(2_500),
        joined_at: None,
        revoked_at: None,
    };
    Signer::new(key, CHAIN, PARTY, &member)
}

fn period(index: i64) -> DeliveryPeriod {
    let start = Timestamp::from_millis(index * 900_000);
    DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap()
}

fn order(index: i64, wh: i64) -> Draft {
    let step = Step { limit: "0.1".parse().unwrap(), energy: Energy::from_wh(wh) };
    Draft {
        content: Content::Order {
            period: period(index),
            side: Side::Sell,
            steps: vec![step],
            preferences: Preferences::default(),
        },
        useless_from: period(index).start(),
    }
}

fn reading(index: i64, imported_wh: i64) -> Draft {
    let closed = ClosedInterval {
        period: period(index),
        imported: Energy::from_wh(imported_wh),
        exported: Energy::ZERO,
        quality: Quality::Ok,
    };
    Draft { content: Content::Reading(closed), useless_from: period(index + 100).start() }
}

async fn open(dir: &FilePath, now_index: i64) -> (Outbox, Restored) {
    let now = period(now_index).start();
    Outbox::open(dir, CHAIN, PARTY, PeriodLength::Minutes15, now).await.unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

#[tokio::test]
async fn sequences_and_messages_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let signer = signer();
    let (outbox, restored) = open(dir.path(), 0).await;
    assert!(restored.pending.is_empty() && restored.position.is_none());
    let first = outbox
        .store(&[order(4, 100), reading(1, 5)], &signer, Kept::default(), now())
        .await
        .unwrap();
    let second = outbox.store(&[order(4, 200)], &signer, Kept::default(), now()).await.unwrap();
    assert_eq!((first[0].sequence, second[0].sequence, first[1].sequence), (1, 2, 1));
    outbox.close().await;

    let (outbox, restored) = open(dir.path(), 0).await;
    let hashes: Vec<_> = restored.pending.iter().map(|message| message.hash).collect();
    assert_eq!(hashes, [first[1].hash, second[0].hash], "the newest of each, oldest first");
    assert_eq!(restored.standing, second);
    let third = outbox.store(&[order(4, 300)], &signer, Kept::default(), now()).await.unwrap();
    assert_eq!(third[0].sequence, 3);
    let transaction = Transaction::from_bytes(&third[0].bytes).unwrap();
    assert_eq!(sequence_of(&transaction), Some((third[0].key, PARTY, 3)));
    outbox.close().await;

    let (_, restored) = open(dir.path(), 4).await;
    let left: Vec<_> = restored.pending.iter().map(|message| message.hash).collect();
    assert_eq!(left, [first[1].hash], "the order's gate has closed");
}

#[tokio::test]
async fn what_is_not_committed_to_disk_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let signer = signer();
    let (outbox, _) = open(dir.path(), 0).await;
    outbox.store(&[reading(1, 5)], &signer, Kept::default(), now()).await.unwrap();
    // The process dies here: nothing is closed, and the write-ahead log is all there is.
    let copied = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copied.path().join(file.file_name())).unwrap();
    }
    let (after, restored) = open(copied.path(), 0).await;
    assert_eq!(restored.pending.len(), 1);
    let again = after.store(&[reading(1, 6)], &signer, Kept::default(), now()).await.unwrap();
    assert_eq!(again[0].sequence, 2);
}

#[tokio::test]
async fn an_interval_and_the_state_behind_it_are_kept_together() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, restored) = open(dir.path(), 0).await;
    let mut judgement = restored.judgement;
    let around = Surroundings::new("UTC", None);
    judgement.forecaster.learn(period(1), -5, &around);
    let kept = Kept { judgement: Some(&judgement), ..Kept::default() };
    outbox.store(&[reading(1, 5)], &signer(), kept, now()).await.unwrap();
    outbox.close().await;
    let (_, restored) = open(dir.path(), 0).await;
    assert_eq!(restored.judgement, judgement);
}

#[tokio::test]
async fn a_standing_curve_outlives_the_periods_and_its_sequence_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = open(dir.path(), 0).await;
    let curve = |limit: &str| Draft {
        content: Content::Curve {
            side: Side::Sell,
            steps: vec![Step { limit: limit.parse().unwrap(), energy: Energy::from_wh(1) }],
            preferences: Preferences::default(),
        },
        useless_from: Timestamp::from_millis(i64::MAX),
    };
    outbox.store(&[curve("0.1")], &signer(), Kept::default(), now()).await.unwrap();
    outbox.store(&[order(4, 100)], &signer(), Kept::default(), now()).await.unwrap();
    outbox.forget_before(period(1_000).start()).await.unwrap();
    outbox.close().await;
    let (outbox, restored) = open(dir.path(), 1_000).await;
    assert_eq!(restored.standing, restored.pending);
    assert_eq!((restored.standing.len(), restored.standing[0].sequence), (1, 1));
    assert!(matches!(
        Transaction::from_bytes(&restored.standing[0].bytes),
        Ok(Transaction::Curve(_))
    ));
    let again = outbox.store(&[curve("0.2")], &signer(), Kept::default(), now()).await.unwrap();
    assert_eq!((again[0].sequence, again[0].key.period), (2, None));
}

#[tokio::test]
async fn a_block_is_kept_once_however_often_it_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = open(dir.path(), 0).await;
    let message =
        outbox.store(&[order(4, 100)], &signer(), Kept::default(), now()).await.unwrap().remove(0);
    let rules = crate::world::genesis().rules;
    let mut effects = BlockEffects {
        position: ChainPosition { height: 9, tip: [9; 32] },
        own: vec![OwnTransaction { hash: message.hash, key: message.key, sequence: 1 }],
        fills: vec![Fill { period: period(4), side: Side::Sell, gate: 0, filled_wh: 60 }],
        settled: vec![settled(100)],
    };
    let once = outbox.keep_block(&effects, &rules).await.unwrap();
    let twice = outbox.keep_block(&effects, &rules).await.unwrap();
    assert_eq!(once, twice);
    assert_eq!((once.settled_periods, once.sold_wh, once.exported_wh), (1, 60, 100));
    effects.settled = vec![settled(90)];
    let corrected = outbox.keep_block(&effects, &rules).await.unwrap();
    assert_eq!((corrected.settled_periods, corrected.exported_wh), (1, 90));
    outbox.close().await;
    let (_, restored) = open(dir.path(), 0).await;
    assert!(restored.pending.is_empty(), "it stands in a block");
    assert_eq!(restored.standing.len(), 1);
    assert_eq!(restored.fills, effects.fills);
    assert_eq!(restored.position, Some(effects.position));
    assert_eq!(restored.totals, corrected);
}

/// What a household is settled that sold 60 Wh and fed in more.
fn settled(exported_wh: i64) -> Settled {
    let of = |wh| PartyId::from_bytes([wh; 16]);
    let amount = Money::from_micros(12_000);
    let trade = Trade {
        period: period(1),
        gate: GateIndex(0),
        seller: PARTY,
        buyer: of(0xee),
        offer: OrderId::from_bytes([1; 32]),
        bid: OrderId::from_bytes([2; 32]),
        energy: Energy::from_wh(60),
        seller_price: "0.2".parse().unwrap(),
        buyer_price: "0.2".parse().unwrap(),
        seller_amount: amount,
        buyer_amount: amount,
        charge: Money::ZERO,
        rent: Money::ZERO,
        path: Path { from: ZoneId(0), over: ZoneId(0), to: ZoneId(0) },
        origin: None,
    };
    let (imported, exported) = (Energy::ZERO, Energy::from_wh(exported_wh));
    let metered = Some(Metered { imported, exported, quality: Quality::Ok });
    let delivery = Delivery { zone: ZoneId(0), metered, expected: Expected::default() };
    let facts = Facts {
        period: period(1),
        parties: &BTreeMap::from([(PARTY, delivery)]),
        trades: &[trade],
        mechanism: &MechanismKind::ZonalAuction,
        rates: Rates::flat("0.32".parse().unwrap(), "0.08".parse().unwrap()),
        zones: &ZoneTree::one("street"),
        prices: &ZonePrices::default(),
    };
    let settlement = settle(&facts).unwrap().parties[&PARTY];
    Settled { party: PARTY, period: period(1), settlement, pooled: Vec::new() }
}

/// An outbox that was lost learns from the chain where its sequences stand.
#[tokio::test]
async fn sequences_rise_above_what_the_chain_knows() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = open(dir.path(), 0).await;
    let other = tempfile::tempdir().unwrap();
    let (lost, _) = open(other.path(), 0).await;
    let messages =
        lost.store(&[order(4, 1), order(4, 2)], &signer(), Kept::default(), now()).await.unwrap();
    let own = messages.iter().map(|message| OwnTransaction {
        hash: message.hash,
        key: message.key,
        sequence: message.sequence,
    });
    let effects = BlockEffects {
        position: ChainPosition { height: 1, tip: [1; 32] },
        own: own.collect(),
        fills: Vec::new(),
        settled: Vec::new(),
    };
    let rules = crate::world::genesis().rules;
    outbox.keep_block(&effects, &rules).await.unwrap();
    let next = outbox.store(&[order(4, 3)], &signer(), Kept::default(), now()).await.unwrap();
    assert_eq!(next[0].sequence, 3);
}

#[tokio::test]
async fn a_reading_above_the_registered_limit_is_signed_as_that_limit() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = open(dir.path(), 0).await;
    let stored =
        outbox.store(&[reading(1, 2_700)], &signer(), Kept::default(), now()).await.unwrap();
    let Ok(Transaction::Reading(envelope)) = Transaction::from_bytes(&stored[0].bytes) else {
        panic!("a reading was stored");
    };
    let signed = envelope.unverified();
    assert_eq!((signed.imported.wh(), signed.quality), (2_500, Quality::Estimated));
}

#[tokio::test]
async fn a_foreign_or_damaged_outbox_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = open(dir.path(), 0).await;
    outbox.close().await;
    let other = ChainId::from_bytes([9; 32]);
    let length = PeriodLength::Minutes15;
    let refused = Outbox::open(dir.path(), other, PARTY, length, now()).await;
    assert!(matches!(refused, Err(OutboxError::Foreign { .. })));
    for leftover in ["outbox.sqlite-wal", "outbox.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.path().join(leftover));
    }
    std::fs::write(dir.path().join("outbox.sqlite"), vec![0x55; 8_192]).unwrap();
    let refused = Outbox::open(dir.path(), CHAIN, PARTY, length, now()).await.unwrap_err();
    assert!(refused.to_string().contains("move it away"), "{refused}");
}

/// Another process holds the database: nothing is stored, not even a part, and later it works.
#[tokio::test]
async fn a_locked_database_stores_nothing_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = open(dir.path(), 0).await;
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("outbox.sqlite"));
    let other = sqlx::sqlite::SqlitePool::connect_with(options).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = outbox.store(&[order(4, 1)], &signer(), Kept::default(), now()).await;
    assert!(matches!(refused, Err(OutboxError::Database(_))));
    held.rollback().await.unwrap();
    let stored = outbox.store(&[order(4, 1)], &signer(), Kept::default(), now()).await.unwrap();
    assert_eq!(stored[0].sequence, 1);
}
