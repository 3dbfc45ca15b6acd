//! Random communities in one delivery period: a tree, parties, two cleared gates, readings, a
//! tariff.

use std::collections::BTreeMap;

use market::book::{BookedOrder, sealed_from_orders};
use market::clearing::{MechanismKind, Terms, clear};
use market::energy::Energy;
use market::member::PartyId;
use market::order::{Origin, Preferences, Side, Step};
use market::price::{Price, Tick};
use market::reading::Quality;
use market::settlement::{Delivery, Expected, Facts, Metered, Settlement, ZonePrices, settle};
use market::tariff::{Days, Levy, LevyBase, Rates, Tariff, Window};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::trade::Trade;
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use proptest::prelude::*;

use crate::bare::{order_id, party, salt};

/// Imported and exported, if the reading came.
pub(crate) type Reading = Option<(i64, i64)>;

/// Everything that a period's settlement follows from.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) period: DeliveryPeriod,
    pub(crate) zones: ZoneTree,
    /// The zone of the n-th party.
    pub(crate) homes: Vec<ZoneId>,
    pub(crate) readings: Vec<Reading>,
    /// What is expected of everybody whose reading did not come: imported and exported.
    pub(crate) expected: (i64, i64),
    pub(crate) trades: Vec<Trade>,
    pub(crate) mechanism: MechanismKind,
    pub(crate) prices: ZonePrices,
    pub(crate) tariff: Tariff,
}

pub(crate) fn price(micros: i64) -> Price {
    Price::from_micros_per_kwh(micros)
}

pub(crate) fn metered(imported: i64, exported: i64) -> Metered {
    Metered {
        imported: Energy::from_wh(imported),
        exported: Energy::from_wh(exported),
        quality: Quality::Ok,
    }
}

impl World {
    /// One zone, no trades, flat prices.
    pub(crate) fn quiet(readings: &[(i64, i64)], retail: i64, feed_in: i64) -> Self {
        Self {
            period: crate::bare::period(),
            zones: ZoneTree::one("street"),
            homes: vec![ZoneId(0); readings.len()],
            readings: readings.iter().map(|reading| Some(*reading)).collect(),
            expected: (0, 0),
            trades: Vec::new(),
            mechanism: MechanismKind::ZonalAuction,
            prices: ZonePrices::default(),
            tariff: Tariff::flat(price(retail), price(feed_in)).expect("a corridor"),
        }
    }

    pub(crate) fn rates(&self) -> Rates {
        self.tariff.rates(self.period)
    }

    pub(crate) fn parties(&self) -> BTreeMap<PartyId, Delivery> {
        let (imported, exported) = self.expected;
        let [imported, exported] = [imported, exported].map(Energy::from_wh);
        let delivery = |(n, zone): (usize, &ZoneId)| {
            let metered = self.readings[n].map(|(imported, exported)| metered(imported, exported));
            let expected = Expected { imported, exported };
            (party(n), Delivery { zone: *zone, metered, expected })
        };
        self.homes.iter().enumerate().map(delivery).collect()
    }

    /// Hands the facts to `judge`.
    pub(crate) fn facts<T>(&self, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
        judge(&Facts {
            period: self.period,
            parties: &self.parties(),
            trades: &self.trades,
            mechanism: &self.mechanism,
            rates: self.rates(),
            zones: &self.zones,
            prices: &self.prices,
        })
    }

    pub(crate) fn settled(&self) -> Settlement {
        self.facts(settle).expect("small numbers")
    }

    /// The same world with other readings.
    pub(crate) fn metering(&self, readings: &[Reading]) -> Self {
        Self { readings: readings.to_vec(), ..self.clone() }
    }

    /// What the n-th party sold and bought.
    pub(crate) fn traded(&self, n: usize) -> (i64, i64) {
        let sum = |mine: &dyn Fn(&Trade) -> bool| -> i64 {
            self.trades.iter().filter(|trade| mine(trade)).map(|trade| trade.energy.wh()).sum()
        };
        (sum(&|trade| trade.seller == party(n)), sum(&|trade| trade.buyer == party(n)))
    }

    /// What the n-th party is settled with: its reading, or an estimate against its silence.
    pub(crate) fn counted(&self, n: usize) -> (i64, i64) {
        let ((sold, bought), (most, least)) = (self.traded(n), self.expected);
        self.readings[n].unwrap_or((bought.max(most), sold.min(least)))
    }

    /// The same world in which everybody delivers and takes exactly what it traded.
    pub(crate) fn as_traded(&self) -> Self {
        let reading = |n| {
            let (sold, bought) = self.traded(n);
            Some((bought, sold))
        };
        self.metering(&(0..self.homes.len()).map(reading).collect::<Vec<_>>())
    }

