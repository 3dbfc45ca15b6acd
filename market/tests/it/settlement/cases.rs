//! Settlements drawn by hand.

use market::clearing::MechanismKind;
use market::clearing::sharing::{Shares, SharingKey, SharingRule};
use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::order::OrderId;
use market::reading::Quality;
use market::settlement::{Metered, PartySettlement, Pool, ZonePrices, settle};
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::trade::{Path, Trade};
use market::zone::ZoneId;

use crate::bare::party;
use crate::settlement::world::{World, price, tree};

const RETAIL: i64 = 320_000;
const FEED_IN: i64 = 80_000;

fn street(readings: &[(i64, i64)]) -> World {
    World::quiet(readings, RETAIL, FEED_IN)
}

fn trade(seller: usize, buyer: usize, wh: i64, at: i64) -> Trade {
    let amount = price(at).amount_for(Energy::from_wh(wh)).unwrap();
    Trade {
        period: crate::bare::period(),
        gate: market::gate::GateIndex(0),
        seller: party(seller),
        buyer: party(buyer),
        offer: OrderId::from_bytes([1; 32]),
        bid: OrderId::from_bytes([2; 32]),
        energy: Energy::from_wh(wh),
        seller_price: price(at),
        buyer_price: price(at),
        seller_amount: amount,
        buyer_amount: amount,
        charge: Money::ZERO,
        rent: Money::ZERO,
        path: Path { from: ZoneId(0), over: ZoneId(0), to: ZoneId(0) },
        origin: None,
    }
}

fn incomes(world: &World) -> Vec<i64> {
    let settlement = world.settled();
    let income = |n| settlement.parties[&party(n)].net_income().unwrap().micros();
    (0..world.homes.len()).map(income).collect()
}

fn of(world: &World, n: usize) -> PartySettlement {
    world.settled().parties[&party(n)]
}

fn prices(of: &[(u16, i64)]) -> ZonePrices {
    of.iter().map(|(zone, at)| (ZoneId(*zone), price(*at))).collect()
}

fn pool(zone: u16, wh: i64, at: i64) -> Pool {
    Pool { zone: ZoneId(zone), energy: Energy::from_wh(wh), price: price(at) }
}

#[test]
fn each_kind_of_imbalance_alone_is_settled_by_its_own_tariff() {
    // 1 kWh at 0.15 between them, then 0.1 kWh too much or too little on one register.
    let settle = |buyer: (i64, i64), seller: (i64, i64)| {
        let trades = vec![trade(1, 0, 1_000, 150_000)];
        incomes(&World { trades, ..street(&[buyer, seller]) })
    };
    assert_eq!(settle((1_000, 0), (0, 1_000)), [-150_000, 150_000]);
    assert_eq!(settle((1_100, 0), (0, 1_000)), [-150_000 - 32_000, 150_000], "extra");
    assert_eq!(settle((900, 0), (0, 1_000)), [-150_000 + 8_000, 150_000], "not taken");
    assert_eq!(settle((1_000, 0), (0, 1_100)), [-150_000, 150_000 + 8_000], "surplus");
    assert_eq!(settle((1_000, 0), (0, 900)), [-150_000, 150_000 - 32_000], "missing");
}

#[test]
fn what_one_draws_too_much_and_another_delivers_too_much_cancels_at_the_clearing_price() {
    let trades = vec![trade(1, 0, 1_000, 150_000)];
    let world =
        World { trades, prices: prices(&[(0, 150_000)]), ..street(&[(1_100, 0), (0, 1_060)]) };
    // 60 of the 100 Wh come from the neighbour at 0.15, 40 from the supplier at 0.32.
    assert_eq!(incomes(&world), [-150_000 - 9_000 - 12_800, 150_000 + 9_000]);
    assert_eq!(world.settled().pools, [pool(0, 60, 150_000)]);
}

#[test]
fn without_a_clearing_price_the_pool_is_at_the_middle_of_the_corridor() {
    assert_eq!(incomes(&street(&[(100, 0), (0, 100)])), [-20_000, 20_000]);
}

