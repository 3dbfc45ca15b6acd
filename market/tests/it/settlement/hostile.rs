//! S8: overflow is a rejected input, never a wrap and never a panic.

use market::settlement::{Settlement, SettlementError, ZonePrices, settle};
use market::tariff::Rates;
use market::zone::ZoneId;
use proptest::prelude::*;

use crate::bare::party;
use crate::settlement::world::{World, price, tree};

/// Few small numbers, many at the ends of the range.
fn any_number() -> impl Strategy<Value = i64> {
    prop_oneof![
        -3_000..3_000_i64,
        any::<i64>(),
        (0..3_i64).prop_map(|n| i64::MAX - n),
        (0..3_i64).prop_map(|n| i64::MIN + n),
        (0..40_u32).prop_map(|bits| 1 << bits),
    ]
}

fn rates() -> impl Strategy<Value = Rates> {
    let numbers = (any_number(), any_number(), any_number(), any_number(), any::<u32>());
    numbers.prop_map(|(retail, feed_in, supplied, imported, tax_millionths)| Rates {
        retail: price(retail),
        feed_in: price(feed_in),
        supplied_levies: price(supplied),
        import_levies: price(imported),
        tax_millionths,
    })
}

fn settled(
    world: &World,
    rates: Rates,
    charge: i64,
    at: Option<i64>,
) -> Result<Settlement, SettlementError> {
    let zones = tree(&[(0, charge), (1, charge)]);
    let prices: ZonePrices = at.map(|at| (ZoneId(0), price(at))).into_iter().collect();
    world.facts(|facts| {
        settle(&market::settlement::Facts { rates, zones: &zones, prices: &prices, ..*facts })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn s8_whatever_is_metered_and_charged_it_is_settled_exactly_or_refused(
        readings in prop::collection::vec((any_number(), any_number()), 1..5),
        rates in rates(),
        charge in any_number().prop_map(|charge| charge.max(0)),
        at in prop::option::of(any_number()),
    ) {
        let mut world = World::quiet(&readings, 1, 0);
        world.homes = (0..readings.len()).map(|n| ZoneId(u16::try_from(n % 3).unwrap())).collect();
        let Ok(settlement) = settled(&world, rates, charge, at) else { return Ok(()) };
        // What was not refused adds up in numbers without end.
        let wide = |money: market::money::Money| i128::from(money.micros());
        let c = settlement.community;
        let lines = [c.supplier, c.pool_wheeling, c.rounding, c.levies, c.tax];
        let mut sum: i128 = lines.into_iter().map(wide).sum();
        for s in settlement.parties.values() {
            for part in [s.surplus, s.missing, s.extra, s.not_taken, s.supplied, s.fed_in] {
                prop_assert!(!part.is_negative());
            }
            sum += wide(s.pool_income) + wide(s.supplier_income) - wide(s.pool_cost)
                - wide(s.pool_wheeling) - wide(s.supplier_cost) - wide(s.levies) - wide(s.tax);
            let exact = i128::from(rates.retail.micros_per_kwh()) * i128::from(s.supplied.wh());
            prop_assert!((1_000 * wide(s.supplier_cost) - exact).abs() <= 500);
        }
        prop_assert_eq!(sum, 0);
    }
}

#[test]
fn an_amount_beyond_the_range_is_an_error() {
    let world = World::quiet(&[(i64::MAX, 0)], 1, 0);
    let rates = Rates::flat(price(i64::MAX), price(0));
    assert!(matches!(settled(&world, rates, 0, None), Err(SettlementError::Overflow(_))));
    let tax = Rates { tax_millionths: u32::MAX, ..Rates::flat(price(1_000), price(0)) };
    let world = World::quiet(&[(i64::MAX / 2, 0)], 1, 0);
    assert!(matches!(settled(&world, tax, 0, None), Err(SettlementError::Overflow(_))));
}

#[test]
fn a_zone_that_the_grid_does_not_have_is_named() {
    let mut world = World::quiet(&[(10, 0), (0, 10)], 10, 0);
    world.homes[1] = ZoneId(9);
    let (party, zone) = (party(1), ZoneId(9));
    assert_eq!(world.facts(settle), Err(SettlementError::UnknownZone { party, zone }));
}

/// As deep, and as wide, as a test has time for: nothing is left over that could cancel.
#[test]
fn thousands_of_zones_in_a_chain_or_a_star_are_settled() {
    const COUNT: usize = 4_000;
    let readings: Vec<_> =
        (0..COUNT).map(|n| if n < COUNT / 2 { (0, 10) } else { (7, 0) }).collect();
    let homes: Vec<_> = (0..COUNT).map(|n| ZoneId(u16::try_from(n).unwrap())).collect();
    // What is pooled, and who is left long, who short.
    let settled = |edges: Vec<(usize, i64)>, retail| {
        let quiet = World::quiet(&readings, retail, 0);
        let settled = World { zones: tree(&edges), homes: homes.clone(), ..quiet }.settled();
        let of = |n: &usize| settled.parties[&party(*n)];
        let pooled: i64 = settled.pools.iter().map(|pool| pool.energy.wh()).sum();
        let long: Vec<_> = (0..COUNT).filter(|n| of(n).fed_in.is_positive()).collect();
        (pooled, long, (0..COUNT).filter(|n| of(n).supplied.is_positive()).collect::<Vec<_>>())
    };
    let all = 7 * i64::try_from(COUNT / 2).unwrap();
    let chain = |charge| (1..COUNT).map(|n| (n - 1, charge)).collect();
    let star = || (1..COUNT).map(|n| (0, i64::try_from(n).unwrap())).collect();
    assert_eq!(settled(chain(0), 100).0, all);
    let (pooled, long, short) = settled(chain(1), 100);
    assert!(pooled > 0 && short[0] - long[long.len() - 1] > 100, "{long:?} {short:?}");
    // Every charge is another one, and the farthest do not reach each other.
    let (pooled, long, short) = settled(star(), 3_000);
    assert!(0 < pooled && pooled < all && long[0] + short[0] > 3_000, "{long:?} {short:?}");
    assert_eq!(settled(star(), 8_000).0, all);
}
