//! Which orders should stand in which books, and what has to be said to get there.

use market::energy::Energy;
use market::order::{Preferences, Side, Step};
use market::rules::MarketRules;
use market::time::{Clock, DeliveryPeriod, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

use crate::config::StrategySettings;
use crate::forecast::NetPosition;
use crate::outbox::Fill;
use crate::pace::market_ms_in;
use crate::signer::{Content, Draft, MessageKey, MessageKind};
use crate::strategy::{Curve, Margins, MarketView, Situation, TimeToGate, Traded, plan, standing};

/// A gate's orders are sent from one period and this much before it closes, in milliseconds of
/// market time: right after the gate before it.
const EARLY_MS: i64 = 300_000;
/// On a clock that runs fast, orders are sent at least this early (real time).
const EARLY: Duration = Duration::from_secs(6);
/// Later than this before a gate closes nothing is sent for it, in milliseconds of market time.
const LATE_MS: i64 = 90_000;
/// The same in real time: what is signed later has little hope to be in a block in time.
const LATE: Duration = Duration::from_millis(1_500);
/// A changed forecast is worth a new order if the energy changes by this much at least...
const CHANGE_MIN: Energy = Energy::from_wh(20);
/// ...and by one part in this many of what stands.
const CHANGE_PART: i64 = 7;
/// A changed limit is, if it changes on average by one part in this many of what lies between the
/// tariffs.
const LIMIT_CHANGE_PART: i64 = 50;
/// An order that is in no block after this long, though the repetition of its bytes would be
/// suppressed until the gate has closed, is said again with a new sequence.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(4);
/// How often that is done for one gate.
const SAID_AGAIN_MAX: u32 = 2;

/// The orders of one household.
#[derive(Debug)]
pub(crate) struct Orders {
    rules: MarketRules,
    settings: StrategySettings,
    import_max: Energy,
    export_max: Energy,
    standing: BTreeMap<DeliveryPeriod, Standing>,
    fills: BTreeMap<DeliveryPeriod, BTreeMap<(Side, u8), i64>>,
    /// The standing curves that were said last.
    curves: BTreeMap<Side, (Vec<Step>, Preferences)>,
}

/// What was said last for a period.
#[derive(Debug, Clone, Default)]
struct Standing {
    bid: Option<Said>,
    offer: Option<Said>,
}

#[derive(Debug, Clone)]
struct Said {
    /// Without what has been filled since; empty after a withdrawal.
    steps: Vec<Step>,
    at: Option<Instant>,
    again: u32,
}

impl Standing {
    fn side(&mut self, side: Side) -> &mut Option<Said> {
        match side {
            Side::Buy => &mut self.bid,
            Side::Sell => &mut self.offer,
        }
    }

    fn has_steps(&self, side: Side) -> bool {
        let said = match side {
            Side::Buy => &self.bid,
            Side::Sell => &self.offer,
        };
        said.as_ref().is_some_and(|said| !said.steps.is_empty())
    }
}

impl Orders {
    pub(crate) fn new(
        rules: MarketRules,
        settings: StrategySettings,
        (import_max, export_max): (Energy, Energy),
    ) -> Self {
        let (standing, fills, curves) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { rules, settings, import_max, export_max, standing, fills, curves }
    }

    /// Takes over an order that an earlier process said.
    pub(crate) fn recall(&mut self, period: DeliveryPeriod, side: Side, steps: Vec<Step>) {
        let said = Said { steps, at: None, again: SAID_AGAIN_MAX };
        *self.standing.entry(period).or_default().side(side) = Some(said);
    }

    /// Takes over a standing curve that an earlier process said.
    pub(crate) fn recall_curve(&mut self, side: Side, steps: Vec<Step>, preferences: Preferences) {
        self.curves.insert(side, (steps, preferences));
    }

    /// The standing curves that have to be said for the gate after delivery, if there is one: those
    /// that differ from what was said last. A party that has said nothing trades at the tariffs.
    pub(crate) fn revise_curves(&self) -> Vec<Draft> {
        if self.rules.gates.ex_post_gate().is_none() {
            return Vec::new();
        }
        let range = (self.rules.price_min, self.rules.price_max);
        let wanted = [Side::Buy, Side::Sell].map(|side| {
            let steps = standing::steps(side, self.settings.limits, self.rules.tick, range);
            (side, (steps, self.preferences(side)))
        });
        let differs = |(side, curve): &(Side, (Vec<Step>, Preferences))| {
            self.curves.get(side).cloned().unwrap_or_default() != *curve
        };
        let draft = |(side, (steps, preferences))| Draft {
            content: Content::Curve { side, steps, preferences },
            // It holds until it is replaced.
            useless_from: Timestamp::from_millis(i64::MAX),
        };
        wanted.into_iter().filter(differs).map(draft).collect()
    }

    /// A gate has filled a part of an order; telling it twice changes nothing.
    pub(crate) fn note_fill(&mut self, fill: &Fill) {
        let gates = self.fills.entry(fill.period).or_default();
        if gates.insert((fill.side, fill.gate), fill.filled_wh).is_some() {
            return;
        }
        let said = self.standing.get_mut(&fill.period).and_then(|s| s.side(fill.side).as_mut());
        if let Some(said) = said {
            take_from_best(&mut said.steps, fill.filled_wh);
        }
    }

    /// The periods for which an order can be sent now: those of which a gate closes soon, but not
    /// too soon.
    pub(crate) fn open_periods(&self, clock: &dyn Clock) -> BTreeSet<DeliveryPeriod> {
        let now = clock.now();
        let length = self.rules.period_length;
        let early_ms = length.as_millis().saturating_add(EARLY_MS).max(market_ms_in(clock, EARLY));
        let mut open = BTreeSet::new();
        for lead_ms in self.rules.gates.leads_ms() {
            let lead_ms = i64::try_from(*lead_ms).unwrap_or(i64::MAX);
            let earliest = now.plus_millis(lead_ms.saturating_add(LATE_MS));
            let latest = now.plus_millis(lead_ms.saturating_add(early_ms));
            let mut next = DeliveryPeriod::containing(earliest, length).ok();
            while let Some(period) = next.filter(|period| period.start() <= latest) {
                let closes_at = period.start().plus_millis(lead_ms.saturating_neg());
                let ahead_ms = period.start().millis_since(now);
                let within = u64::try_from(ahead_ms).is_ok_and(|ms| ms <= self.rules.horizon_ms);
                let in_time = period.start() >= earliest && clock.real_time_until(closes_at) > LATE;
                if within && in_time {
                    open.insert(period);
                }
                next = period.next().ok();
            }
        }
        open
    }

    /// What has to be said for one period, if anything: the curve of the strategy where it differs
    /// enough from what stands, and the withdrawal of what stands on the other side.
    ///
    /// `waits` tells whether a message is not yet seen in a block.
    pub(crate) fn revise(
        &mut self,
        position: &NetPosition,
        margins: &Margins,
        clock: &dyn Clock,
        waits: impl Fn(&MessageKey) -> bool,
    ) -> Vec<Draft> {
        let period = position.period;
        let market = MarketView {
            rates: self.rules.rates(period),
            tick: self.rules.tick,
            price_min: self.rules.price_min,
            price_max: self.rules.price_max,
        };
        let situation = Situation {
            position,
            traded: self.traded(period),
            market,
            time_to_gate: self.time_to_gate(period, clock.now()),
            margins,
            room: (self.import_max, self.export_max),
        };
        let curve = plan(self.settings.kind, self.settings.limits, &situation);
        let mut drafts = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let wanted = curve.as_ref().filter(|curve| curve.side == side);
            let stale = self.is_stale(period, side, clock, &waits);
            let standing = self.standing.entry(period).or_default();
            let differs = match wanted {
                None => standing.has_steps(side),
                Some(curve) => {
                    let said = standing.side(side).as_ref();
                    said.is_none_or(|said| stale || changed(&said.steps, curve, &market))
                }
            };
            if differs {
                let steps = wanted.map(|curve| curve.steps.clone()).unwrap_or_default();
                drafts.push(self.draft(period, side, steps));
            }
        }
        // A withdrawal goes first, so that the two sides never stand at once.
        drafts.sort_by_key(|draft| match &draft.content {
            Content::Order { steps, .. } => !steps.is_empty(),
            Content::Curve { .. } | Content::Reading(_) => true,
        });
        drafts
    }

    /// A draft was signed and stored.
    pub(crate) fn said(&mut self, draft: &Draft, at: Instant, now: Timestamp) {
        if let Content::Curve { side, steps, preferences } = &draft.content {
            self.curves.insert(*side, (steps.clone(), preferences.clone()));
        }
        if let Content::Order { period, side, steps, .. } = &draft.content {
            let said = self.standing.entry(*period).or_default().side(*side);
            let again = said.as_ref().map_or(0, |said| {
                if said.steps == *steps { said.again.saturating_add(1) } else { 0 }
            });
            *said = Some(Said { steps: steps.clone(), at: Some(at), again });
        }
        self.standing.retain(|period, _| period.end() > now);
        self.fills.retain(|period, _| period.end() > now);
    }

    /// How far the gates of a period have come for what is said now.
    fn time_to_gate(&self, period: DeliveryPeriod, now: Timestamp) -> TimeToGate {
        let leads = self.rules.gates.leads_ms();
        let (first, last) = (leads.first().copied(), leads.last().copied());
        let next = usize::from(self.rules.gates.next_gate(period, now).0);
        let until_last =
            |lead: Option<u64>| lead.zip(last).map_or(0, |(lead, last)| lead.saturating_sub(last));
        TimeToGate {
            remaining_ms: until_last(leads.get(next).copied()),
            whole_ms: until_last(first),
        }
    }

    /// What earlier gates have traded.
    fn traded(&self, period: DeliveryPeriod) -> Traded {
        let sum = |wanted: Side| {
            let gates = self.fills.get(&period).into_iter().flatten();
            let filled = gates.filter(|((side, _), _)| *side == wanted).map(|(_, wh)| *wh);
            Energy::from_wh(filled.fold(0, i64::saturating_add))
        };
        Traded { sold: sum(Side::Sell), bought: sum(Side::Buy) }
    }

    /// Whether an order waits for its block while repeating its bytes would come too late.
    fn is_stale(
        &self,
        period: DeliveryPeriod,
        side: Side,
        clock: &dyn Clock,
        waits: &impl Fn(&MessageKey) -> bool,
    ) -> bool {
        let said = self.standing.get(&period).and_then(|standing| match side {
            Side::Buy => standing.bid.as_ref(),
            Side::Sell => standing.offer.as_ref(),
        });
        let Some(Said { at: Some(at), again, .. }) = said else { return false };
        let closes_at = self.rules.gates.last_closes_at(period);
        let repetition_in_time =
            clock.real_time_until(closes_at) > mesh::DUPLICATE_WINDOW.saturating_add(LATE);
        !repetition_in_time
            && *again < SAID_AGAIN_MAX
            && at.elapsed() >= SAY_AGAIN_AFTER
            && waits(&MessageKey { kind: MessageKind::from(side), period: Some(period) })
    }

    fn preferences(&self, side: Side) -> Preferences {
        let origin = match side {
            Side::Buy => self.settings.bid_origin,
            Side::Sell => self.settings.offer_origin,
        };
        Preferences { partners: self.settings.partners.clone(), origin }
    }

    fn draft(&self, period: DeliveryPeriod, side: Side, steps: Vec<Step>) -> Draft {
        let preferences = self.preferences(side);
        Draft {
            content: Content::Order { period, side, steps, preferences },
            useless_from: self.rules.gates.last_closes_at(period),
        }
    }
}

