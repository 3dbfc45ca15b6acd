//! What operators answer for after delivery: approvals, disputes and decisions, payouts.

use ledger::acts::{
    Corrected, DisputeStatus, Matter, Measure, NotApplied, Operators, PAYOUT_MAX, Verdict,
    settlements_digest,
};
use ledger::genesis::Genesis;
use ledger::posting::{Account, Cause};
use ledger::transaction::Transaction;
use market::admission::Rejection;
use market::energy::Energy;
use market::hash::Digest;
use market::money::Money;
use market::reading::Quality;
use market::settlement::Finality;
use market::time::{DeliveryPeriod, Timestamp};

use crate::neighbourhood::{
    Chain, genesis, minute, operator_key, party, quarter, reading, reading_in,
};
use crate::speaking::{by_operator, by_operator_in, by_party, refusal, refused};

/// Three operators, two of whom have to approve.
fn governed() -> Genesis {
    let mut genesis = genesis();
    let keys = (0..3).map(|n| operator_key(n).public()).collect();
    genesis.operators = Operators::new(keys, 2).unwrap();
    genesis
}

/// Quarters 20 and 21 settled, in a community of three operators.
fn two_settled() -> (Genesis, Chain) {
    let genesis = governed();
    let mut chain = Chain::of(&genesis);
    for n in [20, 21] {
        let readings =
            (0..4).map(|m| reading_in(&genesis, m, quarter(n), (10, i64::from(m == 0) * 30), 1));
        chain.block(minute(15 * n + 16), readings.collect());
    }
    (genesis, chain)
}

fn approve(
    genesis: &Genesis,
    n: usize,
    sequence: u64,
    (from, through): (i64, i64),
    settlements: Digest,
) -> Transaction {
    let (from, through) = (quarter(from), quarter(through));
    by_operator_in(genesis, n, sequence, Measure::Approve { from, through, settlements })
}

fn seen(chain: &Chain, (from, through): (i64, i64), at: Timestamp) -> Digest {
    settlements_digest(chain.state.approvable(quarter(from), quarter(through), at))
}

#[test]
fn whoever_cannot_sign_an_act_has_nobody_perform_it() {
    let (genesis, chain) = two_settled();
    let mut bytes = approve(&genesis, 0, 1, (20, 21), Digest::default()).to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = Transaction::from_bytes(&bytes).unwrap();
    // Performed, it would be refused for what it approves, after every settlement was hashed.
    let refused = chain.state.check(&forged, minute(340)).unwrap_err();
    assert!(matches!(refused, NotApplied::Message(Rejection::BadSignature(_))), "{refused}");
}

#[test]
fn enough_approvals_of_what_was_seen_end_the_time_for_readings() {
    let (genesis, mut chain) = two_settled();
    let (range, at) = ((20, 21), minute(340));
    let digest = seen(&chain, range, at);
    let wrong = approve(&genesis, 0, 1, range, Digest::default());
    let other = NotApplied::OtherSettlements { seen: Digest::default(), found: digest };
    assert_eq!(refusal(&chain, at, &wrong), other);
    chain.block(at, vec![approve(&genesis, 0, 1, range, digest)]);
    assert_eq!(chain.state.finality(quarter(20), at), Finality::Provisional, "one of two");
    let twice = approve(&genesis, 0, 2, range, digest);
    assert_eq!(refusal(&chain, minute(341), &twice), NotApplied::ApprovedBefore);
    // Another range, the same settlement of quarter 20.
    let digest = seen(&chain, (20, 20), at);
    chain.block(minute(341), vec![approve(&genesis, 1, 1, (20, 20), digest)]);
    assert_eq!(chain.state.finality(quarter(20), minute(342)), Finality::FinalByApproval);
    assert_eq!(chain.state.finality(quarter(21), minute(342)), Finality::Provisional);
    let late = reading_in(&genesis, 0, quarter(20), (11, 30), 2);
    assert_eq!(refusal(&chain, minute(342), &late), Rejection::AfterFinality(minute(341)).into());
    // A late reading of quarter 21 makes its approval void: it was of another settlement.
    chain.block(minute(342), vec![reading_in(&genesis, 0, quarter(21), (11, 30), 2)]);
    assert!(chain.state.approval(quarter(21)).is_none());
    let old = approve(&genesis, 2, 1, range, digest);
    assert_eq!(refused(&chain, minute(343), &old), "other_settlements");
    let digest = seen(&chain, range, minute(343));
    let approvals =
        [approve(&genesis, 2, 1, range, digest), approve(&genesis, 1, 2, range, digest)];
    chain.block(minute(343), approvals.to_vec());
    assert_eq!(chain.state.finality(quarter(21), minute(344)), Finality::FinalByApproval);
    let nothing = approve(&genesis, 0, 2, range, digest);
    assert_eq!(refusal(&chain, minute(344), &nothing), NotApplied::NothingToApprove);
    let backwards = approve(&genesis, 0, 2, (21, 20), digest);
    assert_eq!(refusal(&chain, minute(344), &backwards), NotApplied::NothingToApprove);
    // What is final by time is forgotten.
    let final_at = chain.state.rules().final_at(quarter(21));
    chain.block(final_at, vec![]);
    assert!(chain.state.approval(quarter(21)).is_none());
}

