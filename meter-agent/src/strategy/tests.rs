use super::*;
use market::keys::ChainId;
use market::member::{MeteringPointId, PartyId};
use market::order::{Order, Preferences};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn view() -> MarketView {
    MarketView {
        rates: Rates::flat(price("0.32"), price("0.08")),
        tick: Tick::from_micros_per_kwh(1_000).unwrap(),
        price_min: price("0"),
        price_max: price("1"),
    }
}

fn position(expected_wh: f64, deviation_wh: f64) -> NetPosition {
    let start = Timestamp::from_millis(0);
    let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap();
    NetPosition::normal(period, expected_wh, deviation_wh)
}

const ROOM: (Energy, Energy) = (Energy::from_wh(5_000), Energy::from_wh(2_000));

fn margins() -> Margins {
    Margins::draw(&mut ChaCha12Rng::from_seed([3; 32]))
}

fn plan_as(
    kind: StrategyKind,
    position: &NetPosition,
    traded: Traded,
    limits: OwnerLimits,
) -> Option<Curve> {
    plan_at(kind, position, traded, limits, TimeToGate::default())
}

fn plan_at(
    kind: StrategyKind,
    position: &NetPosition,
    traded: Traded,
    limits: OwnerLimits,
    time_to_gate: TimeToGate,
) -> Option<Curve> {
    let margins = margins();
    let (market, room) = (view(), ROOM);
    let situation = Situation { position, traded, market, time_to_gate, margins: &margins, room };
    plan(kind, limits, &situation)
}

fn plan_for(position: NetPosition, traded: Traded, limits: OwnerLimits) -> Option<Curve> {
    plan_as(StrategyKind::Truthful, &position, traded, limits)
}

