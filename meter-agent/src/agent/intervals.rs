//! The metering half: from readings to stored interval readings.

use market::reading::Quality;
use market::time::Timestamp;
use tokio::time::Instant;

use super::Agent;
use crate::interval::{ClosedInterval, Verdict};
use crate::modbus::MeterEvent;
use crate::outbox::Kept;
use crate::profile::RegisterReading;
use crate::signer::{Content, Draft};
use crate::status::{IntervalStatus, MeterState};
use crate::words;

/// Metered periods that wait in memory while the disk fails: a week of quarters of an hour.
const UNSAVED_MAX: usize = 672;
/// How many kept intervals lie between two clean-ups of the outbox.
const FORGET_EVERY: u64 = 24;
/// How long after finality messages are kept for their owner to look at.
const REMEMBER_MS: i64 = 2 * 86_400_000;

impl Agent {
    pub(super) async fn on_meter(&mut self, event: MeterEvent) {
        match event {
            MeterEvent::Identified(serial) => {
                if self.meter.identify(&serial) {
                    tracing::warn!(%serial, "another meter has taken the place of the old one");
                }
            }
            MeterEvent::Reading(reading) => self.on_reading(reading).await,
            MeterEvent::Asleep(why) => self.on_no_reading(MeterState::Asleep, why),
            MeterEvent::NoReading(why) => self.on_no_reading(MeterState::NoValue, why),
            MeterEvent::Offline(why) => self.on_no_reading(MeterState::Offline, why),
        }
    }

    fn on_no_reading(&mut self, state: MeterState, why: String) {
        let meter = &mut self.status.meter;
        if meter.state != state {
            tracing::warn!(%why, "the meter gives no reading");
        }
        meter.state = state;
        meter.detail = Some(why);
        meter.failure_count = meter.failure_count.saturating_add(1);
    }

    async fn on_reading(&mut self, reading: RegisterReading) {
        self.watch.take(&reading);
        if let Some(why) = self.objection() {
            self.disbelieve(&reading, why);
            return;
        }
        let taken = self.meter.take(&reading);
        self.note_verdict(&reading, taken.verdict);
        if matches!(taken.verdict, Verdict::First | Verdict::Counted | Verdict::DroppedBefore) {
            self.last_read = Some(reading.at);
            self.last_power_w = reading.power_w;
        }
        for closed in taken.closed {
            let net_wh = closed.exported.wh().saturating_sub(closed.imported.wh());
            self.judgement.forecaster.learn(closed.period, net_wh, &self.surroundings);
            self.note_interval(&closed);
            if self.unsaved.len() >= UNSAVED_MAX {
                self.unsaved.pop_front();
                tracing::error!("a metered period is lost: the outbox has failed for too long");
            }
            self.unsaved.push_back(closed);
        }
        if !self.unsaved.is_empty() {
            self.save_intervals().await;
            self.trade().await;
            self.send_due().await;
        }
    }

    /// Why the meter is not to be believed: its last check failed, or its power and its counters
    /// contradict each other.
    pub(super) fn objection(&self) -> Option<String> {
        let contradiction = self.watch.contradiction().map(|found| found.to_string());
        self.failed_check.clone().or(contradiction)
    }

    /// Counts nothing of a meter that is not to be believed; once it is, counting starts anew.
    fn disbelieve(&mut self, reading: &RegisterReading, why: String) {
        self.meter.forget();
        if self.status.meter.state != MeterState::Suspect {
            tracing::error!(%why, "the meter is not believed: no orders, no readings");
        }
        self.status.meter.state = MeterState::Suspect;
        self.status.meter.detail = Some(why);
        self.show(reading);
    }

