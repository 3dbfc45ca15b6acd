//! A street on which everything happens that a statement has to explain: charges, levies and tax,
//! two gates, trades both ways, pools, a reading that is late, one that is corrected.

use ledger::genesis::Genesis;
use ledger::statement::StatementBundle;
use market::order::Side;
use market::price::Price;
use market::schedule::Schedule;
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use std::collections::BTreeMap;

use ledger::state::State;

use crate::neighbourhood::{Chain, genesis, minute, order_in, party, quarter, reading_in};

/// The neighbourhood, with a charge on the feeder, levies and a tax.
pub(crate) fn taxed() -> Genesis {
    let price = Price::from_micros_per_kwh;
    let charge = price(12_345);
    let edge = Edge { parent: ZoneId(0), charge, capacity_up: None, capacity_down: None };
    let zones = BTreeMap::from([
        (ZoneId(0), Zone { label: "Street".to_owned(), edge: None }),
        (ZoneId(1), Zone { label: "Feeder 1".to_owned(), edge: Some(edge) }),
    ]);
    let window = Window {
        days: Days::ALL,
        from_minute: 0,
        to_minute: 1_440,
        retail: price(320_000),
        feed_in: price(80_000),
    };
    let levy =
        |name: &str, base, per_kwh| Levy { name: name.to_owned(), base, price: price(per_kwh) };
    let levies =
        vec![levy("duty", LevyBase::Supplied, 20_513), levy("network", LevyBase::Imported, 4_999)];
    let mut genesis = genesis();
    genesis.zones = ZoneTree::new(zones).expect("a tree");
    let tariff = Tariff::new(0, vec![window], levies, 190_000).expect("a tariff");
    genesis.rules.tariffs = Schedule::always(tariff);
    genesis
}

/// Five quarters of an hour, 20 to 24.
pub(crate) fn street() -> (Genesis, Chain) {
    let genesis = taxed();
    let mut chain = Chain::of(&genesis);
    let say = |n, period, side, steps: &[(i64, i64)]| order_in(&genesis, n, period, side, steps, 1);
    let orders = (20..25).flat_map(|n| {
        let period = quarter(n);
        [
            say(0, period, Side::Buy, &[(300_000, 700), (200_000, 333)]),
            say(1, period, Side::Sell, &[(100_000, 301 + n), (180_000, 300)]),
            say(2, period, Side::Sell, &[(120_000, 50 * (n - 19))]),
            say(3, period, Side::Buy, &[(250_000, 111)]),
        ]
    });
    chain.block(minute(1), orders.collect());
    for minutes in [180, 240, 290] {
        chain.block(minute(minutes), vec![]);
    }
    let metered = |n: i64, who: usize| {
        let odd = n * 13 % 17;
        [(941 + odd, 0), (3, 555 - odd), (0, 200 + 7 * n), (140 + odd, 7)][who]
    };
    for n in 20..25 {
        let homes = (0..4).filter(|who| (n, *who) != (22, 3));
        let said = homes.map(|who| reading_in(&genesis, who, quarter(n), metered(n, who), 1));
        chain.block(minute(15 * (n + 1) + 1), said.collect());
    }
    // The reading of quarter 22 that did not come is estimated, and comes when all is settled.
    chain.block(minute(15 * 23 + 61), vec![]);
    let late = reading_in(&genesis, 3, quarter(22), metered(22, 3), 1);
    chain.block(minute(500), vec![late]);
    chain.block(minute(520), vec![reading_in(&genesis, 0, quarter(20), (700, 0), 2)]);
    chain.block(minute(530), vec![]);
    (genesis, chain)
}

/// The state after a height; before the first block at 0.
pub(crate) fn state_at(genesis: &Genesis, chain: &Chain, height: usize) -> State {
    match height.checked_sub(1) {
        None => State::at_genesis(genesis),
        Some(at) => chain.blocks[at].state.clone(),
    }
}

/// The statement of the n-th household of the blocks after `from` up to `to`.
pub(crate) fn bundle(
    genesis: &Genesis,
    chain: &Chain,
    n: usize,
    (from, to): (usize, usize),
) -> StatementBundle {
    let (opening, closing) = (state_at(genesis, chain, from), state_at(genesis, chain, to));
    let blocks = (1..=chain.blocks.len()).map(|height| chain.served(height));
    StatementBundle::collect(party(n), (&opening, &closing), blocks, vec![]).expect("a bundle")
}
