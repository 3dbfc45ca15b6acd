//! Who is a member: invitations, keys, revocation, erasure.

use ledger::acts::{
    CANDIDATES_MAX, Invitation, InvitationStatus, Join, Measure, NotApplied, OperatorAct, Purpose,
    Signer,
};
use ledger::genesis::{GenesisError, read, write};
use ledger::posting::Account;
use ledger::transaction::{Subject, Transaction};
use market::admission::Rejection;
use market::answer::{Language, Reason};
use market::energy::Energy;
use market::keys::{ChainId, PublicKey, Signature};
use market::order::Side;
use market::signed::Signed;
use market::zone::ZoneId;

use crate::neighbourhood::{
    Chain, genesis, metering_point, minute, operator_key, order, party, party_key, quarter,
    reading, validator_key,
};
use crate::speaking::{
    by_operator, by_party, by_party_with, enrol, invitation_key, invite, join, place, refusal,
    refused, replace_key, resigned,
};

#[test]
fn a_household_joins_by_an_invitation_once_the_operator_approves_its_key() {
    let (mut chain, key) = (Chain::new(), party_key(7));
    let invited = by_operator(0, 1, invite(0, place(7), minute(60)));
    chain.block(minute(1), vec![invited.clone()]);
    assert_eq!(refused(&chain, minute(2), &invited), "sequence_replayed");
    let early = by_operator(0, 2, enrol(0, &key));
    assert_eq!(refused(&chain, minute(2), &early), "not_the_candidate");
    chain.block(minute(2), vec![join(0, &key)]);
    assert_eq!(refused(&chain, minute(3), &join(0, &key)), "joined_before");
    assert!(!chain.state.members().contains_key(&party(7)), "nobody has approved it");
    let bid = order(7, quarter(20), Side::Buy, &[(300_000, 100)], 1);
    assert_eq!(refused(&chain, minute(3), &bid), "unknown_party");
    chain.block(minute(3), vec![by_operator(0, 2, enrol(0, &key))]);
    let member = &chain.state.members()[&party(7)];
    assert_eq!((member.key, member.joined_at), (key.public(), Some(minute(3))));
    assert_eq!(chain.invitation(0).status, InvitationStatus::Used);
    chain.block(minute(4), vec![bid]);
    let again = by_operator(0, 3, enrol(0, &key));
    assert_eq!(refused(&chain, minute(5), &again), "invitation_closed");
    assert_eq!(refused(&chain, minute(5), &join(0, &party_key(8))), "invitation_closed");
    let reused = by_operator(0, 3, invite(0, place(8), minute(60)));
    assert_eq!(refused(&chain, minute(5), &reused), "invitation_known");
}

/// What a household draws before it joins is not the community's.
#[test]
fn a_new_member_is_metered_from_the_first_period_after_it_joined() {
    let (mut chain, key) = (Chain::new(), party_key(7));
    chain.block(minute(1), vec![by_operator(0, 1, invite(0, place(7), minute(600)))]);
    chain.block(minute(2), vec![join(0, &key)]);
    chain.block(minute(307), vec![by_operator(0, 2, enrol(0, &key))]);
    // Quarter 20 runs from minute 300 to 315.
    let (running, next) = (quarter(20), quarter(21));
    let before = reading(7, running, (10, 0), 1);
    assert_eq!(refused(&chain, minute(316), &before), "before_joining");
    let readings = |period| (0..4).map(move |n| reading(n, period, (10, 0), 1)).collect::<Vec<_>>();
    let settled = chain.block(minute(316), readings(running)).results.settlements.clone();
    assert_eq!(settled.len(), 4, "nobody waits for who was no member");
    let settled = chain.block(minute(331), readings(next)).results.settlements.clone();
    assert!(settled.is_empty(), "the fifth meter is waited for");
    let settled = chain.block(minute(332), vec![reading(7, next, (10, 0), 1)]);
    assert_eq!(settled.results.settlements.len(), 5);
}

#[test]
fn a_later_join_names_another_candidate_and_none_comes_back() {
    let mut chain = Chain::new();
    chain.block(minute(1), vec![by_operator(0, 1, invite(0, place(7), minute(60)))]);
    chain.block(minute(2), vec![join(0, &party_key(7)), join(0, &party_key(8))]);
    assert_eq!(chain.invitation(0).candidate(), Some(party_key(8).public()));
    assert_eq!(refused(&chain, minute(3), &join(0, &party_key(7))), "joined_before");
    let first = by_operator(0, 2, enrol(0, &party_key(7)));
    assert_eq!(refused(&chain, minute(3), &first), "not_the_candidate");
    let more: Vec<_> = (9..7 + CANDIDATES_MAX).map(|n| join(0, &party_key(n))).collect();
    chain.block(minute(3), more);
    assert_eq!(refused(&chain, minute(4), &join(0, &party_key(20))), "too_many_candidates");
}

