//! The community of every history.

use std::collections::BTreeMap;

use ledger::acts::Operators;
use ledger::genesis::Genesis;
use ledger::validators::{Validator, ValidatorSet};
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateSchedule;
use market::keys::SigningKey;
use market::member::{Member, MeteringPointId, PartyId};
use market::price::{Price, Tick};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::tariff::Tariff;
use market::time::{PeriodLength, Timestamp};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};

/// How much faster market time runs than the simulated clocks.
pub(in crate::consensus) const SPEED: i64 = 180;
pub(in crate::consensus) const PARTIES: usize = 4;
/// A quarter of an hour in June 2025.
const STARTS_AT_MS: i64 = 1_750_000_500_000;
const MINUTE_MS: u64 = 60_000;

pub(in crate::consensus) fn validator_key(n: usize) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(n).unwrap() + 101; 32])
}

pub(in crate::consensus) fn party_key(n: usize) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(n).unwrap() + 1; 32])
}

pub(in crate::consensus) fn party(n: usize) -> PartyId {
    PartyId::from_bytes([u8::try_from(n).unwrap() + 0xa0; 16])
}

pub(in crate::consensus) fn metering_point(n: usize) -> MeteringPointId {
    MeteringPointId::from_bytes([u8::try_from(n).unwrap() + 0x50; 16])
}

/// Market time at an instant of the simulation.
pub(in crate::consensus) fn market_time(now_ms: u64) -> Timestamp {
    Timestamp::from_millis(STARTS_AT_MS + i64::try_from(now_ms).unwrap() * SPEED)
}

/// Gates half an hour and five minutes before delivery, and one five minutes after it if wanted.
pub(in crate::consensus) fn genesis(validators_count: usize, with_ex_post_gate: bool) -> Genesis {
    let price = Price::from_micros_per_kwh;
    let charge = price(10_000);
    let edge = Edge { parent: ZoneId(0), charge, capacity_up: None, capacity_down: None };
    let zones = BTreeMap::from([
        (ZoneId(0), Zone { label: "Street".to_owned(), edge: None }),
        (ZoneId(1), Zone { label: "Feeder 1".to_owned(), edge: Some(edge) }),
    ]);
    let member = |n: usize| {
        let member = Member {
            key: party_key(n).public(),
            metering_point: metering_point(n),
            zone: ZoneId(u16::from(n % 2 == 1)),
            import_max: Energy::from_wh(5_000),
            export_max: Energy::from_wh(5_000),
            joined_at: None,
            revoked_at: None,
        };
        (party(n), member)
    };
    let validator = |n: usize| Validator { key: validator_key(n).public(), power: 1 };
    let ex_post_lag_ms = with_ex_post_gate.then_some(5 * MINUTE_MS);
    let leads_ms = vec![30 * MINUTE_MS, 5 * MINUTE_MS];
    let genesis = Genesis {
        name: "Sunny Street".to_owned(),
        currency: "EUR".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        starts_at: Timestamp::from_millis(STARTS_AT_MS),
        rules: MarketRules {
            period_length: PeriodLength::Minutes15,
            gates: GateSchedule::with_ex_post(leads_ms, ex_post_lag_ms).unwrap(),
            horizon_ms: 1_440 * MINUTE_MS,
            mechanism: Schedule::always(MechanismKind::ZonalAuction),
            k_millionths: 500_000,
            tick: Tick::from_micros_per_kwh(100).unwrap(),
            price_min: price(-1_000_000),
            price_max: price(5_000_000),
            tariffs: Schedule::always(Tariff::flat(price(320_000), price(80_000)).unwrap()),
            settlement_delay_ms: 10 * MINUTE_MS,
            finality_delay_ms: 60 * MINUTE_MS,
        },
        zones: ZoneTree::new(zones).unwrap(),
        heartbeat_ms: 6 * MINUTE_MS,
        block_drift_max_ms: 90_000,
        validators: ValidatorSet::new((0..validators_count).map(validator).collect()).unwrap(),
        operators: Operators::new(vec![SigningKey::from_seed(&[0x99; 32]).public()], 1).unwrap(),
        invitations: BTreeMap::new(),
        members: (0..PARTIES).map(member).collect(),
    };
    genesis.check().unwrap();
    genesis
}
