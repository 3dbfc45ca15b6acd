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
use crate::signer::{Content, Draft, MessageKey};
use crate::strategy::{Curve, MarketView, Traded, plan};

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
        let (standing, fills) = (BTreeMap::new(), BTreeMap::new());
        Self { rules, settings, import_max, export_max, standing, fills }
    }

    /// Takes over an order that an earlier process said.
    pub(crate) fn recall(&mut self, period: DeliveryPeriod, side: Side, steps: Vec<Step>) {
        let said = Said { steps, at: None, again: SAID_AGAIN_MAX };
        *self.standing.entry(period).or_default().side(side) = Some(said);
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
        clock: &dyn Clock,
        waits: impl Fn(&MessageKey) -> bool,
    ) -> Vec<Draft> {
        let period = position.period;
        let traded = self.traded(period);
        let market = MarketView {
            rates: self.rules.rates(period),
            tick: self.rules.tick,
            price_min: self.rules.price_min,
            price_max: self.rules.price_max,
        };
        let settings = &self.settings;
        let room = (self.import_max, self.export_max);
        let curve = plan(settings.kind, position, traded, settings.limits, &market, room);
        let mut drafts = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let wanted = curve.as_ref().filter(|curve| curve.side == side);
            let stale = self.is_stale(period, side, clock, &waits);
            let standing = self.standing.entry(period).or_default();
            let differs = match wanted {
                None => standing.has_steps(side),
                Some(curve) => {
                    let said = standing.side(side).as_ref();
                    said.is_none_or(|said| stale || changed(&said.steps, curve))
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
            Content::Reading(_) => true,
        });
        drafts
    }

    /// A draft was signed and stored.
    pub(crate) fn said(&mut self, draft: &Draft, at: Instant, now: Timestamp) {
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
            && waits(&MessageKey { kind: side.into(), period })
    }

    fn draft(&self, period: DeliveryPeriod, side: Side, steps: Vec<Step>) -> Draft {
        let origin = match side {
            Side::Buy => self.settings.bid_origin,
            Side::Sell => self.settings.offer_origin,
        };
        let preferences = Preferences { partners: self.settings.partners.clone(), origin };
        Draft {
            content: Content::Order { period, side, steps, preferences },
            useless_from: self.rules.gates.last_closes_at(period),
        }
    }
}

