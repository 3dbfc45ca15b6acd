//! Validators that lie: two processes with one key, of which neither knows what the other has said or
//! is locked on, and proposers that sign a block and keep it.

use ledger::validators::Address;

use super::cluster::{Bodies, Cluster};
use crate::consensus::sim::invariants::broken;
use crate::consensus::sim::world::genesis::validator_key;
use crate::consensus::sim::world::{Plan, Seat};

/// Both processes build blocks, vote, and forget each other's locks; everybody else hears both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_validator_of_four_that_contradicts_itself_breaks_nothing_and_is_named() {
    let mut plan = Plan::calm(11, 4);
    plan.seats[3] = Seat::byzantine(3);
    plan.seats.push(Seat::byzantine(3));
    let twins = [3, 4];
    let linked = |one: usize, other: usize| !(twins.contains(&one) && twins.contains(&other));
    let cluster = Cluster::start("twins", &plan, Bodies::Sends, linked).await;
    let kept = cluster.until("somebody has evidence", |cluster| {
        if cluster.lowest() < 8 {
            return None;
        }
        cluster.honest().map(|node| cluster.evidence(node)).find(|(count, _)| *count > 0)
    });
    let (count, file) = kept.await;
    assert!(u64::try_from(file.lines().count()).unwrap() >= count, "{file}");
    let liar = Address::of(&validator_key(3).public()).to_string();
    assert!(file.lines().all(|line| line.contains(&liar)), "nobody else is accused: {file}");
    let record = cluster.finish().await;
    assert_eq!(broken(&record), []);
}

/// It signs its proposals and votes, but nobody ever gets to see its blocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposer_that_withholds_its_blocks_costs_its_rounds_and_nothing_else() {
    let mut plan = Plan::calm(12, 4);
    plan.seats[1] = Seat::byzantine(1);
    let cluster = Cluster::start("withholding", &plan, Bodies::Withholds, |_, _| true).await;
    cluster.until("it had its turns", |it| (it.lowest() >= 9).then_some(())).await;
    let record = cluster.finish().await;
    assert_eq!(broken(&record), []);
    let late = record.longest().iter().filter(|(_, certificate)| certificate.round > 0).count();
    assert!(late >= 2, "its turns were lost");
}

/// Negative control: each half of the honest ones hears its own process of two liars, and has a
/// quorum with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lying_validators_of_four_fork_the_chain_and_it_is_noticed() {
    let mut plan = Plan::calm(13, 4);
    plan.seats[2] = Seat::byzantine(2);
    plan.seats[3] = Seat::byzantine(3);
    plan.seats.extend([Seat::byzantine(2), Seat::byzantine(3)]);
    let sides = [0, 1, 0, 0, 1, 1];
    let linked = |one: usize, other: usize| sides[one] == sides[other];
    let cluster = Cluster::start("fork", &plan, Bodies::Sends, linked).await;
    cluster.until("both halves decide", |it| (it.lowest() >= 3).then_some(())).await;
    let record = cluster.finish().await;
    let broken: Vec<_> = broken(&record).into_iter().map(|(name, _)| name).collect();
    assert!(broken.contains(&"agreement") && broken.contains(&"certificates"), "{broken:?}");
}
