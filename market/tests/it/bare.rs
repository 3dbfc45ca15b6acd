//! Orders as bare numbers, random ones among them, and the books they make.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::clearing::laws::{BrokenLaw, check};
use market::clearing::{ClearingError, ClearingResult, MechanismKind, Terms, clear};
use market::energy::Energy;
use market::gate::GateSchedule;
use market::hash::Digest;
use market::member::PartyId;
use market::order::{OrderId, Origin, Preferences, Side, Step};
use market::price::{Price, Tick};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::tariff::Tariff;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::{ZoneId, ZoneTree};
use proptest::prelude::*;

/// An order without names: limits in micro-units per kWh with energies in Wh, best limit first.
#[derive(Clone)]
pub(crate) struct Bare {
    pub(crate) side: Side,
    pub(crate) zone: ZoneId,
    /// Whose it is; `None`: the n-th order is that of the n-th party.
    pub(crate) party: Option<usize>,
    pub(crate) steps: Vec<(i64, i64)>,
    /// The numbers of the parties it favours.
    pub(crate) partners: Vec<usize>,
    pub(crate) origin: Option<Origin>,
}

fn plain(side: Side, steps: &[(i64, i64)]) -> Bare {
    let (zone, steps) = (ZoneId(0), steps.to_vec());
    Bare { side, zone, party: None, steps, partners: Vec::new(), origin: None }
}

pub(crate) fn bid(steps: &[(i64, i64)]) -> Bare {
    plain(Side::Buy, steps)
}

pub(crate) fn offer(steps: &[(i64, i64)]) -> Bare {
    plain(Side::Sell, steps)
}

/// On one line, so that what a shrunken failure consists of is seen at a glance.
impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, zone, party, steps, partners, origin } = self;
        write!(f, "{side:?} in {} {steps:?} of {party:?} {partners:?} {origin:?}", zone.0)
    }
}

impl Bare {
    /// The same order in another zone.
    pub(crate) fn at(self, zone: u16) -> Self {
        Self { zone: ZoneId(zone), ..self }
    }
}

/// The party of the n-th order. Its bytes have nothing to do with n, as in life.
pub(crate) fn party(n: usize) -> PartyId {
    let digest = Digest::of(&[b"party", &n.to_be_bytes()]);
    PartyId::from_bytes(digest.as_bytes()[..16].try_into().expect("16 bytes"))
}

/// The name of the n-th order.
pub(crate) fn order_id(n: usize) -> OrderId {
    OrderId::from_bytes(*Digest::of(&[b"order", &n.to_be_bytes()]).as_bytes())
}

pub(crate) fn salt(n: u64) -> Digest {
    Digest::of(&[b"salt", &n.to_be_bytes()])
}

pub(crate) fn period() -> DeliveryPeriod {
    let start = Timestamp::from_millis(1_750_000_500_000);
    DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).expect("a quarter of an hour")
}

pub(crate) fn booked(n: usize, order: &Bare) -> BookedOrder {
    let step = |(limit, wh): &(i64, i64)| Step {
        limit: Price::from_micros_per_kwh(*limit),
        energy: Energy::from_wh(*wh),
    };
    BookedOrder {
        id: order_id(n),
        party: party(order.party.unwrap_or(n)),
        zone: order.zone,
        steps: order.steps.iter().map(step).collect(),
        preferences: Preferences {
            partners: order.partners.iter().map(|n| party(*n)).collect(),
            origin: order.origin,
        },
    }
}

/// The sealed book of these orders.
pub(crate) fn book(orders: &[Bare], salt: Digest) -> SealedBook {
    let of_side = |side| {
        let orders = orders.iter().enumerate().filter(move |(_, order)| order.side == side);
        orders.map(|(n, order)| booked(n, order)).collect()
    };
    sealed_from_orders(period(), of_side(Side::Buy), of_side(Side::Sell), salt).expect("a book")
}

pub(crate) fn rules(k_millionths: u32, tick: u32) -> MarketRules {
    let price = Price::from_micros_per_kwh;
    MarketRules {
        period_length: PeriodLength::Minutes15,
        gates: GateSchedule::new(vec![7_200_000, 900_000]).expect("two gates"),
        horizon_ms: 86_400_000,
        mechanism: Schedule::always(MechanismKind::ZonalAuction),
        k_millionths,
        tick: Tick::from_micros_per_kwh(tick).expect("a tick"),
        price_min: price(-1_000_000),
        price_max: price(5_000_000),
        tariffs: Schedule::always(Tariff::flat(price(320_000), price(80_000)).expect("a corridor")),
        settlement_delay_ms: 3_600_000,
        finality_delay_ms: 86_400_000,
    }
}

