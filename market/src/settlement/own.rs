//! One party's settlement, from what it can prove by itself.

use crate::Overflow;
use crate::member::PartyId;
use crate::settlement::amounts::{self, Pooled};
use crate::settlement::position::metered_or;
use crate::settlement::{Expected, Metered, PartySettlement, PoolShare};
use crate::tariff::Rates;
use crate::trade::Trade;

/// What [`super::settle`] has for one party, from its own trades, its meter, and its parts in the
/// pools alone: the same sums and the same rounding, without its neighbours. Trades and parts of
/// others are passed over. Parts that are more than the imbalance make `fed_in` or `supplied`
/// negative, as [`super::settle`] never does.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range.
pub fn settle_own(
    party: &PartyId,
    metered: Option<Metered>,
    expected: Expected,
    trades: &[Trade],
    shares: &[PoolShare],
    rates: &Rates,
) -> Result<PartySettlement, Overflow> {
    let mut own = PartySettlement::before_trades(metered_or(metered, expected));
    for trade in trades {
        if trade.seller == *party {
            own.sell(trade)?;
        }
        if trade.buyer == *party {
            own.buy(trade)?;
        }
    }
    own.compare()?;
    let mut pooled = Pooled::default();
    for PoolShare { imbalance, energy, price, charges, .. } in
        shares.iter().filter(|share| share.party == *party)
    {
        let (price, charges) = (price.micros_per_kwh(), charges.micros_per_kwh());
        pooled.add_part(*imbalance, energy.wh(), price, charges)?;
    }
    amounts::pay(&mut own, &pooled, rates)?;
    Ok(own)
}
