//! Power against counters: two independent measurements of the same flow.
//!
//! Energy is never computed from power for anything that counts; it is compared with the counters'
//! differences alone, over runs of readings between which power was steady.

use std::fmt;

use crate::commission::Flow;
use crate::profile::RegisterReading;

/// Readings further apart than this are not compared, in milliseconds of market time: nobody knows
/// what power did between them.
const PAIR_MAX_MS: i64 = 15_000;
/// Less power than this is noise, in W.
const POWER_MIN_W: f64 = 20.0;
/// A run is judged once so much has flowed, in Wh; some meters count in steps of 10 Wh without
/// saying so.
const RUN_MIN_WH: f64 = 40.0;
/// And at least so many of the counter's known steps.
const RUN_MIN_STEPS: f64 = 4.0;
/// So many runs in a row have to say the same.
const RUNS_AGREE: u32 = 2;
/// Powers of ten beyond this are no mistake in a scale.
const POWERS: std::ops::RangeInclusive<i32> = -6..=6;

/// How counters and power disagree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Contradiction {
    /// The counter of the other direction moves.
    OtherDirection {
        /// What the power says.
        power: Flow,
    },
    /// They move too fast or too slowly by a power of ten.
    OffScale {
        /// By which power of ten the counters have to be multiplied.
        power_of_ten: i32,
    },
    /// They do not move.
    StandStill,
    /// They move, but not as power does.
    Unrelated {
        /// Counted energy over energy by power.
        ratio: f64,
    },
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherDirection { power } => write!(
                f,
                "The power says {power}, but the other counter moves: either the power's sign is \
                 reversed, or import and export are swapped. Say what flows with `hidamari agent \
                 check --now importing` or `--now exporting`."
            ),
            Self::OffScale { power_of_ten } => write!(
                f,
                "The counters do not move at the rate that the power says: in a profile of your own, \
                 multiply the `scale` of [import] and [export] by 1e{power_of_ten}."
            ),
            Self::StandStill => f.write_str(
                "Power flows, but the counters stand still: they are those of another circuit, or \
                 count in much larger units than the profile says; take the profile of another \
                 model.",
            ),
            Self::Unrelated { ratio } => write!(
                f,
                "The counters move {ratio:.2} times as fast as the power says: they measure another \
                 circuit, or a current transformer's ratio is not set in the meter."
            ),
        }
    }
}

/// Compares power with counters, reading by reading.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    last: Option<RegisterReading>,
    run: Run,
    /// Runs in a row that ended like the last one.
    alike: u32,
    last_run: Option<Option<Contradiction>>,
    standing: Option<Contradiction>,
    judged: u32,
}

/// Readings in a row between which power was steady.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    by_power_wh: f64,
    counted_wh: f64,
    step_wh: f64,
}

impl Watch {
    /// Takes the next reading.
    pub fn take(&mut self, reading: &RegisterReading) {
        let before = self.last.replace(*reading);
        let Some(pair) = before.and_then(|before| Run::of_pair(&before, reading)) else {
            self.run = Run::default();
            return;
        };
        self.run.add(&pair);
        if self.run.is_long_enough() {
            let found = self.run.judge();
            self.judged = self.judged.saturating_add(1);
            let same = self.last_run.is_some_and(|last| kind(last) == kind(found));
            self.alike = if same { self.alike.saturating_add(1) } else { 1 };
            self.last_run = Some(found);
            if self.alike >= RUNS_AGREE {
                self.standing = found;
            }
            self.run = Run::default();
        }
    }

    /// What holds against the meter: found by two runs in a row, and not disproved by two since.
    pub fn contradiction(&self) -> Option<Contradiction> {
        self.standing
    }

    /// What the last run said, for those who cannot wait for another one.
    pub fn last_run(&self) -> Option<Option<Contradiction>> {
        self.last_run
    }
}

/// Two findings of one kind are the same, whatever their figures.
fn kind(found: Option<Contradiction>) -> Option<std::mem::Discriminant<Contradiction>> {
    found.as_ref().map(std::mem::discriminant)
}

impl Run {
    /// What flowed between two readings, if power was steady between them.
    fn of_pair(from: &RegisterReading, to: &RegisterReading) -> Option<Self> {
        let elapsed_ms = to.at.millis_since(from.at);
        let (first_w, last_w) = (from.power_w? as f64, to.power_w? as f64);
        let steady = first_w * last_w > 0.0
            && first_w.abs().min(last_w.abs()) >= POWER_MIN_W
            && first_w.abs().max(last_w.abs()) <= 2.0 * first_w.abs().min(last_w.abs());
        if !(1..=PAIR_MAX_MS).contains(&elapsed_ms) || !steady {
            return None;
        }
        let imported = to.import_wh.saturating_sub(from.import_wh);
        let exported = to.export_wh.saturating_sub(from.export_wh);
        // Falls are the interval machine's business.
        (imported >= 0 && exported >= 0).then(|| Self {
            by_power_wh: (first_w + last_w) / 2.0 * elapsed_ms as f64 / 3.6e6,
            counted_wh: imported.saturating_sub(exported) as f64,
            step_wh: from.step_wh.max(to.step_wh) as f64,
        })
    }

