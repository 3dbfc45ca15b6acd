//! How wrong forecasts have been: their spread by hour of the day, and the shape of what is left.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::VecDeque;

use crate::forecast::position::{LEVELS, NORMAL};

/// Weight of the newest error in a mean square.
const WEIGHT: f64 = 0.04;
/// How many errors the mean over all hours counts for beside that of an hour.
const OVERALL_COUNT: f64 = 8.0;
/// How many errors are kept for their shape.
const KEPT: usize = 300;
/// How many errors the normal distribution counts for beside those kept.
const NORMAL_COUNT: f64 = 40.0;

#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub(super) struct Errors {
    /// Mean squares by hour of the local day, with how many there were, in Wh².
    by_hour: [(f64, f64); 24],
    overall: (f64, f64),
    /// The latest errors in standard deviations, newest last.
    shape: VecDeque<f32>,
}

impl Errors {
    /// Learns an error.
    pub(super) fn take(&mut self, hour: usize, error_wh: f64) {
        if let Some(deviation_wh) = self.deviation_wh(hour).filter(|deviation| *deviation > 0.0) {
            if self.shape.len() >= KEPT {
                self.shape.pop_front();
            }
            #[expect(clippy::cast_possible_truncation, reason = "to fewer digits, on purpose")]
            self.shape.push_back((error_wh / deviation_wh) as f32);
        }
        let by_hour = self.by_hour.get_mut(hour);
        for (mean, count) in by_hour.into_iter().chain([&mut self.overall]) {
            *count += 1.0;
            *mean += WEIGHT.max(1.0 / *count) * (error_wh.powi(2) - *mean);
        }
    }

    /// The standard deviation to expect at an hour, in Wh; `None` before the first error.
    pub(super) fn deviation_wh(&self, hour: usize) -> Option<f64> {
        let (overall, count) = self.overall;
        if count == 0.0 {
            return None;
        }
        let (mean, count) = self.by_hour.get(hour).copied().unwrap_or_default();
        Some(((mean * count + overall * OVERALL_COUNT) / (count + OVERALL_COUNT)).sqrt())
    }

    /// Quantiles of the errors in standard deviations, at [`LEVELS`].
    pub(super) fn quantiles(&self) -> [f64; 7] {
        let mut sorted: Vec<_> = self.shape.iter().copied().map(f64::from).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let trust = count / (count + NORMAL_COUNT);
        let mut quantiles = NORMAL;
        for (quantile, level) in quantiles.iter_mut().zip(LEVELS) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a short list's length"
            )]
            let rank = (level * count) as usize;
            if let Some(found) = sorted.get(rank) {
                *quantile = trust * found + (1.0 - trust) * *quantile;
            }
        }
        quantiles
    }
}