#[test]
fn a_surplus_is_offered_the_more_doubtful_the_dearer() {
    let curve =
        plan_for(position(500.0, 100.0), Traded::default(), OwnerLimits::default()).unwrap();
    assert_eq!(curve.side, Side::Sell);
    let steps: Vec<_> = curve.steps.iter().map(|s| (s.limit, s.energy.wh())).collect();
    assert_eq!(steps[0], (price("0.092"), 335));
    assert_eq!(steps[3], (price("0.2"), 39));
    assert_eq!(steps.iter().map(|(_, wh)| wh).sum::<i64>(), 500);
    assert!(steps.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn a_deficit_is_bid_for_and_the_owner_has_the_last_word() {
    let limits = OwnerLimits { buy_cap: Some(price("0.2505")), ..OwnerLimits::default() };
    let curve = plan_for(position(-500.0, 50.0), Traded::default(), limits).unwrap();
    assert_eq!(curve.side, Side::Buy);
    assert_eq!(curve.steps[0].limit, price("0.25"), "down to the tick");
    let limits = OwnerLimits { sell_floor: Some(price("0.2505")), ..OwnerLimits::default() };
    let curve = plan_for(position(500.0, 50.0), Traded::default(), limits).unwrap();
    assert_eq!(curve.steps[0].limit, price("0.251"), "up to the tick");
    let beyond = OwnerLimits { sell_floor: Some(price("1.5")), ..OwnerLimits::default() };
    assert_eq!(plan_for(position(500.0, 50.0), Traded::default(), beyond), None);
}

#[test]
fn what_is_traded_already_is_not_ordered_again() {
    let traded = Traded { sold: Energy::from_wh(480), ..Traded::default() };
    let curve = plan_for(position(500.0, 6.0), traded, OwnerLimits::default()).unwrap();
    let total = Energy::sum(curve.steps.iter().map(|step| step.energy)).unwrap();
    assert!(total.wh() <= 20);
    let curve = plan_for(position(-100.0, 6.0), traded, OwnerLimits::default()).unwrap();
    assert_eq!(curve.side, Side::Buy, "what was sold and will be missing is bought back");
}

fn first_limit(kind: StrategyKind, wh: f64, remaining_ms: u64) -> Price {
    let time_to_gate = TimeToGate { remaining_ms, whole_ms: 100 };
    let limits = OwnerLimits::default();
    let curve = plan_at(kind, &position(wh, 0.1), Traded::default(), limits, time_to_gate);
    curve.unwrap().steps[0].limit
}

#[test]
fn a_concession_goes_from_the_first_price_to_the_last() {
    let concession = Concession {
        sell_first: Some(price("0.30")),
        sell_last: Some(price("0.20")),
        buy_first: Some(price("0.10")),
        buy_last: Some(price("0.25")),
    };
    let of = |wh, remaining_ms| first_limit(StrategyKind::Concession(concession), wh, remaining_ms);
    assert_eq!([100, 50, 0].map(|left| of(500.0, left)), ["0.3", "0.25", "0.2"].map(price));
    assert_eq!([100, 60, 0].map(|left| of(-500.0, left)), ["0.1", "0.16", "0.25"].map(price));
    let tariffs = StrategyKind::Concession(Concession::default());
    let of = |wh, remaining_ms| first_limit(tariffs, wh, remaining_ms);
    assert_eq!((of(500.0, 100), of(-500.0, 100)), (price("0.32"), price("0.08")));
    let truthful = |wh| first_limit(StrategyKind::Truthful, wh, 0);
    assert_eq!((of(500.0, 0), of(-500.0, 0)), (truthful(500.0), truthful(-500.0)));
}

#[test]
fn margins_follow_the_price_of_the_auctions() {
    let mut lots = ChaCha12Rng::from_seed([5; 32]);
    let mut margins = Margins::draw(&mut lots);
    let offer = |margins: &Margins, wh: f64| {
        let position = position(wh, 0.1);
        let situation = Situation {
            position: &position,
            traded: Traded::default(),
            market: view(),
            time_to_gate: TimeToGate::default(),
            margins,
            room: ROOM,
        };
        let curve = plan(StrategyKind::Adaptive, OwnerLimits::default(), &situation);
        curve.unwrap().steps[0].limit
    };
    let auction = |text: &str| AuctionResult { price: Some(price(text)), rates: view().rates };
    for _ in 0..50 {
        margins.hear(&auction("0.26"), Some(Side::Sell), &mut lots);
    }
    let high = offer(&margins, 500.0);
    assert!((price("0.24")..=price("0.29")).contains(&high), "{high}");
    for _ in 0..50 {
        margins.hear(&auction("0.14"), Some(Side::Sell), &mut lots);
    }
    let low = offer(&margins, 500.0);
    assert!((price("0.10")..=price("0.16")).contains(&low), "{low}");
    let before = margins.clone();
    margins.hear(&AuctionResult { price: None, rates: view().rates }, Some(Side::Sell), &mut lots);
    assert_eq!(margins, before, "no trade is no price");
}

fn kinds() -> impl Strategy<Value = StrategyKind> {
    let price = || prop::option::of((-200_000_i64..1_200_000).prop_map(Price::from_micros_per_kwh));
    let concession = (price(), price(), price(), price()).prop_map(
        |(sell_first, sell_last, buy_first, buy_last)| Concession {
            sell_first,
            sell_last,
            buy_first,
            buy_last,
        },
    );
    prop_oneof![
        Just(StrategyKind::Truthful),
        Just(StrategyKind::Adaptive),
        concession.prop_map(StrategyKind::Concession),
    ]
}

proptest! {
    #[test]
    fn every_order_is_admissible_and_within_the_owners_limits(
        expected_wh in -10_000.0_f64..10_000.0,
        deviation_wh in 0.1_f64..5_000.0,
        sold in 0_i64..3_000,
        bought in 0_i64..6_000,
        sell_floor in prop::option::of(-200_000_i64..1_200_000),
        buy_cap in prop::option::of(-200_000_i64..1_200_000),
        kind in kinds(),
        remaining_ms in 0_u64..100_000,
    ) {
        let traded = Traded { sold: Energy::from_wh(sold), bought: Energy::from_wh(bought) };
        let limits = OwnerLimits {
            sell_floor: sell_floor.map(Price::from_micros_per_kwh),
            buy_cap: buy_cap.map(Price::from_micros_per_kwh),
        };
        let position = position(expected_wh, deviation_wh);
        let time_to_gate = TimeToGate { remaining_ms, whole_ms: 90_000 };
        let Some(curve) = plan_at(kind, &position, traded, limits, time_to_gate) else {
            return Ok(());
        };
        let order = Order {
            community: ChainId::from_bytes([0; 32]),
            party: PartyId::from_bytes([0; 16]),
            metering_point: MeteringPointId::from_bytes([0; 16]),
            period: position.period,
            side: curve.side,
            steps: curve.steps.clone(),
            sequence: 1,
            preferences: Preferences::default(),
        };
        prop_assert_eq!(order.check_form(), Ok(()));
        let market = view();
        for step in &curve.steps {
            prop_assert!(market.tick.divides(step.limit));
            prop_assert!((market.price_min..=market.price_max).contains(&step.limit));
            match curve.side {
                Side::Sell => {
                    prop_assert!(limits.sell_floor.is_none_or(|f| step.limit >= f));
                    prop_assert!(step.limit >= market.rates.feed_in, "never below the tariff");
                }
                Side::Buy => {
                    prop_assert!(limits.buy_cap.is_none_or(|cap| step.limit <= cap));
                    prop_assert!(step.limit <= market.rates.retail, "never above the tariff");
                }
            }
        }
        let total = order.energy().unwrap().wh();
        let (filled, max) = match curve.side {
            Side::Sell => (sold, ROOM.1.wh()),
            Side::Buy => (bought, ROOM.0.wh()),
        };
        prop_assert!(total + filled <= max);
    }
}
