//! What admission and rules say of standing curves and of gates after delivery.

use market::admission::{Rejection, admit_curve, admit_order};
use market::clearing::MechanismKind;
use market::clearing::sharing::{SharingKey, SharingRule};
use market::energy::Energy;
use market::gate::GateSchedule;
use market::order::Side;
use market::rules::RulesError;
use market::schedule::Schedule;
use market::standing::StandingCurve;
use market::time::Timestamp;

use crate::bare::{party, period};
use crate::community::{Community, metering_point};
use crate::ex_post::{MINUTE_MS, community, curve, micros};

#[test]
fn a_curve_is_judged_like_an_order() {
    let mut community = community(false);
    let at = community.early();
    let admit = |community: &Community, curve: StandingCurve, signer, known| {
        admit_curve(community.sign(signer, curve), &community.context(at), known)
    };
    let good = || curve(0, Side::Buy, &[(200_000, 10), (100_000, 5)], 4);
    assert_eq!(admit(&community, good(), 0, Some(3)).unwrap().curve(), &good());
    let code = |community: &Community, curve, signer, known| {
        admit(community, curve, signer, known).unwrap_err().code()
    };
    assert_eq!(code(&community, good(), 0, Some(4)), "sequence_replayed");
    assert_eq!(code(&community, good(), 1, None), "bad_signature");
    type Change = fn(&mut StandingCurve);
    let wrong: [(&str, Change); 9] = [
        ("other_community", |c| c.community = market::keys::ChainId::from_bytes([9; 32])),
        ("unknown_party", |c| c.party = party(99)),
        ("foreign_metering_point", |c| c.metering_point = metering_point(1)),
        ("malformed", |c| c.steps.reverse()),
        ("malformed", |c| c.steps[0].energy = Energy::ZERO),
        ("malformed", |c| c.sequence = 0),
        ("malformed", |c| c.preferences.partners = vec![party(1); 9]),
        ("price_out_of_range", |c| c.steps[0].limit = micros(9_000_000)),
        ("off_tick", |c| c.steps[0].limit = micros(200_001)),
    ];
    for (expected, change) in wrong {
        let mut curve = good();
        change(&mut curve);
        assert_eq!(code(&community, curve, 0, None), expected);
    }
    community.rules.gates = GateSchedule::new(vec![900_000]).unwrap();
    assert_eq!(code(&community, good(), 0, None), "no_gate_after_delivery");
}

#[test]
fn a_curve_may_change_once_per_period_and_a_thousand_times_more() {
    let community = community(false);
    let admit = |sequence, at| {
        let curve = curve(0, Side::Buy, &[], sequence);
        admit_curve(community.sign(0, curve), &community.context(at), None)
    };
    let quarters = |count: i64| Timestamp::from_millis(count * 900_000);
    assert!(admit(1_000, quarters(0)).is_ok());
    let often = Rejection::ChangedTooOften { given: 1_001, allowed: 1_000 };
    let refused = admit(1_001, quarters(1).plus_millis(-1)).unwrap_err();
    assert_eq!(refused, often);
    assert!(!refused.is_everywhere(), "a node with a later clock may think otherwise");
    assert!(admit(1_001, quarters(1)).is_ok());
}

#[test]
fn a_community_that_clears_after_delivery_only_takes_no_orders() {
    let mut community = community(false);
    let order = community.order(0, Side::Buy, &[(100_000, 10)], 1);
    let admit = |community: &Community, at| {
        admit_order(community.sign(0, order.clone()), &community.context(at), None)
    };
    let closes = period().start().plus_millis(-900_000);
    assert!(admit(&community, closes.plus_millis(-1)).is_ok());
    // The gate after delivery takes no orders: they end with the last gate before it.
    assert_eq!(admit(&community, closes).unwrap_err(), Rejection::AfterGateClosure(closes));
    community.rules.gates = GateSchedule::with_ex_post(vec![], Some(1)).unwrap();
    let refused = admit(&community, community.early()).unwrap_err();
    assert_eq!(refused, Rejection::NoGateBeforeDelivery);
    assert!(refused.is_everywhere());
}

#[test]
fn rules_fit_the_gate_after_delivery() {
    let mut rules = community(false).rules;
    assert_eq!(rules.check(), Ok(()));
    rules.settlement_delay_ms = 10 * MINUTE_MS - 1;
    let early =
        RulesError::SettledBeforeGate { settlement_ms: 10 * MINUTE_MS - 1, lag_ms: 10 * MINUTE_MS };
    assert_eq!(rules.check(), Err(early));
    rules.settlement_delay_ms = 10 * MINUTE_MS;
    assert_eq!(rules.check(), Ok(()));
    let sharing = |price| SharingRule { price: micros(price), key: SharingKey::ProRata };
    rules.mechanism = Schedule::always(MechanismKind::Sharing(sharing(150_000)));
    assert_eq!(rules.check(), Err(RulesError::SharedBeforeDelivery));
    rules.gates = GateSchedule::with_ex_post(vec![], Some(10 * MINUTE_MS)).unwrap();
    rules.horizon_ms = 0;
    assert_eq!(rules.check(), Ok(()));
    let most = 1_000_000_000_001;
    rules.mechanism.change(period().start(), MechanismKind::Sharing(sharing(most)));
    assert_eq!(rules.check(), Err(RulesError::PriceTooLarge(micros(most))));
}