/// A community without feeders.
static ONE_ZONE: LazyLock<ZoneTree> = LazyLock::new(|| ZoneTree::one("all"));

/// The terms of one zone.
pub(crate) fn flat(k_millionths: u32, tick: u32) -> Terms<'static> {
    terms(&ONE_ZONE, k_millionths, tick)
}

/// The terms of a tree of zones.
pub(crate) fn terms(zones: &ZoneTree, k_millionths: u32, tick: u32) -> Terms<'_> {
    Terms { zones, k_millionths, tick: Tick::from_micros_per_kwh(tick).expect("a tick") }
}

/// Clears by the zonal auction.
pub(crate) fn auction(
    book: &SealedBook,
    terms: &Terms<'_>,
) -> Result<ClearingResult, ClearingError> {
    clear(book, &MechanismKind::ZonalAuction, terms)
}

/// Whether a result keeps every law of the zonal auction.
pub(crate) fn lawful(
    book: &SealedBook,
    terms: &Terms<'_>,
    result: &ClearingResult,
) -> Result<(), BrokenLaw> {
    check(book, &MechanismKind::ZonalAuction, terms, result)
}

/// Clears in one zone with k = 1/2 and a tick of one micro-unit, and checks the laws.
pub(crate) fn cleared(orders: &[Bare]) -> ClearingResult {
    let (book, terms) = (book(orders, salt(0)), flat(500_000, 1));
    let result = auction(&book, &terms).expect("small numbers");
    lawful(&book, &terms, &result).expect("every law holds");
    result
}

/// The price of the only zone.
pub(crate) fn price(result: &ClearingResult) -> Option<Price> {
    let [zone] = result.zones[..] else { panic!("one zone, not {}", result.zones.len()) };
    zone.price
}

/// What the n-th order was filled, in Wh.
pub(crate) fn filled(result: &ClearingResult, n: usize) -> i64 {
    let answer = result.answers.iter().find(|answer| answer.order == order_id(n));
    answer.expect("every order is answered").filled.wh()
}

/// What every order was filled, by its name.
pub(crate) fn fills(result: &ClearingResult) -> BTreeMap<OrderId, i64> {
    result.answers.iter().map(|answer| (answer.order, answer.filled.wh())).collect()
}

/// Few price levels around zero, so that ties, equal crossings and negative prices are common.
fn curve(side: Side, steps_max: usize, wh_max: i64) -> impl Strategy<Value = Vec<(i64, i64)>> {
    let steps = prop::collection::vec((1..4_i64, 1..=wh_max), 1..=steps_max);
    (-8..=8_i64, steps).prop_map(move |(first, steps)| {
        let worse = if side == Side::Buy { -1 } else { 1 };
        let mut limit = first - worse;
        let mut curve = Vec::new();
        for (down, wh) in steps {
            limit += worse * if curve.is_empty() { 1 } else { down };
            curve.push((limit * 1_000, wh));
        }
        curve
    })
}

/// Up to `count_max` orders with up to `steps_max` steps of up to `wh_max` Wh, limits in whole
/// thousands, without preferences.
pub(crate) fn orders(
    count_max: usize,
    steps_max: usize,
    wh_max: i64,
) -> impl Strategy<Value = Vec<Bare>> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let order = side.prop_flat_map(move |side| {
        curve(side, steps_max, wh_max).prop_map(move |steps| plain(side, &steps))
    });
    prop::collection::vec(order, 0..=count_max)
}

/// The same with partners and origins.
pub(crate) fn choosy_orders(count_max: usize) -> impl Strategy<Value = Vec<Bare>> {
    let origin = prop_oneof![Just(None), Just(Some(Origin::Solar)), Just(Some(Origin::Battery))];
    let wish = (prop::collection::vec(0..count_max, 0..4), origin);
    let wishes = prop::collection::vec(wish, count_max);
    (orders(count_max, 2, 40), wishes).prop_map(|(mut orders, wishes)| {
        for (order, (partners, origin)) in orders.iter_mut().zip(wishes) {
            (order.partners, order.origin) = (partners, origin);
        }
        orders
    })
}

/// Any k, and ticks that divide the limits of [`orders`].
pub(crate) fn k_and_tick() -> impl Strategy<Value = (u32, u32)> {
    let k = prop_oneof![Just(0), Just(500_000), Just(1_000_000), 0..=1_000_000_u32];
    (k, prop::sample::select(vec![1, 8, 250, 500, 1_000]))
}
