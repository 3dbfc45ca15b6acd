//! Sharing out too little among equals: pro rata by largest remainder, ungrindable at the last
//! watt-hour.

use std::cmp::Ordering;

use crate::Overflow;
use crate::energy::Energy;
use crate::hash::Digest;
use crate::zone::ZoneId;

/// One claim among equals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    /// The caller's number for it.
    pub(super) index: u32,
    /// Who claims: the id of an order, or of a zone (see [`zone_lot`]).
    pub(super) id: Digest,
    /// How much it claims.
    pub(super) energy: Energy,
}

/// The name under which a zone draws its lot.
pub(super) fn zone_lot(id: ZoneId) -> Digest {
    Digest::of(&[b"hidamari/zone/1", &id.0.to_be_bytes()])
}

/// Gives each claim `floor(total x claim / all claims)`, and the watt-hours that are left one each
/// to the largest remainders; equal remainders are ordered by SHA-256(order id, salt).
///
/// The salt is known only after the orders are fixed, so neither the proposer nor a bidder can
/// choose who gets the odd watt-hour. The parts sum to `total` exactly and each lies within 1 Wh of
/// its exact share.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range.
pub(super) fn ration(
    claims: &[Claim],
    total: Energy,
    salt: &Digest,
) -> Result<Vec<(u32, Energy)>, Overflow> {
    let failed = Overflow::of("a pro rata share");
    let all = Energy::sum(claims.iter().map(|claim| claim.energy))?;
    if total >= all {
        return Ok(claims.iter().map(|claim| (claim.index, claim.energy)).collect());
    }
    let (all_wh, total_wh) = (i128::from(all.wh()), i128::from(total.wh()));
    let mut shares = Vec::with_capacity(claims.len());
    let mut given = Energy::ZERO;
    for claim in claims {
        let exact = i128::from(claim.energy.wh()).checked_mul(total_wh).ok_or(failed)?;
        let floor = exact.checked_div(all_wh).ok_or(failed)?;
        let remainder = exact.checked_rem(all_wh).ok_or(failed)?;
        let share = Energy::from_wh(i64::try_from(floor).map_err(|_| failed)?);
        given = given.plus(share)?;
        shares.push((claim, share, remainder));
    }
    let left = usize::try_from(total.minus(given)?.wh()).map_err(|_| failed)?;
    for at in lucky(&shares, left, salt) {
        if let Some((_, share, _)) = shares.get_mut(at) {
            *share = share.plus(Energy::from_wh(1))?;
        }
    }
    Ok(shares.into_iter().map(|(claim, share, _)| (claim.index, share)).collect())
}

/// Which of the shares get one of the `left` watt-hours: those with the largest remainders. Lots
/// are drawn only among those that tie for the last places, because a hash is dear.
fn lucky(shares: &[(&Claim, Energy, i128)], left: usize, salt: &Digest) -> Vec<usize> {
    let Some(last) = left.checked_sub(1).filter(|last| *last < shares.len()) else {
        return Vec::new();
    };
    let mut remainders: Vec<i128> = shares.iter().map(|(_, _, remainder)| *remainder).collect();
    let (_, cut, _) = remainders.select_nth_unstable_by(last, |a, b| b.cmp(a));
    let cut = *cut;
    let (mut winners, mut tied) = (Vec::with_capacity(left), Vec::new());
    for (at, (claim, _, remainder)) in shares.iter().enumerate() {
        match remainder.cmp(&cut) {
            Ordering::Greater => winners.push(at),
            Ordering::Equal => tied.push((at, claim.id)),
            Ordering::Less => {}
        }
    }
    let places = left.saturating_sub(winners.len());
    if places < tied.len() {
        let draw = |id: &Digest| Digest::of(&[id.as_bytes(), salt.as_bytes()]);
        tied.sort_by_cached_key(|(at, id)| (draw(id), *at));
    }
    winners.extend(tied.into_iter().take(places).map(|(at, _)| at));
    winners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(energies: &[i64]) -> Vec<Claim> {
        let claim = |(index, wh): (usize, &i64)| Claim {
            index: u32::try_from(index).unwrap(),
            id: Digest::of(&[&index.to_be_bytes()]),
            energy: Energy::from_wh(*wh),
        };
        energies.iter().enumerate().map(claim).collect()
    }

    fn shares(energies: &[i64], total: i64, salt: &[u8]) -> Vec<i64> {
        let salt = Digest::of(&[salt]);
        let mut shares = ration(&claims(energies), Energy::from_wh(total), &salt).unwrap();
        shares.sort_unstable();
        shares.into_iter().map(|(_, energy)| energy.wh()).collect()
    }

    #[test]
    fn parts_sum_exactly_and_lie_within_one_watt_hour_of_their_share() {
        for total in 0..=60 {
            let parts = shares(&[10, 20, 30], total, b"x");
            assert_eq!(parts.iter().sum::<i64>(), total);
            for (part, claim) in parts.iter().zip([10, 20, 30]) {
                assert!((part * 60 - claim * total).abs() < 60, "{part} of {claim} at {total}");
            }
        }
    }

    #[test]
    fn the_larger_remainder_goes_first() {
        assert_eq!(shares(&[1, 2], 2, b"x"), [1, 1]);
        assert_eq!(shares(&[5, 4], 3, b"x"), [2, 1]);
    }

    #[test]
    fn who_gets_the_odd_watt_hour_among_equals_depends_on_the_salt_alone() {
        let mut winners = std::collections::BTreeSet::new();
        for salt in 0..64_u8 {
            let parts = shares(&[7, 7, 7], 1, &[salt]);
            assert_eq!(parts, shares(&[7, 7, 7], 1, &[salt]));
            winners.insert(parts.iter().position(|part| *part == 1).unwrap());
        }
        assert_eq!(winners.len(), 3);
    }
}
