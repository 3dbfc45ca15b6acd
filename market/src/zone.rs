//! Places in the grid: a tree of zones, feeder below transformer below community.

use borsh::{BorshDeserialize, BorshSerialize, io};
use std::collections::{BTreeMap, BTreeSet};

use crate::Overflow;
use crate::energy::Energy;
use crate::price::Price;

/// A zone's number within its community.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct ZoneId(pub u16);

/// A zone and its edge to the zone above it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Zone {
    /// What people call it, for example "feeder 2"; 1 to 64 characters.
    pub label: String,
    /// The way up; `None` at the root alone.
    pub edge: Option<Edge>,
}

/// The connection between a zone and its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Edge {
    /// The zone above.
    pub parent: ZoneId,
    /// What the grid operator takes per kWh conveyed in either direction; not negative.
    pub charge: Price,
    /// At most this much flows up, towards the parent, in one delivery period; `None` = no limit.
    pub capacity_up: Option<Energy>,
    /// At most this much flows down in one delivery period; `None` = no limit.
    pub capacity_down: Option<Energy>,
}

/// All zones of a community: one root, every other zone hanging below it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct ZoneTree {
    zones: BTreeMap<ZoneId, Zone>,
    root: ZoneId,
}

/// What flows over each edge in one delivery period after the gates that have closed, by the zone
/// below the edge; up is positive.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Flows(BTreeMap<ZoneId, Energy>);

impl Flows {
    /// Adds a flow.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn add(&mut self, zone: ZoneId, flow: Energy) -> Result<(), Overflow> {
        let sum = self.0.entry(zone).or_default();
        *sum = sum.plus(flow)?;
        Ok(())
    }
}

/// Why zones do not form a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// No zone, or more than one, is without a parent.
    #[error("exactly one zone must have no parent, but {0} have none")]
    Roots(usize),
    /// A parent is named that does not exist.
    #[error("zone {zone:?} hangs below zone {parent:?}, which does not exist")]
    UnknownParent {
        /// The zone.
        zone: ZoneId,
        /// The missing parent.
        parent: ZoneId,
    },
    /// Following the parents never reaches the root.
    #[error("zone {0:?} is its own ancestor")]
    Cycle(ZoneId),
    /// A wheeling charge below zero.
    #[error("zone {0:?}: the wheeling charge must not be negative")]
    NegativeCharge(ZoneId),
    /// A capacity below zero.
    #[error("zone {0:?}: a capacity must not be negative")]
    NegativeCapacity(ZoneId),
}

impl ZoneTree {
    /// Checks that the zones form one tree.
    ///
    /// # Errors
    /// [`ZoneError`] names the first zone that does not fit.
    pub fn new(zones: BTreeMap<ZoneId, Zone>) -> Result<Self, ZoneError> {
        let mut roots = zones.iter().filter(|(_, zone)| zone.edge.is_none()).map(|(id, _)| *id);
        let (root, others) = (roots.next(), roots.count());
        let root = root.filter(|_| others == 0);
        let root =
            root.ok_or(ZoneError::Roots(zones.values().filter(|z| z.edge.is_none()).count()))?;
        let mut below: BTreeMap<ZoneId, Vec<ZoneId>> = BTreeMap::new();
        for (id, zone) in &zones {
            if let Some(edge) = zone.edge {
                check_edge(*id, &edge, &zones)?;
                below.entry(edge.parent).or_default().push(*id);
            }
        }
        let (mut reached, mut next) = (BTreeSet::new(), vec![root]);
        while let Some(id) = next.pop() {
            reached.insert(id);
            next.extend(below.remove(&id).unwrap_or_default());
        }
        match zones.keys().find(|id| !reached.contains(id)) {
            Some(lost) => Err(ZoneError::Cycle(*lost)),
            None => Ok(Self { zones, root }),
        }
    }

    /// A community in which everybody sits in one zone.
    pub fn one(label: &str) -> Self {
        let root = ZoneId(0);
        let zone = Zone { label: label.to_owned(), edge: None };
        Self { zones: BTreeMap::from([(root, zone)]), root }
    }

    /// The zone at the top.
    pub fn root(&self) -> ZoneId {
        self.root
    }

    /// A zone by number.
    pub fn zone(&self, id: ZoneId) -> Option<&Zone> {
        self.zones.get(&id)
    }

    /// All zones by number.
    pub fn iter(&self) -> impl Iterator<Item = (ZoneId, &Zone)> {
        self.zones.iter().map(|(id, zone)| (*id, zone))
    }

