//! Grid, tariff and mechanism from a delivery period on.

use borsh::{BorshDeserialize, BorshSerialize};
use market::admission::Rejection;
use market::clearing::MechanismKind;
use market::gate::GateIndex;
use market::tariff::Tariff;
use market::time::{DeliveryPeriod, Timestamp};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use std::collections::BTreeMap;

use super::{NotApplied, Scene, check_text};
use crate::charter::Articles;

/// One change of the grid. The root has no edge, so it can neither be set nor removed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum EdgeChange {
    /// A zone with its edge, new or in place of what was there.
    Set {
        /// Which zone.
        zone: ZoneId,
        /// What people call it; 1 to 64 bytes without control characters.
        label: String,
        /// The way up, with charge and capacities.
        edge: Edge,
    } = 1,
    /// A zone in which nobody sits and below which there is none goes away.
    Remove {
        /// Which.
        zone: ZoneId,
    } = 2,
}

impl Scene<'_> {
    pub(super) fn change_grid(
        &mut self,
        from: DeliveryPeriod,
        edges: &[EdgeChange],
    ) -> Result<(), NotApplied> {
        self.check_open(from)?;
        let at = from.start();
        // A later grid was made from what would hold before it, and would undo this change.
        if let Some((later, _)) = self.state.zones().changes().find(|(later, _)| *later > at) {
            return Err(NotApplied::ChangesLater(later));
        }
        if edges.is_empty() {
            return Err(NotApplied::NoChange);
        }
        let zones = self.state.zones().during(from).iter();
        let mut zones: BTreeMap<_, _> = zones.map(|(id, zone)| (id, zone.clone())).collect();
        for change in edges {
            match change {
                EdgeChange::Set { zone, label, edge } => {
                    check_text("label", label, 1, 64)?;
                    zones.insert(*zone, Zone { label: label.clone(), edge: Some(*edge) });
                }
                EdgeChange::Remove { zone } => {
                    zones.remove(zone).ok_or(NotApplied::UnknownZone(*zone))?;
                }
            }
        }
        let tree = ZoneTree::new(zones)?;
        self.amend(|articles| articles.zones.change(at, tree))
    }

    pub(super) fn change_tariff(
        &mut self,
        from: DeliveryPeriod,
        tariff: &Tariff,
    ) -> Result<(), NotApplied> {
        self.check_open(from)?;
        self.amend(|articles| articles.rules.tariffs.change(from.start(), tariff.clone()))
    }

    pub(super) fn change_mechanism(
        &mut self,
        from: DeliveryPeriod,
        kind: &MechanismKind,
    ) -> Result<(), NotApplied> {
        self.check_open(from)?;
        self.amend(|articles| articles.rules.mechanism.change(from.start(), kind.clone()))
    }

    /// Whether the rules of a period can still change: it has not begun, and none of its gates has
    /// closed. So nobody trades under other rules than those he could know.
    fn check_open(&self, from: DeliveryPeriod) -> Result<(), NotApplied> {
        let rules = self.state.rules();
        if from.length() != rules.period_length {
            return Err(Rejection::WrongPeriodLength(from.length().minutes()).into());
        }
        let first_gate = rules.gates.closes_at(from, GateIndex(0));
        let fixed_at = first_gate.map_or(from.start(), |gate| gate.min(from.start()));
        if fixed_at <= self.time {
            return Err(NotApplied::RulesFixed(fixed_at));
        }
        Ok(())
    }

    /// Changes the charter, if genesis could have had it so.
    fn amend(&mut self, change: impl FnOnce(&mut Articles)) -> Result<(), NotApplied> {
        let charter = self.state.charter.amended(change);
        let now: Timestamp = self.time;
        charter.check(now)?;
        self.state.charter = charter;
        Ok(())
    }
}