    fn add(&mut self, pair: &Self) {
        if self.by_power_wh * pair.by_power_wh < 0.0 {
            *self = Self::default();
        }
        self.by_power_wh += pair.by_power_wh;
        self.counted_wh += pair.counted_wh;
        self.step_wh = self.step_wh.max(pair.step_wh);
    }

    fn is_long_enough(&self) -> bool {
        let enough = RUN_MIN_WH.max(RUN_MIN_STEPS * self.step_wh);
        let by_power = self.by_power_wh.abs();
        by_power >= enough
            || (by_power >= 1.0 && self.counted_wh.abs() >= enough.max(40.0 * by_power))
    }

    fn judge(&self) -> Option<Contradiction> {
        if self.counted_wh == 0.0 {
            return Some(Contradiction::StandStill);
        }
        let ratio = self.counted_wh / self.by_power_wh;
        let alike = |ratio: f64| (0.5..=2.0).contains(&ratio);
        if alike(ratio) {
            return None;
        }
        if alike(-ratio) {
            return Some(Contradiction::OtherDirection { power: Flow::of(self.by_power_wh) });
        }
        let scaled = POWERS.filter(|power| *power != 0).find(|power| {
            let factor = 10_f64.powi(*power);
            (0.5..=2.0).contains(&(ratio.abs() * factor))
        });
        match scaled {
            Some(power_of_ten) => Some(Contradiction::OffScale { power_of_ten }),
            None => Some(Contradiction::Unrelated { ratio }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::reading::Quality;
    use market::time::Timestamp;
    use proptest::prelude::*;

    /// A second of each power in W (positive = import); what a meter makes of it.
    fn watched(
        course: impl IntoIterator<Item = f64>,
        meter: impl Fn(f64, f64, f64) -> (f64, f64, f64),
    ) -> Watch {
        let (mut watch, mut import_wh, mut export_wh) = (Watch::default(), 5e6, 3e6);
        for (second, power_w) in (0_i64..).zip(course) {
            let flow_wh = power_w / 3_600.0;
            import_wh += flow_wh.max(0.0);
            export_wh += (-flow_wh).max(0.0);
            let (import, export, power) = meter(import_wh, export_wh, power_w);
            #[expect(clippy::cast_possible_truncation, reason = "small")]
            watch.take(&RegisterReading {
                at: Timestamp::from_millis(second * 1_000),
                import_wh: import as i64,
                export_wh: export as i64,
                step_wh: 1,
                power_w: Some(power as i64),
                quality: Quality::Ok,
            });
        }
        watch
    }

    fn kettle() -> impl Iterator<Item = f64> {
        (0..600).map(|second| 2_000.0 + f64::from(second % 7) * 30.0)
    }

    #[test]
    fn each_mistake_has_its_name() {
        let found =
            |meter: fn(f64, f64, f64) -> (f64, f64, f64)| watched(kettle(), meter).contradiction();
        assert_eq!(found(|i, e, p| (i, e, p)), None);
        let other = Contradiction::OtherDirection { power: Flow::Importing };
        assert_eq!(found(|i, e, p| (e, i, p)), Some(other), "swapped counters");
        let other = Contradiction::OtherDirection { power: Flow::Exporting };
        assert_eq!(found(|i, e, p| (i, e, -p)), Some(other), "reversed sign");
        let off = |power_of_ten| Some(Contradiction::OffScale { power_of_ten });
        assert_eq!(found(|i, e, p| (i * 1_000.0, e, p)), off(-3));
        assert_eq!(found(|i, e, p| (i / 10.0, e, p)), off(1));
        assert_eq!(found(|i, e, p| (i, e, p * 10.0)), off(1));
        assert_eq!(found(|_, _, p| (1e6, 1e6, p)), Some(Contradiction::StandStill));
        let unrelated = found(|i, e, p| (i * 3.5, e, p));
        assert!(matches!(unrelated, Some(Contradiction::Unrelated { .. })), "{unrelated:?}");
    }

    #[test]
    fn a_meter_that_was_mended_is_believed_again() {
        let mut course = kettle().chain(kettle());
        let mended = std::cell::Cell::new(0);
        let watch = watched(&mut course, |i, e, p| {
            mended.set(mended.get() + 1);
            if mended.get() < 600 { (i, e, -p) } else { (i, e, p) }
        });
        assert_eq!(watch.contradiction(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever a household does, a sound meter is never accused: steps of 10 Wh that it does
        /// not declare, noise, and flows that turn round at any moment included.
        #[test]
        fn a_sound_meter_is_never_accused(
            pieces in prop::collection::vec((-9_000.0_f64..9_000.0, 1_usize..900), 1..20),
            step in prop::sample::select(vec![1.0_f64, 2.0, 10.0]),
        ) {
            let course = pieces.into_iter().flat_map(|(watts, seconds)| vec![watts; seconds]);
            let stepped = |wh: f64| (wh / step).floor() * step;
            let watch = watched(course, |i, e, p| (stepped(i), stepped(e), p));
            prop_assert_eq!(watch.contradiction(), None);
        }
    }
}
