//! Sharing keys: metered energy allotted without orders, exactly and never beyond what there is.

use std::collections::BTreeMap;

use market::answer::{Language, Reason};
use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::clearing::laws::{BrokenLaw, check};
use market::clearing::sharing::{NotAKey, Ranking, Shares, SharingKey, SharingRule};
use market::clearing::{ClearingResult, MechanismKind, clear};
use market::order::{OrderId, Preferences, Side, Step};
use market::price::Price;
use market::zone::ZoneId;
use market::{energy::Energy, hash::Digest, member::PartyId};
use proptest::prelude::*;

use crate::bare::{bid, flat, offer, party, period, price, salt};
use crate::single::{flipped, knows_one_zone, lawfully};

const RETAIL: i64 = 320_000;
const FEED_IN: i64 = 80_000;
const INTERNAL: i64 = 150_000;

/// What a party drew and what it fed in; one of both.
#[derive(Debug, Clone, Copy)]
struct Meter {
    drew: i64,
    fed_in: i64,
}

fn kind(key: SharingKey) -> MechanismKind {
    MechanismKind::Sharing(SharingRule { price: Price::from_micros_per_kwh(INTERNAL), key })
}

fn shares(millionths: &[(usize, u32)]) -> Shares {
    Shares::new(millionths.iter().map(|(n, share)| (party(*n), *share)).collect()).expect("shares")
}

/// The readings of parties 0, 1, .. as a book: bids at retail, offers at feed-in.
fn metered(meters: &[Meter], lot: u64) -> SealedBook {
    let order = |n: usize, side: &[u8], limit: i64, wh: i64| BookedOrder {
        id: OrderId::from_bytes(*Digest::of(&[b"metered", side, &n.to_be_bytes()]).as_bytes()),
        party: party(n),
        zone: ZoneId(0),
        steps: vec![Step { limit: Price::from_micros_per_kwh(limit), energy: Energy::from_wh(wh) }],
        preferences: Preferences::default(),
    };
    let all = || meters.iter().enumerate();
    let bids = all().filter(|(_, meter)| meter.drew > 0);
    let bids = bids.map(|(n, meter)| order(n, b"bid", RETAIL, meter.drew)).collect();
    let offers = all().filter(|(_, meter)| meter.fed_in > 0);
    let offers = offers.map(|(n, meter)| order(n, b"offer", FEED_IN, meter.fed_in)).collect();
    sealed_from_orders(period(), bids, offers, salt(lot)).expect("a book")
}

fn shared(meters: &[Meter], key: SharingKey, lot: u64) -> ClearingResult {
    lawfully(&metered(meters, lot), &kind(key), &flat(500_000, 1))
}

/// What each party got or gave, in Wh.
fn parts(result: &ClearingResult, side: Side) -> BTreeMap<PartyId, i64> {
    let of_side = result.answers.iter().filter(|answer| answer.side == side);
    of_side.map(|answer| (answer.party, answer.filled.wh())).collect()
}

fn drew(wh: i64) -> Meter {
    Meter { drew: wh, fed_in: 0 }
}

fn fed_in(wh: i64) -> Meter {
    Meter { drew: 0, fed_in: wh }
}

/// Three tenants and two roofs: 1,000 Wh produced; consumed are 600, 500 and 100 Wh.
fn house() -> Vec<Meter> {
    vec![drew(600), drew(500), drew(100), fed_in(750), fed_in(250)]
}

fn allotted(key: SharingKey) -> ([i64; 3], [i64; 2]) {
    let result = shared(&house(), key, 0);
    let (bought, sold) = (parts(&result, Side::Buy), parts(&result, Side::Sell));
    ([0, 1, 2].map(|n| bought[&party(n)]), [3, 4].map(|n| sold[&party(n)]))
}