/// Whether a curve differs enough from what stands to be worth a new order.
fn changed(standing: &[Step], wanted: &Curve, market: &MarketView) -> bool {
    changed_energy(standing, wanted) || changed_limits(standing, wanted, market)
}

fn changed_limits(standing: &[Step], wanted: &Curve, market: &MarketView) -> bool {
    let Some((before, after)) = mean_limit(standing).zip(mean_limit(&wanted.steps)) else {
        return false;
    };
    let rates = &market.rates;
    let (feed_in, retail) = (rates.feed_in.micros_per_kwh(), rates.avoidable().micros_per_kwh());
    let threshold = (retail.saturating_sub(feed_in) / LIMIT_CHANGE_PART)
        .max(i64::from(market.tick.micros_per_kwh()));
    after.abs_diff(before) > threshold.unsigned_abs()
}

/// The mean of the limits by energy, in micro-units per kWh.
fn mean_limit(steps: &[Step]) -> Option<i64> {
    let total: i128 = steps.iter().map(|step| i128::from(step.energy.wh())).sum();
    let weighted: i128 = steps
        .iter()
        .map(|step| i128::from(step.energy.wh()) * i128::from(step.limit.micros_per_kwh()))
        .sum();
    i64::try_from(weighted.checked_div(total)?).ok()
}

fn changed_energy(standing: &[Step], wanted: &Curve) -> bool {
    let total = |steps: &[Step]| steps.iter().map(|s| s.energy.wh()).fold(0, i64::saturating_add);
    let (before, after) = (total(standing), total(&wanted.steps));
    let threshold = (before / CHANGE_PART).max(CHANGE_MIN.wh());
    after.abs_diff(before) > threshold.unsigned_abs() || (before == 0 && after > 0)
}

/// Takes what was filled out of the best steps.
fn take_from_best(steps: &mut Vec<Step>, mut filled_wh: i64) {
    steps.retain_mut(|step| {
        let taken = filled_wh.min(step.energy.wh()).max(0);
        filled_wh = filled_wh.saturating_sub(taken);
        step.energy = Energy::from_wh(step.energy.wh().saturating_sub(taken));
        step.energy.is_positive()
    });
}

#[cfg(test)]
mod tests;
