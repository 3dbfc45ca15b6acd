//! Turns what the operator asks for into a measure, with a sentence about what it will do.

use std::path::Path;

use ledger::acts::{
    Corrected, EdgeChange, Endpoint, Measure, Operators, Purpose, Verdict, settlements_digest,
};
use ledger::state::State;
use ledger::validators::{Validator, ValidatorSet};
use market::energy::Energy;
use market::member::PartyId;
use market::price::Price;
use market::tariff::Tariff;
use market::time::{DeliveryPeriod, Timestamp};
use market::zone::{Edge, ZoneId};

use crate::community::warn_of_count;
use crate::failure::Failure;
use crate::operator::options::{self, Capacity};

/// What is to be done, and what the operator is told before.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) measure: Measure,
    pub(super) sentence: String,
    pub(super) warning: Option<String>,
}

impl Planned {
    pub(super) fn new(measure: Measure, sentence: impl Into<String>) -> Self {
        Self { measure, sentence: sentence.into(), warning: None }
    }
}

pub(super) fn revoke(party: PartyId) -> Planned {
    let sentence = format!(
        "End the membership of {party}. Its open orders fall out; what has been traded is settled."
    );
    Planned::new(Measure::Revoke { party }, sentence)
}

pub(super) fn erase(party: PartyId) -> Planned {
    let sentence = format!(
        "Forget party {party}: its entries leave the state for ever. This cannot be undone."
    );
    Planned::new(Measure::Erase { party }, sentence)
}

pub(super) fn tariff(options: &options::Tariff, state: &State) -> Result<Planned, Failure> {
    let tariff = match (&options.file, options.retail, options.feed_in) {
        (Some(path), ..) => tariff_file(path)?,
        (None, Some(retail), Some(feed_in)) => {
            Tariff::flat(retail, feed_in).map_err(Failure::start)?
        }
        _ => return Err(Failure::option("--retail", &"give --feed-in as well")),
    };
    let from = period(options.from.from, state)?;
    let rates = tariff.rates(from);
    let sentence = format!(
        "From {} on, the supplier charges {} and pays {} per kWh (in the first period).",
        from.start(),
        rates.retail,
        rates.feed_in
    );
    Ok(Planned::new(Measure::Tariff { from, tariff }, sentence))
}

fn tariff_file(path: &Path) -> Result<Tariff, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    ledger::genesis::read_tariff(&text).map_err(|error| Failure::file(path, &error))
}

pub(super) fn grid(options: &options::Grid, state: &State) -> Result<Planned, Failure> {
    let (from, zone) = (period(options.from.from, state)?, ZoneId(options.zone));
    if options.remove {
        let sentence = format!("From {} on, zone {} is gone.", from.start(), options.zone);
        let edges = vec![EdgeChange::Remove { zone }];
        return Ok(Planned::new(Measure::Grid { from, edges }, sentence));
    }
    let zones = state.zones().during(from);
    let known = zones.zone(zone);
    let before = known.and_then(|known| known.edge);
    if known.is_some() && before.is_none() {
        return Err(Failure::option("--zone", &"the root has no line to change"));
    }
    let capacity = |given: Option<Capacity>, before: Option<Energy>| match given {
        None => before,
        Some(Capacity::Unlimited) => None,
        Some(Capacity::Wh(wh)) => Some(Energy::from_wh(wh)),
    };
    let parent = options.parent.map(ZoneId).or(before.map(|edge| edge.parent));
    let label = options.label.clone().or(known.map(|known| known.label.clone()));
    let edge = Edge {
        parent: parent.unwrap_or_else(|| zones.root()),
        charge: options.charge.or(before.map(|edge| edge.charge)).unwrap_or(Price::ZERO),
        capacity_up: capacity(options.capacity_up_wh, before.and_then(|edge| edge.capacity_up)),
        capacity_down: capacity(
            options.capacity_down_wh,
            before.and_then(|edge| edge.capacity_down),
        ),
    };
    let label = label.ok_or_else(|| Failure::option("--label", &"a new zone needs one"))?;
    let words = |capacity: Option<Energy>| {
        capacity.map_or_else(|| "unlimited".to_owned(), |capacity| capacity.to_string())
    };
    let sentence = format!(
        "From {} on, zone {} ({label}) hangs below zone {} with a charge of {} per kWh, {} up and \
         {} down in one period.",
        from.start(),
        options.zone,
        edge.parent.0,
        edge.charge,
        words(edge.capacity_up),
        words(edge.capacity_down)
    );
    let edges = vec![EdgeChange::Set { zone, label, edge }];
    Ok(Planned::new(Measure::Grid { from, edges }, sentence))
}

pub(super) fn mechanism(options: &options::Mechanism, state: &State) -> Result<Planned, Failure> {
    let from = period(options.from.from, state)?;
    let title = options.mechanism.title();
    let sentence = format!("From {} on, the market is cleared by: {title}.", from.start());
    Ok(Planned::new(Measure::Mechanism { from, kind: options.mechanism.kind() }, sentence))
}

