//! A settlement line by line, as on a bill.

use market::Overflow;
use market::energy::Energy;
use market::money::Money;
use market::settlement::PartySettlement;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::input::money;

/// A line of a settlement. All lines together come to the net result, to the micro-unit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettlementLine {
    /// What it is for.
    kind: LineKind,
    /// How much energy; null where the line is money alone.
    #[schema(required)]
    energy_wh: Option<i64>,
    /// What the household gets; negative if it pays.
    amount: String,
}

/// What a line of a settlement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LineKind {
    /// Sold to neighbours.
    Sold,
    /// Bought from neighbours, for their energy alone.
    Bought,
    /// Left over from trades, and taken by neighbours who were short.
    PooledLong,
    /// Short of trades, and covered by neighbours who had some left.
    PooledShort,
    /// Taken by the supplier.
    FedIn,
    /// Delivered by the supplier, before levies and tax.
    Supplied,
    /// Wheeling charges, to the grid operator.
    Wheeling,
    /// Congestion rent, to the community.
    CongestionRent,
    /// Levies, which the supplier collects.
    Levies,
    /// Tax, which the supplier collects.
    Tax,
}

/// As on a bill: energy first, then what is added to it.
const KINDS: [LineKind; 10] = [
    LineKind::Sold,
    LineKind::Bought,
    LineKind::PooledLong,
    LineKind::PooledShort,
    LineKind::FedIn,
    LineKind::Supplied,
    LineKind::Wheeling,
    LineKind::CongestionRent,
    LineKind::Levies,
    LineKind::Tax,
];

/// The lines of some settlements together, without those of nothing.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range.
pub(crate) fn lines<'a>(
    settlements: impl Iterator<Item = &'a PartySettlement> + Clone,
) -> Result<Vec<SettlementLine>, Overflow> {
    let mut lines = Vec::with_capacity(KINDS.len());
    for kind in KINDS {
        let (mut energy, mut amount) = (None, Money::ZERO);
        for settlement in settlements.clone() {
            amount = amount.plus(kind.amount(settlement)?)?;
            if let Some(part) = kind.energy(settlement) {
                energy = Some(energy.unwrap_or(Energy::ZERO).plus(part)?);
            }
        }
        if !amount.is_zero() || energy.is_some_and(|energy| !energy.is_zero()) {
            let energy_wh = energy.map(Energy::wh);
            lines.push(SettlementLine { kind, energy_wh, amount: money(amount) });
        }
    }
    Ok(lines)
}

impl LineKind {
    fn energy(self, settlement: &PartySettlement) -> Option<Energy> {
        match self {
            Self::Sold => Some(settlement.sold),
            Self::Bought => Some(settlement.bought),
            Self::PooledLong => Some(settlement.pooled_long),
            Self::PooledShort => Some(settlement.pooled_short),
            Self::FedIn => Some(settlement.fed_in),
            Self::Supplied => Some(settlement.supplied),
            Self::Wheeling | Self::CongestionRent | Self::Levies | Self::Tax => None,
        }
    }

    /// What the party gets.
    fn amount(self, settlement: &PartySettlement) -> Result<Money, Overflow> {
        let paid = match self {
            Self::Sold => return Ok(settlement.trade_income),
            Self::PooledLong => return Ok(settlement.pool_income),
            Self::FedIn => return Ok(settlement.supplier_income),
            // What the trades cost includes their charges and rent, which have lines of their own.
            Self::Bought => settlement
                .trade_cost
                .minus(settlement.trade_wheeling)?
                .minus(settlement.congestion_rent)?,
            Self::PooledShort => settlement.pool_cost,
            Self::Supplied => settlement.supplier_cost,
            Self::Wheeling => settlement.wheeling()?,
            Self::CongestionRent => settlement.congestion_rent,
            Self::Levies => settlement.levies,
            Self::Tax => settlement.tax,
        };
        paid.negated()
    }
}