#[test]
fn a_clearing_price_outside_the_corridor_is_brought_to_its_edge() {
    let at = |clearing| {
        let prices = prices(&[(0, clearing)]);
        incomes(&World { prices, ..street(&[(100, 0), (0, 100)]) })
    };
    assert_eq!(at(500_000), [-32_000, 32_000]);
    assert_eq!(at(-500_000), [-8_000, 8_000]);
}

#[test]
fn the_longer_side_is_served_pro_rata() {
    let world = street(&[(60, 0), (0, 100), (0, 50)]);
    let long = |n| (of(&world, n).pooled_long.wh(), of(&world, n).fed_in.wh());
    assert_eq!((long(1), long(2)), ((40, 60), (20, 30)));
    assert_eq!(of(&world, 0).supplied, Energy::ZERO);
}

/// Both registers are gross, but what a household draws and feeds in within one period is an
/// imbalance like its neighbours'.
#[test]
fn a_party_that_is_long_and_short_pools_with_itself_too() {
    let world = street(&[(100, 100)]);
    assert_eq!(incomes(&world), [0]);
    assert_eq!(world.settled().pools, [pool(0, 100, 200_000)]);
}

#[test]
fn a_zone_pools_by_itself_before_its_neighbour_zones() {
    // Two feeders below the root, 0.02 each way; feeder 1 is balanced in itself.
    let world = World {
        zones: tree(&[(0, 20_000), (0, 20_000)]),
        homes: vec![ZoneId(1), ZoneId(1), ZoneId(2), ZoneId(2)],
        prices: prices(&[(0, 200_000), (1, 180_000)]),
        ..street(&[(100, 0), (0, 130), (50, 0), (0, 10)])
    };
    // Feeder 2 has no price of its own and takes the root's.
    assert_eq!(
        world.settled().pools,
        [pool(2, 10, 200_000), pool(1, 100, 180_000), pool(0, 30, 200_000)]
    );
    // 30 Wh go from feeder 1 to feeder 2 at 0.20: the giver gets 0.18, the taker pays 0.22.
    assert_eq!(incomes(&world), [-18_000, 18_000 + 5_400, -2_000 - 6_600 - 3_200, 2_000]);
    assert_eq!(world.settled().community.pool_wheeling, Money::from_micros(1_200));
}

#[test]
fn the_price_gives_way_to_the_charges_of_those_who_come_from_afar() {
    // The corridor is 0.24 wide; the way from feeder 1 costs 0.15.
    let at = |clearing| World {
        zones: tree(&[(0, 150_000)]),
        homes: vec![ZoneId(0), ZoneId(1)],
        prices: prices(&[(0, clearing)]),
        ..street(&[(100, 0), (0, 100)])
    };
    // The giver must be left with 0.08, so the price is at least 0.23.
    assert_eq!(at(100_000).settled().pools, [pool(0, 100, 230_000)]);
    assert_eq!(incomes(&at(100_000)), [-23_000, 8_000]);
    assert_eq!(at(300_000).settled().pools, [pool(0, 100, 300_000)]);
}

#[test]
fn who_would_pay_more_for_the_way_than_the_corridor_is_wide_stays_with_the_supplier() {
    let world = |charge| World {
        zones: tree(&[(0, charge), (0, 120_000)]),
        homes: vec![ZoneId(1), ZoneId(2)],
        ..street(&[(100, 0), (0, 100)])
    };
    // Together 0.24, as wide as the corridor: nothing is left of it but one price.
    assert_eq!(world(120_000).settled().pools, [pool(0, 100, 200_000)]);
    assert_eq!(incomes(&world(120_000)), [-32_000, 8_000]);
    assert_eq!(world(120_001).settled().pools, []);
    assert_eq!(incomes(&world(120_001)), [-32_000, 8_000]);
}

