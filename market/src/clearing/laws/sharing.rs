//! Laws of sharing keys: everything at the internal price, nobody beyond its entitlement, and
//! nothing left over that the key would share.

use std::collections::BTreeMap;

use crate::answer::{Answer, Reason};
use crate::book::SealedBook;
use crate::clearing::laws::BrokenLaw;
use crate::clearing::laws::single::{Prices, Read, common};
use crate::clearing::laws::standing::Standing;
use crate::clearing::sharing::{SharingKey, SharingRule, WHOLE_MILLIONTHS};
use crate::clearing::{ClearingResult, Terms};
use crate::energy::Energy;
use crate::member::PartyId;
use crate::order::Side;
use crate::price::Price;
use crate::trade::Trade;

/// # Errors
/// [`BrokenLaw`] names the first law that does not hold.
pub(super) fn check(
    book: &SealedBook,
    rule: &SharingRule,
    terms: &Terms<'_>,
    result: &ClearingResult,
) -> Result<(), BrokenLaw> {
    let of_trade = |trade: &Trade, _: &Standing<'_>, _: &Standing<'_>| {
        trade.buyer_price == rule.price && trade.seller_price == rule.price
    };
    let told = Some(rule.price).filter(|_| !result.trades.is_empty());
    let prices = Prices { of_trade: &of_trade, stated: told, told: (told, told) };
    let holds = |answer: &Answer, standing: &Standing<'_>, left: Price| match answer.reason {
        Reason::SharedByKey => told.is_some() && standing.reaches(left, rule.price),
        Reason::LimitNotReached { limit } => {
            told.is_some() && limit == left && !standing.reaches(left, rule.price)
        }
        Reason::NoTrade => told.is_none(),
        _ => false,
    };
    let Read { standings, .. } = common(book, terms, result, &prices, holds)?;
    let (mut produced, mut wanted) = (Energy::ZERO, Energy::ZERO);
    let mut allotted: BTreeMap<PartyId, Energy> = BTreeMap::new();
    for standing in standings.values().filter(|standing| !standing.crossed) {
        let willing = standing.better_than(rule.price)?.plus(standing.at(rule.price)?)?;
        let sum = match standing.side {
            Side::Buy => &mut wanted,
            Side::Sell => &mut produced,
        };
        *sum = sum.plus(willing)?;
        if standing.side == Side::Buy {
            let of_party = allotted.entry(standing.order.party).or_default();
            *of_party = of_party.plus(standing.filled)?;
        }
    }
    if let SharingKey::Static(shares) = &rule.key {
        for (party, energy) in allotted {
            let share = shares.millionths().get(&party).copied().unwrap_or_default();
            check_entitled(party, energy, share, produced)?;
        }
    } else if result.volume != produced.min(wanted) {
        return Err(BrokenLaw::NotShared { produced, wanted, shared: result.volume });
    }
    Ok(())
}

/// Less than one watt-hour above the exact share.
fn check_entitled(
    party: PartyId,
    allotted: Energy,
    share: u32,
    produced: Energy,
) -> Result<(), BrokenLaw> {
    let whole = i128::from(WHOLE_MILLIONTHS);
    let excess = i128::from(allotted.wh()).saturating_sub(1).saturating_mul(whole);
    let entitled = i128::from(produced.wh()).saturating_mul(i128::from(share));
    if allotted.is_positive() && excess >= entitled {
        return Err(BrokenLaw::BeyondEntitlement { party, allotted, produced });
    }
    Ok(())
}