#[test]
fn what_this_block_changes_and_what_is_not_settled_cannot_be_approved() {
    let (genesis, mut chain) = two_settled();
    let range = (20, 21);
    let digest = seen(&chain, range, minute(340));
    let approval = approve(&genesis, 0, 1, range, digest);
    let correction = reading_in(&genesis, 0, quarter(21), (12, 30), 2);
    let (_, refused_here) = chain.try_block(minute(340), vec![correction, approval]);
    assert_eq!(refused_here, [NotApplied::NotSettled(quarter(21))]);
    chain.block(minute(346), vec![reading_in(&genesis, 0, quarter(22), (12, 30), 1)]);
    let wider = approve(&genesis, 0, 1, (20, 30), digest);
    assert_eq!(refusal(&chain, minute(347), &wider), NotApplied::NotSettled(quarter(22)));
}

#[test]
fn who_is_no_operator_any_more_does_not_count() {
    let (genesis, mut chain) = two_settled();
    let range = (20, 20);
    let digest = seen(&chain, range, minute(340));
    chain.block(minute(340), vec![approve(&genesis, 0, 1, range, digest)]);
    let operators = Operators::new((1..3).map(|n| operator_key(n).public()).collect(), 2).unwrap();
    let changed = |n, sequence| {
        by_operator_in(&genesis, n, sequence, Measure::Operators { operators: operators.clone() })
    };
    chain.block(
        minute(341),
        vec![changed(0, 2), changed(1, 1), approve(&genesis, 1, 2, range, digest)],
    );
    assert_eq!(chain.state.finality(quarter(20), minute(342)), Finality::Provisional);
    chain.block(minute(342), vec![approve(&genesis, 2, 1, range, digest)]);
    assert_eq!(chain.state.finality(quarter(20), minute(343)), Finality::FinalByApproval);
}

#[test]
fn who_has_approved_completes_it_once_fewer_are_required() {
    let (genesis, mut chain) = two_settled();
    let range = (20, 20);
    let digest = seen(&chain, range, minute(340));
    chain.block(minute(340), vec![approve(&genesis, 0, 1, range, digest)]);
    let again = approve(&genesis, 0, 2, range, digest);
    assert_eq!(refusal(&chain, minute(341), &again), NotApplied::ApprovedBefore);
    let keys = chain.state.operators().keys().to_vec();
    let fewer = Measure::Operators { operators: Operators::new(keys, 1).unwrap() };
    let changed = [0, 1].map(|n| by_operator_in(&genesis, n, 3, fewer.clone()));
    chain.block(minute(341), changed.to_vec());
    assert_eq!(chain.state.finality(quarter(20), minute(342)), Finality::Provisional);
    chain.block(minute(342), vec![approve(&genesis, 0, 4, range, digest)]);
    assert_eq!(chain.state.finality(quarter(20), minute(343)), Finality::FinalByApproval);
}

fn dispute(n: usize, sequence: u64, period: DeliveryPeriod) -> Transaction {
    let reason = "my meter was exchanged".to_owned();
    by_party(n, sequence, Matter::Dispute { period, reason })
}

fn corrected(n: usize, (imported, exported): (i64, i64)) -> Corrected {
    let (imported, exported) = (Energy::from_wh(imported), Energy::from_wh(exported));
    Corrected { party: party(n), imported, exported }
}

fn decide(sequence: u64, dispute: u64, verdict: Verdict) -> Transaction {
    let note = "the exchange record says so".to_owned();
    by_operator(0, sequence, Measure::Decide { dispute, verdict, note })
}

fn correction(readings: Vec<Corrected>) -> Verdict {
    Verdict::Corrected { readings }
}

