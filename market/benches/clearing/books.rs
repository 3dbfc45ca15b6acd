//! The books that are cleared.

use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::energy::Energy;
use market::hash::Digest;
use market::member::PartyId;
use market::order::{OrderId, Preferences, Step};
use market::price::Price;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use std::collections::BTreeMap;

/// An order as the floor sees it: price, number, energy.
pub(crate) type Bare = (i64, u32, i64);

/// The same orders, for the floor and for the market.
pub(crate) struct Case {
    pub(crate) bids: Vec<Bare>,
    pub(crate) offers: Vec<Bare>,
    pub(crate) book: SealedBook,
    pub(crate) zones: ZoneTree,
}

/// Which limits the orders have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prices {
    /// 8.00 to 30.00 ct per kWh in steps of 0.01 ct (shared reference `clearing.md`, section 1).
    InSteps,
    /// One price for all.
    Equal,
    /// No price twice.
    Distinct,
}

impl Prices {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InSteps => "2,201 prices",
            Self::Equal => "all prices equal",
            Self::Distinct => "all prices distinct",
        }
    }
}

/// Alternating bids and offers, one party each, 10 to 5,000 Wh.
pub(crate) fn one_zone(count: usize, prices: Prices) -> Case {
    case(count, prices, ZoneTree::one("all"), &[ZoneId(0)])
}

/// The same over 1,000 zones, four layers below the root, every edge with a charge, and capacities
/// of which many bind.
pub(crate) fn many_zones(count: usize) -> Case {
    let mut zones = BTreeMap::from([(ZoneId(0), Zone { label: "all".into(), edge: None })]);
    let (mut layer, mut next) = (vec![ZoneId(0)], 1_u16);
    for (depth, width) in [6_u16, 6, 6, 4].into_iter().enumerate() {
        let mut below = Vec::new();
        for parent in layer {
            for _ in 0..width {
                if next < 1_000 {
                    let scale = 1 << (2 * (3 - depth));
                    let capacity = Energy::from_wh(scale * (20_000 + 100 * i64::from(next % 97)));
                    let edge = Edge {
                        parent,
                        charge: Price::from_micros_per_kwh(1_000 * i64::from(next % 7)),
                        capacity_up: Some(capacity),
                        capacity_down: Some(capacity),
                    };
                    zones.insert(ZoneId(next), Zone { label: format!("{next}"), edge: Some(edge) });
                    below.push(ZoneId(next));
                    next += 1;
                }
            }
        }
        layer = below;
    }
    let ids: Vec<_> = zones.keys().copied().collect();
    case(count, Prices::InSteps, ZoneTree::new(zones).expect("a tree"), &ids)
}

fn case(count: usize, prices: Prices, zones: ZoneTree, places: &[ZoneId]) -> Case {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        i64::try_from(random % limit).expect("below the limit")
    };
    let (mut bids, mut offers) = (Vec::new(), Vec::new());
    let (mut booked_bids, mut booked_offers) = (Vec::new(), Vec::new());
    for number in 0..u32::try_from(count).expect("a small count") {
        let limit = match prices {
            Prices::InSteps => 80_000 + 100 * below(2_201),
            Prices::Equal => 150_000,
            // An odd factor permutes the numbers below a power of two.
            Prices::Distinct => {
                80_000 + i64::from(number.wrapping_mul(2_654_435_769) & 0x000f_ffff)
            }
        };
        let energy = 10 + below(4_991);
        // Skewed zones: some have more to sell, others more to buy, so that energy flows.
        let zone = places[usize::try_from(below(1_000_003)).expect("an index") % places.len()];
        let skewed = if zone.0.is_multiple_of(2) == number.is_multiple_of(2) {
            energy
        } else {
            1 + energy / 3
        };
        let energy = if places.len() > 1 { skewed } else { energy };
        let (bare, booked) = if number % 2 == 0 {
            (&mut bids, &mut booked_bids)
        } else {
            (&mut offers, &mut booked_offers)
        };
        bare.push((limit, number, energy));
        booked.push(booked_order(number, zone, limit, energy));
    }
    let start = Timestamp::from_millis(1_750_000_500_000);
    let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).expect("a period");
    let salt = Digest::of(&[b"salt"]);
    let book = sealed_from_orders(period, booked_bids, booked_offers, salt).expect("a book");
    Case { bids, offers, book, zones }
}

fn booked_order(number: u32, zone: ZoneId, limit: i64, energy: i64) -> BookedOrder {
    let mut party = [0; 16];
    party[..4].copy_from_slice(&number.to_be_bytes());
    BookedOrder {
        id: OrderId::from_bytes(*Digest::of(&[&number.to_be_bytes()]).as_bytes()),
        party: PartyId::from_bytes(party),
        zone,
        steps: vec![Step {
            limit: Price::from_micros_per_kwh(limit),
            energy: Energy::from_wh(energy),
        }],
        preferences: Preferences::default(),
    }
}
