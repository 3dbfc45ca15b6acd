use super::*;
use market::clearing::MechanismKind;
use market::gate::GateSchedule;
use market::price::Tick;
use market::schedule::Schedule;
use market::tariff::Tariff;
use market::time::PeriodLength;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

use crate::strategy::{Concession, OwnerLimits, StrategyKind};

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
    Orders::new(rules(leads_min), StrategySettings::default(), ROOM)
}

const ROOM: (Energy, Energy) = (Energy::from_wh(5_000), Energy::from_wh(5_000));

fn rules(leads_min: &[u64]) -> MarketRules {
    MarketRules {
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
    }
}

fn margins() -> Margins {
    Margins::draw(&mut ChaCha12Rng::from_seed([7; 32]))
}

fn period(minute: i64) -> DeliveryPeriod {
    let start = Timestamp::from_millis(minute * MINUTE);
    DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap()
}

fn position(minute: i64, expected_wh: f64) -> NetPosition {
    NetPosition::normal(period(minute), expected_wh, 10.0)
}

fn say(orders: &mut Orders, position: &NetPosition, clock: &At) -> Vec<(Side, i64)> {
    let drafts = orders.revise(position, &margins(), clock, |_| false);
    let told = drafts.iter().map(|draft| {
        orders.said(draft, Instant::now(), clock.now());
        match &draft.content {
            Content::Order { side, steps, .. } => {
                (*side, steps.iter().map(|step| step.energy.wh()).sum())
            }
            other => panic!("not an order: {other:?}"),
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
        for draft in orders.revise(&position, &margins(), &clock, |_| true) {
            let long_ago = Instant::now().checked_sub(SAY_AGAIN_AFTER).unwrap();
            orders.said(&draft, long_ago, clock.now());
            said += 1;
        }
    }
    assert_eq!(said, 1 + SAID_AGAIN_MAX);
}

#[test]
fn a_concession_is_said_again_as_the_gates_pass() {
    let kind = StrategyKind::Concession(Concession::default());
    let settings = StrategySettings { kind, ..StrategySettings::default() };
    let mut orders = Orders::new(rules(&[24 * 60, 60, 15]), settings, ROOM);
    let first_limit = |orders: &mut Orders, minute: i64| {
        let clock = At(minute * MINUTE);
        let drafts = orders.revise(&position(1_500, 500.0), &margins(), &clock, |_| false);
        drafts.iter().for_each(|draft| orders.said(draft, Instant::now(), clock.now()));
        drafts.first().map(|draft| match &draft.content {
            Content::Order { steps, .. } => steps[0].limit,
            other => panic!("not an order: {other:?}"),
        })
    };
    let price = |text: &str| text.parse().ok();
    assert_eq!(first_limit(&mut orders, 50), price("0.32"), "for the first gate");
    assert_eq!(first_limit(&mut orders, 55), None, "nothing has changed");
    // 45 of 1,425 minutes are left: 3 of 100 parts of the way up from 0.092.
    assert_eq!(first_limit(&mut orders, 70), price("0.1"));
    assert_eq!(first_limit(&mut orders, 1_450), price("0.092"), "for the last gate");
}

#[test]
fn standing_curves_are_said_once_and_only_where_a_gate_closes_after_delivery() {
    let limits = OwnerLimits { sell_floor: "0.1".parse().ok(), ..OwnerLimits::default() };
    let settings = StrategySettings { limits, ..StrategySettings::default() };
    let orders = Orders::new(rules(&[15]), settings.clone(), ROOM);
    assert_eq!(orders.revise_curves(), [], "every gate closes before delivery");

    let gates = GateSchedule::with_ex_post(vec![15 * 60_000], Some(3_600_000)).unwrap();
    let after = MarketRules { gates, ..rules(&[15]) };
    let silent = Orders::new(after.clone(), StrategySettings::default(), ROOM);
    assert_eq!(silent.revise_curves(), [], "the default holds anyway");

    let mut orders = Orders::new(after.clone(), settings, ROOM);
    let drafts = orders.revise_curves();
    let [Draft { content: Content::Curve { side, steps, .. }, .. }] = drafts.as_slice() else {
        panic!("one curve: {drafts:?}");
    };
    assert_eq!((*side, Some(steps[0].limit)), (Side::Sell, "0.1".parse().ok()));
    orders.said(&drafts[0], Instant::now(), Timestamp::from_millis(0));
    assert_eq!(orders.revise_curves(), []);

    let mut changed = Orders::new(after, StrategySettings::default(), ROOM);
    changed.recall_curve(Side::Sell, steps.clone(), Preferences::default());
    let drafts = changed.revise_curves();
    let [Draft { content: Content::Curve { steps, .. }, .. }] = drafts.as_slice() else {
        panic!("one curve: {drafts:?}");
    };
    assert!(steps.is_empty(), "the limit is gone, and the default holds again");
}
