//! Sharing out too little among equals: pro rata by largest remainder, the last watt-hours by lot.

use std::cmp::Ordering;

use crate::Overflow;
use crate::hash::Digest;
use crate::zone::ZoneId;

/// One claim among equals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<N> {
    /// Who claims, as the caller calls it.
    pub(crate) who: N,
    /// How much it claims, in Wh; above zero.
    pub(crate) energy: i64,
}

/// The name under which a zone draws its lot.
pub(crate) fn zone_lot(id: ZoneId) -> Digest {
    Digest::of(&[b"hidamari/zone/1", &id.0.to_be_bytes()])
}

/// Gives each claim `floor(total x claim / all claims)`, and the watt-hours that are left one each
/// to the largest remainders; equal remainders are ordered by SHA-256(name, salt), where a claim's
/// name is the id of its order or [`zone_lot`]. The shares come in the order of the claims.
///
/// No bidder knows the salt before the orders are fixed; what its maker could gain by trying many
/// is these odd watt-hours ([`crate::book::PeriodBook::seal`]). The parts sum to `total` exactly
/// and each lies within 1 Wh of its exact share.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range.
pub(crate) fn ration<N>(
    claims: &[Claim<N>],
    total: i64,
    salt: &Digest,
    name: impl Fn(&N) -> Digest,
) -> Result<Vec<i64>, Overflow> {
    let all = claims.iter().try_fold(0_i64, |sum, claim| sum.checked_add(claim.energy));
    let all = all.ok_or(Overflow::of("a pro rata share"))?;
    if total >= all {
        return Ok(claims.iter().map(|claim| claim.energy).collect());
    }
    apportion(claims, all, total, salt, name)
}

/// The same with claims that are weights, and `all` is their sum: `total` may be more than that.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range.
pub(crate) fn apportion<N>(
    claims: &[Claim<N>],
    all: i64,
    total: i64,
    salt: &Digest,
    name: impl Fn(&N) -> Digest,
) -> Result<Vec<i64>, Overflow> {
    let failed = Overflow::of("a pro rata share");
    let (mut shares, mut remainders) =
        (Vec::with_capacity(claims.len()), Vec::with_capacity(claims.len()));
    let mut left = total;
    for claim in claims {
        let (share, remainder) = divide(claim.energy, total, all).ok_or(failed)?;
        left = left.checked_sub(share).ok_or(failed)?;
        shares.push(share);
        remainders.push(remainder);
    }
    let left = usize::try_from(left).map_err(|_| failed)?;
    for at in lucky(claims, &remainders, left, salt, name) {
        if let Some(share) = shares.get_mut(at) {
            *share = share.checked_add(1).ok_or(failed)?;
        }
    }
    Ok(shares)
}

/// `claim x total / all` and its remainder. Nearly every product fits into 64 bits, where the
/// division costs a fraction.
fn divide(claim: i64, total: i64, all: i64) -> Option<(i64, i64)> {
    if let Some(product) = claim.checked_mul(total) {
        return Some((product.checked_div(all)?, product.checked_rem(all)?));
    }
    let (product, all) = (i128::from(claim).checked_mul(i128::from(total))?, i128::from(all));
    let (share, remainder) = (product.checked_div(all)?, product.checked_rem(all)?);
    Some((i64::try_from(share).ok()?, i64::try_from(remainder).ok()?))
}

/// Which of the claims get one of the `left` watt-hours: those with the largest remainders. Lots
/// are drawn only among those that tie for the last places, because a hash is dear.
fn lucky<N>(
    claims: &[Claim<N>],
    remainders: &[i64],
    left: usize,
    salt: &Digest,
    name: impl Fn(&N) -> Digest,
) -> Vec<usize> {
    let Some(last) = left.checked_sub(1).filter(|last| *last < remainders.len()) else {
        return Vec::new();
    };
    let mut ranked = remainders.to_vec();
    let (_, cut, _) = ranked.select_nth_unstable_by(last, |a, b| b.cmp(a));
    let cut = *cut;
    drop(ranked);
    let (mut winners, mut tied) = (Vec::with_capacity(left), Vec::new());
    for (at, remainder) in remainders.iter().enumerate() {
        match remainder.cmp(&cut) {
            Ordering::Greater => winners.push(at),
            Ordering::Equal => tied.push(at),
            Ordering::Less => {}
        }
    }
    let places = left.saturating_sub(winners.len());
    if places < tied.len() {
        let draw = |at: &usize| {
            let name = claims.get(*at).map(|claim| name(&claim.who)).unwrap_or_default();
            (Digest::of(&[name.as_bytes(), salt.as_bytes()]), *at)
        };
        let mut lots: Vec<_> = tied.iter().map(draw).collect();
        lots.select_nth_unstable(places);
        tied = lots.into_iter().map(|(_, at)| at).collect();
    }
    winners.extend(tied.into_iter().take(places));
    winners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(energies: &[i64]) -> Vec<Claim<u32>> {
        (0..).zip(energies).map(|(who, energy)| Claim { who, energy: *energy }).collect()
    }

    fn shares(energies: &[i64], total: i64, salt: &[u8]) -> Vec<i64> {
        let name = |who: &u32| Digest::of(&[&who.to_be_bytes()]);
        ration(&claims(energies), total, &Digest::of(&[salt]), name).unwrap()
    }

    #[test]
    fn large_products_are_divided_exactly() {
        let large = i64::MAX / 2;
        assert_eq!(shares(&[large, large], large, b"x").iter().sum::<i64>(), large);
        assert_eq!(divide(large, large - 1, large), Some((large - 1, 0)));
        assert_eq!(divide(7, 5, 9), Some((3, 8)));
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
    fn every_zone_draws_a_lot_of_its_own() {
        let lots: std::collections::BTreeSet<_> = (0..500).map(|n| zone_lot(ZoneId(n))).collect();
        assert_eq!(lots.len(), 500);
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
