//! Admission: every way to be refused, and the exact instants between which a message counts.

use std::collections::BTreeSet;

use market::admission::{AdmissionContext, Rejection, SEQUENCE_MAX, admit_order, admit_reading};
use market::book::PeriodBook;
use market::energy::Energy;
use market::gate::GateIndex;
use market::keys::ChainId;
use market::member::MeteringPointId;
use market::order::{MalformedOrder, Order, PARTNERS_MAX, STEPS_MAX, Side};
use market::price::Price;
use market::reading::{IntervalReading, Quality};
use market::signed::Envelope;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};

use crate::bare::{party, period};
use crate::community::{Community, REGISTERED_WH};

/// Why an order that is right but for one change does not count.
fn refusal(change: impl FnOnce(&mut Order)) -> Rejection {
    let community = Community::of(2);
    let mut order = community.order(0, Side::Buy, &[(200_000, 500), (100_000, 300)], 1);
    change(&mut order);
    let at = community.early();
    admit_order(community.sign(0, order), &community.context(at), None).unwrap_err()
}

fn malformed(change: impl FnOnce(&mut Order)) -> MalformedOrder {
    match refusal(change) {
        Rejection::Malformed(problem) => problem,
        other => panic!("{other}"),
    }
}

/// Why a reading that is right but for one change does not count an hour after delivery.
fn reading_refusal(change: impl FnOnce(&mut IntervalReading)) -> Rejection {
    let community = Community::of(2);
    let mut reading = community.reading(0);
    change(&mut reading);
    let context = community.context(period().end().plus_millis(3_600_000));
    admit_reading(community.sign(0, reading), &context, Some(0)).unwrap_err()
}

#[test]
fn an_order_for_another_community_is_refused() {
    let other = ChainId::from_bytes([8; 32]);
    assert_eq!(refusal(|order| order.community = other), Rejection::OtherCommunity(other));
}

#[test]
fn an_order_of_a_stranger_is_refused() {
    assert_eq!(refusal(|order| order.party = party(9)), Rejection::UnknownParty(party(9)));
}

#[test]
fn an_order_for_a_neighbours_metering_point_is_refused() {
    let foreign = crate::community::metering_point(1);
    let refused = refusal(|order| order.metering_point = foreign);
    assert_eq!(refused, Rejection::ForeignMeteringPoint(foreign));
    let nobodys = MeteringPointId::from_bytes([0; 16]);
    let refused = reading_refusal(|reading| reading.metering_point = nobodys);
    assert_eq!(refused, Rejection::ForeignMeteringPoint(nobodys));
}

#[test]
fn a_period_of_another_length_is_refused() {
    let half_hour = DeliveryPeriod::containing(period().start(), PeriodLength::Minutes30).unwrap();
    assert_eq!(refusal(|order| order.period = half_hour), Rejection::WrongPeriodLength(30));
    let refused = reading_refusal(|reading| reading.period = half_hour);
    assert_eq!(refused, Rejection::WrongPeriodLength(30));
}

#[test]
fn a_malformed_order_is_refused_naming_the_step() {
    assert_eq!(malformed(|order| order.sequence = 0), MalformedOrder::SequenceZero);
    assert_eq!(
        malformed(|order| {
            let step = order.steps[0];
            order.steps = vec![step; STEPS_MAX + 1];
        }),
        MalformedOrder::TooManySteps(STEPS_MAX + 1)
    );
    assert_eq!(
        malformed(|order| order.preferences.partners = vec![party(1); PARTNERS_MAX + 1]),
        MalformedOrder::TooManyPartners(PARTNERS_MAX + 1)
    );
    for wh in [0, -1, i64::MIN] {
        let energy = Energy::from_wh(wh);
        assert_eq!(
            malformed(|order| order.steps[1].energy = energy),
            MalformedOrder::EnergyNotPositive { index: 1, energy }
        );
    }
    let equal = malformed(|order| order.steps[1].limit = order.steps[0].limit);
    assert_eq!(equal, MalformedOrder::StepsNotInOrder { index: 1 });
    let rising = malformed(|order| order.steps.reverse());
    assert_eq!(rising, MalformedOrder::StepsNotInOrder { index: 1 });
    let falling_offer = malformed(|order| order.side = Side::Sell);
    assert_eq!(falling_offer, MalformedOrder::StepsNotInOrder { index: 1 });
    let overflow = malformed(|order| {
        order.steps.iter_mut().for_each(|step| step.energy = Energy::from_wh(i64::MAX));
    });
    assert!(matches!(overflow, MalformedOrder::Overflow(_)));
}