/// Long at the root and, for 0.10, at feeder 1; short at feeder 2 for 0.18, in a corridor of 0.24.
#[test]
fn the_far_ones_wait_until_the_near_ones_are_served() {
    let world = World {
        zones: tree(&[(0, 100_000), (0, 180_000)]),
        homes: vec![ZoneId(0), ZoneId(1), ZoneId(2)],
        ..street(&[(0, 40), (0, 100), (70, 0)])
    };
    // 0.10 + 0.18 is too far; the root's own 40 Wh are not. What is left does not fit.
    assert_eq!(world.settled().pools, [pool(0, 40, 110_000)]);
    assert_eq!(of(&world, 1).fed_in.wh(), 100);
    assert_eq!(of(&world, 2).supplied.wh(), 30);
    // With somebody short at the root as well, 0.10 fits with that one: first everybody within
    // 0.10 (60 Wh short against 140 Wh long), then the root's rest with feeder 2.
    let world = World {
        homes: vec![ZoneId(0), ZoneId(1), ZoneId(2), ZoneId(0)],
        ..world.metering(&[Some((0, 40)), Some((0, 100)), Some((70, 0)), Some((60, 0))])
    };
    // Inside the root zone there is no order of near and far: all that is open under it meets.
    let pools = world.settled().pools;
    assert_eq!(pools.iter().map(|pool| pool.energy.wh()).collect::<Vec<_>>(), [60, 23]);
    assert_eq!((of(&world, 0).pooled_long.wh(), of(&world, 1).pooled_long.wh()), (40, 43));
}

#[test]
fn levies_and_tax_fall_on_what_they_name() {
    let levy = |name: &str, micros, base| Levy { name: name.into(), price: price(micros), base };
    let tariff = Tariff::new(
        0,
        vec![Window::always(price(RETAIL), price(FEED_IN))],
        vec![
            levy("duty", 20_000, LevyBase::Supplied),
            levy("grid levy", 5_000, LevyBase::Imported),
        ],
        200_000,
    );
    let world = World {
        tariff: tariff.unwrap(),
        trades: vec![trade(1, 0, 1_000, 150_000)],
        ..street(&[(1_500, 0), (0, 1_200)])
    };
    // 1 kWh bought, 0.2 kWh pooled at 0.20, 0.3 kWh supplied.
    let s = of(&world, 0);
    assert_eq!(s.supplier_cost.micros(), 96_000);
    assert_eq!(s.levies.micros(), 300 * 20 + 1_500 * 5);
    assert_eq!(s.tax.micros(), (96_000 + 13_500) / 5);
    assert_eq!(s.net_income().unwrap().micros(), -150_000 - 40_000 - 96_000 - 13_500 - 21_900);
    let alone = s.net_income_without_market(&world.rates()).unwrap();
    assert_eq!(alone.micros(), -(480_000 + 30_000 + 7_500) * 6 / 5);
    assert_eq!(of(&world, 1).levies, Money::ZERO, "exports bear none");
}

/// A negative price is neither taxed nor does it lower the tax on the levies.
#[test]
fn a_negative_price_bears_no_tax() {
    let levies = vec![Levy { name: "duty".into(), price: price(10_000), base: LevyBase::Supplied }];
    let windows = vec![Window::always(price(-50_000), price(-90_000))];
    let tariff = Tariff::new(0, windows, levies, 500_000).unwrap();
    let s = of(&World { tariff, ..street(&[(1_000, 0)]) }, 0);
    assert_eq!((s.supplier_cost.micros(), s.tax.micros()), (-50_000, 5_000));
}

#[test]
fn the_window_in_which_the_period_starts_sets_the_prices() {
    // The period starts at 2025-06-15T15:15:00Z, a Sunday: 17:15 where it is UTC+2.
    let window = |days, from_minute, to_minute, retail| Window {
        days,
        from_minute,
        to_minute,
        retail: price(retail),
        feed_in: price(0),
    };
    let windows = vec![
        window(Days::WEEKDAYS, 0, 1_440, 1_000),
        window(Days::WEEKEND, 0, 1_035, 2_000),
        window(Days::WEEKEND, 1_035, 1_050, 3_000),
        window(Days::WEEKEND, 1_050, 1_440, 4_000),
    ];
    let tariff = Tariff::new(120, windows, Vec::new(), 0).unwrap();
    let retail = |tariff: &Tariff| tariff.rates(crate::bare::period()).retail.micros_per_kwh();
    assert_eq!(retail(&tariff), 3_000);
    assert_eq!(retail(&tariff.with_offset(60).unwrap()), 2_000);
    assert_eq!(retail(&tariff.with_offset(540).unwrap()), 1_000, "Monday in Japan");
}

