//! Chance, the same for the same seed.

/// A splitmix64 generator.
#[derive(Debug, Clone)]
pub(in crate::consensus) struct Random(u64);

impl Random {
    pub(in crate::consensus) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(in crate::consensus) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `end` - 1; 0 if there is nothing to choose from.
    pub(in crate::consensus) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(in crate::consensus) fn below_usize(&mut self, end: usize) -> usize {
        usize::try_from(self.below(u64::try_from(end).unwrap())).unwrap()
    }

    /// True `per_mille` times out of a thousand.
    pub(in crate::consensus) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}