#[test]
fn an_order_counts_until_just_before_the_last_gate_and_not_at_its_instant() {
    let community = Community::of(1);
    let signed = community.sign(0, community.order(0, Side::Buy, &[(100_000, 1)], 1));
    let closes_at = community.rules.gates.closes_at(period(), GateIndex(1)).unwrap();
    assert_eq!(closes_at, community.rules.gates.last_closes_at(period()));
    let admit = |at: Timestamp| admit_order(signed.clone(), &community.context(at), None);
    assert!(admit(closes_at.plus_millis(-1)).is_ok());
    for late_ms in [0, 1, 900_000, i64::MAX] {
        let refused = admit(closes_at.plus_millis(late_ms)).unwrap_err();
        assert_eq!(refused, Rejection::AfterGateClosure(closes_at));
    }
}

#[test]
fn an_order_counts_from_the_horizon_on() {
    let community = Community::of(1);
    let signed = community.sign(0, community.order(0, Side::Buy, &[(100_000, 1)], 1));
    let horizon_ms = community.rules.horizon_ms;
    let opens_at = period().start().plus_millis(-i64::try_from(horizon_ms).unwrap());
    let admit = |at: Timestamp| admit_order(signed.clone(), &community.context(at), None);
    assert!(admit(opens_at).is_ok());
    for at in [opens_at.plus_millis(-1), Timestamp::from_millis(i64::MIN)] {
        assert_eq!(admit(at).unwrap_err(), Rejection::BeyondHorizon(horizon_ms));
    }
}

#[test]
fn a_limit_outside_the_price_range_is_refused_and_its_ends_are_inside() {
    let community = Community::of(1);
    let (min, max) = (community.rules.price_min, community.rules.price_max);
    for (limit, outside) in
        [(min, false), (max, false), (Price::from_micros_per_kwh(-1_000_010), true)]
    {
        let order = community.order(0, Side::Sell, &[(limit.micros_per_kwh(), 1)], 1);
        let context = community.context(community.early());
        let judged = admit_order(community.sign(0, order), &context, None).map(drop);
        let expected = Rejection::PriceOutOfRange { limit, min, max };
        assert_eq!(judged, if outside { Err(expected) } else { Ok(()) });
    }
    let above = Price::from_micros_per_kwh(5_000_010);
    let refused = refusal(|order| order.steps[0].limit = above);
    assert_eq!(refused, Rejection::PriceOutOfRange { limit: above, min, max });
}

#[test]
fn a_limit_between_ticks_is_refused() {
    let off = Price::from_micros_per_kwh(200_001);
    assert_eq!(refusal(|order| order.steps[0].limit = off), Rejection::OffTick(off));
    let off = Price::from_micros_per_kwh(-15);
    assert_eq!(refusal(|order| order.steps[1].limit = off), Rejection::OffTick(off));
}

#[test]
fn an_order_beyond_the_metering_point_is_refused_and_one_up_to_it_is_not() {
    let community = Community::of(1);
    let context = community.context(community.early());
    let admit = |wh| {
        let order = community.order(0, Side::Sell, &[(0, wh)], 1);
        admit_order(community.sign(0, order), &context, None).map(drop)
    };
    assert_eq!(admit(REGISTERED_WH), Ok(()));
    let (wanted, max) = (Energy::from_wh(REGISTERED_WH + 1), Energy::from_wh(REGISTERED_WH));
    assert_eq!(admit(REGISTERED_WH + 1), Err(Rejection::BeyondMeteringPoint { wanted, max }));
}

#[test]
fn a_replayed_order_is_refused_and_so_is_an_older_one() {
    let community = Community::of(1);
    let at = community.early();
    let mut book = PeriodBook::default();
    let signed = |sequence| {
        let order = community.order(0, Side::Buy, &[(100_000, 10)], sequence);
        community.sign(0, order)
    };
    community.place(&mut book, &signed(5), at).unwrap();
    for given in [5, 4, 1] {
        let refused = community.place(&mut book, &signed(given), at).unwrap_err();
        assert_eq!(refused, Rejection::SequenceReplayed { given, known: 5 });
    }
    community.place(&mut book, &signed(6), at).unwrap();
    // The other side and other parties count for themselves.
    let offer = community.order(0, Side::Sell, &[(900_000, 10)], 1);
    community.place(&mut book, &community.sign(0, offer), at).unwrap();
}