#[test]
fn gates_without_a_price_leave_a_zones_mean_price_as_it_was() {
    let gate = |limit| {
        let orders = [crate::bare::bid(&[(limit, 10)]), crate::bare::offer(&[(limit, 10)])];
        crate::bare::cleared(&orders)
    };
    let nobody = crate::bare::cleared(&[]);
    let mut prices = ZonePrices::default();
    let mut noted = Vec::new();
    for result in [nobody.clone(), gate(100), nobody.clone(), gate(70), nobody] {
        prices.note(&result, &market::zone::ZoneTree::one("street")).unwrap();
        noted.push(prices.price(ZoneId(0)).map(|price| price.micros_per_kwh()));
    }
    assert_eq!(noted, [None, Some(100), Some(100), Some(85), Some(85)]);
}

/// Household 0 has a share of 40 per cent and draws all that household 1 feeds in.
#[test]
fn what_a_sharing_key_leaves_to_nobody_is_the_suppliers() {
    let shares = Shares::new([(party(0), 400_000)].into()).unwrap();
    let rule = SharingRule { price: price(200_000), key: SharingKey::Static(shares) };
    let shared = World {
        trades: vec![trade(1, 0, 400, 200_000)],
        prices: prices(&[(0, 200_000)]),
        mechanism: MechanismKind::Sharing(rule),
        ..street(&[(1_000, 0), (0, 1_000)])
    };
    assert_eq!(shared.settled().pools, []);
    assert_eq!(shared.facts(market::settlement::pool_shares).unwrap(), []);
    let (consumer, producer) = (of(&shared, 0), of(&shared, 1));
    assert_eq!((consumer.pooled_short.wh(), consumer.supplied.wh()), (0, 600));
    assert_eq!((producer.pooled_long.wh(), producer.fed_in.wh()), (0, 600));
    assert_eq!(incomes(&shared), [-80_000 - 192_000, 80_000 + 48_000]);
    let auctioned = World { mechanism: MechanismKind::ZonalAuction, ..shared };
    assert_eq!(auctioned.settled().pools, [pool(0, 600, 200_000)]);
    assert_eq!(incomes(&auctioned), [-200_000, 200_000]);
}

#[test]
fn who_stands_in_a_trade_alone_is_settled_as_if_its_reading_never_came() {
    let mut world =
        World { trades: vec![trade(1, 0, 1_000, 150_000)], ..street(&[(1_000, 0), (0, 1_000)]) };
    world.homes.truncate(1);
    world.readings.truncate(1);
    let gone: PartyId = party(1);
    let s = world.settled().parties[&gone];
    assert_eq!((s.sold.wh(), s.missing.wh()), (1_000, 1_000), "nothing is known of it");
    assert_eq!(s.metered.quality, Quality::Missing);
    assert_eq!(s.net_income().unwrap().micros(), 150_000 - 320_000);
}

#[test]
fn a_reading_marked_as_missing_is_none() {
    let world = World { trades: vec![trade(1, 0, 10, 1_000)], ..street(&[(10, 0), (0, 10)]) };
    let mut parties = world.parties();
    let marked = Metered {
        imported: Energy::from_wh(7),
        exported: Energy::from_wh(7),
        quality: Quality::Missing,
    };
    parties.get_mut(&party(0)).unwrap().metered = Some(marked);
    let settled = world
        .facts(|facts| settle(&market::settlement::Facts { parties: &parties, ..*facts }))
        .unwrap();
    assert_eq!(settled.parties[&party(0)].metered.imported.wh(), 10);
}
