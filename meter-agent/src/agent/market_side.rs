//! The trading half: orders, the mesh, and what the chain says.

use borsh::BorshDeserialize as _;
use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::follower::check_commit;
use ledger::transaction::Transaction;
use mesh::{MeshError, MeshEvent, MessageTicket, PeerId, Topic, Verdict};
use tokio::time::Instant;

use super::{Agent, is_order};
use crate::follow::{Announcement, Followed};
use crate::forecast::{Now, Surroundings};
use crate::outbox::{Kept, Message, OutboxError};
use crate::signer::{Content, Draft, MessageKey, MessageKind};
use crate::status::{ForecastStatus, OrderStatus};
use crate::strategy::{AuctionResult, Margins};
use crate::words;

/// The running period says more than the power of this moment once it is this old, in milliseconds
/// of market time.
const RUNNING_MIN_MS: i64 = 180_000;

impl Agent {
    /// Says what should stand in the books whose gates close soon. Without a meter that counts, or
    /// with one that is not believed, nothing new is said: what stands, stands.
    pub(super) async fn trade(&mut self) {
        if !self.knows_its_meter() || self.objection().is_some() {
            return;
        }
        let curves = self.orders.revise_curves();
        if !curves.is_empty() && !self.say(&curves).await {
            return;
        }
        let now = self.now();
        let margins = self.margins().clone();
        for period in self.orders.open_periods(&*self.clock) {
            let position = self.judgement.forecaster.forecast(period, now, &self.surroundings);
            self.status.forecast = Some(ForecastStatus {
                period_start_ms: period.start().as_millis(),
                expected_wh: position.expected_wh,
                deviation_wh: position.deviation_wh,
            });
            let delivery = &self.delivery;
            let waits = |key: &MessageKey| delivery.waits_for(key);
            let drafts = self.orders.revise(&position, &margins, &*self.clock, waits);
            if !drafts.is_empty() && !self.say(&drafts).await {
                return;
            }
        }
    }

    /// Reads the owner's weather file if it was written anew; a bad one leaves the forecast before.
    pub(super) fn refresh_weather(&mut self) {
        let Some(file) = &mut self.weather_file else { return };
        match file.refresh() {
            Ok(None) => {}
            Ok(Some(weather)) => {
                let place = self.config.place;
                self.weather_problem = (weather.needs_place() && place.is_none()).then(|| {
                    "the weather file says how cloudy it will be, which helps only where [place] \
                     says where the household is"
                        .to_owned()
                });
                tracing::info!(rows = weather.row_count(), "the weather file is read");
                let zone = &self.genesis.time_zone;
                self.surroundings = Surroundings::new(zone, place).with_weather(weather);
            }
            Err(error) => {
                let problem = error.to_string();
                if self.weather_problem.as_ref() != Some(&problem) {
                    tracing::warn!(%problem, "the weather file cannot be used");
                }
                self.weather_problem = Some(problem);
            }
        }
    }

    /// Stores and sends drafts; whether the outbox took them.
    async fn say(&mut self, drafts: &[Draft]) -> bool {
        let (signed, market_now) = (Instant::now(), self.clock.now());
        let stored = self.outbox.store(drafts, &self.signer, Kept::default(), market_now).await;
        let messages = match stored {
            Ok(messages) => messages,
            Err(error) => {
                self.outbox_failed(&error);
                return false;
            }
        };
        self.outbox_works();
        for (draft, message) in drafts.iter().zip(messages) {
            self.orders.said(draft, signed, market_now);
            self.note_order(draft, &message);
            self.delivery.add(message, signed);
        }
        self.send_due().await;
        true
    }

    fn note_order(&mut self, draft: &Draft, message: &Message) {
        if let Content::Curve { side, steps, .. } = &draft.content {
            let limit = steps.first().map(|step| words::price(step.limit));
            tracing::info!(?side, ?limit, sequence = message.sequence, "standing curve");
        }
        let Content::Order { period, side, steps, .. } = &draft.content else { return };
        let side = if MessageKind::from(*side) == MessageKind::Bid { "bid" } else { "offer" };
        let steps: Vec<_> =
            steps.iter().map(|step| (words::price(step.limit), step.energy.wh())).collect();
        tracing::debug!(
            side, period = %words::period(*period), ?steps, sequence = message.sequence, "order"
        );
        self.status.last_order = Some(OrderStatus {
            period_start_ms: period.start().as_millis(),
            side: side.to_owned(),
            steps,
            sequence: message.sequence,
        });
    }

    /// Whether the meter has been read and counted within the last period and a half.
    fn knows_its_meter(&self) -> bool {
        let length_ms = self.genesis.rules.period_length.as_millis();
        let fresh_ms = length_ms.saturating_add(length_ms / 2);
        self.last_read.is_some_and(|at| self.clock.now().millis_since(at) <= fresh_ms)
    }

    /// What auctions have taught; drawn by lot before the first.
    fn margins(&mut self) -> &Margins {
        self.judgement.margins.get_or_insert_with(|| Margins::draw(&mut self.lots))
    }