#[test]
fn a_withdrawal_is_remembered_so_that_what_it_withdrew_cannot_be_replayed() {
    let community = Community::of(1);
    let at = community.early();
    let mut book = PeriodBook::default();
    let order = community.sign(0, community.order(0, Side::Buy, &[(100_000, 10)], 1));
    community.place(&mut book, &order, at).unwrap();
    let withdrawal = community.sign(0, community.order(0, Side::Buy, &[], 2));
    community.place(&mut book, &withdrawal, at).unwrap();
    let refused = community.place(&mut book, &order, at).unwrap_err();
    assert_eq!(refused, Rejection::SequenceReplayed { given: 1, known: 2 });
}

#[test]
fn a_period_that_began_before_the_community_did_is_refused() {
    let community = Community::of(1);
    let order = community.sign(0, community.order(0, Side::Buy, &[(100_000, 1)], 1));
    let reading = community.sign(0, community.reading(0));
    let judge = |starts_at| {
        let early = AdmissionContext { starts_at, ..community.context(community.early()) };
        let late = AdmissionContext { starts_at, ..community.context(period().end()) };
        let order = admit_order(order.clone(), &early, None).map(drop);
        (order, admit_reading(reading.clone(), &late, None).map(drop))
    };
    assert_eq!(judge(period().start()), (Ok(()), Ok(())));
    let later = period().start().plus_millis(1);
    let refused = Err(Rejection::BeforeGenesis(later));
    assert_eq!(judge(later), (refused.clone(), refused));
}

#[test]
fn nobody_may_change_his_mind_without_end() {
    let beyond = SEQUENCE_MAX + 1;
    let refused = refusal(|order| order.sequence = beyond);
    assert_eq!(refused, Rejection::SequenceBeyondMax(beyond));
    let refused = reading_refusal(|reading| reading.sequence = u64::MAX);
    assert_eq!(refused, Rejection::SequenceBeyondMax(u64::MAX));
    let community = Community::of(1);
    let last = community.order(0, Side::Buy, &[(100_000, 1)], SEQUENCE_MAX);
    let context = community.context(community.early());
    assert!(admit_order(community.sign(0, last), &context, None).is_ok());
}

#[test]
fn a_reading_counts_from_the_end_of_delivery_until_just_before_it_is_final() {
    let community = Community::of(1);
    let signed = community.sign(0, community.reading(0));
    let admit = |at| admit_reading(signed.clone(), &community.context(at), None).map(drop);
    let (end, final_at) = (period().end(), community.rules.final_at(period()));
    assert_eq!(admit(end.plus_millis(-1)), Err(Rejection::BeforeDelivery(end)));
    assert_eq!(admit(end), Ok(()));
    assert_eq!(admit(final_at.plus_millis(-1)), Ok(()));
    assert_eq!(admit(final_at), Err(Rejection::AfterFinality(final_at)));
}

#[test]
fn who_has_left_orders_nothing_and_is_metered_for_the_periods_it_was_a_member_in() {
    let mut community = Community::of(1);
    let order = community.sign(0, community.order(0, Side::Buy, &[(100_000, 1)], 1));
    let metered = community.sign(0, community.reading(0));
    let mut judge = |joined_at, revoked_at| {
        let member = community.members.get_mut(&party(0)).unwrap();
        (member.joined_at, member.revoked_at) = (joined_at, revoked_at);
        let ordered = admit_order(order.clone(), &community.context(community.early()), None);
        let end = community.context(period().end());
        (ordered.map(drop), admit_reading(metered.clone(), &end, None).map(drop))
    };
    let start = period().start();
    let later = start.plus_millis(1);
    let revoked = |at| Err(Rejection::Revoked(at));
    assert_eq!(judge(None, None), (Ok(()), Ok(())));
    assert_eq!(judge(Some(start), None), (Ok(()), Ok(())), "it joined as the period began");
    assert_eq!(judge(Some(later), None), (Ok(()), Err(Rejection::BeforeJoining(later))));
    assert_eq!(judge(None, Some(start)), (revoked(start), revoked(start)));
    assert_eq!(judge(None, Some(later)), (revoked(later), Ok(())), "it left while the period ran");
}

#[test]
fn an_implausible_reading_is_refused() {
    let max = Energy::from_wh(REGISTERED_WH);
    for wh in [-1, REGISTERED_WH + 1, i64::MIN, i64::MAX] {
        let counted = Energy::from_wh(wh);
        let implausible = Rejection::ImplausibleReading { counted, max };
        assert_eq!(reading_refusal(|reading| reading.imported = counted), implausible);
        assert_eq!(reading_refusal(|reading| reading.exported = counted), implausible);
    }
}

