//! Who hears whom, and when.

use super::plan::Plan;
use super::random::Random;

/// One message in so many takes very long.
const SLOW_PER_MILLE: u64 = 15;
const SLOW_MS: u64 = 2_500;

pub(super) struct Network {
    loss_per_mille: u64,
    copies_per_mille: u64,
    delay_ms: u64,
    jitter_ms: u64,
    /// The side of each node while the network is split.
    sides: Option<Vec<usize>>,
}

impl Network {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            loss_per_mille: plan.loss_per_mille,
            copies_per_mille: plan.copies_per_mille,
            delay_ms: plan.delay_ms,
            jitter_ms: plan.jitter_ms,
            sides: None,
        }
    }

    /// After how long a message arrives: not at all, once, or twice.
    pub(super) fn delays(&self, random: &mut Random, from: usize, to: usize) -> Vec<u64> {
        let apart = self.sides.as_ref().is_some_and(|sides| sides[from] != sides[to]);
        let lost = random.happens(self.loss_per_mille);
        if apart || lost {
            return Vec::new();
        }
        let copies = if random.happens(self.copies_per_mille) { 2 } else { 1 };
        let mut delay = || {
            let slow_ms = if random.happens(SLOW_PER_MILLE) { random.below(SLOW_MS) } else { 0 };
            self.delay_ms + random.below(self.jitter_ms) + slow_ms
        };
        (0..copies).map(|_| delay()).collect()
    }

    pub(super) fn split(&mut self, sides: Vec<usize>) {
        self.sides = Some(sides);
    }

    pub(super) fn rejoin(&mut self) {
        self.sides = None;
    }

    pub(super) fn heal(&mut self) {
        self.sides = None;
        self.loss_per_mille = 0;
    }
}