#[test]
fn four_keys_share_one_house_differently() {
    // Static 50 %, 20 %, 30 %: the third tenant leaves 200 of its 300 Wh, which go to nobody.
    let fixed = || shares(&[(0, 500_000), (1, 200_000), (2, 300_000)]);
    assert_eq!(allotted(SharingKey::Static(fixed())), ([500, 200, 100], [600, 200]));
    // Pro rata: 1,000 of 1,200 Wh.
    assert_eq!(allotted(SharingKey::ProRata), ([500, 417, 83], [750, 250]));
    // Priority: the third first, then the second; the first gets what is left.
    let ranking = Ranking::new(vec![party(2), party(1), party(0)]).unwrap();
    assert_eq!(allotted(SharingKey::Priority(ranking)), ([400, 500, 100], [750, 250]));
    // Only the third has a rank: the others share 900 Wh as 600 to 500.
    let ranking = Ranking::new(vec![party(9), party(2)]).unwrap();
    assert_eq!(allotted(SharingKey::Priority(ranking)), ([491, 409, 100], [750, 250]));
    // Hybrid: static first, then 200 Wh to unmet 100 and 300.
    assert_eq!(allotted(SharingKey::Hybrid(fixed())), ([550, 350, 100], [750, 250]));
}

/// Whose entitlement, or whose part of the rest, is rounded up, nobody can choose.
#[test]
fn the_odd_watt_hour_of_a_key_is_drawn_by_lot() {
    let thirds = || shares(&[(0, 333_333), (1, 333_333), (2, 333_333)]);
    for key in [SharingKey::ProRata, SharingKey::Static(thirds()), SharingKey::Hybrid(thirds())] {
        let mut odd = [0; 3];
        for lot in 0..60 {
            let meters = [drew(9), drew(9), drew(9), fed_in(7)];
            let bought = parts(&shared(&meters, key.clone(), lot), Side::Buy);
            for (n, times) in odd.iter_mut().enumerate() {
                *times += u32::from(bought[&party(n)] == 3);
            }
        }
        assert!(odd.iter().all(|times| (5..40).contains(times)), "{key:?}: {odd:?}");
    }
}

#[test]
fn everybody_pays_and_gets_the_internal_price_and_is_told_why() {
    let result = shared(&house(), SharingKey::ProRata, 0);
    let internal = Price::from_micros_per_kwh(INTERNAL);
    assert_eq!(price(&result), Some(internal));
    for trade in &result.trades {
        assert_eq!((trade.buyer_price, trade.seller_price), (internal, internal));
        assert!(trade.rent.is_zero() && trade.charge.is_zero());
    }
    let told = |n: usize| result.answers.iter().find(|a| a.party == party(n)).unwrap();
    assert_eq!((told(0).reason, told(3).reason), (Reason::SharedByKey, Reason::Filled));
    let words = told(0).sentence(Language::English);
    assert!(words.contains("0.500 kWh of 0.600 kWh were allotted"), "{words}");
    assert!(told(0).sentence(Language::Japanese).contains("配分ルール"));
}

#[test]
fn nothing_is_shared_at_a_price_outside_the_corridor_of_the_tariffs() {
    for outside in [RETAIL + 1, FEED_IN - 1] {
        let rule =
            SharingRule { price: Price::from_micros_per_kwh(outside), key: SharingKey::ProRata };
        let (book, kind) = (metered(&house(), 0), MechanismKind::Sharing(rule));
        let result = lawfully(&book, &kind, &flat(500_000, 1));
        assert_eq!((result.volume, price(&result)), (Energy::ZERO, None));
        assert!(result.answers.iter().all(|answer| answer.reason == Reason::NoTrade));
    }
}

/// A limit binds here too: party 0 pays at most 100 for the rest of what it draws.
#[test]
fn a_party_shares_only_as_far_as_its_own_limits_reach() {
    let orders = [
        bid(&[(200_000, 40), (100_000, 60)]),
        bid(&[(200_000, 60)]),
        offer(&[(80_000, 90)]),
        offer(&[(160_000, 90)]),
    ];
    let book = crate::bare::book(&orders, salt(0));
    let result = lawfully(&book, &kind(SharingKey::ProRata), &flat(500_000, 1));
    let fills: Vec<_> = (0..4).map(|n| crate::bare::filled(&result, n)).collect();
    assert_eq!(fills, [36, 54, 90, 0]);
    let told = |n: usize| {
        let id = crate::bare::order_id(n);
        result.answers.iter().find(|answer| answer.order == id).unwrap().reason
    };
    assert_eq!(told(0), Reason::SharedByKey);
    let limit = Price::from_micros_per_kwh(160_000);
    assert_eq!(told(3), Reason::LimitNotReached { limit });
}