#[test]
fn an_invitation_that_does_not_fit_is_refused_for_its_reason() {
    let mut chain = Chain::new();
    let opened = by_operator(0, 1, invite(0, place(7), minute(60)));
    chain.block(minute(1), vec![opened]);
    let at = minute(2);
    let purpose = |change: fn(&mut Energy, &mut ZoneId)| {
        let (mut limit, mut zone) = (Energy::from_wh(5_000), ZoneId(1));
        change(&mut limit, &mut zone);
        let (party, metering_point) = (party(8), metering_point(8));
        Purpose::NewMember { party, metering_point, zone, import_max: limit, export_max: limit }
    };
    let point = metering_point(0);
    let shared = Purpose::NewMember {
        party: party(8),
        metering_point: point,
        zone: ZoneId(0),
        import_max: Energy::ZERO,
        export_max: Energy::ZERO,
    };
    let nowhere = GenesisError::UnknownZone { party: party(8), zone: ZoneId(9) };
    let cases: [(Measure, NotApplied); 9] = [
        (invite(1, place(8), at), NotApplied::Expired(at)),
        (invite(0, place(8), minute(60)), NotApplied::InvitationKnown(invitation_key(0).public())),
        (invite(1, place(3), minute(60)), NotApplied::PartyKnown(party(3))),
        (invite(1, purpose(|_, zone| zone.0 = 9), minute(60)), nowhere.into()),
        (
            invite(1, purpose(|limit, _| *limit = Energy::from_wh(-1)), minute(60)),
            GenesisError::Limit { party: party(8) }.into(),
        ),
        (invite(1, shared, minute(60)), GenesisError::SharedMeteringPoint(point).into()),
        (
            invite(1, Purpose::NewKey { party: party(9) }, minute(60)),
            Rejection::UnknownParty(party(9)).into(),
        ),
        (
            Measure::CancelInvitation { invitation: invitation_key(1).public() },
            NotApplied::UnknownInvitation(invitation_key(1).public()),
        ),
        (
            Measure::Invite {
                invitation: operator_key(0).public(),
                purpose: place(8),
                expires_at: minute(60),
            },
            NotApplied::KeyInUse(operator_key(0).public()),
        ),
    ];
    for (measure, expected) in cases {
        assert_eq!(refusal(&chain, at, &by_operator(0, 2, measure)), expected);
    }
    // Two invitations for one place: the second comes too late.
    chain.block(minute(2), vec![by_operator(0, 2, invite(1, place(7), minute(60)))]);
    chain.block(minute(3), vec![join(0, &party_key(7)), join(1, &party_key(8))]);
    chain.block(minute(4), vec![by_operator(0, 3, enrol(0, &party_key(7)))]);
    let late = by_operator(0, 4, enrol(1, &party_key(8)));
    assert_eq!(refusal(&chain, minute(5), &late), NotApplied::PartyKnown(party(7)));
}

#[test]
fn a_join_that_does_not_hold_is_refused_for_its_reason() {
    let mut chain = Chain::new();
    chain.block(minute(1), vec![by_operator(0, 1, invite(0, place(7), minute(60)))]);
    let at = minute(2);
    for key in [party_key(0), operator_key(0), validator_key(0), invitation_key(0)] {
        assert_eq!(refused(&chain, at, &join(0, &key)), "key_in_use");
    }
    assert_eq!(refused(&chain, minute(60), &join(0, &party_key(7))), "expired");
    assert_eq!(refused(&chain, at, &join(1, &party_key(7))), "unknown_invitation");
    let Transaction::Join(envelope) = join(0, &party_key(7)) else { panic!("a join") };
    let said = |change: &dyn Fn(&mut Join)| {
        let mut join = envelope.unverified().clone();
        change(&mut join);
        let chain = genesis().chain_id();
        Transaction::Join(Signed::sign(join, &chain, &invitation_key(0)).into_envelope())
    };
    assert_eq!(refused(&chain, at, &said(&|j| j.key = party_key(8).public())), "consent");
    let forged = said(&|j| j.consent = Signature::from_bytes([7; 64]));
    assert_eq!(refused(&chain, at, &forged), "consent");
    let elsewhere = ChainId::from_bytes([7; 32]);
    assert_eq!(refused(&chain, at, &said(&|j| j.community = elsewhere)), "other_community");
    let stolen = resigned(&join(0, &party_key(7)), &party_key(7));
    assert_eq!(refused(&chain, at, &stolen), "bad_signature");
    let weak = said(&|j| j.key = PublicKey::from_bytes([0; 32]));
    assert_eq!(refused(&chain, at, &weak), "consent");
    chain.block(
        at,
        vec![by_operator(
            0,
            2,
            Measure::CancelInvitation { invitation: invitation_key(0).public() },
        )],
    );
    assert_eq!(refused(&chain, minute(3), &join(0, &party_key(7))), "invitation_closed");
}

