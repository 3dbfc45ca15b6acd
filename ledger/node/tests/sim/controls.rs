//! Negative controls: where the assumptions do not hold, the checks must shout.

use super::invariants::broken;
use super::world::{Fault, Plan, Seat, World};

/// Two of four validators run two processes each with one key, and each pair talks to one honest
/// validator: both halves have a quorum.
#[test]
fn two_byzantine_validators_of_four_fork_the_chain_and_it_is_noticed() {
    let mut plan = Plan::calm(1, 4);
    plan.seats[2] = Seat::byzantine(2);
    plan.seats[3] = Seat::byzantine(3);
    plan.seats.extend([Seat::byzantine(2), Seat::byzantine(3)]);
    let sides = vec![0, 1, 0, 0, 1, 1];
    plan.faults = vec![(1, Fault::Split { sides, for_ms: 5_000 })];
    plan.ends_at_ms = 10_000;
    let broken: Vec<_> = broken(&World::play(plan)).into_iter().map(|(name, _)| name).collect();
    assert!(broken.contains(&"agreement") && broken.contains(&"certificates"), "{broken:?}");
}

/// The same storms as everywhere, but the unlucky validator forgets its signer's record together
/// with its log: it contradicts itself, and it is noticed.
#[test]
fn a_signer_without_its_record_contradicts_itself_and_it_is_noticed() {
    let contradicts = |guarded: bool| {
        (1..=40).filter(move |seed| {
            let mut plan = Plan::stormy(*seed);
            let last = plan.seats.len() - 1;
            plan.seats[last].guarded = guarded;
            let broken = broken(&World::play(plan));
            broken.iter().any(|(name, _)| *name == "contradictions")
        })
    };
    assert_eq!(contradicts(true).next(), None, "with the record it never does");
    assert!(contradicts(false).next().is_some(), "without it some of these histories show it");
}

/// A validator that is cut off for good makes no progress, and it is noticed.
#[test]
fn a_chain_that_stands_still_is_noticed() {
    let mut plan = Plan::calm(3, 4);
    plan.faults = vec![(2, Fault::Split { sides: vec![0, 0, 1, 1], for_ms: 1_000_000 })];
    plan.heals_at_ms = 1;
    plan.ends_at_ms = 20_000;
    let broken: Vec<_> = broken(&World::play(plan)).into_iter().map(|(name, _)| name).collect();
    assert_eq!(broken, ["progress"]);
}