#[test]
fn keys_that_are_none_are_refused_also_in_bytes() {
    let map = |shares: &[(usize, u32)]| -> BTreeMap<PartyId, u32> {
        shares.iter().map(|(n, share)| (party(*n), *share)).collect()
    };
    assert_eq!(Shares::new(map(&[])), Err(NotAKey::Nobody));
    assert_eq!(Shares::new(map(&[(0, 0)])), Err(NotAKey::NoShare(party(0))));
    let beyond = map(&[(0, 600_000), (1, 400_001)]);
    assert_eq!(Shares::new(beyond.clone()), Err(NotAKey::BeyondWhole(1_000_001)));
    assert!(Shares::new(map(&[(0, 600_000), (1, 400_000)])).is_ok());
    assert_eq!(Ranking::new(vec![]), Err(NotAKey::Nobody));
    let ranks = [party(1), party(0)];
    assert_eq!(Ranking::new(ranks.to_vec()).unwrap().first_to_last(), ranks);
    let twice = vec![party(1), party(0), party(1)];
    assert_eq!(Ranking::new(twice.clone()), Err(NotAKey::RankedTwice(party(1))));
    assert!(borsh::from_slice::<Shares>(&borsh::to_vec(&beyond).unwrap()).is_err());
    assert!(borsh::from_slice::<Ranking>(&borsh::to_vec(&twice).unwrap()).is_err());
    let key = kind(SharingKey::Hybrid(shares(&[(0, 5), (1, 999_995)])));
    let bytes = borsh::to_vec(&key).unwrap();
    assert_eq!(borsh::from_slice::<MechanismKind>(&bytes).unwrap(), key);
}

#[test]
fn it_knows_one_zone() {
    let orders = [bid(&[(200_000, 40)]), offer(&[(80_000, 90)])];
    knows_one_zone(&kind(SharingKey::ProRata), &orders);
}

fn meters() -> impl Strategy<Value = Vec<Meter>> {
    let wh = prop_oneof![3 => 0..60_i64, 1 => 0..50_000_i64];
    let meter =
        (any::<bool>(), wh).prop_map(|(draws, wh)| if draws { drew(wh) } else { fed_in(wh) });
    prop::collection::vec(meter, 0..12)
}

/// Shares of parties 0 to 11, some of them never at home, together at most one.
fn any_shares() -> impl Strategy<Value = Shares> {
    let parts = prop::collection::vec(1..1_000_u32, 1..12);
    (parts, 0..3_000_u32).prop_map(|(parts, nobody)| {
        let all: u32 = parts.iter().sum::<u32>() + nobody;
        let share = |part: &u32| u32::try_from(u64::from(*part) * 1_000_000 / u64::from(all));
        let of = |(n, part): (usize, &u32)| (n, share(part).expect("below one"));
        let parts: Vec<_> = parts.iter().enumerate().map(of).collect();
        shares(&parts.into_iter().filter(|(_, share)| *share > 0).collect::<Vec<_>>())
    })
}

fn keys() -> impl Strategy<Value = SharingKey> {
    let ranking =
        prop::sample::subsequence((0..12_usize).collect::<Vec<_>>(), 1..12).prop_shuffle();
    let ranking = ranking.prop_map(|order| {
        Ranking::new(order.into_iter().map(party).collect()).expect("nobody twice")
    });
    prop_oneof![
        Just(SharingKey::ProRata),
        any_shares().prop_map(SharingKey::Static),
        any_shares().prop_map(SharingKey::Hybrid),
        ranking.prop_map(SharingKey::Priority),
    ]
}