/// The next set, with the endpoint of each member of it: the ledger's, or the operator's own file
/// as long as the ledger names none.
pub(super) fn validators(
    command: &options::Validators,
    state: &State,
    founding: &[Endpoint],
) -> Result<Planned, Failure> {
    let mut set: Vec<Validator> = state.validators().iter().copied().collect();
    let known = if state.endpoints().is_empty() { founding } else { state.endpoints() };
    let mut endpoints = known.to_vec();
    let sentence = match command {
        options::Validators::Add(add) => {
            if set.iter().any(|one| one.key == add.key) {
                return Err(Failure::option("KEY", &"it is a validator already"));
            }
            set.push(Validator { key: add.key, power: add.power });
            endpoints.retain(|one| one.key != add.key);
            endpoints.push(Endpoint { key: add.key, address: add.endpoint.clone() });
            format!("Take validator {} at {} in.", add.key, add.endpoint)
        }
        options::Validators::Remove(remove) => {
            if !set.iter().any(|one| one.key == remove.key) {
                return Err(Failure::option("KEY", &"it is no validator"));
            }
            set.retain(|one| one.key != remove.key);
            format!("Let validator {} go.", remove.key)
        }
    };
    endpoints.retain(|one| set.iter().any(|validator| validator.key == one.key));
    if let Some(silent) = set.iter().find(|one| !endpoints.iter().any(|at| at.key == one.key)) {
        let problem = format!(
            "nobody knows where validator {} listens; add it to [[endpoints]] of this file",
            silent.key
        );
        return Err(Failure::option("--config", &problem));
    }
    let count = set.len();
    let set = ValidatorSet::new(set).map_err(Failure::start)?;
    let total = set.total_power();
    let sentence = format!(
        "{sentence} From the next block on {count} validators decide, by more than two thirds of \
         the voting power of {total}."
    );
    let warning = warn_of_count(count);
    Ok(Planned { measure: Measure::Validators { set, endpoints }, sentence, warning })
}

pub(super) fn operators(options: &options::Operators, state: &State) -> Result<Planned, Failure> {
    let known = state.operators();
    let mut keys: Vec<_> =
        known.keys().iter().filter(|key| !options.remove.contains(key)).copied().collect();
    keys.extend(&options.add);
    let required = options.approvals_required.unwrap_or(known.approvals_required());
    let count = keys.len();
    let operators = Operators::new(keys, required).map_err(Failure::start)?;
    let sentence =
        format!("From now on {count} operators answer for the community; {required} must approve.");
    Ok(Planned::new(Measure::Operators { operators }, sentence))
}

pub(super) fn approve(
    options: &options::Approve,
    state: &State,
    now: Timestamp,
) -> Result<Planned, Failure> {
    let (from, through) = (period(options.from.from, state)?, period(options.through, state)?);
    let seen: Vec<_> = state.approvable(from, through, now).collect();
    let digest = settlements_digest(seen.iter().copied());
    if let Some(wanted) = options.settlements.filter(|wanted| *wanted != digest) {
        let problem = format!("the settlements are {digest} now, not {wanted}; look again");
        return Err(Failure::option("--settlements", &problem));
    }
    let sentence = format!(
        "Approve the settlements of {} periods from {} through {}: digest {digest}.",
        seen.len(),
        from.start(),
        through.start()
    );
    Ok(Planned::new(Measure::Approve { from, through, settlements: digest }, sentence))
}

pub(super) fn decide(options: &options::Decide, state: &State) -> Result<Planned, Failure> {
    let number = options.dispute;
    let dispute = state.disputes().find(|(known, _)| *known == number);
    let (_, dispute) = dispute
        .ok_or_else(|| Failure::option("DISPUTE", &format!("there is no dispute {number}")))?;
    let corrected = options.correct.iter().map(|text| corrected(text));
    let readings = corrected.collect::<Result<Vec<_>, _>>()?;
    let what = if readings.is_empty() {
        "the settlement stands".to_owned()
    } else {
        let one = |one: &Corrected| {
            format!("{} imported {} and exported {}", one.party, one.imported, one.exported)
        };
        let list: Vec<_> = readings.iter().map(one).collect();
        format!("the period is settled again, with: {}", list.join("; "))
    };
    let sentence = format!(
        "Decide dispute {number} of {} about {} ({:?}): {what}.",
        dispute.party,
        dispute.period.start(),
        dispute.reason
    );
    let verdict =
        if readings.is_empty() { Verdict::Dismissed } else { Verdict::Corrected { readings } };
    Ok(Planned::new(
        Measure::Decide { dispute: number, verdict, note: options.note.clone() },
        sentence,
    ))
}

fn corrected(text: &str) -> Result<Corrected, Failure> {
    let wrong = || {
        let problem = format!("expected PARTY=IMPORTED_WH,EXPORTED_WH, found {text:?}");
        Failure::option("--correct", &problem)
    };
    let (party, readings) = text.split_once('=').ok_or_else(wrong)?;
    let (imported, exported) = readings.split_once(',').ok_or_else(wrong)?;
    let energy = |text: &str| text.trim().parse().map(Energy::from_wh).map_err(|_| wrong());
    Ok(Corrected {
        party: party.trim().parse().map_err(|_| wrong())?,
        imported: energy(imported)?,
        exported: energy(exported)?,
    })
}

pub(super) fn payout(options: &options::Payout) -> Planned {
    let options::Payout { party, amount, reference, .. } = options;
    let sentence = if amount.micros() < 0 {
        let received = amount.negated().unwrap_or(*amount);
        format!("Record that {received} was received from {party}: {reference:?}.")
    } else {
        format!("Record that {amount} was paid to {party}: {reference:?}.")
    };
    let (party, amount, reference) = (*party, *amount, reference.clone());
    Planned::new(Measure::RecordPayout { party, amount, reference }, sentence)
}

/// What a purpose means, in words.
pub(super) fn purpose_words(purpose: &Purpose) -> String {
    match purpose {
        Purpose::NewMember { party, zone, import_max, export_max, .. } => format!(
            "new member {party} in zone {}, up to {import_max} in and {export_max} out per period",
            zone.0
        ),
        Purpose::NewKey { party } => format!("new key for member {party}"),
    }
}

fn period(at: Timestamp, state: &State) -> Result<DeliveryPeriod, Failure> {
    DeliveryPeriod::starting_at(at, state.rules().period_length).map_err(Failure::start)
}
