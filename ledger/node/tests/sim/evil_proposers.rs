//! A proposer that sends a block which breaks one rule: the honest ones refuse it, name what
//! differs, and the chain goes on without it.

use super::invariants::broken;
use super::world::{Forgery, Plan, Record, Seat, World};

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