#[test]
fn a_decision_posts_exact_differences_also_after_finality() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    let final_at = chain.state.rules().final_at(period);
    chain.block(final_at.plus_millis(-1), vec![dispute(3, 1, period)]);
    let before = [chain.net(2), chain.net(3)];
    chain.block(final_at, vec![]);
    chain.block(final_at.plus_millis(60_000), vec![]);
    assert!(chain.state.settlement(period).is_some(), "the facts are kept while it is disputed");
    let late = reading(3, period, (100, 0), 2);
    assert_eq!(refused(&chain, final_at.plus_millis(60_001), &late), "after_finality");
    // Household 3 drew 100 and not 200: what 2 had left is shared among those short of it.
    let at = final_at.plus_millis(120_000);
    let decided = chain.block(at, vec![decide(1, 1, correction(vec![corrected(3, (100, 0))]))]);
    assert!(!decided.results.postings.is_empty());
    assert!(decided.results.postings.iter().all(|posting| posting.cause != Cause::Trade));
    assert_eq!(chain.net_of_all(), 0);
    assert_eq!(chain.net(2), before[0], "50 Wh are pooled as before");
    assert!(chain.net(3) > before[1]);
    // All that is left of it stands in the blocks.
    assert!(chain.state.settlement(period).is_none());
    assert_eq!(chain.state.disputes().count(), 0);
    let again = decide(2, 1, Verdict::Dismissed);
    assert_eq!(refused(&chain, at.plus_millis(1), &again), "unknown_dispute");
    // The books are those of a chain in which the reading was right at once.
    let mut straight = Chain::of_one_traded_quarter();
    straight.block(minute(330), vec![reading(3, period, (100, 0), 2)]);
    for n in 0..4 {
        assert_eq!(chain.net(n), straight.net(n), "household {n}");
    }
}

#[test]
fn a_dispute_is_opened_withdrawn_and_decided_once() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    let at = minute(320);
    for (reason, code) in [("", "text"), ("line\nbreak", "text"), (&"x".repeat(501), "text")] {
        let said = Matter::Dispute { period, reason: reason.to_owned() };
        assert_eq!(refused(&chain, at, &by_party(0, 1, said)), code);
    }
    assert_eq!(refused(&chain, at, &dispute(0, 1, quarter(21))), "not_settled");
    let final_at = chain.state.rules().final_at(period);
    let late = NotApplied::TooLateToDispute(final_at);
    assert_eq!(refusal(&chain, final_at, &dispute(0, 1, period)), late);
    chain.block(at, vec![dispute(0, 1, period), dispute(1, 1, period)]);
    let numbers: Vec<_> = chain.state.disputes().map(|(number, one)| (number, one.party)).collect();
    assert_eq!(numbers, [(1, party(0)), (2, party(1))]);
    let at = minute(321);
    assert_eq!(refusal(&chain, at, &dispute(0, 2, period)), NotApplied::AlreadyDisputed(1));
    let withdraw = |n, dispute| by_party(n, 2, Matter::WithdrawDispute { dispute });
    assert_eq!(refusal(&chain, at, &withdraw(0, 2)), NotApplied::AnothersDispute(2));
    assert_eq!(refusal(&chain, at, &withdraw(0, 3)), NotApplied::UnknownDispute(3));
    chain.block(at, vec![withdraw(0, 1)]);
    let at = minute(322);
    let closed = by_party(0, 3, Matter::WithdrawDispute { dispute: 1 });
    assert_eq!(refusal(&chain, at, &closed), NotApplied::DisputeClosed(1));
    assert_eq!(
        refusal(&chain, at, &decide(1, 1, Verdict::Dismissed)),
        NotApplied::DisputeClosed(1)
    );
    let nets: Vec<_> = (0..4).map(|n| chain.net(n)).collect();
    let dismissed = chain.block(at, vec![decide(1, 2, Verdict::Dismissed)]);
    assert!(dismissed.results.postings.is_empty());
    assert_eq!(nets, (0..4).map(|n| chain.net(n)).collect::<Vec<_>>());
    let status = chain.state.disputes().last().unwrap().1.status.clone();
    assert!(matches!(status, DisputeStatus::Decided { corrected: false, .. }));
    // Both stay visible until the period is final.
    assert_eq!(chain.state.disputes().count(), 2);
    chain.block(final_at, vec![]);
    assert_eq!(chain.state.disputes().count(), 0);
}

#[test]
fn nobody_disputes_without_end() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    for number in 1..=3 {
        chain.block(
            minute(330 + 2 * i64::try_from(number).unwrap()),
            vec![
                dispute(0, 2 * number, period),
                by_party(0, 2 * number + 1, Matter::WithdrawDispute { dispute: number }),
            ],
        );
    }
    let fourth = dispute(0, 8, period);
    assert_eq!(refusal(&chain, minute(340), &fourth), NotApplied::TooManyDisputes);
    chain.block(minute(340), vec![dispute(1, 8, period)]);
}