#[test]
fn only_an_operator_of_this_community_acts_and_each_act_once() {
    let mut chain = Chain::new();
    let measure = || invite(0, place(7), minute(60));
    let act = by_operator(0, 5, measure());
    assert_eq!(refused(&chain, minute(1), &by_operator(1, 5, measure())), "not_an_operator");
    assert_eq!(refused(&chain, minute(1), &resigned(&act, &party_key(0))), "bad_signature");
    let Transaction::OperatorAct(envelope) = &act else { panic!("an act") };
    let elsewhere = ChainId::from_bytes([7; 32]);
    let foreign = OperatorAct { community: elsewhere, ..envelope.unverified().clone() };
    let foreign = Signed::sign(foreign, &elsewhere, &operator_key(0)).into_envelope();
    let foreign = Transaction::OperatorAct(foreign);
    assert_eq!(refused(&chain, minute(1), &foreign), "other_community");
    assert_eq!(act.subject().0, Subject::Act(Signer::Operator(operator_key(0).public()), 5));
    chain.block(minute(1), vec![act]);
    assert_eq!(chain.state.act_sequence(&Signer::Operator(operator_key(0).public())), 5);
    for given in [0, 4, 5] {
        let late = by_operator(0, given, Measure::Revoke { party: party(0) });
        let replayed = Rejection::SequenceReplayed { given, known: 5 };
        assert_eq!(refusal(&chain, minute(2), &late), replayed.into());
    }
    // Sequences of a party are its own.
    chain.block(minute(2), vec![by_party(0, 1, replace_key(party(0), &party_key(9)))]);
}

#[test]
fn after_a_key_is_replaced_the_new_one_signs_and_what_the_old_one_ordered_stands() {
    let (mut chain, new, period) = (Chain::new(), party_key(9), quarter(20));
    chain.block(minute(1), vec![order(0, period, Side::Buy, &[(300_000, 100)], 1)]);
    let replaced = by_party(0, 1, replace_key(party(0), &new));
    let stolen = by_party(0, 1, replace_key(party(1), &new));
    assert_eq!(refused(&chain, minute(2), &stolen), "consent");
    assert_eq!(refused(&chain, minute(2), &resigned(&replaced, &new)), "bad_signature");
    for known in [party_key(0), party_key(1), operator_key(0)] {
        let used = by_party(0, 1, replace_key(party(0), &known));
        assert_eq!(refused(&chain, minute(2), &used), "key_in_use");
    }
    // In one block: what follows the act is signed by the new key.
    let next = order(0, quarter(21), Side::Buy, &[(300_000, 100)], 1);
    assert_eq!(refused(&chain, minute(2), &resigned(&next, &new)), "bad_signature");
    chain.block(minute(2), vec![replaced, resigned(&next, &new)]);
    let old = order(0, quarter(22), Side::Buy, &[(300_000, 100)], 1);
    assert_eq!(refused(&chain, minute(3), &old), "bad_signature");
    let back = by_party(0, 2, replace_key(party(0), &party_key(11)));
    assert_eq!(refused(&chain, minute(3), &back), "bad_signature");
    chain.block(minute(3), vec![order(1, period, Side::Sell, &[(100_000, 100)], 1)]);
    let cleared = chain.block(minute(180), vec![]).results.clearings[0].result.volume;
    assert_eq!(cleared.wh(), 100, "the order of the old key stands");
    // Rotation in the middle of a period: the reading is signed by the key of the time.
    chain
        .block(minute(305), vec![by_party_with(&new, 0, 2, replace_key(party(0), &party_key(12)))]);
    let metered = reading(0, period, (100, 0), 1);
    assert_eq!(refused(&chain, minute(316), &resigned(&metered, &new)), "bad_signature");
    chain.block(minute(316), vec![resigned(&metered, &party_key(12))]);
}