    /// The zones from one up to the root, each with the charges from the first one up to it.
    pub(crate) fn way_up(&self, from: ZoneId) -> Vec<(ZoneId, i64)> {
        let mut way = vec![(from, 0)];
        loop {
            let (zone, charges) = way[way.len() - 1];
            let Some(edge) = self.zones.zone(zone).expect("a zone of the tree").edge else {
                return way;
            };
            way.push((edge.parent, charges + edge.charge.micros_per_kwh()));
        }
    }

    /// The charges from a zone up to another; `None` if that does not lie above.
    pub(crate) fn charges(&self, from: ZoneId, to: ZoneId) -> Option<i64> {
        let found = self.way_up(from).into_iter().find(|(zone, _)| *zone == to);
        found.map(|(_, charges)| charges)
    }
}

/// Zone n + 1 hangs below one of the zones before it, at this charge; zone 0 is the root.
pub(crate) fn tree(edges: &[(usize, i64)]) -> ZoneTree {
    grown(&edges.iter().map(|(parent, charge)| (*parent, *charge, [None; 2])).collect::<Vec<_>>())
}

/// The same with capacities up and down.
fn grown(edges: &[(usize, i64, [Option<Energy>; 2])]) -> ZoneTree {
    let id = |n: usize| ZoneId(u16::try_from(n).expect("few zones"));
    let mut zones = BTreeMap::from([(id(0), Zone { label: "root".into(), edge: None })]);
    for (n, (parent, charge, [capacity_up, capacity_down])) in edges.iter().enumerate() {
        let edge = Edge {
            parent: id(*parent),
            charge: price(*charge),
            capacity_up: *capacity_up,
            capacity_down: *capacity_down,
        };
        zones.insert(id(n + 1), Zone { label: format!("zone {}", n + 1), edge: Some(edge) });
    }
    ZoneTree::new(zones).expect("a tree")
}

/// Up to seven zones; charges from nothing to more than any corridor, some with a capacity.
fn trees() -> impl Strategy<Value = ZoneTree> {
    let charge = prop_oneof![
        2 => Just(0_i64),
        3 => (1..4_i64).prop_map(|n| n * 1_000),
        3 => 1..9_000_i64,
        1 => 9_000..40_000_i64,
    ];
    let capacity = || prop::option::weighted(0.3, (0..60_i64).prop_map(Energy::from_wh));
    let edge = (any::<prop::sample::Index>(), charge, capacity(), capacity());
    prop::collection::vec(edge, 0..7).prop_map(|edges| {
        let parent = |(n, (parent, charge, up, down)): (usize, (prop::sample::Index, _, _, _))| {
            (parent.index(n + 1), charge, [up, down])
        };
        grown(&edges.into_iter().enumerate().map(parent).collect::<Vec<_>>())
    })
}

/// Feeders of one transformer, each as far away as the corridor is wide, or half of it, ...
fn stars() -> impl Strategy<Value = ZoneTree> {
    let charge = prop_oneof![(0..9_i64).prop_map(|n| n * 1_000), 0..9_000_i64];
    prop::collection::vec(charge, 3..8).prop_map(|charges| {
        tree(&charges.into_iter().map(|charge| (0, charge)).collect::<Vec<_>>())
    })
}

/// A one-step order: party, side, limit in thousands, energy, origin.
type Wish = (prop::sample::Index, bool, i64, i64, Option<Origin>);

/// Few or no orders, so that many parties are left with imbalances alone.
fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let origin = prop_oneof![
        1 => Just(None),
        2 => Just(Some(Origin::Solar)),
        1 => Just(Some(Origin::Battery)),
    ];
    let wish = (any::<prop::sample::Index>(), any::<bool>(), -8..=8_i64, 1..40_i64, origin);
    prop_oneof![1 => Just(Vec::new()), 3 => prop::collection::vec(wish, 0..=12)]
}