#[test]
fn a_reading_cannot_be_sent_as_missing() {
    let refused = reading_refusal(|reading| reading.quality = Quality::Missing);
    assert_eq!(refused, Rejection::MissingSent);
}

#[test]
fn a_replayed_reading_is_refused_and_a_correction_counts() {
    let community = Community::of(1);
    let context = community.context(period().end());
    let admit = |sequence, known| {
        let reading = IntervalReading { sequence, ..community.reading(0) };
        admit_reading(community.sign(0, reading), &context, known).map(drop)
    };
    assert_eq!(admit(1, None), Ok(()));
    assert_eq!(admit(1, Some(1)), Err(Rejection::SequenceReplayed { given: 1, known: 1 }));
    assert_eq!(admit(2, Some(1)), Ok(()));
    assert_eq!(admit(0, None), Err(Rejection::SequenceReplayed { given: 0, known: 0 }));
}

#[test]
fn a_bad_signature_is_refused_after_everything_cheaper() {
    let community = Community::of(2);
    let context = community.context(community.early());
    let order = community.order(0, Side::Buy, &[(100_000, 10)], 1);
    let forged = community.sign(1, order);
    let refused = admit_order(forged, &context, None).unwrap_err();
    assert!(matches!(refused, Rejection::BadSignature(_)), "{refused}");
    let reading = community.sign(1, community.reading(0));
    let refused = admit_reading(reading, &community.context(period().end()), None).unwrap_err();
    assert!(matches!(refused, Rejection::BadSignature(_)), "{refused}");
    // Of two faults the one that costs less to find is named.
    let off_tick = community.order(0, Side::Buy, &[(100_001, 10)], 1);
    let refused = admit_order(community.sign(1, off_tick), &context, None).unwrap_err();
    assert_eq!(refused, Rejection::OffTick(Price::from_micros_per_kwh(100_001)));
}

/// Flips every bit of a signed order: none of the 8 x n neighbours counts as that order.
#[test]
fn no_bit_of_a_signed_order_can_flip_unnoticed() {
    let community = Community::of(1);
    let context = community.context(community.early());
    let signed = community.sign(0, community.order(0, Side::Buy, &[(100_000, 10)], 1));
    let bytes = borsh::to_vec(&signed).unwrap();
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        if let Ok(envelope) = borsh::from_slice::<Envelope<Order>>(&flipped) {
            assert!(admit_order(envelope, &context, None).is_err(), "bit {at}");
        }
    }
}

#[test]
fn every_rejection_has_a_code_of_its_own() {
    let (energy, price) = (Energy::ZERO, Price::ZERO);
    let (chain, time) = (ChainId::from_bytes([0; 32]), Timestamp::default());
    let key = market::keys::PublicKey::from_bytes([0; 32]);
    let all = [
        Rejection::OtherCommunity(chain),
        Rejection::UnknownParty(party(0)),
        Rejection::Revoked(time),
        Rejection::BeforeJoining(time),
        Rejection::ForeignMeteringPoint(MeteringPointId::from_bytes([0; 16])),
        Rejection::WrongPeriodLength(30),
        Rejection::Malformed(MalformedOrder::SequenceZero),
        Rejection::AfterGateClosure(time),
        Rejection::BeyondHorizon(1),
        Rejection::PriceOutOfRange { limit: price, min: price, max: price },
        Rejection::OffTick(price),
        Rejection::BeyondMeteringPoint { wanted: energy, max: energy },
        Rejection::SequenceReplayed { given: 1, known: 1 },
        Rejection::SequenceBeyondMax(1),
        Rejection::BeforeDelivery(time),
        Rejection::BeforeGenesis(time),
        Rejection::AfterFinality(time),
        Rejection::ImplausibleReading { counted: energy, max: energy },
        Rejection::MissingSent,
        Rejection::BadSignature(market::keys::SignatureError::Mismatch(key)),
    ];
    let codes: BTreeSet<_> = all.iter().map(Rejection::code).collect();
    assert_eq!(codes.len(), all.len());
    // What depends on a node's height or clock must not be held against who passed it on.
    let here: Vec<_> = all.iter().filter(|one| !one.is_everywhere()).map(Rejection::code).collect();
    assert_eq!(
        here,
        [
            "unknown_party",
            "revoked",
            "before_joining",
            "foreign_metering_point",
            "after_gate_closure",
            "beyond_horizon",
            "beyond_metering_point",
            "sequence_replayed",
            "before_delivery",
            "after_finality",
            "implausible_reading",
        ]
    );
}
