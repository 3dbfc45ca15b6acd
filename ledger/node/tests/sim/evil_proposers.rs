//! A proposer that sends a block which breaks one rule: the honest ones refuse it, name what
//! differs, and the chain goes on without it.

use super::invariants::broken;
use super::world::{Fault, Forgery, Plan, Record, Seat, World};

fn play(forgery: Forgery) -> Record {
    let mut plan = Plan::calm(7, 4);
    plan.seats[2] = Seat { forgery: Some(forgery), ..Seat::byzantine(2) };
    plan.heals_at_ms = 12_000;
    World::play(plan)
}

#[test]
fn every_kind_of_bad_block_is_refused_by_name_and_the_chain_goes_on() {
    for forgery in Forgery::ALL {
        let record = play(forgery);
        assert_eq!(broken(&record), [], "{forgery:?}");
        assert!(!record.forged.is_empty(), "{forgery:?}: it had its turn");
        let rounds = record.longest().iter().map(|(_, certificate)| certificate.round);
        assert!(rounds.max() > Some(0), "{forgery:?}: its turns were lost");
        for (block, _) in record.longest() {
            assert!(!record.forged.contains(&block.hash()) || forgery.is_harmless(), "{forgery:?}");
        }
        let honest = record.refusals.iter().filter(|(node, _)| record.is_honest(*node));
        let words: Vec<_> = honest.map(|(_, refusal)| refusal.to_string()).collect();
        let named = forgery.named();
        assert_eq!(words.len() >= 3, !named.is_empty(), "{forgery:?}: {words:?}");
        for words in words {
            let told = named.iter().any(|named| words.contains(named));
            assert!(told, "{forgery:?} is one of {named:?}: {words}");
        }
    }
}

/// Parts are not signed: what they claim waives no rule. Only where the proposer itself has signed
/// that it proposes a block again may that block be old, and then the engine asks for the prevotes
/// of the earlier round.
#[test]
fn whoever_claims_that_an_old_block_is_proposed_again_gets_no_vote_for_it() {
    let mut plan = Plan::calm(7, 4);
    plan.seats[2] = Seat { forgery: Some(Forgery::Backdated), ..Seat::byzantine(2) };
    // Whose turn comes before is away, so that there are second rounds, and old blocks in them.
    plan.faults = vec![(1_000, Fault::Crash { node: 1, down_ms: 60_000, log_kept: None })];
    plan.heals_at_ms = 70_000;
    let record = World::play(plan);
    assert_eq!(broken(&record), []);
    assert!(!record.forged.is_empty(), "it had its turn");
    let honest = record.refusals.iter().filter(|(node, _)| record.is_honest(*node));
    let late = honest.filter(|(_, it)| it.to_string().contains("behind this node's clock"));
    assert!(late.count() >= 2, "{:?}", record.refusals);
    // What is not older than clocks may differ is no harm.
    let drift_ms = i64::try_from(record.genesis.block_drift_max_ms).unwrap();
    for forged in &record.forged {
        let commits = record.honest_commits().filter(|it| it.block.hash() == *forged);
        let ages_ms = commits.map(|it| it.at.millis_since(it.block.header.time));
        if let Some(age_ms) = ages_ms.min() {
            assert!(age_ms < drift_ms + 30_000, "a block of {age_ms} ms ago was decided");
        }
    }
}
