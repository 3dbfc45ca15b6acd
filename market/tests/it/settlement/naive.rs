//! Settlement once more, as one would do it on paper: plain loops over everything, decimals, no
//! cleverness. Written from `docs/settlement.md`.

use std::collections::BTreeMap;

use market::clearing::MechanismKind;
use market::energy::Energy;
use market::hash::Digest;
use market::member::PartyId;
use market::money::Money;
use market::reading::Quality;
use market::settlement::{CommunitySettlement, Metered, PartySettlement, Pool, Settlement};
use market::tariff::LevyBase;
use market::zone::ZoneId;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::bare::party;
use crate::settlement::world::{World, price};

/// Micro-units, rounded half to even.
fn round(exact: Decimal) -> Decimal {
    exact.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven)
}

/// Micro-units for so many Wh at so many micro-units per kWh, not rounded.
fn worth(wh: i64, per_kwh: i64) -> Decimal {
    Decimal::from(wh) * Decimal::from(per_kwh) / Decimal::from(1_000)
}

fn money(whole: Decimal) -> Money {
    assert!(whole.fract().is_zero());
    Money::from_micros(whole.to_i64().expect("a small amount"))
}

#[derive(Default)]
struct Home {
    sold: i64,
    bought: i64,
    /// Long and short, each still open.
    open: [i64; 2],
    pooled: [i64; 2],
    worth: [Decimal; 2],
    charges: [Decimal; 2],
}

const LONG: usize = 0;
const SHORT: usize = 1;

struct Prices {
    retail: i64,
    feed_in: i64,
    on_supplied: i64,
    on_imported: i64,
    tax: Decimal,
}

/// What holds at the minute in which the period starts.
fn prices(world: &World) -> Prices {
    let tariff = &world.tariff;
    let minute = world.period.start().as_millis() / 60_000 + i64::from(tariff.utc_offset_minutes());
    // Minute 0 of the Unix epoch was on a Thursday, three days after a Monday.
    let (mut day, mut of_day) = (3, 0);
    let (days, rest) = (minute / 1_440, minute % 1_440);
    for _ in 0..days % 7 {
        day = if day == 6 { 0 } else { day + 1 };
    }
    of_day += rest;
    let mut found = Vec::new();
    for window in tariff.windows() {
        let on_day = window.days.bits() & (1 << day) != 0;
        if on_day && i64::from(window.from_minute) <= of_day && of_day < i64::from(window.to_minute)
        {
            found.push(window);
        }
    }
    assert_eq!(found.len(), 1, "one window for minute {of_day} of day {day}");
    let sum = |base: LevyBase| {
        let levies = tariff.levies().iter().filter(|levy| levy.base == base);
        levies.map(|levy| levy.price.micros_per_kwh()).sum()
    };
    Prices {
        retail: found[0].retail.micros_per_kwh(),
        feed_in: found[0].feed_in.micros_per_kwh(),
        on_supplied: sum(LevyBase::Supplied),
        on_imported: sum(LevyBase::Imported),
        tax: Decimal::new(i64::from(tariff.tax_millionths()), 6),
    }
}

/// Settles a world.
pub(crate) fn settle(world: &World) -> Settlement {
    let prices = prices(world);
    let mut homes: Vec<Home> = world.homes.iter().map(|_| Home::default()).collect();
    for trade in &world.trades {
        for (n, home) in homes.iter_mut().enumerate() {
            home.sold += if trade.seller == party(n) { trade.energy.wh() } else { 0 };
            home.bought += if trade.buyer == party(n) { trade.energy.wh() } else { 0 };
        }
    }
    for (n, home) in homes.iter_mut().enumerate() {
        let (imported, exported) = counted(world, n, home);
        for over in [exported - home.sold, home.bought - imported] {
            let side = if over > 0 { LONG } else { SHORT };
            home.open[side] += over.abs();
        }
    }
    let pools = match world.mechanism {
        MechanismKind::Sharing(_) => Vec::new(),
        _ => cancel(world, &prices, &mut homes),
    };
    let mut parties = BTreeMap::new();
    let mut community = CommunitySettlement::default();
    for (n, home) in homes.iter().enumerate() {
        let settled = put_money(world, &prices, n, home);
        add(&mut community, &settled);
        parties.insert(party(n), settled);
    }
    Settlement { period: world.period, parties, pools, community }
}

