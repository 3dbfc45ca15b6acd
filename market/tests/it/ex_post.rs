//! Gates after delivery: nobody is worse off than without the market, and nobody orders twice.

use std::collections::{BTreeMap, BTreeSet};

use market::admission::{AdmittedCurve, admit_curve};
use market::answer::Reason;
use market::book::ex_post::{Corridor, Residual, residuals, seal_ex_post};
use market::book::{PeriodBook, SealedBook};
use market::clearing::sharing::{SharingKey, SharingRule};
use market::clearing::{ClearingResult, MechanismKind};
use market::energy::Energy;
use market::gate::{GateIndex, GateSchedule};
use market::hash::Digest;
use market::member::PartyId;
use market::order::{Origin, Preferences, Side, Step};
use market::price::Price;
use market::reading::Quality;
use market::settlement::Metered;
use market::standing::{StandingCurve, StandingCurves};
use market::tariff::Rates;
use market::time::{DeliveryPeriod, Timestamp};
use market::trade::Trade;
use market::zone::ZoneTree;
use proptest::prelude::*;

use crate::bare::{party, period, salt};
use crate::community::{Community, metering_point};
use crate::single::{freed, lawfully};

const PARTIES: usize = 7;
pub(crate) const MINUTE_MS: u64 = 60_000;

pub(crate) fn micros(price: i64) -> Price {
    Price::from_micros_per_kwh(price)
}

fn corridor() -> Corridor {
    Corridor { feed_in: micros(80_000), retail: micros(320_000) }
}

/// One gate before delivery and one 10 minutes after it.
fn gates() -> GateSchedule {
    GateSchedule::with_ex_post(vec![900_000], Some(10 * MINUTE_MS)).unwrap()
}

pub(crate) fn community(on_feeders: bool) -> Community {
    let mut community =
        if on_feeders { Community::on_two_feeders(PARTIES) } else { Community::of(PARTIES) };
    community.rules.gates = gates();
    community
}

pub(crate) fn curve(n: usize, side: Side, steps: &[(i64, i64)], sequence: u64) -> StandingCurve {
    let community = Community::of(1);
    let order = community.order(0, side, steps, sequence);
    StandingCurve {
        community: order.community,
        party: party(n),
        metering_point: metering_point(n),
        side,
        steps: order.steps,
        sequence,
        preferences: Preferences::default(),
    }
}

fn admitted(community: &Community, n: usize, curve: StandingCurve, at: Timestamp) -> AdmittedCurve {
    admit_curve(community.sign(n, curve), &community.context(at), None).unwrap()
}

/// Curves that were said long before the period.
fn in_force(community: &Community, said: &[Said]) -> StandingCurves {
    let (mut curves, at) = (StandingCurves::default(), community.early());
    for (n, side, steps) in said {
        let admitted = admitted(community, *n, curve(*n, *side, steps, 1), at);
        curves.place(&admitted, at, period().length()).unwrap();
    }
    curves
}

fn metered(imported: i64, exported: i64) -> Metered {
    let (imported, exported) = (Energy::from_wh(imported), Energy::from_wh(exported));
    Metered { imported, exported, quality: Quality::Ok }
}

fn of_parties(meters: &[(i64, i64)]) -> BTreeMap<PartyId, Residual> {
    let readings = meters.iter().enumerate();
    let readings =
        readings.map(|(n, (imported, exported))| (party(n), metered(*imported, *exported)));
    residuals(&readings.collect(), &[]).unwrap()
}

fn seal(
    community: &Community,
    curves: &StandingCurves,
    residuals: &BTreeMap<PartyId, Residual>,
) -> SealedBook {
    seal_within(community, curves, residuals, corridor())
}

fn seal_within(
    community: &Community,
    curves: &StandingCurves,
    residuals: &BTreeMap<PartyId, Residual>,
    corridor: Corridor,
) -> SealedBook {
    let gate = community.rules.gates.ex_post_gate().unwrap();
    seal_ex_post(period(), gate, &community.members, curves, residuals, corridor, salt(9)).unwrap()
}

/// Whose curve, for which side, and its steps.
type Said = (usize, Side, Vec<(i64, i64)>);