/// Whether a curve differs enough from what stands to be worth a new order.
fn changed(standing: &[Step], wanted: &Curve) -> bool {
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
mod tests {
    use super::*;
    use market::clearing::MechanismKind;
    use market::gate::GateSchedule;
    use market::price::Tick;
    use market::schedule::Schedule;
    use market::tariff::Tariff;
    use market::time::PeriodLength;

    /// A clock that stands where the test puts it, at 60 times real time.
    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }

        fn real_time_until(&self, at: Timestamp) -> Duration {
            let ahead_ms = u64::try_from(at.millis_since(self.now())).unwrap_or_default();
            Duration::from_millis(ahead_ms / 60)
        }
    }

    const MINUTE: i64 = 60_000;

    fn orders(leads_min: &[u64]) -> Orders {
        let rules = MarketRules {
            period_length: PeriodLength::Minutes15,
            gates: GateSchedule::new(leads_min.iter().map(|min| min * 60_000).collect()).unwrap(),
            horizon_ms: 48 * 3_600_000,
            mechanism: Schedule::always(MechanismKind::ZonalAuction),
            k_millionths: 500_000,
            tick: Tick::from_micros_per_kwh(1_000).unwrap(),
            price_min: "0".parse().unwrap(),
            price_max: "1".parse().unwrap(),
            tariffs: Schedule::always(
                Tariff::flat("0.32".parse().unwrap(), "0.08".parse().unwrap()).unwrap(),
            ),
            settlement_delay_ms: 3_600_000,
            finality_delay_ms: 7_200_000,
        };
        let room = (Energy::from_wh(5_000), Energy::from_wh(5_000));
        Orders::new(rules, StrategySettings::default(), room)
    }

    fn period(minute: i64) -> DeliveryPeriod {
        let start = Timestamp::from_millis(minute * MINUTE);
        DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap()
    }

    fn position(minute: i64, expected_wh: f64) -> NetPosition {
        NetPosition { period: period(minute), expected_wh, deviation_wh: 10.0 }
    }

    fn say(orders: &mut Orders, position: &NetPosition, clock: &At) -> Vec<(Side, i64)> {
        let drafts = orders.revise(position, clock, |_| false);
        let told = drafts.iter().map(|draft| {
            orders.said(draft, Instant::now(), clock.now());
            match &draft.content {
                Content::Order { side, steps, .. } => {
                    (*side, steps.iter().map(|step| step.energy.wh()).sum())
                }
                Content::Reading(_) => panic!("orders say no readings"),
            }
        });
        told.collect()
    }

    #[test]
    fn every_gate_is_served_early_and_never_late() {
        let orders = orders(&[24 * 60, 15]);
        let mut missed = 0;
        for minute in 0..60 {
            let open = orders.open_periods(&At(minute * MINUTE + 1));
            for period in &open {
                let ahead = period.start().as_millis() - minute * MINUTE;
                assert!(ahead > 16 * MINUTE, "{period:?} at minute {minute}");
            }
            missed += usize::from(open.is_empty());
        }
        assert_eq!(missed, 0);
        let open = orders.open_periods(&At(0));
        assert!(open.contains(&period(30)) && open.contains(&period(24 * 60 + 15)));
    }

    #[test]
    fn an_order_is_said_once_until_the_forecast_changes_materially() {
        let (mut orders, clock) = (orders(&[15]), At(0));
        assert_eq!(say(&mut orders, &position(30, 500.0), &clock), [(Side::Sell, 500)]);
        assert_eq!(say(&mut orders, &position(30, 510.0), &clock), []);
        assert_eq!(say(&mut orders, &position(30, 700.0), &clock), [(Side::Sell, 700)]);
    }

    #[test]
    fn a_turn_from_surplus_to_deficit_withdraws_before_it_bids() {
        let (mut orders, clock) = (orders(&[15]), At(0));
        say(&mut orders, &position(30, 500.0), &clock);
        let turned = say(&mut orders, &position(30, -300.0), &clock);
        assert_eq!(turned, [(Side::Sell, 0), (Side::Buy, 300)]);
        assert_eq!(say(&mut orders, &position(30, 0.0), &clock), [(Side::Buy, 0)]);
        assert_eq!(say(&mut orders, &position(30, 0.0), &clock), []);
    }

    #[test]
    fn what_an_earlier_gate_filled_is_not_offered_again() {
        let (mut orders, clock) = (orders(&[24 * 60, 15]), At(0));
        say(&mut orders, &position(1_470, 500.0), &clock);
        let fill = Fill { period: period(1_470), side: Side::Sell, gate: 0, filled_wh: 400 };
        orders.note_fill(&fill);
        orders.note_fill(&fill);
        assert_eq!(say(&mut orders, &position(1_470, 500.0), &clock), []);
        assert_eq!(say(&mut orders, &position(1_470, 700.0), &clock), [(Side::Sell, 300)]);
    }

    #[tokio::test]
    async fn an_order_that_is_in_no_block_is_said_again_a_bounded_number_of_times() {
        let (mut orders, clock) = (orders(&[15]), At(0));
        let position = position(30, 500.0);
        let mut said = 0;
        for _ in 0..10 {
            for draft in orders.revise(&position, &clock, |_| true) {
                let long_ago = Instant::now().checked_sub(SAY_AGAIN_AFTER).unwrap();
                orders.said(&draft, long_ago, clock.now());
                said += 1;
            }
        }
        assert_eq!(said, 1 + SAID_AGAIN_MAX);
    }
}