/// Prices on the scale of the limits in [`wishes`].
pub(crate) fn tariffs() -> impl Strategy<Value = Tariff> {
    let prices = || (-8_000..6_000_i64, prop_oneof![3 => 0..16_000_i64, 1 => Just(0)]);
    let cuts = prop::collection::btree_set(1..96_u16, 0..4);
    let day = || (cuts.clone(), prop::collection::vec(prices(), 4));
    let levy = (0..3_000_i64, any::<bool>(), any::<bool>());
    let tax = prop_oneof![Just(0), Just(190_000), Just(1_000_000), 0..=1_000_000_u32];
    let levies = prop::collection::vec(levy, 0..4);
    ((-48..=56_i16), day(), day(), levies, tax).prop_map(
        |(quarters, weekday, weekend, levies, tax)| {
            let mut windows = of_days(Days::WEEKDAYS, &weekday);
            windows.extend(of_days(Days::WEEKEND, &weekend));
            let levy = |(n, (amount, imported, rebate)): (usize, &(i64, bool, bool))| Levy {
                name: format!("levy {n}"),
                price: price(if *imported && *rebate { -amount } else { *amount }),
                base: if *imported { LevyBase::Imported } else { LevyBase::Supplied },
            };
            let levies = levies.iter().enumerate().map(levy).collect();
            Tariff::new(quarters * 15, windows, levies, tax).expect("a tariff")
        },
    )
}

fn of_days(
    days: Days,
    (cuts, prices): &(std::collections::BTreeSet<u16>, Vec<(i64, i64)>),
) -> Vec<Window> {
    let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut * 15));
    let ends = cuts.iter().map(|cut| cut * 15).chain([1_440]);
    let window = |((from_minute, to_minute), (feed_in, room)): ((u16, u16), &(i64, i64))| Window {
        days,
        from_minute,
        to_minute,
        retail: price(feed_in + room),
        feed_in: price(*feed_in),
    };
    starts.zip(ends).zip(prices).map(window).collect()
}

pub(crate) fn readings(count: usize) -> impl Strategy<Value = Vec<Reading>> {
    // Most meters turn one way only within a quarter of an hour.
    let reading = prop_oneof![
        3 => (0..60_i64, Just(0)),
        3 => (Just(0), 0..60_i64),
        2 => (0..60_i64, 0..60_i64),
    ];
    prop::collection::vec(prop::option::weighted(0.85, reading), count)
}

/// The trades and prices of two gates, each with a book of its own.
fn traded(
    period: DeliveryPeriod,
    zones: &ZoneTree,
    homes: &[ZoneId],
    gates: [&[Wish]; 2],
) -> (Vec<Trade>, ZonePrices) {
    let tick = Tick::from_micros_per_kwh(1).expect("a tick");
    let terms = Terms { zones, k_millionths: 500_000, tick };
    let (mut trades, mut prices) = (Vec::new(), ZonePrices::default());
    for (gate, wishes) in gates.into_iter().enumerate() {
        let of_side = |side: Side| {
            let ordered = |(n, (who, sells, limit, wh, origin)): (usize, &Wish)| {
                let who = who.index(homes.len());
                let order = BookedOrder {
                    id: order_id(100 * gate + n),
                    party: party(who),
                    zone: homes[who],
                    steps: vec![Step { limit: price(limit * 1_000), energy: Energy::from_wh(*wh) }],
                    preferences: Preferences { partners: Vec::new(), origin: *origin },
                };
                (*sells == (side == Side::Sell)).then_some(order)
            };
            wishes.iter().enumerate().filter_map(ordered).collect::<Vec<_>>()
        };
        let salt = salt(u64::try_from(gate).expect("few gates"));
        let (bids, offers) = (of_side(Side::Buy), of_side(Side::Sell));
        let book = sealed_from_orders(period, bids, offers, salt).expect("a book");
        let result = clear(&book, &MechanismKind::ZonalAuction, &terms).expect("small numbers");
        prices.note(&result, zones).expect("small numbers");
        trades.extend(result.trades);
    }
    (trades, prices)
}

/// Up to nine parties in one random quarter of an hour.
pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let homes = prop::collection::vec(any::<prop::sample::Index>(), 1..=9);
    let zones = prop_oneof![2 => trees(), 1 => stars()];
    (zones, homes, wishes(), wishes(), tariffs(), 0..200_000_i64).prop_flat_map(
        |(zones, homes, first, last, tariff, quarter)| {
            let start = Timestamp::from_millis(1_700_000_100_000 + quarter * 900_000);
            let period =
                DeliveryPeriod::containing(start, PeriodLength::Minutes15).expect("in range");
            let ids: Vec<_> = zones.iter().map(|(id, _)| id).collect();
            let homes: Vec<_> = homes.iter().map(|home| ids[home.index(ids.len())]).collect();
            let (trades, prices) = traded(period, &zones, &homes, [&first, &last]);
            let expected = (0..60_i64, 0..60_i64);
            (readings(homes.len()), expected).prop_map(move |(readings, expected)| World {
                period,
                zones: zones.clone(),
                homes: homes.clone(),
                readings,
                expected,
                trades: trades.clone(),
                mechanism: MechanismKind::ZonalAuction,
                prices: prices.clone(),
                tariff: tariff.clone(),
            })
        },
    )
}