/// What the community does in one period: orders before delivery, readings, curves.
#[derive(Debug, Clone)]
struct Day {
    orders: Vec<(usize, Side, i64, i64)>,
    /// `None`: the reading did not come.
    meters: Vec<Option<(i64, i64)>>,
    curves: Vec<Said>,
    rates: Rates,
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn steps(side: Side) -> impl Strategy<Value = Vec<(i64, i64)>> {
    // Limits inside the corridor, beyond both its ends, and equal to them.
    let steps = prop::collection::vec((1..12_i64, 1..400_i64), 0..4);
    (-10..50_i64, steps).prop_map(move |(first, steps)| {
        let worse = if side == Side::Buy { -1 } else { 1 };
        let mut limit = first;
        let curve = steps.into_iter().map(|(gap, wh)| {
            limit += worse * gap;
            (limit * 10_000, wh)
        });
        curve.collect()
    })
}

fn days() -> impl Strategy<Value = Day> {
    let order = (0..PARTIES, side(), 5..40_i64, 1..600_i64)
        .prop_map(|(n, side, limit, wh)| (n, side, limit * 10_000, wh));
    let meter = prop_oneof![
        1 => Just(None),
        3 => (0..900_i64).prop_map(|wh| Some((wh, 0))),
        3 => (0..900_i64).prop_map(|wh| Some((0, wh))),
        2 => (0..900_i64, 0..900_i64).prop_map(Some),
    ];
    let curve = (0..PARTIES, side())
        .prop_flat_map(|(n, side)| steps(side).prop_map(move |steps| (n, side, steps)));
    let orders = prop::collection::vec(order, 0..8);
    let meters = prop::collection::vec(meter, PARTIES);
    let curves = prop::collection::vec(curve, 0..10);
    (orders, meters, curves, rates()).prop_map(|(orders, meters, curves, rates)| {
        let mut seen = BTreeSet::new();
        let curves = curves.into_iter().filter(|(n, side, _)| seen.insert((*n, *side)));
        Day { orders, meters, curves: curves.collect(), rates }
    })
}

fn flat() -> Rates {
    Rates::flat(corridor().retail, corridor().feed_in)
}

/// With levies and a tax that leave fractions of a micro-unit.
fn rates() -> impl Strategy<Value = Rates> {
    let taxed = (0..30_000_i64, 0..30_000_i64, 0..=1_000_000_u32, 0..10_i64);
    let taxed = taxed.prop_map(|(supplied, imported, tax_millionths, odd)| Rates {
        retail: micros(320_000 + odd),
        supplied_levies: micros(supplied),
        import_levies: micros(imported),
        tax_millionths,
        ..flat()
    });
    prop_oneof![1 => Just(flat()), 2 => taxed]
}

/// A period that is over: what was traded before it, and what the gate after it did.
struct Closed {
    earlier: Vec<Trade>,
    residuals: BTreeMap<PartyId, Residual>,
    book: SealedBook,
    result: ClearingResult,
    rates: Rates,
}

fn close(community: &Community, zones: &ZoneTree, kind: &MechanismKind, day: &Day) -> Closed {
    let mut book = PeriodBook::default();
    for (sequence, (n, side, limit, wh)) in (1..).zip(&day.orders) {
        let order = community.order(*n, *side, &[(*limit, *wh)], sequence);
        let _ = community.place(&mut book, &community.sign(*n, order), community.early());
    }
    let earlier = community.clear(&book.seal(period(), &community.members, salt(1))).trades;
    let readings = day.meters.iter().enumerate();
    let readings = readings.filter_map(|(n, meter)| meter.map(|(i, e)| (party(n), metered(i, e))));
    let residuals = residuals(&readings.collect(), &earlier).unwrap();
    let curves = in_force(community, &day.curves);
    let book = seal_within(community, &curves, &residuals, Corridor::from(&day.rates));
    let result = lawfully(&book, kind, &community.rules.terms(zones));
    Closed { earlier, residuals, book, result, rates: day.rates }
}

/// Price x energy, in thousandths of a micro-unit, with a tax on it in millionths: exactly, in
/// millionths of that.
fn worth(price: Price, energy: Energy, tax_millionths: u32) -> i128 {
    let untaxed = i128::from(price.micros_per_kwh()) * i128::from(energy.wh());
    untaxed * (1_000_000 + i128::from(tax_millionths))
}

/// Per party: what the energy of this gate costs with the market and with the supplier alone,
/// levies and tax included, exactly; and in money, where each trade and each of the up to six lines
/// of the bill may round by half a micro-unit.
fn nobody_is_worse_off(closed: &Closed) -> Result<(), TestCaseError> {
    let rates = &closed.rates;
    let sum = |prices: [Price; 3]| micros(prices.iter().map(|price| price.micros_per_kwh()).sum());
    let taxed = sum([rates.retail, rates.supplied_levies, rates.import_levies]);
    for n in 0..PARTIES {
        let who = party(n);
        let (mut market, mut supplier, mut paid) = (0_i128, 0_i128, 0_i64);
        let (mut bought, mut sold, mut trades) = (Energy::ZERO, Energy::ZERO, 0);
        for trade in &closed.result.trades {
            if trade.buyer == who {
                market += worth(trade.buyer_price, trade.energy, 0);
                market += worth(rates.import_levies, trade.energy, rates.tax_millionths);
                supplier += worth(taxed, trade.energy, rates.tax_millionths);
                paid += trade.buyer_amount.micros();
                bought = bought.plus(trade.energy).unwrap();
                trades += 1;
            }
            if trade.seller == who {
                market -= worth(trade.seller_price, trade.energy, 0);
                supplier -= worth(rates.feed_in, trade.energy, 0);
                paid -= trade.seller_amount.micros();
                sold = sold.plus(trade.energy).unwrap();
                trades += 1;
            }
        }
        prop_assert!(market <= supplier, "party {} pays {} instead of {}", n, market, supplier);
        let bill = |supplied: Energy| {
            let (energy, levies) = (
                rates.retail.amount_for(supplied).unwrap(),
                rates.levies(supplied, bought).unwrap(),
            );
            let tax = rates.tax(energy, levies).unwrap();
            energy.micros() + levies.micros() + tax.micros()
        };
        let fed_in = rates.feed_in.amount_for(sold).unwrap().micros();
        let (with, without) = (paid + bill(Energy::ZERO), bill(bought) - fed_in);
        prop_assert!(with <= without + (trades + 7) / 2, "party {} in money", n);
        let residual = closed.residuals.get(&who).copied().unwrap_or_default();
        prop_assert!(bought <= residual.imported && sold <= residual.exported);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_party_is_ever_worse_off_than_without_the_market(
        day in days(),
        on_feeders in any::<bool>(),
        k in 0..=1_000_000_u32,
    ) {
        let mut community = community(on_feeders);
        community.rules.k_millionths = k;
        let zones = community.zones.clone();
        let closed = close(&community, &zones, &MechanismKind::ZonalAuction, &day);
        nobody_is_worse_off(&closed)?;
    }

    #[test]
    fn nor_is_it_by_any_other_mechanism(day in days(), internal in 0..40_i64) {
        let community = community(true);
        let zones = freed(&community.zones);
        let sharing = SharingRule { price: micros(internal * 10_000), key: SharingKey::ProRata };
        for kind in [
            MechanismKind::PairMidpoints,
            MechanismKind::TradeReduction,
            MechanismKind::Sharing(sharing),
        ] {
            nobody_is_worse_off(&close(&community, &zones, &kind, &day))?;
        }
    }

    /// No stated limit is overstepped, whatever the corridor makes of it, and every order in the
    /// book is of a party with a reading, for what earlier gates left of it.
    #[test]
    fn the_book_is_what_meters_curves_and_corridor_say(day in days()) {
        let day = Day { rates: flat(), ..day };
        let community = community(false);
        let closed = close(&community, &community.zones, &MechanismKind::ZonalAuction, &day);
        let crossed = closed.book.crossed().iter().map(|(side, order)| (*side, order));
        let bids = closed.book.bids().iter().map(|order| (Side::Buy, order));
        let offers = closed.book.offers().iter().map(|order| (Side::Sell, order));
        let mut seen = BTreeMap::new();
        for (side, order) in bids.chain(offers).chain(crossed) {
            let energy = Energy::sum(order.steps.iter().map(|step| step.energy)).unwrap();
            prop_assert!(seen.insert((side, order.party), energy).is_none());
            for pair in order.steps.windows(2) {
                let (one, next) = (pair[0].limit, pair[1].limit);
                let worse = if side == Side::Buy { next < one } else { next > one };
                prop_assert!(worse);
            }
            let said = day.curves.iter().find(|(n, s, _)| party(*n) == order.party && *s == side);
            let best = said.and_then(|(_, _, steps)| steps.first()).map(|(limit, _)| *limit);
            let best = best.unwrap_or(if side == Side::Buy { 320_000 } else { 80_000 });
            let clamped = if side == Side::Buy { best.min(320_000) } else { best.max(80_000) };
            prop_assert_eq!(order.steps[0].limit.micros_per_kwh(), clamped);
        }
        for (n, meter) in day.meters.iter().enumerate() {
            let traded = |of: fn(&Trade) -> PartyId| -> i64 {
                let mine = closed.earlier.iter().filter(|trade| of(trade) == party(n));
                mine.map(|trade| trade.energy.wh()).sum()
            };
            let (bought, sold) = (traded(|trade| trade.buyer), traded(|trade| trade.seller));
            for (side, left) in [
                (Side::Buy, meter.map_or(0, |(imported, _)| imported - bought)),
                (Side::Sell, meter.map_or(0, |(_, exported)| exported - sold)),
            ] {
                let energy = seen.get(&(side, party(n))).copied().unwrap_or_default();
                prop_assert_eq!(energy.wh(), left.max(0));
            }
        }
        prop_assert_eq!(closed.book.gate(), GateIndex(1));
    }
}

#[test]
fn without_curves_everybody_trades_between_feed_in_and_retail() {
    let community = community(false);
    let residuals = of_parties(&[(500, 0), (300, 0), (0, 600)]);
    let book = seal(&community, &StandingCurves::default(), &residuals);
    let result = community.clear(&book);
    // Demand is left over: the price is what a consumer would pay the supplier.
    assert_eq!((result.volume.wh(), result.zones[0].price), (600, Some(micros(320_000))));
    let residuals = of_parties(&[(500, 0), (0, 600)]);
    let result = community.clear(&seal(&community, &StandingCurves::default(), &residuals));
    assert_eq!((result.volume.wh(), result.zones[0].price), (500, Some(micros(80_000))));
    let residuals = of_parties(&[(500, 0), (0, 500)]);
    let result = community.clear(&seal(&community, &StandingCurves::default(), &residuals));
    assert_eq!((result.volume.wh(), result.zones[0].price), (500, Some(micros(200_000))));
}

#[test]
fn the_last_step_goes_on_to_whatever_was_metered_and_the_corridor_cuts_both_ends() {
    let community = community(false);
    let said = [
        (0, Side::Buy, vec![(500_000, 100), (400_000, 100), (200_000, 100), (150_000, 10)]),
        (1, Side::Sell, vec![(10_000, 50), (90_000, 50)]),
        (2, Side::Buy, vec![(50_000, 10)]),
        (3, Side::Sell, vec![]),
    ];
    let curves = in_force(&community, &said);
    let book = seal(&community, &curves, &of_parties(&[(1_000, 0), (0, 70), (30, 0), (0, 5)]));
    let steps = |orders: &[market::book::BookedOrder], n: usize| -> Vec<(i64, i64)> {
        let order = orders.iter().find(|order| order.party == party(n)).unwrap();
        let step = |step: &Step| (step.limit.micros_per_kwh(), step.energy.wh());
        order.steps.iter().map(step).collect()
    };
    // 500,000 and 400,000 are both cut to retail and become one step.
    assert_eq!(steps(book.bids(), 0), [(320_000, 200), (200_000, 100), (150_000, 700)]);
    assert_eq!(steps(book.offers(), 1), [(80_000, 50), (90_000, 20)]);
    // A bid below the corridor stays what it says: it is never raised beyond its own limit.
    assert_eq!(steps(book.bids(), 2), [(50_000, 30)]);
    assert_eq!(steps(book.offers(), 3), [(80_000, 5)], "an empty curve is the default");
    let id = curves.in_force((Side::Buy, party(0)), period()).unwrap().id;
    assert!(book.bids().iter().any(|bid| bid.id == id && bid.party == party(0)));
}

#[test]
fn a_tariff_whose_feed_in_exceeds_retail_leaves_nothing_to_trade() {
    let community = community(false);
    let odd = Corridor { feed_in: micros(300_000), retail: micros(200_000) };
    let residuals = of_parties(&[(500, 0), (0, 500)]);
    let none = StandingCurves::default();
    let book =
        seal_ex_post(period(), GateIndex(1), &community.members, &none, &residuals, odd, salt(0));
    assert!(community.clear(&book.unwrap()).trades.is_empty());
}

#[test]
fn the_corridor_ends_where_the_supplier_and_its_levies_do() {
    let flat = Rates::flat(micros(300_000), micros(80_000));
    assert_eq!(Corridor::from(&flat).retail, micros(300_000));
    let taxed = Rates { supplied_levies: micros(20_000), tax_millionths: 100_000, ..flat };
    let corridor = Corridor::from(&taxed);
    assert_eq!((corridor.retail, corridor.feed_in), (micros(352_000), micros(80_000)));
}

#[test]
fn earlier_trades_come_off_and_never_below_zero() {
    let community = community(false);
    let mut book = PeriodBook::default();
    for (n, side) in [(0, Side::Buy), (1, Side::Sell)] {
        let order = community.order(n, side, &[(100_000, 400)], 1);
        community.place(&mut book, &community.sign(n, order), community.early()).unwrap();
    }
    let trades = community.clear(&book.seal(period(), &community.members, salt(0))).trades;
    assert_eq!(trades.len(), 1);
    // Party 0 drew 100 more than it bought, party 1 fed in 100 less than it sold.
    let readings = [(0, metered(500, 0)), (1, metered(0, 300)), (2, metered(20, 0))];
    let readings = readings.into_iter().map(|(n, metered)| (party(n), metered)).collect();
    let left = residuals(&readings, &trades).unwrap();
    let of = |n: usize| (left[&party(n)].imported.wh(), left[&party(n)].exported.wh());
    assert_eq!((of(0), of(1), of(2)), ((100, 0), (0, 0), (20, 0)));
}

#[test]
fn parties_without_a_reading_and_former_members_take_no_part() {
    let mut community = community(false);
    let assumed = Metered { quality: Quality::Missing, ..metered(500, 0) };
    let readings = [(party(0), assumed), (party(1), metered(300, 0)), (party(2), metered(9, 0))];
    let residuals = residuals(&readings.into(), &[]).unwrap();
    assert_eq!(residuals.len(), 2);
    community.members.remove(&party(1));
    let book = seal(&community, &StandingCurves::default(), &residuals);
    let parties: Vec<_> = book.bids().iter().map(|bid| bid.party).collect();
    assert_eq!(parties, [party(2)]);
}

#[test]
fn of_a_party_that_drew_and_fed_in_the_larger_side_takes_part() {
    let community = community(false);
    let none = StandingCurves::default();
    for (meter, out) in [((500, 20), Side::Sell), ((20, 500), Side::Buy), ((20, 20), Side::Buy)] {
        let book = seal(&community, &none, &of_parties(&[meter, (9, 0), (0, 9)]));
        let crossed: Vec<_> =
            book.crossed().iter().map(|(side, order)| (*side, order.party)).collect();
        assert_eq!(crossed, [(out, party(0))]);
        let result = community.clear(&book);
        let told = result.answers.iter().find(|a| a.party == party(0) && a.side == out).unwrap();
        assert_eq!(told.reason, Reason::OwnOrderOpposite);
    }
    // Curves that do not reach each other both take part.
    let said = [(0, Side::Buy, vec![(100_000, 1)]), (0, Side::Sell, vec![(150_000, 1)])];
    let book = seal(&community, &in_force(&community, &said), &of_parties(&[(500, 20)]));
    assert_eq!((book.bids().len(), book.offers().len(), book.crossed().len()), (1, 1, 0));
}

#[test]
fn who_would_buy_from_himself_at_the_very_limit_at_which_he_sells_takes_part_on_one_side() {
    let community = community(false);
    let said = [(0, Side::Buy, vec![(150_000, 9)]), (0, Side::Sell, vec![(150_000, 9)])];
    let curves = in_force(&community, &said);
    let book = seal(&community, &curves, &of_parties(&[(500, 300)]));
    assert_eq!((book.bids().len(), book.offers().len(), book.crossed().len()), (1, 0, 1));
    let apart = [(0, Side::Buy, vec![(140_000, 9)]), (0, Side::Sell, vec![(150_000, 9)])];
    let book = seal(&community, &in_force(&community, &apart), &of_parties(&[(500, 300)]));
    assert_eq!((book.bids().len(), book.offers().len(), book.crossed().len()), (1, 1, 0));
}

/// Everybody computes the same names for orders that nobody wrote.
#[test]
fn a_default_curve_is_named_by_its_party_and_side() {
    let community = community(false);
    let residuals = of_parties(&[(500, 0), (0, 600)]);
    let book = seal(&community, &StandingCurves::default(), &residuals);
    let name = |n, side: &[u8]| {
        Digest::of(&[b"hidamari/default-curve/1".as_slice(), party(n).as_bytes(), side])
    };
    assert_eq!(book.bids()[0].id.as_bytes(), name(0, b"buy").as_bytes());
    assert_eq!(book.offers()[0].id.as_bytes(), name(1, b"sell").as_bytes());
}

#[test]
fn a_curve_holds_from_the_next_period_until_it_is_replaced() {
    let community = community(false);
    let key = (Side::Buy, party(0));
    let (now, next) = (period(), period().next().unwrap());
    let after_next = next.next().unwrap();
    let mut curves = StandingCurves::default();
    let place = |curves: &mut StandingCurves, limit: i64, sequence, at: Timestamp| {
        let curve = curve(0, Side::Buy, &[(limit, 1)], sequence);
        let admitted = admitted(&community, 0, curve, at);
        curves.place(&admitted, at, now.length()).unwrap();
    };
    let limit = |curves: &StandingCurves, period: DeliveryPeriod| {
        curves.in_force(key, period).map(|curve| curve.steps[0].limit.micros_per_kwh())
    };
    // In a block at the very start of a period, it is too late for that period.
    place(&mut curves, 100_000, 1, now.start());
    assert_eq!((limit(&curves, now), limit(&curves, next)), (None, Some(100_000)));
    place(&mut curves, 110_000, 2, now.end().plus_millis(-1));
    assert_eq!(limit(&curves, next), Some(110_000), "the last one before the period counts");
    place(&mut curves, 120_000, 3, next.start().plus_millis(1));
    assert_eq!((limit(&curves, next), limit(&curves, after_next)), (Some(110_000), Some(120_000)));
    assert_eq!(curves.sequence(key), Some(3));
    assert_eq!(curves.sequence((Side::Sell, party(0))), None);
    // The gate of `next` closes after `after_next` began: forgetting keeps what it needs.
    curves.forget_before(next);
    assert_eq!((limit(&curves, next), limit(&curves, after_next)), (Some(110_000), Some(120_000)));
    curves.forget_before(after_next);
    assert_eq!((limit(&curves, next), limit(&curves, after_next)), (None, Some(120_000)));
    assert_eq!(
        borsh::from_slice::<StandingCurves>(&borsh::to_vec(&curves).unwrap()).unwrap(),
        curves
    );
    curves.remove(&party(0));
    assert_eq!(curves, StandingCurves::default());
}

#[test]
fn preferences_of_a_curve_reach_its_orders() {
    let community = community(false);
    let mut solar = curve(0, Side::Sell, &[], 1);
    solar.preferences = Preferences { partners: vec![party(1)], origin: Some(Origin::Solar) };
    let (mut curves, at) = (StandingCurves::default(), community.early());
    let solar = admitted(&community, 0, solar, at);
    curves.place(&solar, at, period().length()).unwrap();
    let book = seal(&community, &curves, &of_parties(&[(0, 50), (20, 0), (30, 0)]));
    let result = community.clear(&book);
    assert!(result.trades.iter().all(|trade| trade.origin == Some(Origin::Solar)));
    assert_eq!(result.trades[0].buyer, party(1));
}