    /// The same grid with what is left of its capacities after the flows of earlier gates of the
    /// same delivery period. Opposite flows cancel on a line, so what flows one way makes room for
    /// the other.
    pub fn after(&self, flows: &Flows) -> Self {
        let mut left = self.clone();
        for (id, zone) in &mut left.zones {
            let (Some(edge), Some(flow)) = (&mut zone.edge, flows.0.get(id)) else { continue };
            let room = |capacity: Option<Energy>, used: i64| {
                let wh = capacity?.wh().saturating_sub(used);
                Some(Energy::from_wh(wh.max(0)))
            };
            edge.capacity_up = room(edge.capacity_up, flow.wh());
            edge.capacity_down = room(edge.capacity_down, flow.wh().saturating_neg());
        }
        left
    }

    /// The first zone whose edge costs something or is limited, if any.
    pub fn first_binding_edge(&self) -> Option<ZoneId> {
        let binds = |edge: &Edge| {
            edge.charge != Price::ZERO || edge.capacity_up.is_some() || edge.capacity_down.is_some()
        };
        self.iter().find(|(_, zone)| zone.edge.as_ref().is_some_and(binds)).map(|(id, _)| id)
    }
}

fn check_edge(zone: ZoneId, edge: &Edge, zones: &BTreeMap<ZoneId, Zone>) -> Result<(), ZoneError> {
    if !zones.contains_key(&edge.parent) {
        return Err(ZoneError::UnknownParent { zone, parent: edge.parent });
    }
    if edge.charge < Price::ZERO {
        return Err(ZoneError::NegativeCharge(zone));
    }
    if [edge.capacity_up, edge.capacity_down].iter().flatten().any(|e| e.is_negative()) {
        return Err(ZoneError::NegativeCapacity(zone));
    }
    Ok(())
}

impl BorshDeserialize for ZoneTree {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let wrong = |problem: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidData, problem.to_string())
        };
        let zones = BTreeMap::deserialize_reader(reader)?;
        let root = ZoneId::deserialize_reader(reader)?;
        let tree = Self::new(zones).map_err(|error| wrong(&error))?;
        if tree.root == root { Ok(tree) } else { Err(wrong(&"the stated root has a parent")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(parents: &[(u16, Option<u16>)]) -> Result<ZoneTree, ZoneError> {
        let edge = |parent| Edge {
            parent: ZoneId(parent),
            charge: Price::ZERO,
            capacity_up: None,
            capacity_down: None,
        };
        let zone = |parent: Option<u16>| Zone { label: "z".into(), edge: parent.map(edge) };
        ZoneTree::new(parents.iter().map(|(id, parent)| (ZoneId(*id), zone(*parent))).collect())
    }

    #[test]
    fn what_flowed_takes_room_one_way_and_makes_it_the_other_way() {
        let edge = Edge {
            parent: ZoneId(0),
            charge: Price::ZERO,
            capacity_up: Some(Energy::from_wh(500)),
            capacity_down: Some(Energy::from_wh(200)),
        };
        let zone = |edge| Zone { label: "z".into(), edge };
        let tree = BTreeMap::from([(ZoneId(0), zone(None)), (ZoneId(1), zone(Some(edge)))]);
        let tree = ZoneTree::new(tree).unwrap();
        let mut flows = Flows::default();
        flows.add(ZoneId(1), Energy::from_wh(700)).unwrap();
        flows.add(ZoneId(1), Energy::from_wh(-300)).unwrap();
        let left = tree.after(&flows).zone(ZoneId(1)).unwrap().edge.unwrap();
        assert_eq!(left.capacity_up, Some(Energy::from_wh(100)));
        assert_eq!(left.capacity_down, Some(Energy::from_wh(600)));
    }

    #[test]
    fn only_trees_are_trees() {
        assert!(zones(&[(0, None), (1, Some(0)), (2, Some(1))]).is_ok());
        assert_eq!(zones(&[]), Err(ZoneError::Roots(0)));
        assert_eq!(zones(&[(0, None), (1, None)]), Err(ZoneError::Roots(2)));
        assert!(matches!(
            zones(&[(0, None), (1, Some(2)), (2, Some(1))]),
            Err(ZoneError::Cycle(_))
        ));
        assert!(matches!(zones(&[(0, None), (1, Some(9))]), Err(ZoneError::UnknownParent { .. })));
    }
}