#[test]
fn a_lost_key_is_replaced_by_invitation() {
    let (mut chain, new) = (Chain::new(), party_key(9));
    let purpose = Purpose::NewKey { party: party(2) };
    chain.block(minute(1), vec![by_operator(0, 1, invite(0, purpose, minute(60)))]);
    chain.block(minute(2), vec![join(0, &new)]);
    let said = order(2, quarter(20), Side::Buy, &[(300_000, 100)], 1);
    chain.block(minute(3), vec![said.clone(), by_operator(0, 2, enrol(0, &new))]);
    let said = order(2, quarter(21), Side::Buy, &[(300_000, 100)], 1);
    assert_eq!(refused(&chain, minute(4), &said), "bad_signature");
    chain.block(minute(4), vec![resigned(&said, &new)]);
    let member = &chain.state.members()[&party(2)];
    assert_eq!((member.key, member.joined_at), (new.public(), None), "it joined at the beginning");
    assert_eq!(chain.state.members().len(), 4);
}

#[test]
fn open_orders_of_a_revoked_party_fall_out_answered_and_its_trades_stand() {
    let (mut chain, traded, open) = (Chain::new(), quarter(20), quarter(30));
    chain.block(
        minute(1),
        vec![
            order(0, traded, Side::Buy, &[(300_000, 100)], 1),
            order(1, traded, Side::Sell, &[(100_000, 60)], 1),
            order(0, open, Side::Buy, &[(300_000, 500), (200_000, 200)], 1),
            order(0, open, Side::Sell, &[(900_000, 300)], 1),
            order(1, open, Side::Sell, &[(100_000, 500)], 1),
            order(0, quarter(31), Side::Buy, &[], 1),
        ],
    );
    chain.block(minute(180), vec![]);
    assert_eq!(chain.state.trades(traded).len(), 1);
    let revoke = by_operator(0, 1, Measure::Revoke { party: party(0) });
    let results = chain.block(minute(190), vec![revoke.clone()]).results.clone();
    let fallen: Vec<_> =
        results.fallen.iter().map(|a| (a.period, a.side, a.ordered.wh())).collect();
    assert_eq!(
        fallen,
        [(traded, Side::Buy, 40), (open, Side::Buy, 700), (open, Side::Sell, 300)],
        "the withdrawal needs no answer"
    );
    for answer in &results.fallen {
        assert_eq!((answer.reason, answer.filled), (Reason::NoLongerMember, Energy::ZERO));
        assert!(answer.sentence(Language::English).contains("membership ended"));
        assert!(answer.sentence(Language::Japanese).contains("会員"));
    }
    let leaves = results.leaves();
    assert!(leaves.iter().any(|leaf| leaf.concerns(&party(0))), "a receipt can be had");
    // Nobody trades with who has left, and who has left says nothing more.
    let said = order(0, open, Side::Buy, &[(300_000, 500)], 2);
    let left = Rejection::Revoked(minute(190));
    assert_eq!(refusal(&chain, minute(191), &said), left.clone().into());
    let key = by_party(0, 1, replace_key(party(0), &party_key(9)));
    assert_eq!(refusal(&chain, minute(191), &key), left.clone().into());
    assert_eq!(refused(&chain, minute(191), &revoke), "sequence_replayed");
    let twice = by_operator(0, 2, Measure::Revoke { party: party(0) });
    assert_eq!(refusal(&chain, minute(191), &twice), left.clone().into());
    let nobody = by_operator(0, 2, Measure::Revoke { party: party(9) });
    assert_eq!(refused(&chain, minute(191), &nobody), "unknown_party");
    chain.block(minute(285), vec![]);
    // Its meter is not waited for after it has left, and the trade is settled as agreed.
    assert_eq!(
        refusal(&chain, minute(316), &reading(0, traded, (60, 0), 1)),
        left.into(),
        "the period began after the revocation"
    );
    let readings = (1..4).map(|n| reading(n, traded, (0, if n == 1 { 60 } else { 0 }), 1));
    let settled = chain.block(minute(316), readings.collect()).results.settlements.clone();
    assert_eq!(settled.len(), 4, "whoever traded is settled");
    assert_eq!((chain.net(0), chain.net(1)), (-60 * 300, 60 * 300));
}

