//! What has to hold of rules, grid and members together: at genesis, and after every change that an
//! operator makes.

use market::member::{ENERGY_MAX_PER_PERIOD, Member, Membership, PartyId};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::tariff::Tariff;
use market::time::Timestamp;
use market::zone::ZoneTree;
use std::collections::BTreeSet;

use super::GenesisError;

/// The most that may be turned over in one period, in micro-units: 100,000 such periods (nearly
/// three years of quarters of an hour in which everybody is at the limit all the time) fit into an
/// account.
pub(super) const TURNOVER_MAX_MICROS: i128 = (i64::MAX as i128) / 100_000;

/// Checks everything that later code relies on, for all that holds from `since` on. Keys are judged
/// where they are enrolled ([`market::keys::PublicKey::check_strong`]).
///
/// # Errors
/// [`GenesisError`] names the first thing that does not fit.
pub(crate) fn check(
    rules: &MarketRules,
    zones: &Schedule<ZoneTree>,
    members: &Membership,
    since: Timestamp,
) -> Result<(), GenesisError> {
    rules.check()?;
    let grids = zones.changes().map(|(from, _)| from);
    let mechanisms = rules.mechanism.changes().map(|(from, _)| from);
    let later = grids.chain(mechanisms).filter(|from| *from > since);
    let active: Vec<_> = members.iter().filter(|(_, member)| member.is_active()).collect();
    for at in std::iter::once(since).chain(later) {
        let grid = zones.at(at);
        rules.mechanism.at(at).check_grid(grid).map_err(GenesisError::Mechanism)?;
        let lost = active.iter().find(|(_, member)| grid.zone(member.zone).is_none());
        if let Some((party, member)) = lost {
            return Err(GenesisError::UnknownZone { party: **party, zone: member.zone });
        }
    }
    check_members(&active)?;
    check_turnover(rules, zones, &active)
}

fn check_members(active: &[(&PartyId, &Member)]) -> Result<(), GenesisError> {
    let mut points = BTreeSet::new();
    for (party, member) in active {
        if !points.insert(member.metering_point) {
            return Err(GenesisError::SharedMeteringPoint(member.metering_point));
        }
        for limit in [member.import_max, member.export_max] {
            if limit.is_negative() || limit > ENERGY_MAX_PER_PERIOD {
                return Err(GenesisError::Limit { party: **party });
            }
        }
    }
    Ok(())
}

/// Sums of money stay inside 64 bits, so that no admitted order or reading can make a clearing, a
/// settlement or an account overflow and thereby stop the chain.
fn check_turnover(
    rules: &MarketRules,
    zones: &Schedule<ZoneTree>,
    active: &[(&PartyId, &Member)],
) -> Result<(), GenesisError> {
    let limits = [rules.price_min, rules.price_max];
    let limits = limits.iter().map(|price| price.micros_per_kwh().unsigned_abs());
    let tariffs = rules.tariffs.values().map(Tariff::magnitude);
    let charges = zones.values().map(charges).max().unwrap_or_default();
    let extreme = limits.chain(tariffs).max().unwrap_or_default();
    let extreme = i128::from(extreme).saturating_add(i128::from(charges));
    let limits = active.iter().flat_map(|(_, member)| [member.import_max, member.export_max]);
    let energy_wh: i128 = limits.map(|limit| i128::from(limit.wh())).sum();
    let turnover_micros = energy_wh.saturating_mul(extreme).div_euclid(1_000);
    if turnover_micros > TURNOVER_MAX_MICROS {
        return Err(GenesisError::Turnover { turnover_micros });
    }
    Ok(())
}

/// What the grid takes on the longest way there could be, up from the seller and down to the buyer.
fn charges(grid: &ZoneTree) -> u64 {
    let edges = grid.iter().filter_map(|(_, zone)| zone.edge);
    let charges = edges.map(|edge| edge.charge.micros_per_kwh().unsigned_abs());
    charges.fold(0, u64::saturating_add)
}