/// Its reading; against its silence, what was expected of it.
fn counted(world: &World, n: usize, home: &Home) -> (i64, i64) {
    match (world.readings[n], world.expected) {
        (Some(reading), _) => reading,
        (None, (most, least)) => {
            let imported = if most > home.bought { most } else { home.bought };
            let exported = if least < home.sold { least } else { home.sold };
            (imported, exported)
        }
    }
}

fn cancel(world: &World, prices: &Prices, homes: &mut [Home]) -> Vec<Pool> {
    let mut zones: Vec<ZoneId> = world.zones.iter().map(|(id, _)| id).collect();
    zones.sort_by_key(|zone| std::cmp::Reverse(world.way_up(*zone).len()));
    let mut pools = Vec::new();
    for zone in zones {
        while let Some(pool) = meet(world, prices, homes, zone) {
            pools.push(pool);
        }
    }
    pools
}

/// One round in one zone.
fn meet(world: &World, prices: &Prices, homes: &mut [Home], zone: ZoneId) -> Option<Pool> {
    let room = prices.retail - prices.feed_in;
    let reach: Vec<Option<i64>> =
        world.homes.iter().map(|home| world.charges(*home, zone)).collect();
    let open = |homes: &[Home], side: usize| -> Vec<(usize, i64)> {
        let at =
            |n: usize| reach[n].filter(|_| homes[n].open[side] > 0).map(|charges| (n, charges));
        (0..homes.len()).filter_map(at).collect()
    };
    let sides = [open(homes, LONG), open(homes, SHORT)];
    // From the widest circle to the narrowest: everybody, ..., the nearest of either side alone.
    let mut circles: Vec<i64> = sides.iter().flatten().map(|(_, charges)| *charges).collect();
    circles.push(-1);
    circles.sort_unstable();
    circles.reverse();
    let within = |side: usize, circle: i64| -> Vec<(usize, i64)> {
        let nearest = sides[side].iter().map(|(_, charges)| *charges).min().unwrap_or(0);
        let limit = circle.max(nearest);
        sides[side].iter().copied().filter(|(_, charges)| *charges <= limit).collect()
    };
    let farthest = |near: &[(usize, i64)]| near.iter().map(|(_, charges)| *charges).max();
    for circle in circles {
        let (long, short) = (within(LONG, circle), within(SHORT, circle));
        let (Some(long_most), Some(short_most)) = (farthest(&long), farthest(&short)) else {
            return None;
        };
        if long_most + short_most > room {
            continue;
        }
        let total = |near: &[(usize, i64)], side: usize| -> i64 {
            near.iter().map(|(n, _)| homes[*n].open[side]).sum()
        };
        let energy = total(&long, LONG).min(total(&short, SHORT));
        let corridor = (prices.feed_in + long_most, prices.retail - short_most);
        let at = price_of(world, zone).unwrap_or((corridor.0 + corridor.1).div_euclid(2));
        let at = at.max(corridor.0).min(corridor.1);
        for (side, near) in [(LONG, long), (SHORT, short)] {
            let claims: Vec<(usize, i64)> =
                near.iter().map(|(n, _)| (*n, homes[*n].open[side])).collect();
            for ((n, part), (_, charges)) in pro_rata(world, zone, &claims, energy).iter().zip(near)
            {
                let home = &mut homes[*n];
                home.open[side] -= part;
                home.pooled[side] += part;
                home.worth[side] += worth(*part, at);
                home.charges[side] += worth(*part, charges);
            }
        }
        return Some(Pool { zone, energy: Energy::from_wh(energy), price: price(at) });
    }
    None
}

fn price_of(world: &World, zone: ZoneId) -> Option<i64> {
    let up = world.way_up(zone);
    up.iter().find_map(|(zone, _)| world.prices.price(*zone)).map(|price| price.micros_per_kwh())
}

