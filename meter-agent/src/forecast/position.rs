//! What a household expects to have, and how sure it is of it.

use market::time::DeliveryPeriod;

/// The probabilities at which a distribution is kept.
pub const LEVELS: [f64; 7] = [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95];

/// Standard deviations from the mean of a normal distribution at [`LEVELS`].
pub(super) const NORMAL: [f64; 7] = [-1.6449, -0.8416, -0.3853, 0.0, 0.3853, 0.8416, 1.6449];

/// What a household expects to have in one delivery period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetPosition {
    /// The period.
    pub period: DeliveryPeriod,
    /// Expected export minus import in Wh: above zero a surplus, below zero a deficit.
    pub expected_wh: f64,
    /// Standard deviation of the expectation, in Wh; above zero.
    pub deviation_wh: f64,
    /// With the probabilities [`LEVELS`] it is not above these, in Wh; never falling.
    pub quantiles_wh: [f64; 7],
}

impl NetPosition {
    /// An expectation whose errors are normally distributed.
    pub fn normal(period: DeliveryPeriod, expected_wh: f64, deviation_wh: f64) -> Self {
        Self::scaled(period, expected_wh, deviation_wh, &NORMAL)
    }

    /// An expectation whose errors, in standard deviations, have these quantiles.
    pub(super) fn scaled(
        period: DeliveryPeriod,
        expected_wh: f64,
        deviation_wh: f64,
        errors: &[f64; 7],
    ) -> Self {
        let quantiles_wh = errors.map(|error| expected_wh + error * deviation_wh);
        Self { period, expected_wh, deviation_wh, quantiles_wh }
    }

    /// The same with so much more, or less, whatever happens.
    #[must_use]
    pub fn shifted(self, by_wh: f64) -> Self {
        Self {
            expected_wh: self.expected_wh + by_wh,
            quantiles_wh: self.quantiles_wh.map(|quantile| quantile + by_wh),
            ..self
        }
    }

    /// What is not exceeded with a probability, in Wh: on straight lines between [`LEVELS`], flat
    /// beyond them.
    pub fn quantile(&self, probability: f64) -> f64 {
        let [first, rest @ ..] = self.quantiles_wh;
        let (mut before, mut level) = (first, LEVELS[0]);
        for (quantile, at) in rest.into_iter().zip(LEVELS.into_iter().skip(1)) {
            if probability <= at {
                let part = ((probability - level) / (at - level)).max(0.0);
                return before + part * (quantile - before);
            }
            (before, level) = (quantile, at);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::time::{PeriodLength, Timestamp};

    #[test]
    fn quantiles_are_those_kept_and_lines_between_them() {
        let start = Timestamp::from_millis(0);
        let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap();
        let position = NetPosition::normal(period, 100.0, 10.0);
        for (level, quantile) in LEVELS.into_iter().zip(position.quantiles_wh) {
            assert!((position.quantile(level) - quantile).abs() < 1e-9);
        }
        assert!((position.quantile(0.5) - 100.0).abs() < 1e-9);
        assert!((position.quantile(0.275) - (100.0 - 6.1345)).abs() < 1e-9);
        assert!((position.quantile(0.0) - (100.0 - 16.449)).abs() < 1e-9);
        assert!((position.quantile(1.0) - (100.0 + 16.449)).abs() < 1e-9);
    }
}