    fn note_verdict(&mut self, reading: &RegisterReading, verdict: Verdict) {
        let detail = match verdict {
            Verdict::First | Verdict::Counted => None,
            Verdict::DroppedBefore => Some("a single wrong value was dropped".to_owned()),
            Verdict::NotLater => Some("the clock stands or went back".to_owned()),
            Verdict::ZeroRefused => Some("a counter shows zero, as after waking up".to_owned()),
            Verdict::BelowHighWater { by_wh } => {
                Some(format!("a counter stands {by_wh} Wh below its highest value"))
            }
            Verdict::Suspect { reads } => Some(format!(
                "the counters fell, or rose by more than rated_power_w allows ({reads} reads agree)"
            )),
            Verdict::NewSeries => Some("counting starts anew: another series of counts".to_owned()),
        };
        let counts = matches!(
            verdict,
            Verdict::First | Verdict::Counted | Verdict::DroppedBefore | Verdict::NewSeries
        );
        let state = if counts { MeterState::Online } else { MeterState::Suspect };
        let meter = &mut self.status.meter;
        match &detail {
            Some(why) if meter.state != state || verdict == Verdict::NewSeries => {
                tracing::warn!(%why, ?reading, "the meter");
            }
            None if meter.state != state => tracing::info!("the meter counts"),
            _ => {}
        }
        meter.state = state;
        meter.detail = detail;
        self.show(reading);
    }

    /// What the meter shows, for the owner.
    fn show(&mut self, reading: &RegisterReading) {
        let meter = &mut self.status.meter;
        meter.reading_count = meter.reading_count.saturating_add(1);
        meter.read_at_ms = Some(reading.at.as_millis());
        meter.import_wh = Some(reading.import_wh);
        meter.export_wh = Some(reading.export_wh);
        meter.power_w = reading.power_w;
    }

    fn note_interval(&mut self, closed: &ClosedInterval) {
        tracing::debug!(
            period = %words::period(closed.period), imported = %closed.imported,
            exported = %closed.exported, quality = ?closed.quality, "metered"
        );
        self.status.last_interval = Some(IntervalStatus {
            period_start_ms: closed.period.start().as_millis(),
            imported_wh: closed.imported.wh(),
            exported_wh: closed.exported.wh(),
            estimated: closed.quality != Quality::Ok,
        });
    }

    /// Signs and stores what was metered, with the state in which it left the machine.
    pub(super) async fn save_intervals(&mut self) {
        if self.unsaved.is_empty() {
            return;
        }
        let now = self.clock.now();
        let rules = &self.genesis.rules;
        // What is final already would be refused by everybody.
        let drafts: Vec<_> = self
            .unsaved
            .iter()
            .map(|closed| Draft {
                content: Content::Reading(*closed),
                useless_from: rules.final_at(closed.period),
            })
            .filter(|draft| draft.useless_from > now)
            .collect();
        let signed = Instant::now();
        let kept = Kept { series: Some(self.meter.state()), judgement: Some(&self.judgement) };
        let stored = self.outbox.store(&drafts, &self.signer, kept, now).await;
        match stored {
            Ok(messages) => {
                self.outbox_works();
                let count = u64::try_from(self.unsaved.len()).unwrap_or(u64::MAX);
                self.unsaved.clear();
                for message in messages {
                    self.delivery.add(message, signed);
                }
                self.forget_old(count, now).await;
            }
            Err(error) => self.outbox_failed(&error),
        }
    }

    /// Keeps where counting stands between two periods.
    pub(super) async fn keep_series(&mut self) {
        if !self.unsaved.is_empty() {
            return;
        }
        let now = self.clock.now();
        let kept = Kept { series: Some(self.meter.state()), judgement: None };
        match self.outbox.store(&[], &self.signer, kept, now).await {
            Ok(_) => self.outbox_works(),
            Err(error) => self.outbox_failed(&error),
        }
    }

    async fn forget_old(&mut self, kept: u64, now: Timestamp) {
        let before = self.intervals_kept;
        self.intervals_kept = before.saturating_add(kept);
        if before / FORGET_EVERY == self.intervals_kept / FORGET_EVERY {
            return;
        }
        let finality_ms = i64::try_from(self.genesis.rules.finality_delay_ms).unwrap_or(i64::MAX);
        let oldest = now.plus_millis(finality_ms.saturating_add(REMEMBER_MS).saturating_neg());
        if let Err(error) = self.outbox.forget_before(oldest).await {
            self.outbox_failed(&error);
        }
    }
}