/// Largest remainder; equal remainders by the lot that the documentation names.
fn pro_rata(
    world: &World,
    zone: ZoneId,
    claims: &[(usize, i64)],
    energy: i64,
) -> Vec<(usize, i64)> {
    let all: i64 = claims.iter().map(|(_, claim)| *claim).sum();
    let start = world.period.start().as_millis().to_be_bytes();
    let salt = Digest::of(&[b"hidamari/pool/1", &zone.0.to_be_bytes(), &start]);
    let lot = |n: usize| {
        let mut name = party(n).as_bytes().to_vec();
        name.extend([0; 16]);
        Digest::of(&[&name, salt.as_bytes()])
    };
    let mut parts: Vec<(usize, i64)> =
        claims.iter().map(|(n, claim)| (*n, claim * energy / all)).collect();
    let mut ranking: Vec<usize> = (0..claims.len()).collect();
    ranking.sort_by_key(|at| {
        let (n, claim) = claims[*at];
        (std::cmp::Reverse(claim * energy % all), lot(n))
    });
    let given: i64 = parts.iter().map(|(_, part)| *part).sum();
    for at in ranking.iter().take(usize::try_from(energy - given).expect("not negative")) {
        parts[*at].1 += 1;
    }
    parts
}

fn put_money(world: &World, prices: &Prices, n: usize, home: &Home) -> PartySettlement {
    let me: PartyId = party(n);
    let sum = |of: &dyn Fn(&market::trade::Trade) -> Option<Money>| {
        let amounts = world.trades.iter().filter_map(of);
        Money::from_micros(amounts.map(Money::micros).sum())
    };
    let (imported, exported) = counted(world, n, home);
    let (fed_in, supplied) = (home.open[LONG], home.open[SHORT]);
    let (income, cost) =
        (round(worth(fed_in, prices.feed_in)), round(worth(supplied, prices.retail)));
    let wheeling = [round(home.charges[LONG]), round(home.charges[SHORT])];
    // All of one side is rounded once; the pool's part is what the others leave of it.
    let long = home.worth[LONG] - home.charges[LONG] + worth(fed_in, prices.feed_in);
    let short = home.worth[SHORT] + home.charges[SHORT] + worth(supplied, prices.retail);
    let levies =
        round(worth(supplied, prices.on_supplied)) + round(worth(imported, prices.on_imported));
    let taxed = (cost.max(Decimal::ZERO) + levies).max(Decimal::ZERO);
    let wh = Energy::from_wh;
    let quality = if world.readings[n].is_some() { Quality::Ok } else { Quality::Missing };
    PartySettlement {
        sold: wh(home.sold),
        bought: wh(home.bought),
        metered: Metered { imported: wh(imported), exported: wh(exported), quality },
        surplus: wh((exported - home.sold).max(0)),
        missing: wh((home.sold - exported).max(0)),
        extra: wh((imported - home.bought).max(0)),
        not_taken: wh((home.bought - imported).max(0)),
        pooled_long: wh(home.pooled[LONG]),
        pooled_short: wh(home.pooled[SHORT]),
        supplied: wh(supplied),
        fed_in: wh(fed_in),
        trade_income: sum(&|trade| (trade.seller == me).then_some(trade.seller_amount)),
        trade_cost: sum(&|trade| (trade.buyer == me).then_some(trade.buyer_amount)),
        trade_wheeling: sum(&|trade| (trade.buyer == me).then_some(trade.charge)),
        congestion_rent: sum(&|trade| (trade.buyer == me).then_some(trade.rent)),
        pool_income: money(round(long) - income + wheeling[LONG]),
        pool_cost: money(round(short) - cost - wheeling[SHORT]),
        pool_wheeling: money(wheeling[LONG] + wheeling[SHORT]),
        supplier_income: money(income),
        supplier_cost: money(cost),
        levies: money(levies),
        tax: money(round(taxed * prices.tax)),
    }
}

fn add(community: &mut CommunitySettlement, party: &PartySettlement) {
    let plus = |line: &mut Money, part: i64| *line = Money::from_micros(line.micros() + part);
    plus(&mut community.trade_wheeling, party.trade_wheeling.micros());
    plus(&mut community.pool_wheeling, party.pool_wheeling.micros());
    plus(&mut community.congestion_rent, party.congestion_rent.micros());
    plus(&mut community.rounding, party.pool_cost.micros() - party.pool_income.micros());
    plus(&mut community.supplier, party.supplier_cost.micros() - party.supplier_income.micros());
    plus(&mut community.levies, party.levies.micros());
    plus(&mut community.tax, party.tax.micros());
}