    /// Learns from the gates that closed in the household's zone.
    fn learn_auctions(&mut self, followed: &Followed) {
        for auction in &followed.auctions {
            let own = followed
                .answers
                .iter()
                .find(|own| (own.period, own.gate) == (auction.period, auction.gate));
            let rates = self.genesis.rules.rates(auction.period);
            let result = AuctionResult { price: auction.price, rates };
            let lots = &mut self.lots;
            let margins = self.judgement.margins.get_or_insert_with(|| Margins::draw(lots));
            margins.hear(&result, own.map(|own| own.side), lots);
        }
    }

    fn now(&self) -> Now {
        let running = self.meter.running().filter(|(_, elapsed_ms)| *elapsed_ms >= RUNNING_MIN_MS);
        let running_w =
            running.map(|(net_wh, elapsed_ms)| net_wh as f64 * 3_600_000.0 / elapsed_ms as f64);
        Now { fed_in_w: running_w.or(self.last_power_w.map(|power_w| -(power_w as f64))) }
    }

    /// Hands to the mesh what is due.
    pub(super) async fn send_due(&mut self) {
        for message in self.delivery.due(Instant::now()) {
            let is_order = is_order(message.key.kind);
            let topic = if is_order { Topic::Orders } else { Topic::Readings };
            let taken = match self.mesh.publish(topic, message.bytes).await {
                Ok(()) => true,
                Err(error @ (MeshError::NoPeers { .. } | MeshError::QueuesFull { .. })) => {
                    tracing::debug!(%error, "a message waits");
                    false
                }
                Err(error) => {
                    tracing::warn!(%error, "a message could not be sent");
                    false
                }
            };
            self.delivery.sent(&message.hash, taken, Instant::now());
        }
    }

    pub(super) fn give_up_useless(&mut self) {
        for message in self.delivery.expire(self.clock.now()) {
            let period = message.key.period.map(words::period).unwrap_or_default();
            if is_order(message.key.kind) {
                tracing::warn!(%period, "an order was in no block before its last gate closed");
            } else {
                tracing::warn!(%period, "a reading was in no block before settlement was final");
            }
        }
    }

    pub(super) async fn on_mesh(&mut self, event: MeshEvent) {
        match event {
            MeshEvent::Message { topic: Topic::Blocks, payload, from, ticket } => {
                self.on_announcement(&payload, from, ticket);
            }
            MeshEvent::Message { payload, ticket, .. } => {
                // An agent only passes on; whether it counts is judged by the nodes.
                let sound = Transaction::from_bytes(&payload).is_ok();
                self.mesh.judge(ticket, if sound { Verdict::Accept } else { Verdict::Reject });
            }
            MeshEvent::PeerJoined { .. } => {
                self.delivery.peers_appeared(Instant::now());
                self.send_due().await;
            }
            // Dropping the ticket refuses; an agent keeps no blocks.
            MeshEvent::BlocksRequested { .. } | MeshEvent::SnapshotRequested { .. } => {}
            MeshEvent::PeerLeft { .. } | MeshEvent::Listening { .. } => {}
        }
    }

    fn on_announcement(&mut self, payload: &[u8], from: PeerId, ticket: MessageTicket) {
        let Ok((header, certificate)) = <(Header, CommitCertificate)>::try_from_slice(payload)
        else {
            self.mesh.judge(ticket, Verdict::Reject);
            return;
        };
        if let Err(error) = check_commit(&header, &certificate, &self.genesis.validators) {
            // Not to be blamed on the neighbour: the validators may have changed since genesis.
            tracing::debug!(%from, %error, "a block announcement does not hold");
            self.mesh.judge(ticket, Verdict::Ignore);
            return;
        }
        self.mesh.judge(ticket, Verdict::Accept);
        // While the follower is behind it learns the height from whomever it fetches from.
        let _ = self.announce.try_send(Announcement { header, certificate, from });
    }

    pub(super) fn on_followed(&mut self, followed: Followed) {
        self.status.height = followed.height;
        self.status.block_time_ms = Some(followed.time.as_millis());
        if let Some(totals) = followed.totals {
            self.status.totals = totals;
        }
        for answer in &followed.answers {
            let told = words::answer(answer);
            tracing::info!("{told}");
            self.status.last_answer = Some(told);
        }
        self.learn_auctions(&followed);
        let now = Instant::now();
        if let Some(effects) = followed.effects {
            for own in &effects.own {
                self.delivery.committed(&own.hash, now);
            }
            for fill in &effects.fills {
                self.orders.note_fill(fill);
            }
        }
    }

    pub(super) fn outbox_failed(&mut self, error: &OutboxError) {
        if self.outbox_fails.is_none() {
            tracing::error!(%error, "the outbox takes nothing; nothing is sent until it does");
        }
        self.outbox_fails = Some(error.to_string());
    }

    pub(super) fn outbox_works(&mut self) {
        if self.outbox_fails.take().is_some() {
            tracing::info!("the outbox works again");
        }
    }
}
