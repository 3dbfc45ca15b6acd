//! Founding the demo's community: keys, genesis and the plans of its households, all from a seed.
//!
//! Keys from a small seed are no secret. That is right for a neighbourhood of simulated people on
//! one machine, and for nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use ledger::acts::Operators;
use ledger::genesis::Genesis;
use ledger::validators::{Validator, ValidatorSet};
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateSchedule;
use market::hash::Digest;
use market::keys::SigningKey;
use market::member::{Member, MeteringPointId, PartyId};
use market::price::{Price, Tick};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::tariff::Tariff;
use market::time::{PeriodLength, Timestamp};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};

use crate::demo::home::{read_text, replace};
use crate::demo::{DemoError, DemoGates, DemoOptions};
use crate::household::{HouseholdPlan, neighbourhood};
use crate::place::Place;
use crate::weather::{SkyDay, SkyKind};

/// How many feeders the street has.
const FEEDERS: u16 = 3;

/// The main fuse of every house: three phases of 35 A at 230 V, rounded down.
pub(super) const RATED_POWER_W: u32 = 24_000;

/// 2026-06-15T00:00:00Z: the demo's first clear day is looked for from here on.
const FIRST_DAY: Timestamp = Timestamp::from_millis(1_781_481_600_000);

/// The demo begins at this hour of local time: the sun is up, and people are still at breakfast.
const FIRST_HOUR_MS: i64 = 8 * 3_600_000;

/// Everything that is the same at every start of one demo.
pub(super) struct Founded {
    pub(super) genesis: Genesis,
    pub(super) plans: Vec<HouseholdPlan>,
    pub(super) seed: u64,
}

/// Which of the demo's secrets a seed is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Secret {
    ValidatorKey,
    ConsensusTransport,
    ValidatorMesh,
    PartyKey,
    HouseMesh,
    DashboardMesh,
    Operator,
    PartyId,
    MeteringPoint,
}

/// 32 bytes for one purpose of one participant.
pub(super) fn secret(seed: u64, secret: Secret, index: usize) -> [u8; 32] {
    let purpose = format!("hidamari/demo/{secret:?}/{index}");
    *Digest::of(&[&seed.to_le_bytes(), purpose.as_bytes()]).as_bytes()
}

/// An identifier: random in a real community, from the seed here.
fn identifier(seed: u64, purpose: Secret, index: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id.iter_mut().zip(secret(seed, purpose, index)).for_each(|(to, from)| *to = from);
    id
}

pub(super) fn party_of(seed: u64, index: usize) -> PartyId {
    PartyId::from_bytes(identifier(seed, Secret::PartyId, index))
}

/// Founds the community that the options describe.
///
/// # Errors
/// [`DemoError`] if the figures found no community.
pub(super) fn found(options: &DemoOptions) -> Result<Founded, DemoError> {
    let seed = options.seed;
    let place = Place::new(48.14, 11.58, "Europe/Berlin")?;
    let plans = neighbourhood(seed, options.households, u32::from(FEEDERS), &place)?;
    let validators = (0..options.validators).map(|index| Validator {
        key: SigningKey::from_seed(&secret(seed, Secret::ValidatorKey, index)).public(),
        power: 1,
    });
    let operator = SigningKey::from_seed(&secret(seed, Secret::Operator, 0)).public();
    let members = plans.iter().enumerate().map(|(index, plan)| member(seed, index, plan));
    let scaled_ms = |real_ms: f64, least_ms: u64| span_ms(real_ms * options.speed).max(least_ms);
    let genesis = Genesis {
        name: "Street".to_owned(),
        currency: "EUR".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        starts_at: first_morning(seed, &place)?,
        rules: rules(options.gates, scaled_ms(20_000.0, 15 * 60_000))?,
        zones: zones()?,
        heartbeat_ms: scaled_ms(5_000.0, 60_000),
        block_drift_max_ms: scaled_ms(5_000.0, 60_000),
        validators: ValidatorSet::new(validators.collect()).map_err(DemoError::founding)?,
        operators: Operators::new(vec![operator], 1).map_err(DemoError::founding)?,
        members: members.collect(),
        invitations: BTreeMap::new(),
    };
    genesis.check().map_err(DemoError::founding)?;
    Ok(Founded { genesis, plans, seed })
}