fn consumption(meters: &[Meter]) -> BTreeMap<PartyId, i64> {
    let drawing = meters.iter().enumerate().filter(|(_, meter)| meter.drew > 0);
    drawing.map(|(n, meter)| (party(n), meter.drew)).collect()
}

/// Whether each part of `total` is less than one watt-hour off its exact share.
fn is_pro_rata(parts: &[(i64, i64)], total: i64) -> bool {
    let all: i128 = parts.iter().map(|(claim, _)| i128::from(*claim)).sum();
    parts.iter().all(|(claim, part)| {
        (i128::from(*part) * all - i128::from(*claim) * i128::from(total)).abs() < all.max(1)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_more_than_consumed_never_more_than_produced_and_sums_are_exact(
        meters in meters(),
        key in keys(),
        lot in any::<u64>(),
    ) {
        let result = shared(&meters, key.clone(), lot);
        let produced: i64 = meters.iter().map(|meter| meter.fed_in).sum();
        let (bought, sold) = (parts(&result, Side::Buy), parts(&result, Side::Sell));
        for (n, meter) in meters.iter().enumerate() {
            prop_assert!(bought.get(&party(n)).copied().unwrap_or(0) <= meter.drew);
            prop_assert!(sold.get(&party(n)).copied().unwrap_or(0) <= meter.fed_in);
        }
        let sum = bought.values().sum::<i64>();
        prop_assert_eq!(sum, sold.values().sum::<i64>());
        prop_assert_eq!(sum, result.volume.wh());
        if !matches!(key, SharingKey::Static(_)) {
            let consumed: i64 = meters.iter().map(|meter| meter.drew).sum();
            prop_assert_eq!(sum, consumed.min(produced));
        }
        let fed_in: Vec<_> = meters.iter().enumerate().filter(|(_, meter)| meter.fed_in > 0)
            .map(|(n, meter)| (meter.fed_in, sold[&party(n)])).collect();
        prop_assert!(is_pro_rata(&fed_in, sum), "producers sell in proportion");
    }

    #[test]
    fn the_order_of_readings_changes_nothing(
        meters in meters(),
        key in keys(),
        lot in any::<u64>(),
    ) {
        let book = metered(&meters, lot);
        let (mut bids, mut offers) = (book.bids().to_vec(), book.offers().to_vec());
        bids.reverse();
        offers.reverse();
        let again = sealed_from_orders(period(), bids, offers, salt(lot)).unwrap();
        let result = |book: &SealedBook| clear(book, &kind(key.clone()), &flat(500_000, 1));
        prop_assert_eq!(result(&book), result(&again));
    }

    #[test]
    fn under_pro_rata_equal_consumers_differ_by_a_watt_hour_at_most(
        meters in meters(),
        lot in any::<u64>(),
    ) {
        let result = shared(&meters, SharingKey::ProRata, lot);
        let bought = parts(&result, Side::Buy);
        let claims: Vec<_> =
            consumption(&meters).iter().map(|(who, wh)| (*wh, bought[who])).collect();
        prop_assert!(is_pro_rata(&claims, result.volume.wh()));
    }

    #[test]
    fn a_static_share_is_the_entitlement_or_the_consumption(
        meters in meters(),
        shares in any_shares(),
        lot in any::<u64>(),
    ) {
        let result = shared(&meters, SharingKey::Static(shares.clone()), lot);
        let produced: i64 = meters.iter().map(|meter| meter.fed_in).sum();
        for (who, part) in parts(&result, Side::Buy) {
            let wanted = consumption(&meters)[&who];
            let share = i128::from(shares.millionths().get(&who).copied().unwrap_or(0));
            let exact = i128::from(produced) * share;
            let off = i128::from(part) * 1_000_000 - exact;
            prop_assert!(off < 1_000_000, "{} is more than entitled to", part);
            prop_assert!(part == wanted || off > -1_000_000, "{} is less than entitled to", part);
        }
    }

    #[test]
    fn hybrid_is_static_first_and_the_rest_pro_rata_to_what_is_not_met(
        meters in meters(),
        shares in any_shares(),
        lot in any::<u64>(),
    ) {
        let first = parts(&shared(&meters, SharingKey::Static(shares.clone()), lot), Side::Buy);
        let both = shared(&meters, SharingKey::Hybrid(shares), lot);
        let wanted = consumption(&meters);
        let (mut rest, mut claims) = (0, Vec::new());
        for (who, part) in parts(&both, Side::Buy) {
            let more = part - first[&who];
            prop_assert!(more >= 0, "static comes first");
            rest += more;
            claims.push((wanted[&who] - first[&who], more));
        }
        prop_assert!(is_pro_rata(&claims, rest));
    }

    #[test]
    fn under_priority_nobody_gets_anything_before_everybody_above_has_all(
        meters in meters(),
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        ranked in 1..12_usize,
        lot in any::<u64>(),
    ) {
        let order = &order[..ranked];
        let ranking = Ranking::new(order.iter().copied().map(party).collect()).unwrap();
        let result = shared(&meters, SharingKey::Priority(ranking), lot);
        let (bought, wanted) = (parts(&result, Side::Buy), consumption(&meters));
        let mut left: i64 = meters.iter().map(|meter| meter.fed_in).sum();
        for n in order {
            let Some(wanted) = wanted.get(&party(*n)) else { continue };
            prop_assert_eq!(bought[&party(*n)], left.min(*wanted));
            left -= left.min(*wanted);
        }
        let unranked = wanted.iter().filter(|(who, _)| !order.iter().any(|n| party(*n) == **who));
        let claims: Vec<_> = unranked.map(|(who, wanted)| (*wanted, bought[who])).collect();
        let got: i64 = claims.iter().map(|(_, part)| part).sum();
        prop_assert!(got <= left && is_pro_rata(&claims, got));
    }

    #[test]
    fn no_bit_of_a_result_can_flip_unnoticed(
        meters in meters(),
        key in keys(),
        at in any::<prop::sample::Index>(),
    ) {
        let (book, terms) = (metered(&meters, 5), flat(500_000, 1));
        let kind = kind(key);
        let result = lawfully(&book, &kind, &terms);
        if let Some(flipped) = flipped(&result, &at) {
            prop_assert!(check(&book, &kind, &terms, &flipped).is_err(), "{:?}", result);
        }
    }
}

/// The result of another key is lawful in itself, but not under this one.
#[test]
fn allotments_of_another_key_are_noticed() {
    let fixed = SharingKey::Static(shares(&[(0, 500_000), (1, 200_000), (2, 300_000)]));
    let (book, terms) = (metered(&house(), 0), flat(500_000, 1));
    let by_shares = lawfully(&book, &kind(fixed.clone()), &terms);
    let pro_rata = lawfully(&book, &kind(SharingKey::ProRata), &terms);
    let broken = check(&book, &kind(fixed), &terms, &pro_rata).unwrap_err();
    assert!(matches!(broken, BrokenLaw::BeyondEntitlement { .. }), "{broken}");
    let broken = check(&book, &kind(SharingKey::ProRata), &terms, &by_shares).unwrap_err();
    assert!(matches!(broken, BrokenLaw::NotShared { .. }), "{broken}");
}

/// Several orders of one party count as one consumer.
#[test]
fn a_party_with_two_bids_gets_its_share_once() {
    let of_party_0 = |order: crate::bare::Bare| crate::bare::Bare { party: Some(0), ..order };
    let orders = [
        of_party_0(bid(&[(200_000, 300)])),
        of_party_0(bid(&[(200_000, 100)])),
        bid(&[(200_000, 400)]),
        offer(&[(80_000, 400)]),
    ];
    let book = crate::bare::book(&orders, salt(0));
    let key = SharingKey::Static(shares(&[(0, 500_000), (2, 500_000)]));
    let result = lawfully(&book, &kind(key), &flat(500_000, 1));
    let fills: Vec<_> = (0..4).map(|n| crate::bare::filled(&result, n)).collect();
    assert_eq!(fills, [150, 50, 200, 400]);
}
