//! Certificates of origin: for energy that was both traded and delivered, issued and retired at
//! once (design section 4).
//!
//! A seller delivers `min(sold, exported)`, spread pro rata over everything it sold; a buyer takes
//! `min(bought, imported)`, spread pro rata over everything it bought. What a trade's two sides
//! both have is certified, if the offer stated an origin. So the certificates of a producer never
//! sum to more than it sold and exported, those of a consumer never to more than it bought and
//! imported, and no watt-hour is claimed twice.
//!
//! A reading that never came proves nothing: until it comes, neither side's trades are certified.
//! Then the [`difference`] is issued.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::Overflow;
use crate::clearing::ration::{Claim, ration};
use crate::energy::Energy;
use crate::hash::Digest;
use crate::member::PartyId;
use crate::order::{OrderId, Origin};
use crate::reading::Quality;
use crate::settlement::{PartySettlement, Settlement};
use crate::time::DeliveryPeriod;
use crate::trade::Trade;

/// Energy of one origin that one party delivered to another.
///
/// There is at most one for each pair of offer and bid, which also say for which period.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// When it was delivered.
    pub period: DeliveryPeriod,
    /// The producer's order.
    pub offer: OrderId,
    /// The consumer's order, for which the certificate is retired.
    pub bid: OrderId,
    /// Who delivered.
    pub producer: PartyId,
    /// Who took it, and alone may claim its origin.
    pub consumer: PartyId,
    /// What the energy is made of, as the producer declared.
    pub origin: Origin,
    /// How much; positive. In a [`difference`], a negative energy withdraws what was issued.
    pub energy: Energy,
}

/// Names a certificate: offer and bid.
type Pair = (OrderId, OrderId);

/// Issues and retires the certificates of a period, by offer and bid: a pure function, whatever the
/// order of the trades. `trades` are those that were settled.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range.
pub fn issue(settlement: &Settlement, trades: &[Trade]) -> Result<Vec<Certificate>, Overflow> {
    let deals = deals(trades)?;
    let delivered = |of: &PartySettlement| of.sold.min(of.metered.exported);
    let taken = |of: &PartySettlement| of.bought.min(of.metered.imported);
    let delivered = spread(settlement, &deals, |deal| deal.seller, delivered)?;
    let taken = spread(settlement, &deals, |deal| deal.buyer, taken)?;
    let mut certificates = Vec::new();
    for ((pair, deal), (delivered, taken)) in deals.iter().zip(delivered.into_iter().zip(taken)) {
        let energy = Energy::from_wh(delivered.min(taken));
        if let Some(origin) = deal.origin.filter(|_| energy.is_positive()) {
            certificates.push(Certificate {
                period: settlement.period,
                offer: pair.0,
                bid: pair.1,
                producer: deal.seller,
                consumer: deal.buyer,
                origin,
                energy,
            });
        }
    }
    Ok(certificates)
}

/// What is to be issued, and with negative energy withdrawn, so that `now` stands where `before`
/// stood: nothing if they are the same.
///
/// # Errors
/// [`Overflow`] if a difference leaves its range.
pub fn difference(
    now: &[Certificate],
    before: &[Certificate],
) -> Result<Vec<Certificate>, Overflow> {
    let by_pair = |certificates: &[Certificate]| -> BTreeMap<_, _> {
        let named = certificates.iter().map(|one| ((one.period, one.offer, one.bid), one.clone()));
        named.collect()
    };
    let (now, before) = (by_pair(now), by_pair(before));
    let names: BTreeSet<_> = now.keys().chain(before.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let energy = |of: &BTreeMap<_, Certificate>| of.get(name).map(|one| one.energy);
        let change = energy(&now).unwrap_or_default().minus(energy(&before).unwrap_or_default())?;
        let known = now.get(name).or_else(|| before.get(name)).filter(|_| !change.is_zero());
        changes.extend(known.map(|known| Certificate { energy: change, ..known.clone() }));
    }
    Ok(changes)
}

/// All trades between one offer and one bid.
struct Deal {
    seller: PartyId,
    buyer: PartyId,
    origin: Option<Origin>,
    energy: Energy,
}

fn deals(trades: &[Trade]) -> Result<BTreeMap<Pair, Deal>, Overflow> {
    let mut deals: BTreeMap<Pair, Deal> = BTreeMap::new();
    for trade in trades {
        let Trade { seller, buyer, origin, .. } = *trade;
        let deal = deals.entry((trade.offer, trade.bid)).or_insert(Deal {
            seller,
            buyer,
            origin,
            energy: Energy::ZERO,
        });
        deal.energy = deal.energy.plus(trade.energy)?;
    }
    Ok(deals)
}

/// The part of each deal that one of its sides has really delivered, or taken: Wh by deal.
fn spread(
    settlement: &Settlement,
    deals: &BTreeMap<Pair, Deal>,
    side: impl Fn(&Deal) -> PartyId,
    in_all: impl Fn(&PartySettlement) -> Energy,
) -> Result<Vec<i64>, Overflow> {
    let mut of_party: BTreeMap<PartyId, Vec<Claim<(usize, Pair)>>> = BTreeMap::new();
    for (at, (pair, deal)) in deals.iter().enumerate() {
        let claim = Claim { who: (at, *pair), energy: deal.energy.wh() };
        of_party.entry(side(deal)).or_default().push(claim);
    }
    let start = settlement.period.start().as_millis().to_be_bytes();
    // Known beforehand, and harmless, for the reasons given for pooling.
    let salt = Digest::of(&[b"hidamari/origin/1", &start]);
    let mut parts = vec![0; deals.len()];
    for (party, claims) in of_party {
        let metered = |of: &&PartySettlement| of.metered.quality != Quality::Missing;
        let Some(of) = settlement.parties.get(&party).filter(metered) else { continue };
        let in_all = in_all(of).max(Energy::ZERO).wh();
        let shares = ration(&claims, in_all, &salt, |(_, (offer, bid))| {
            Digest::of(&[offer.as_bytes(), bid.as_bytes()])
        })?;
        for (Claim { who: (at, _), .. }, share) in claims.iter().zip(shares) {
            if let Some(part) = parts.get_mut(*at) {
                *part = share;
            }
        }
    }
    Ok(parts)
}