/// The founded community of a data directory, or a new one that is written there.
///
/// # Errors
/// [`DemoError::OtherDemo`] if the directory holds another one, [`DemoError::Damaged`] if its
/// genesis cannot be read.
pub(super) fn found_in(dir: &Path, options: &DemoOptions) -> Result<Founded, DemoError> {
    let path = dir.join("genesis.toml");
    let founded = found(options)?;
    if let Some(text) = read_text(&path)? {
        if text.trim().is_empty() {
            return Err(DemoError::damaged(&path, "it is empty"));
        }
        let kept = ledger::genesis::read(&text);
        let kept = kept.map_err(|problem| DemoError::damaged(&path, problem))?;
        // Who takes part must not change, nor the speed, which the time spans follow.
        if kept != founded.genesis {
            return Err(DemoError::OtherDemo { dir: dir.to_owned() });
        }
    } else {
        let text = ledger::genesis::write(&founded.genesis).map_err(DemoError::founding)?;
        replace(&path, &text)?;
    }
    Ok(founded)
}

fn member(seed: u64, index: usize, plan: &HouseholdPlan) -> (PartyId, Member) {
    let carried = Energy::from_wh(i64::from(RATED_POWER_W / 4));
    let member = Member {
        key: SigningKey::from_seed(&secret(seed, Secret::PartyKey, index)).public(),
        metering_point: MeteringPointId::from_bytes(identifier(seed, Secret::MeteringPoint, index)),
        zone: ZoneId(u16::try_from(plan.feeder).unwrap_or(0).saturating_add(1)),
        import_max: carried,
        export_max: if plan.solar.is_some() { carried } else { Energy::ZERO },
        joined_at: None,
        revoked_at: None,
    };
    (party_of(seed, index), member)
}

/// Prices of a German household with a roof of 2024; the range of limits leaves room around them.
fn rules(gates: DemoGates, settlement_delay_ms: u64) -> Result<MarketRules, DemoError> {
    let price = Price::from_micros_per_kwh;
    let minute_ms = 60_000;
    let settlement_delay_ms = settlement_delay_ms.div_ceil(minute_ms) * minute_ms;
    // Readings come within seconds; who has none by then is not sold.
    let after = settlement_delay_ms.div_euclid(2);
    let (before, after) = match gates {
        DemoGates::Before => (vec![15 * minute_ms], None),
        DemoGates::After => (vec![], Some(after)),
        DemoGates::Both => (vec![15 * minute_ms], Some(after)),
    };
    Ok(MarketRules {
        period_length: PeriodLength::Minutes15,
        gates: GateSchedule::with_ex_post(before, after).map_err(DemoError::founding)?,
        horizon_ms: 24 * 60 * minute_ms,
        mechanism: Schedule::always(MechanismKind::ZonalAuction),
        k_millionths: 500_000,
        tick: Tick::from_micros_per_kwh(100).ok_or_else(|| DemoError::founding("tick"))?,
        price_min: price(-1_000_000),
        price_max: price(5_000_000),
        tariffs: Schedule::always(
            Tariff::flat(price(320_000), price(80_000)).map_err(DemoError::founding)?,
        ),
        settlement_delay_ms,
        finality_delay_ms: 7 * 24 * 60 * minute_ms,
    })
}

fn zones() -> Result<ZoneTree, DemoError> {
    // A reduced local charge, and a line that a sunny noon can fill.
    let edge = Edge {
        parent: ZoneId(0),
        charge: Price::from_micros_per_kwh(10_000),
        capacity_up: Some(Energy::from_wh(5_000)),
        capacity_down: Some(Energy::from_wh(10_000)),
    };
    let street = Zone { label: "Street".to_owned(), edge: None };
    let feeder = |number| Zone { label: format!("Feeder {number}"), edge: Some(edge) };
    let mut zones = BTreeMap::from([(ZoneId(0), street)]);
    zones.extend((1..=FEEDERS).map(|number| (ZoneId(number), feeder(number))));
    ZoneTree::new(zones).map_err(DemoError::founding)
}

/// The morning of the first clear day after the middle of June, so that there is sun to trade.
fn first_morning(seed: u64, place: &Place) -> Result<Timestamp, DemoError> {
    let mut at = FIRST_DAY.plus_millis(12 * 3_600_000);
    for _ in 0..60 {
        let day = place.local_day(at)?;
        if SkyDay::over_neighbourhood(seed, place, &day).kind() == SkyKind::Clear {
            return Ok(day.start().plus_millis(FIRST_HOUR_MS));
        }
        at = at.plus_millis(24 * 3_600_000);
    }
    Ok(place.local_day(FIRST_DAY)?.start().plus_millis(FIRST_HOUR_MS))
}

#[expect(clippy::cast_possible_truncation, reason = "float to integer saturates")]
#[expect(clippy::cast_sign_loss, reason = "a span of time is positive")]
fn span_ms(ms: f64) -> u64 {
    ms as u64
}
