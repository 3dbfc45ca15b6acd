//! Random histories: whatever befalls the validators, every invariant holds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::invariants::broken;
use super::world::{Plan, Record, World};

/// How many histories of each kind are played unless `HIDAMARI_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Plays the histories of many seeds, or of the one in `HIDAMARI_SIM_SEED`, and names each that breaks
/// an invariant together with the command that plays it again.
fn play_all(test: &str, plan: fn(u64) -> Plan) -> Vec<Record> {
    let seeds = match number("HIDAMARI_SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("HIDAMARI_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (mut failures, mut records) = (Vec::new(), Vec::new());
    for seed in seeds {
        let played = catch_unwind(AssertUnwindSafe(|| {
            let record = World::play(plan(seed));
            (broken(&record), record)
        }));
        let words = match played {
            Ok((broken, record)) => {
                records.push(record);
                broken.into_iter().map(|(name, words)| format!("{name}: {words}")).collect()
            }
            Err(_) => vec!["panicked, see above".to_owned()],
        };
        let again = format!("HIDAMARI_SIM_SEED={seed} cargo nextest run -p ledger-node {test}");
        failures.extend(words.iter().map(|words| format!("{words}\n    {again}")));
    }
    assert!(failures.is_empty(), "{} invariants broken:\n{}", failures.len(), failures.join("\n"));
    records
}

#[test]
fn honest_validators_in_a_bad_world_keep_every_invariant() {
    let records = play_all("honest_validators_in_a_bad_world_keep_every_invariant", Plan::stormy);
    summary("stormy", &records);
}

#[test]
fn one_byzantine_validator_of_four_breaks_nothing() {
    let records = play_all("one_byzantine_validator_of_four_breaks_nothing", Plan::one_byzantine);
    summary("one byzantine", &records);
}

#[test]
fn a_seed_is_a_history() {
    for seed in 1..=6 {
        let plans: [fn(u64) -> Plan; 2] = [Plan::stormy, Plan::one_byzantine];
        for plan in plans {
            let [one, other] = [World::play(plan(seed)), World::play(plan(seed))];
            assert_eq!(one.fingerprint, other.fingerprint, "seed {seed}");
            assert_eq!(one.chains, other.chains, "seed {seed}");
        }
    }
}

/// What the histories were made of, so that one that tests nothing is noticed.
fn summary(kind: &str, records: &[Record]) {
    let sum = |of: fn(&Record) -> usize| records.iter().map(of).sum::<usize>();
    let late = |record: &Record| record.longest().iter().filter(|it| it.1.round > 0).count();
    let transactions =
        |record: &Record| record.longest().iter().map(|(block, _)| block.transactions.len()).sum();
    let (blocks, acknowledged) = (sum(|it| it.longest().len()), sum(|it| it.acknowledged.len()));
    tracing::info!(kind, blocks, acknowledged);
    let words = format!(
        "{kind}: {} histories, {blocks} blocks ({} after round 0), {} transactions, \
         {acknowledged} acknowledged, {} processes ended",
        records.len(),
        sum(late),
        sum(transactions),
        sum(|it| it.stops.len())
    );
    // One history alone may be a short one.
    if number("HIDAMARI_SIM_SEED").is_none() {
        assert!(blocks > records.len() * 4 && acknowledged > 0, "{words}");
        assert!(sum(late) > 0 && sum(|it| it.stops.len()) > 0, "{words}");
    }
    #[expect(clippy::print_stdout, reason = "the figures of a run, for whoever asks for them")]
    {
        println!("{words}");
    }
}
