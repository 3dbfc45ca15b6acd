//! How long a settlement can change (law S4).

use borsh::{BorshDeserialize, BorshSerialize};

use crate::rules::MarketRules;
use crate::time::{DeliveryPeriod, Timestamp};

/// Whether a period's settlement can still change.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Finality {
    /// Not settled yet.
    Open = 1,
    /// Settled; late and corrected readings still settle differences.
    Provisional = 2,
    /// The operator approved what was settled.
    FinalByApproval = 3,
    /// The time for readings is over. What has not been settled by then is settled from the
    /// readings that came in time.
    FinalByTime = 4,
}

/// What wants to change a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A late or corrected reading.
    Reading,
    /// The operator's approval of what was settled.
    Approval,
    /// A signed decision of a dispute.
    Decision,
}

impl Finality {
    /// Where a period stands at an instant. An approval counts only for what is settled.
    pub fn of(
        rules: &MarketRules,
        period: DeliveryPeriod,
        now: Timestamp,
        settled: bool,
        approved: bool,
    ) -> Self {
        if now >= rules.final_at(period) {
            Self::FinalByTime
        } else if settled && approved {
            Self::FinalByApproval
        } else if settled {
            Self::Provisional
        } else {
            Self::Open
        }
    }

    /// Whether nothing but a decision changes the settlement any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::FinalByApproval | Self::FinalByTime)
    }

    /// Whether a change takes effect: readings until the settlement is final, an approval once
    /// while it is provisional, a decision from the moment there is something to dispute.
    pub fn admits(self, change: Change) -> bool {
        match change {
            Change::Reading => !self.is_final(),
            Change::Approval => self == Self::Provisional,
            Change::Decision => self != Self::Open,
        }
    }
}
