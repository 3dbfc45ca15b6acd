//! A proposer that sends a block which breaks one rule, between engines as they are: the honest
//! ones vote for no block, name what differs, and the next proposer's block is decided.

use super::cluster::{Bodies, Cluster};
use crate::consensus::sim::invariants::broken;
use crate::consensus::sim::world::{Forgery, Plan, Seat, lock};
use crate::consensus::{Statement, Step};

const EVIL: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_bad_block_gets_no_vote_is_named_and_the_next_proposer_commits() {
    let mut plan = Plan::calm(7, 4);
    plan.seats[EVIL] = Seat::byzantine(EVIL);
    let cluster = Cluster::start("evil", &plan, Bodies::Sends, |_, _| true).await;
    cluster.until("the chain begins", |it| (it.lowest() >= 2).then_some(())).await;
    for forgery in Forgery::ALL {
        refused(&cluster, forgery).await;
    }
    cluster.forge(EVIL, None);
    let record = cluster.finish().await;
    assert_eq!(broken(&record), []);
}

async fn refused(cluster: &Cluster, forgery: Forgery) {
    let (said, refusals) = {
        let record = lock(&cluster.record);
        (record.said.len(), record.refusals.len())
    };
    cluster.forge(EVIL, Some(forgery));
    let what = format!("{forgery:?} is proposed");
    let proposed = cluster.until(&what, |cluster| {
        let record = lock(&cluster.record);
        let is_forged = |(node, it): &&(usize, Statement)| {
            *node == EVIL
                && it.step == Step::Proposal
                && it.block.is_some_and(|block| record.forged.contains(&block))
        };
        record.said[said..].iter().find(is_forged).map(|(_, statement)| *statement)
    });
    let proposed = proposed.await;
    // Its next turn is another one's.
    cluster.forge(EVIL, None);
    let goes_on = |it: &Cluster| (it.lowest() >= proposed.height).then_some(());
    cluster.until(&format!("another block than the {forgery:?} is decided"), goes_on).await;

    let record = lock(&cluster.record);
    let votes: Vec<_> = record.said[said..]
        .iter()
        .filter(|(node, it)| {
            *node != EVIL
                && it.step == Step::Prevote
                && (it.height, it.round) == (proposed.height, proposed.round)
        })
        .collect();
    assert!(votes.len() >= 2, "{forgery:?}: {votes:?}");
    assert!(votes.iter().all(|(_, it)| it.block.is_none()), "{forgery:?}: {votes:?}");
    let decided = record.honest_commits().find(|it| it.block.header.height == proposed.height);
    let decided = decided.expect("it is committed");
    assert!(decided.certificate.round > proposed.round, "{forgery:?} cost its round");
    assert!(Some(decided.block.hash()) != proposed.block || forgery.is_harmless(), "{forgery:?}");

    let honest = record.refusals[refusals..].iter().filter(|(node, _)| *node != EVIL);
    let words: Vec<_> = honest.map(|(_, refusal)| refusal.to_string()).collect();
    let named = forgery.named();
    assert_eq!(words.len() >= 2, !named.is_empty(), "{forgery:?}: {words:?}");
    for words in words {
        let told = named.iter().any(|named| words.contains(named));
        assert!(told, "{forgery:?} is one of {named:?}: {words}");
    }
}