#[test]
fn a_correction_that_does_not_hold_is_refused_and_a_decided_reading_stays() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    chain.block(minute(320), vec![dispute(0, 1, period)]);
    let at = minute(321);
    let problem = |readings| refused(&chain, at, &decide(1, 1, correction(readings)));
    assert_eq!(problem(vec![]), "no_change");
    assert_eq!(problem(vec![corrected(0, (1, 0)), corrected(0, (1, 0))]), "corrected_twice");
    assert_eq!(problem(vec![corrected(9, (1, 0))]), "not_in_period");
    assert_eq!(problem(vec![corrected(0, (5_001, 0))]), "implausible_reading");
    assert_eq!(problem(vec![corrected(0, (0, -1))]), "implausible_reading");
    // A reading and the decision in one block: the decision counts.
    let said = vec![
        reading(0, period, (940, 0), 2),
        decide(1, 1, correction(vec![corrected(0, (930, 0)), corrected(1, (0, 590))])),
    ];
    chain.block(at, said);
    let metered = |n| chain.state.party_settlement(period, &party(n)).unwrap().metered;
    assert_eq!((metered(0).imported.wh(), metered(0).quality), (930, Quality::Ok));
    assert_eq!(metered(1).exported.wh(), 590);
    let later = reading(0, period, (900, 0), 3);
    assert_eq!(refused(&chain, minute(322), &later), "sequence_replayed");
    // Another dispute, another decision.
    chain.block(minute(322), vec![dispute(2, 1, period)]);
    chain.block(minute(323), vec![decide(2, 2, correction(vec![corrected(0, (920, 0))]))]);
    let settled = chain.state.party_settlement(period, &party(0)).unwrap();
    assert_eq!(settled.metered.imported.wh(), 920);
    assert_eq!(chain.net_of_all(), 0);
}

#[test]
fn an_approved_period_can_still_be_disputed_and_decided() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    let digest = settlements_digest(chain.state.approvable(period, period, minute(320)));
    let approved =
        by_operator(0, 1, Measure::Approve { from: period, through: period, settlements: digest });
    chain.block(minute(320), vec![approved]);
    assert_eq!(chain.state.finality(period, minute(321)), Finality::FinalByApproval);
    chain.block(minute(321), vec![dispute(3, 1, period)]);
    let before = chain.net(3);
    chain.block(minute(322), vec![decide(2, 1, correction(vec![corrected(3, (199, 0))]))]);
    assert_eq!(chain.state.finality(period, minute(323)), Finality::FinalByApproval);
    assert!(chain.net(3) > before);
}

/// Who has left keeps the right to contest what it is charged for.
#[test]
fn a_revoked_party_may_dispute_and_is_not_forgotten_before_that_is_decided() {
    let (mut chain, period) = (Chain::of_one_traded_quarter(), quarter(20));
    chain.block(minute(320), vec![by_operator(0, 1, Measure::Revoke { party: party(3) })]);
    chain.block(minute(321), vec![dispute(3, 1, period)]);
    let late = chain.state.rules().final_at(quarter(22));
    chain.block(late, vec![]);
    let erase = |sequence| by_operator(0, sequence, Measure::Erase { party: party(3) });
    let at = late.plus_millis(1);
    assert_eq!(refusal(&chain, at, &erase(2)), NotApplied::StillOpen(period));
    chain.block(at, vec![decide(2, 1, Verdict::Dismissed)]);
    chain.block(at.plus_millis(1), vec![erase(3)]);
    assert!(!chain.state.members().contains_key(&party(3)));
}

#[test]
fn a_payout_moves_between_the_party_and_the_bank() {
    let mut chain = Chain::of_one_traded_quarter();
    let record = |sequence, n, micros, reference: &str| {
        let (amount, reference) = (Money::from_micros(micros), reference.to_owned());
        by_operator(0, sequence, Measure::RecordPayout { party: party(n), amount, reference })
    };
    let at = minute(320);
    let most = PAYOUT_MAX.micros();
    for (amount, code) in [
        (0, "payout_out_of_range"),
        (most + 1, "payout_out_of_range"),
        (-most - 1, "payout_out_of_range"),
        (i64::MIN, "payout_out_of_range"),
    ] {
        assert_eq!(refused(&chain, at, &record(1, 2, amount, "SEPA 1")), code);
    }
    assert_eq!(refused(&chain, at, &record(1, 2, 1, "")), "text");
    assert_eq!(refused(&chain, at, &record(1, 9, 1, "SEPA 1")), "unknown_party");
    let (due, owed) = (chain.net(2), chain.net(0));
    assert!(due > 0 && owed < 0);
    let paid = chain.block(at, vec![record(1, 2, due, "SEPA 1"), record(2, 0, owed, "SEPA 2")]);
    let causes: Vec<_> = paid.results.postings.iter().map(|posting| posting.cause).collect();
    assert_eq!(causes, [Cause::Payout, Cause::Payout]);
    assert_eq!((chain.net(2), chain.net(0)), (0, 0), "nothing is due any more");
    assert_eq!(chain.net_of(Account::Bank), due + owed);
    assert_eq!(chain.net_of_all(), 0);
}
