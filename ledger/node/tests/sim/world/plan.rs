//! What a seed stands for: who takes part, how bad the network is, and what befalls whom when.

use super::forgery::Forgery;
use super::random::Random;

/// A running process and whose it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::consensus) struct Seat {
    /// The validator whose key it signs with. Two seats may be one validator's: then it says one
    /// thing here and another there.
    pub(in crate::consensus) validator: usize,
    /// Whether it keeps the rules. The invariants are about these.
    pub(in crate::consensus) honest: bool,
    /// Whether the signer's record outlives the process.
    pub(in crate::consensus) guarded: bool,
    /// How far its clock is ahead, in milliseconds of market time.
    pub(in crate::consensus) clock_ahead_ms: i64,
    /// What it proposes in its turn instead of good blocks.
    pub(in crate::consensus) forgery: Option<Forgery>,
}

#[derive(Debug, Clone)]
pub(in crate::consensus) enum Fault {
    /// Killed at an instant, and the log cut behind its first entries.
    Crash { node: usize, down_ms: u64, log_kept: Option<usize> },
    /// Killed at one of the next writes, before or after the disk has it.
    CrashAtWrite { node: usize, write: u64, lands: bool, down_ms: u64 },
    /// All killed at once.
    CrashAll { down_ms: u64 },
    /// All killed at one of their next writes.
    Blackout { writes: Vec<u64>, down_ms: u64 },
    /// Nodes on different sides do not hear each other.
    Split { sides: Vec<usize>, for_ms: u64 },
}

#[derive(Debug, Clone)]
pub(in crate::consensus) struct Plan {
    pub(in crate::consensus) seed: u64,
    pub(in crate::consensus) validators_count: usize,
    pub(in crate::consensus) with_ex_post_gate: bool,
    pub(in crate::consensus) seats: Vec<Seat>,
    pub(in crate::consensus) loss_per_mille: u64,
    pub(in crate::consensus) copies_per_mille: u64,
    pub(in crate::consensus) delay_ms: u64,
    pub(in crate::consensus) jitter_ms: u64,
    pub(in crate::consensus) faults: Vec<(u64, Fault)>,
    pub(in crate::consensus) heals_at_ms: u64,
    /// By when every honest node must have gone on after the healing.
    pub(in crate::consensus) ends_at_ms: u64,
    pub(in crate::consensus) heights_after_healing: u64,
}

impl Seat {
    pub(in crate::consensus) fn honest(validator: usize) -> Self {
        Self { validator, honest: true, guarded: true, clock_ahead_ms: 0, forgery: None }
    }

    /// A second process of a validator, or one that keeps no record.
    pub(in crate::consensus) fn byzantine(validator: usize) -> Self {
        Self { honest: false, guarded: false, ..Self::honest(validator) }
    }
}

impl Plan {
    /// Nothing goes wrong.
    pub(in crate::consensus) fn calm(seed: u64, validators_count: usize) -> Self {
        Self {
            seed,
            validators_count,
            with_ex_post_gate: seed.is_multiple_of(2),
            seats: (0..validators_count).map(Seat::honest).collect(),
            loss_per_mille: 0,
            copies_per_mille: 0,
            delay_ms: 5,
            jitter_ms: 20,
            faults: Vec::new(),
            heals_at_ms: 6_000,
            ends_at_ms: 180_000,
            heights_after_healing: 3,
        }
    }

    /// Honest validators in a bad world. With four and more, the last one has bad luck of its own:
    /// a clock that is off, or a log that loses entries.
    pub(in crate::consensus) fn stormy(seed: u64) -> Self {
        let mut random = Random::new(seed.rotate_left(32));
        let validators_count = [4, 4, 4, 4, 4, 4, 1, 3, 7, 4][random.below_usize(10)];
        let mut plan = Self::calm(seed, validators_count);
        plan.weather(&mut random);
        let unlucky = (validators_count >= 4 && random.happens(600)).then(|| validators_count - 1);
        if let Some(unlucky) = unlucky.filter(|_| random.happens(400)) {
            let ahead_ms = 60_000 + i64::try_from(random.below(900_000)).unwrap();
            let sign = if random.happens(500) { 1 } else { -1 };
            plan.seats[unlucky].clock_ahead_ms = sign * ahead_ms;
        }
        plan.strikes(&mut random, unlucky);
        plan
    }

    /// One validator of four runs two processes with one key and no record, and the network is
    /// such that either is believed now and then.
    pub(in crate::consensus) fn one_byzantine(seed: u64) -> Self {
        let mut random = Random::new(seed.rotate_left(17));
        let mut plan = Self::calm(seed, 4);
        plan.weather(&mut random);
        plan.seats[3] = Seat::byzantine(3);
        plan.seats.push(Seat::byzantine(3));
        plan.strikes(&mut random, Some(3));
        for _ in 0..2 {
            let sides = vec![0, random.below_usize(2), 1, 0, 1];
            let at_ms = 300 + random.below(plan.heals_at_ms - 1_000);
            let for_ms = 500 + random.below(3_000);
            plan.faults.push((at_ms, Fault::Split { sides, for_ms }));
        }
        plan
    }

    fn weather(&mut self, random: &mut Random) {
        if random.happens(700) {
            self.loss_per_mille = random.below(150);
            self.copies_per_mille = random.below(200);
        }
        self.delay_ms = 1 + random.below(40);
        self.jitter_ms = 1 + random.below(200);
        for seat in &mut self.seats {
            seat.clock_ahead_ms = i64::try_from(random.below(40_000)).unwrap() - 20_000;
        }
    }

    fn strikes(&mut self, random: &mut Random, unlucky: Option<usize>) {
        for _ in 0..random.below(7) {
            let at_ms = 300 + random.below(self.heals_at_ms - 500);
            let (node, down_ms) = (random.below_usize(self.seats.len()), 50 + random.below(2_500));
            let fault = match random.below(10) {
                0..=2 => Fault::Crash { node, down_ms, log_kept: None },
                3..=5 => {
                    let (write, lands) = (1 + random.below(30), random.happens(500));
                    Fault::CrashAtWrite { node, write, lands, down_ms }
                }
                6 if random.happens(300) => Fault::CrashAll { down_ms },
                6 => {
                    let writes = self.seats.iter().map(|_| 1 + random.below(8)).collect();
                    Fault::Blackout { writes, down_ms }
                }
                _ => {
                    let sides = self.seats.iter().map(|_| random.below_usize(2)).collect();
                    Fault::Split { sides, for_ms: 200 + random.below(3_000) }
                }
            };
            self.faults.push((at_ms, fault));
            if let Some(node) = unlucky.filter(|_| random.happens(500)) {
                let log_kept = Some(random.below_usize(6));
                let at_ms = 300 + random.below(self.heals_at_ms - 500);
                self.faults.push((at_ms, Fault::Crash { node, down_ms, log_kept }));
            }
        }
    }
}