#[test]
fn a_party_revoked_while_a_period_runs_is_metered_for_it() {
    let (mut chain, period) = (Chain::new(), quarter(20));
    chain.block(minute(305), vec![by_operator(0, 1, Measure::Revoke { party: party(0) })]);
    chain.block(minute(316), (1..4).map(|n| reading(n, period, (0, 0), 1)).collect());
    assert!(chain.state.settlement(period).is_none(), "its meter is waited for");
    let settled = chain.block(minute(317), vec![reading(0, period, (100, 0), 1)]);
    assert_eq!(settled.results.settlements.len(), 4);
    assert_eq!(chain.net(0), -32_000);
    assert_eq!(refused(&chain, minute(331), &reading(0, quarter(21), (1, 0), 1)), "revoked");
    // Its metering point is free for who moves in.
    let moved_in = Purpose::NewMember {
        party: party(7),
        metering_point: metering_point(0),
        zone: ZoneId(0),
        import_max: Energy::from_wh(10),
        export_max: Energy::ZERO,
    };
    chain.block(minute(318), vec![by_operator(0, 2, invite(0, moved_in, minute(999)))]);
}

#[test]
fn a_party_is_forgotten_when_nothing_about_it_can_change_and_never_comes_back() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    let erase = |sequence| by_operator(0, sequence, Measure::Erase { party: party(1) });
    let at = minute(318);
    assert_eq!(refusal(&chain, at, &erase(1)), NotApplied::StillMember(party(1)));
    chain.block(at, vec![by_operator(0, 1, Measure::Revoke { party: party(1) })]);
    let last = quarter(21);
    assert_eq!(refusal(&chain, minute(319), &erase(2)), NotApplied::StillOpen(last));
    let net = chain.net(1);
    let final_at = chain.state.rules().final_at(period);
    let refusal_then = refusal(&chain, final_at, &erase(2));
    assert_eq!(refusal_then, NotApplied::StillOpen(last), "the period it left in can still come");
    let final_at = chain.state.rules().final_at(last);
    chain.block(final_at.plus_millis(-1), vec![]);
    chain.block(final_at, vec![erase(2)]);
    assert!(!chain.state.members().contains_key(&party(1)));
    assert_eq!(chain.net_of(Account::Party(party(1))), net, "the books still balance");
    assert_eq!(chain.net_of_all(), 0);
    let unknown = by_operator(0, 3, Measure::Erase { party: party(1) });
    assert_eq!(refused(&chain, final_at.plus_millis(1), &unknown), "unknown_party");
    let again = by_operator(0, 3, invite(0, place(1), final_at.plus_millis(99)));
    assert_eq!(refused(&chain, final_at.plus_millis(1), &again), "party_known");
}

#[test]
fn a_genesis_invites_before_the_first_block() {
    let mut founded = genesis();
    founded.operators =
        ledger::acts::Operators::new((0..3).map(|n| operator_key(n).public()).collect(), 2)
            .unwrap();
    let key = invitation_key(0).public();
    founded.invitations.insert(key, Invitation::open(place(7), minute(60)));
    founded.check().unwrap();
    let text = write(&founded).unwrap();
    assert!(text.contains("[[invitations]]") && text.contains("approvals_required = 2"), "{text}");
    assert_eq!(read(&text), Ok(founded.clone()));
    assert_eq!(Chain::of(&founded).state.invitation(&key), founded.invitations.get(&key));
    for (from, to, expected) in [
        ("approvals_required = 2", "approvals_required = 4", "operators: approvals_required must"),
        ("approvals_required = 2", "approvals_required = 0", "operators: approvals_required must"),
        (&party(7).to_string()[..], "a7", "invitations[0].party: expected 32 hexadecimal"),
        (&key.to_string()[..], "00", "invitations[0].key: expected 64 hexadecimal"),
        ("expires_at_ms = ", "expires_at_ms = -", "invitation "),
        ("expires_at_ms = ", "expires_at = ", "line "),
    ] {
        let complaint = read(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(complaint.starts_with(expected), "{complaint}");
    }
    let problem = |change: fn(&mut Invitation)| {
        let mut changed = founded.clone();
        changed.invitations.values_mut().for_each(change);
        changed.check().unwrap_err()
    };
    for change in [
        (|i| i.candidates.push(party_key(7).public())) as fn(&mut Invitation),
        |i| i.expires_at = minute(0),
        |i| i.purpose = Purpose::NewKey { party: party(0) },
        |i| i.purpose = place(3),
        |i| i.status = InvitationStatus::Used,
    ] {
        assert!(matches!(problem(change), GenesisError::Invitation { .. }));
    }
}
