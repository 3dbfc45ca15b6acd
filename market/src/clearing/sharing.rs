//! Sharing keys: metered energy is allotted to consumers by a fixed key and at a fixed price,
//! without orders (energy sharing in the EU, landlords and their tenants).
//!
//! The book is made from the readings of the period ([`crate::book::ex_post`]): what each party fed
//! in is an offer, what it drew is a bid. Every step whose limit reaches the internal price takes
//! part; a limit that does not is respected. With the limits of the default curve, feed-in tariff
//! and retail tariff, everybody takes part as long as the internal price lies between the two, and
//! nobody else would be better off with it.
//!
//! P is all energy offered, C all energy wanted:
//!
//! | key | a consumer gets |
//! |---|---|
//! | static | its share of P, but not more than it consumed; what it leaves goes to nobody |
//! | pro rata | its part of min(P, C), in proportion to its consumption |
//! | priority | what it consumed, as far as P goes, by rank; without a rank pro rata of the rest |
//! | hybrid | as by the static key; then the rest of P pro rata to consumption not yet met |
//!
//! What is allotted is taken from the producers in proportion to what each of them fed in. All
//! parts are whole watt-hours by largest remainder, odd ones by SHA-256(party, salt). Who trades
//! with whom is decided as in the auction. Zones do not matter, and so the key stands only over a
//! grid whose edges have neither charge nor capacity.

mod key;

use borsh::{BorshDeserialize, BorshSerialize};

pub use key::{NotAKey, Ranking, Shares, SharingKey, WHOLE_MILLIONTHS};

use crate::Overflow;
use crate::answer::Reason;
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::merit::name;
use crate::clearing::ration::{Claim, ration};
use crate::clearing::single::{Decision, Left, Market};
use crate::clearing::{ClearingError, ClearingResult, Mechanism, Terms};
use crate::hash::Digest;
use crate::order::{Side, Step};
use crate::price::Price;
use key::Consumer;

/// How metered energy is shared, and at which price.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SharingRule {
    /// What consumers pay and producers get per kWh. Outside the corridor between feed-in and
    /// retail tariff nothing is shared, because somebody would be worse off.
    pub price: Price,
    /// Who gets what.
    pub key: SharingKey,
}

impl SharingRule {
    /// Whether a step takes part.
    fn reaches(&self, side: Side, limit: Price) -> bool {
        match side {
            Side::Buy => limit >= self.price,
            Side::Sell => limit <= self.price,
        }
    }

    /// By number, what takes part of each order.
    fn willing(&self, orders: &[BookedOrder], side: Side) -> Result<Vec<i64>, Overflow> {
        let of = |order: &BookedOrder| {
            let steps = order.steps.iter().filter(|step| self.reaches(side, step.limit));
            sum(steps.map(|step: &Step| step.energy.wh()))
        };
        orders.iter().map(of).collect()
    }

    /// By number, what each bid gets. A party's part is spread over its bids pro rata.
    fn buying(
        &self,
        book: &SealedBook,
        willing: &[i64],
        produced: i64,
    ) -> Result<Vec<i64>, Overflow> {
        let bids: Vec<_> = book.bids().iter().zip(willing).collect();
        let mut consumers = Vec::new();
        let same_party =
            |one: &(&BookedOrder, &i64), next: &(&BookedOrder, &i64)| one.0.party == next.0.party;
        for group in bids.chunk_by(same_party) {
            let wanted = sum(group.iter().map(|(_, energy)| **energy))?;
            consumers
                .extend(group.first().map(|(order, _)| Consumer { party: order.party, wanted }));
        }
        sum(consumers.iter().map(|consumer| consumer.wanted))?;
        let parts = self.key.allot(&consumers, produced, book.salt())?;
        let mut buying = Vec::with_capacity(bids.len());
        for (group, part) in bids.chunk_by(same_party).zip(parts) {
            let claim = |(order, energy): &(&BookedOrder, &i64)| Claim {
                who: Digest::from_bytes(*order.id.as_bytes()),
                energy: **energy,
            };
            let claims: Vec<_> = group.iter().map(claim).collect();
            buying.extend(ration(&claims, part, book.salt(), |id| *id)?);
        }
        Ok(buying)
    }
}

impl Mechanism for SharingRule {
    fn clear(&self, book: &SealedBook, terms: &Terms<'_>) -> Result<ClearingResult, ClearingError> {
        let market = Market::open(book, terms.zones)?;
        let wanted = self.willing(book.bids(), Side::Buy)?;
        let offered = self.willing(book.offers(), Side::Sell)?;
        let buying = self.buying(book, &wanted, sum(offered.iter().copied())?)?;
        let claims = (0_u32..).zip(&offered);
        let claims: Vec<_> = claims.map(|(who, energy)| Claim { who, energy: *energy }).collect();
        let id = |number: &u32| name(book.offers(), *number).unwrap_or_default();
        let volume = sum(buying.iter().copied())?;
        let selling = ration(&claims, volume, book.salt(), id)?;
        let deals = market.allot(&buying, &selling, self.price, self.price)?;
        market.write_out(&Decision::at(self.price, deals), |left: &Left| match left.price {
            None => Reason::NoTrade,
            Some(_) if self.reaches(left.side, left.limit) => Reason::SharedByKey,
            Some(_) => Reason::LimitNotReached { limit: left.limit },
        })
    }
}

fn sum(energies: impl Iterator<Item = i64>) -> Result<i64, Overflow> {
    let failed = Overflow::of("the energy that is shared");
    let mut energies = energies;
    energies.try_fold(0_i64, |sum, energy| sum.checked_add(energy)).ok_or(failed)
}
