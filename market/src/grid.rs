//! The zone tree as arrays, parents before children: how clearing and settlement walk it.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut, Range};

use crate::zone::{ZoneId, ZoneTree};

/// A zone's place in the arrays of its [`Grid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node(u32);

/// The edge between a zone and its parent, in bare numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) parent: Node,
    /// Micro-units per kWh; not negative.
    pub(crate) charge: i64,
    /// At most this many Wh up; `i64::MAX` without a limit.
    pub(crate) up: i64,
    /// At most this many Wh down; `i64::MAX` without a limit.
    pub(crate) down: i64,
}

/// A tree of zones, flat. The root comes first, and zones of one depth stand side by side.
#[derive(Debug)]
pub(crate) struct Grid {
    ids: PerZone<ZoneId>,
    ways: PerZone<Option<Way>>,
    depths: PerZone<u32>,
    /// The places of the zones of each depth.
    layers: Vec<Range<u32>>,
    /// The children of each zone stand side by side too.
    children: PerZone<Range<u32>>,
    /// By the number of the zone.
    by_id: Vec<Option<Node>>,
}

impl Grid {
    /// Lays the tree out, layer by layer from the root.
    pub(crate) fn of(tree: &ZoneTree) -> Self {
        let mut below: BTreeMap<ZoneId, Vec<ZoneId>> = BTreeMap::new();
        for (id, zone) in tree.iter() {
            if let Some(edge) = zone.edge {
                below.entry(edge.parent).or_default().push(id);
            }
        }
        let (mut ids, mut children) = (vec![tree.root()], Vec::new());
        let mut at = 0_usize;
        while let Some(id) = ids.get(at).copied() {
            let first = count(ids.len());
            for child in below.remove(&id).unwrap_or_default() {
                ids.push(child);
            }
            children.push(first..count(ids.len()));
            at = at.saturating_add(1);
        }
        let by_id = by_id(&ids);
        let way = |id: &ZoneId| {
            let edge = tree.zone(*id)?.edge?;
            let limit = |capacity: Option<crate::energy::Energy>| {
                capacity.map_or(i64::MAX, crate::energy::Energy::wh)
            };
            Some(Way {
                parent: find(&by_id, edge.parent)?,
                charge: edge.charge.micros_per_kwh(),
                up: limit(edge.capacity_up),
                down: limit(edge.capacity_down),
            })
        };
        let ways: PerZone<_> = PerZone(ids.iter().map(way).collect());
        let mut depths = PerZone(vec![0_u32; ids.len()]);
        for at in 0..count(ids.len()) {
            if let Some(way) = ways[Node(at)] {
                depths[Node(at)] = depths[way.parent].saturating_add(1);
            }
        }
        let mut layers: Vec<Range<u32>> = Vec::new();
        for (at, depth) in depths.0.iter().enumerate() {
            let end = count(at).saturating_add(1);
            match layers.get_mut(usize::try_from(*depth).unwrap_or(usize::MAX)) {
                Some(layer) => layer.end = end,
                None => layers.push(count(at)..end),
            }
        }
        Self { ids: PerZone(ids), ways, depths, layers, children: PerZone(children), by_id }
    }

    /// The zone at the top.
    pub(crate) fn root(&self) -> Node {
        Node(0)
    }

    /// How many zones there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.0.len()
    }

    /// All zones, every parent before its children.
    pub(crate) fn nodes(&self) -> impl DoubleEndedIterator<Item = Node> + ExactSizeIterator {
        (0..count(self.len())).map(Node)
    }

    /// Zones of one depth after the other, from the root.
    pub(crate) fn layers(&self) -> impl DoubleEndedIterator<Item = Vec<Node>> {
        self.layers.iter().map(|layer| layer.clone().map(Node).collect())
    }

    /// A zone's place; `None` if the tree has no such zone.
    pub(crate) fn node(&self, id: ZoneId) -> Option<Node> {
        find(&self.by_id, id)
    }

    /// A zone's number.
    pub(crate) fn id(&self, node: Node) -> ZoneId {
        self.ids[node]
    }

    /// The way up; `None` at the root.
    pub(crate) fn way(&self, node: Node) -> Option<Way> {
        self.ways[node]
    }

    /// The zones right below.
    pub(crate) fn children(&self, node: Node) -> impl Iterator<Item = Node> + use<> {
        self.children[node].clone().map(Node)
    }

    /// Where the ways up from two zones meet.
    pub(crate) fn meeting(&self, one: Node, other: Node) -> Node {
        let (mut one, mut other) = (one, other);
        while one != other {
            let deeper = if self.depths[one] >= self.depths[other] { &mut one } else { &mut other };
            match self.ways[*deeper] {
                Some(way) => *deeper = way.parent,
                None => break,
            }
        }
        one
    }

    /// The zones from `node` up to, and without, `top`: each stands for the edge above it.
    pub(crate) fn climb(&self, node: Node, top: Node) -> impl Iterator<Item = (Node, Way)> {
        let mut at = node;
        std::iter::from_fn(move || {
            if at == top {
                return None;
            }
            let (here, way) = (at, self.ways[at]?);
            at = way.parent;
            Some((here, way))
        })
    }

    /// One value for each zone.
    pub(crate) fn table<T: Clone>(&self, value: T) -> PerZone<T> {
        PerZone(vec![value; self.len()])
    }
}

/// Places by zone number: a table, because a large book asks a million times.
fn by_id(ids: &[ZoneId]) -> Vec<Option<Node>> {
    let largest = ids.iter().map(|id| usize::from(id.0)).max().unwrap_or_default();
    let mut table = vec![None; largest.saturating_add(1)];
    for (at, id) in ids.iter().enumerate() {
        if let Some(entry) = table.get_mut(usize::from(id.0)) {
            *entry = Some(Node(count(at)));
        }
    }
    table
}

fn find(table: &[Option<Node>], id: ZoneId) -> Option<Node> {
    table.get(usize::from(id.0)).copied().flatten()
}

/// Zone numbers are 16 bits wide, so counts of zones fit.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// One value for each zone of a grid.
#[derive(Debug, Clone)]
pub(crate) struct PerZone<T>(Vec<T>);

impl<T> PerZone<T> {
    /// All values, parents first.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> FromIterator<T> for PerZone<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

fn place(node: Node) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

#[expect(clippy::indexing_slicing, reason = "only a grid makes nodes and tables, of one length")]
impl<T> Index<Node> for PerZone<T> {
    type Output = T;

    fn index(&self, node: Node) -> &T {
        &self.0[place(node)]
    }
}

#[expect(clippy::indexing_slicing, reason = "only a grid makes nodes and tables, of one length")]
impl<T> IndexMut<Node> for PerZone<T> {
    fn index_mut(&mut self, node: Node) -> &mut T {
        &mut self.0[place(node)]
    }
}
