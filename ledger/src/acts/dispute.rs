//! Disputes and their decisions.

use borsh::{BorshDeserialize, BorshSerialize};
use market::admission::Rejection;
use market::energy::Energy;
use market::keys::PublicKey;
use market::member::PartyId;
use market::reading::Quality;
use market::settlement::{Change, Metered};
use market::time::{DeliveryPeriod, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

use super::{NotApplied, Scene, check_text, listed};
use crate::state::RecordedReading;

/// The longest reason of a dispute, in bytes.
pub const REASON_BYTES_MAX: usize = 500;

/// The longest note of a decision, in bytes.
pub const NOTE_BYTES_MAX: usize = 500;

/// How many disputes of one party may be open: a day of quarters of an hour. Each keeps the facts
/// of its period in everybody's state.
const OPEN_MAX: usize = 96;

/// How often one party may dispute one period: a decision is to be the end of it.
const PER_PERIOD_MAX: usize = 3;

/// A settlement that a party contests. It is kept until it is closed and its period is final; the
/// acts that opened and closed it stay in their blocks.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dispute {
    /// Whose it is.
    pub party: PartyId,
    /// Which settlement.
    pub period: DeliveryPeriod,
    /// Why.
    pub reason: String,
    /// Since when.
    pub opened_at: Timestamp,
    /// How far it has come.
    pub status: DisputeStatus,
}

impl Dispute {
    /// Whether it is neither withdrawn nor decided.
    pub fn is_open(&self) -> bool {
        self.status == DisputeStatus::Open
    }
}

/// How far a dispute has come.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum DisputeStatus {
    /// Nobody has decided it.
    Open = 1,
    /// The party took it back.
    Withdrawn {
        /// When.
        at: Timestamp,
    } = 2,
    /// An operator decided it.
    Decided {
        /// When.
        at: Timestamp,
        /// Who.
        by: PublicKey,
        /// Whether readings were corrected.
        corrected: bool,
        /// Why.
        note: String,
    } = 3,
}

/// How a dispute is decided.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Verdict {
    /// The settlement stands.
    Dismissed = 1,
    /// The period is settled again from these readings and all the others, and exact differences
    /// are posted. No later reading changes them; another decision may.
    Corrected {
        /// At least one, each party at most once.
        readings: Vec<Corrected>,
    } = 2,
}

impl Verdict {
    /// Whether it corrects a reading of a party.
    pub fn names(&self, party: &PartyId) -> bool {
        match self {
            Self::Dismissed => false,
            Self::Corrected { readings } => readings.iter().any(|one| one.party == *party),
        }
    }
}

/// What a party's meter is taken to have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Corrected {
    /// Whose.
    pub party: PartyId,
    /// Drawn from the grid.
    pub imported: Energy,
    /// Fed into the grid.
    pub exported: Energy,
}

impl Scene<'_> {
    pub(super) fn dispute(
        &mut self,
        party: PartyId,
        period: DeliveryPeriod,
        reason: &str,
    ) -> Result<(), NotApplied> {
        check_text("reason", reason, 1, REASON_BYTES_MAX)?;
        let until = self.state.rules().final_at(period);
        if until <= self.time {
            return Err(NotApplied::TooLateToDispute(until));
        }
        if !self.state.finality(period, self.time).admits(Change::Decision) {
            return Err(NotApplied::NotSettled(period));
        }
        if self.state.party_settlement(period, &party).is_none() {
            return Err(NotApplied::NotInPeriod { party, period });
        }
        let own = self.state.disputes.iter().filter(|(_, one)| one.party == party);
        let own: Vec<_> = own.collect();
        let of_period: Vec<_> = own.iter().filter(|(_, one)| one.period == period).collect();
        if let Some((number, _)) = of_period.iter().find(|(_, one)| one.is_open()) {
            return Err(NotApplied::AlreadyDisputed(**number));
        }
        let open_count = own.iter().filter(|(_, one)| one.is_open()).count();
        if of_period.len() >= PER_PERIOD_MAX || open_count >= OPEN_MAX {
            return Err(NotApplied::TooManyDisputes);
        }
        let dispute = Dispute {
            party,
            period,
            reason: reason.to_owned(),
            opened_at: self.time,
            status: DisputeStatus::Open,
        };
        self.state.dispute_count = self.state.dispute_count.saturating_add(1);
        self.state.disputes.insert(self.state.dispute_count, dispute);
        Ok(())
    }

    pub(super) fn withdraw_dispute(
        &mut self,
        party: PartyId,
        number: u64,
    ) -> Result<(), NotApplied> {
        let now = self.time;
        let dispute = self.open_dispute(number)?;
        if dispute.party != party {
            return Err(NotApplied::AnothersDispute(number));
        }
        dispute.status = DisputeStatus::Withdrawn { at: now };
        Ok(())
    }

    pub(super) fn decide(
        &mut self,
        operator: PublicKey,
        number: u64,
        verdict: &Verdict,
        note: &str,
    ) -> Result<(), NotApplied> {
        check_text("note", note, 0, NOTE_BYTES_MAX)?;
        let now = self.time;
        let dispute = self.open_dispute(number)?;
        dispute.status = DisputeStatus::Decided {
            at: now,
            by: operator,
            corrected: matches!(verdict, Verdict::Corrected { .. }),
            note: note.to_owned(),
        };
        let period = dispute.period;
        if let Verdict::Corrected { readings } = verdict {
            self.correct(period, readings)?;
            self.consequences.reopened = Some(period);
        }
        Ok(())
    }

    /// Puts what was decided in place of what was read.
    fn correct(
        &mut self,
        period: DeliveryPeriod,
        readings: &[Corrected],
    ) -> Result<(), NotApplied> {
        if readings.is_empty() {
            return Err(NotApplied::NoChange);
        }
        let mut corrected = BTreeSet::new();
        for Corrected { party, imported, exported } in readings {
            if !corrected.insert(*party) {
                return Err(NotApplied::CorrectedTwice(*party));
            }
            if self.state.party_settlement(period, party).is_none() {
                return Err(NotApplied::NotInPeriod { party: *party, period });
            }
            let member = listed(self.state, *party)?;
            for (counted, max) in [(*imported, member.import_max), (*exported, member.export_max)] {
                if counted.is_negative() || counted > max {
                    return Err(Rejection::ImplausibleReading { counted, max }.into());
                }
            }
            let metered =
                Metered { imported: *imported, exported: *exported, quality: Quality::Ok };
            let of_period = self.state.readings.get_or_insert_with(period, BTreeMap::new);
            let at_gate = of_period.get(party).and_then(|known| known.at_gate);
            let decided = RecordedReading { metered, sequence: RecordedReading::DECIDED, at_gate };
            of_period.insert(*party, decided);
        }
        Ok(())
    }

    fn open_dispute(&mut self, number: u64) -> Result<&mut Dispute, NotApplied> {
        let dispute = self.state.disputes.get_mut(&number);
        let dispute = dispute.ok_or(NotApplied::UnknownDispute(number))?;
        if dispute.is_open() { Ok(dispute) } else { Err(NotApplied::DisputeClosed(number)) }
    }
}
