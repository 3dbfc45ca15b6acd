//! Who pays whom how much, and why: what a ledger posts of trades and settlements.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::Overflow;
use crate::member::PartyId;
use crate::money::Money;
use crate::settlement::{PartySettlement, Settlement, SettlementError};
use crate::trade::Trade;

/// Who pays or receives.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Holder {
    /// A party.
    Party(PartyId),
    /// The supplier, who also collects levies and tax and passes them on.
    Supplier,
    /// The grid operator, who gets the wheeling charges.
    GridOperator,
    /// The community, which gets the congestion rent and stands between those who are short and
    /// those who are long: what rounding leaves in the pool stays with it.
    Community,
    /// The bank: money that was really paid, outside of the ledger.
    Bank,
}

/// Why money moves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Cause {
    /// A buyer pays a seller for a trade.
    Trade = 1,
    /// A buyer pays the grid operator for conveying what it bought.
    TradeWheeling = 2,
    /// A buyer pays the community for a place on a full line.
    CongestionRent = 3,
    /// A short party pays for what neighbours had left.
    PoolShort = 4,
    /// A long party is paid for what neighbours were short of.
    PoolLong = 5,
    /// A party pays the grid operator for conveying what was pooled.
    PoolWheeling = 6,
    /// A party pays the supplier for energy that no neighbour delivered.
    Supplied = 7,
    /// The supplier pays a party for energy that no neighbour took.
    FedIn = 8,
    /// A party pays the levies on what it imported and was supplied with.
    Levies = 9,
    /// A party pays the tax on what the supplier collects.
    Tax = 10,
    /// A party was paid what it was due, or paid what it owed.
    Payout = 11,
}

/// Money from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Transfer {
    /// Who pays.
    pub payer: Holder,
    /// Who receives.
    pub payee: Holder,
    /// Why.
    pub cause: Cause,
    /// How much; never zero. A negative amount moves the other way: a negative price, or a
    /// correction that takes back.
    pub amount: Money,
}

/// The money of one trade. A trade stands whatever is metered, so this is posted once, when the
/// period is first settled.
pub fn of_trade(trade: &Trade) -> impl Iterator<Item = Transfer> {
    let payer = Holder::Party(trade.buyer);
    let parts = [
        (Holder::Party(trade.seller), Cause::Trade, trade.seller_amount),
        (Holder::GridOperator, Cause::TradeWheeling, trade.charge),
        (Holder::Community, Cause::CongestionRent, trade.rent),
    ];
    let transfers = parts.map(|(payee, cause, amount)| Transfer { payer, payee, cause, amount });
    transfers.into_iter().filter(|transfer| !transfer.amount.is_zero())
}

/// What is to be posted of imbalances so that the books show `now`, after `posted` has been: all of
/// it at first, exact differences after a correction, nothing if the period is settled again from
/// the same facts (law S3). The trades' own money is [`of_trade`].
///
/// Pooling ties neighbours together, so a correction of one reading may change what others are due
/// too.
///
/// # Errors
/// [`SettlementError::NotComparable`] unless both are of one period and the same trades,
/// [`SettlementError::Overflow`] if a difference leaves its range.
pub fn difference(
    now: &Settlement,
    posted: Option<&Settlement>,
) -> Result<Vec<Transfer>, SettlementError> {
    let mut transfers = Vec::new();
    let Some(posted) = posted else {
        for (party, settled) in &now.parties {
            push(&mut transfers, *party, Some(settled), None)?;
        }
        return Ok(transfers);
    };
    if now.period != posted.period {
        return Err(SettlementError::NotComparable);
    }
    // Who joined or left the community since then is in one of them only.
    let left = posted.parties.keys().filter(|party| !now.parties.contains_key(party));
    for party in now.parties.keys().chain(left) {
        let (settled, before) = (now.parties.get(party), posted.parties.get(party));
        if traded(settled) != traded(before) {
            return Err(SettlementError::NotComparable);
        }
        if settled != before {
            push(&mut transfers, *party, settled, before)?;
        }
    }
    Ok(transfers)
}

/// The money of a party's trades.
fn traded(settled: Option<&PartySettlement>) -> [Money; 4] {
    settled.map_or([Money::ZERO; 4], |settled| {
        [settled.trade_income, settled.trade_cost, settled.trade_wheeling, settled.congestion_rent]
    })
}

fn push(
    transfers: &mut Vec<Transfer>,
    party: PartyId,
    now: Option<&PartySettlement>,
    before: Option<&PartySettlement>,
) -> Result<(), Overflow> {
    for (line, posted) in lines(party, now).into_iter().zip(lines(party, before)) {
        let amount = line.amount.minus(posted.amount)?;
        if !amount.is_zero() {
            transfers.push(Transfer { amount, ..line });
        }
    }
    Ok(())
}

/// The money of a party's imbalances, always the same lines in the same order; nothing on each if
/// the party is not settled.
fn lines(party: PartyId, settled: Option<&PartySettlement>) -> [Transfer; 7] {
    use Holder::{Community, GridOperator, Supplier};
    let party = Holder::Party(party);
    let line = |payer, payee, cause, part: fn(&PartySettlement) -> Money| {
        let amount = settled.map(part).unwrap_or_default();
        Transfer { payer, payee, cause, amount }
    };
    [
        line(party, Community, Cause::PoolShort, |s| s.pool_cost),
        line(Community, party, Cause::PoolLong, |s| s.pool_income),
        line(party, GridOperator, Cause::PoolWheeling, |s| s.pool_wheeling),
        line(party, Supplier, Cause::Supplied, |s| s.supplier_cost),
        line(Supplier, party, Cause::FedIn, |s| s.supplier_income),
        line(party, Supplier, Cause::Levies, |s| s.levies),
        line(party, Supplier, Cause::Tax, |s| s.tax),
    ]
}
