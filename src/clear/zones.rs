//! The grid: zones by name, and the edges between them.

use std::collections::{BTreeMap, HashMap};

use market::energy::Energy;
use market::price::Price;
use market::zone::{Edge, Zone, ZoneId, ZoneTree};

use crate::clear::error::{ClearError, Column, Problems};
use crate::clear::figures::{energy, price};
use crate::clear::sheet::{Row, Sheet, shown};

/// What a file of zones names in its header.
const COLUMNS: [&str; 5] =
    ["zone", "parent", "charge_per_kwh", "capacity_up_wh", "capacity_down_wh"];

/// The places of [`COLUMNS`].
const ZONE: usize = 0;
const PARENT: usize = 1;
const CHARGE: usize = 2;
const UP: usize = 3;
const DOWN: usize = 4;

/// As many as 16 bits can number.
const ZONES_MAX: usize = 65_536;

/// What the only zone is called if nothing names it.
const THE_ONE: &str = "all";

/// A grid with the names of its zones.
///
/// Zones are numbered by their names, so that the result depends on neither the order of the rows
/// nor that of the zones.
#[derive(Debug)]
pub(crate) struct Zones {
    tree: ZoneTree,
    /// By number.
    names: Vec<String>,
    by_name: HashMap<String, ZoneId>,
    /// As they come in the file.
    listed: Vec<ZoneId>,
}

/// A row, before it is known whether its parent exists.
struct Entry {
    at: usize,
    name: String,
    parent: String,
    charge: Price,
    up: Option<Energy>,
    down: Option<Energy>,
    /// Where the name of the parent stands.
    parent_column: Column,
}

impl Zones {
    /// One zone for all orders.
    pub(crate) fn one(name: &str) -> Self {
        let name = if name.is_empty() { THE_ONE } else { name };
        let tree = ZoneTree::one(name);
        let root = tree.root();
        Self {
            tree,
            names: vec![name.to_owned()],
            by_name: HashMap::from([(name.to_owned(), root)]),
            listed: vec![root],
        }
    }

    /// Reads a file; `None` if there are mistakes in it, which are noted.
    ///
    /// # Errors
    /// [`ClearError::NotATree`] for zones that the market refuses, though each row was right.
    pub(crate) fn read(sheet: &Sheet, problems: &mut Problems) -> Result<Option<Self>, ClearError> {
        let before = problems.count();
        let Some(entries) = read_entries(sheet, problems) else { return Ok(None) };
        if problems.count() > before {
            return Ok(None);
        }
        check_tree(sheet, &entries, problems);
        if problems.count() > before {
            return Ok(None);
        }
        let mut names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        names.sort_unstable();
        let number = |(at, name): (usize, &String)| {
            let id = ZoneId(u16::try_from(at).unwrap_or(u16::MAX));
            (name.clone(), id)
        };
        let by_name: HashMap<_, _> = names.iter().enumerate().map(number).collect();
        let id = |name: &String| by_name.get(name).copied();
        let zone = |entry: &Entry| {
            let edge = id(&entry.parent).map(|parent| Edge {
                parent,
                charge: entry.charge,
                capacity_up: entry.up,
                capacity_down: entry.down,
            });
            Some((id(&entry.name)?, Zone { label: entry.name.clone(), edge }))
        };
        let tree = ZoneTree::new(entries.iter().filter_map(zone).collect())?;
        let listed = entries.iter().filter_map(|entry| id(&entry.name)).collect();
        Ok(Some(Self { tree, names, by_name, listed }))
    }

    /// The grid as the market knows it.
    pub(crate) fn tree(&self) -> &ZoneTree {
        &self.tree
    }

    /// A zone by its name.
    pub(crate) fn id(&self, name: &str) -> Option<ZoneId> {
        self.by_name.get(name).copied()
    }

    /// What a zone is called.
    pub(crate) fn name(&self, id: ZoneId) -> &str {
        self.names.get(usize::from(id.0)).map_or("", String::as_str)
    }

    /// All zones as they come in the file.
    pub(crate) fn listed(&self) -> impl ExactSizeIterator<Item = ZoneId> + Clone {
        self.listed.iter().copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.listed.len()
    }
}

fn read_entries(sheet: &Sheet, problems: &mut Problems) -> Option<Vec<Entry>> {
    let mut rows = sheet.rows(COLUMNS, problems)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    while let Some(row) = rows.next(problems) {
        let Some(entry) = entry(&row, problems) else { continue };
        if let Some(first) = lines.get(&entry.name) {
            let line = sheet.line(*first);
            problems.add(row.problem(ZONE, format!("each zone once; line {line} names it too")));
            continue;
        }
        if entries.len() == ZONES_MAX {
            problems.add(row.problem(ZONE, format!("at most {ZONES_MAX} zones")));
            return None;
        }
        lines.insert(entry.name.clone(), entry.at);
        entries.push(entry);
    }
    if entries.is_empty() && problems.is_empty() {
        let found = "no row below the header";
        problems.add(sheet.problem(sheet.len(), None, found, "at least one zone"));
    }
    Some(entries)
}

fn entry(row: &Row<'_, 5>, problems: &mut Problems) -> Option<Entry> {
    let before = problems.count();
    let mut note = |problem| problems.add(problem);
    let name = row.name(ZONE).map_err(&mut note).ok().map(str::to_owned);
    let [_, parent, charge, up, down] = row.fields;
    if !parent.is_empty() {
        let _ = row.name(PARENT).map_err(&mut note);
    }
    let charge = read_charge(charge).map_err(|told| note(row.problem(CHARGE, told))).ok();
    let mut capacity = |text: &str, field| {
        let read = if text.is_empty() { Ok(None) } else { energy(text, 0).map(Some) };
        read.map_err(|told| note(row.problem(field, format!("{told}, or nothing for unlimited"))))
    };
    let (up, down) = (capacity(up, UP).ok(), capacity(down, DOWN).ok());
    let (name, charge, up, down) = (name?, charge?, up?, down?);
    if parent.is_empty() {
        // Whoever forgot a parent is told so by the figures of the edge.
        let nothing = |energy: Option<Energy>| energy.is_none_or(Energy::is_zero);
        let of_an_edge =
            [(CHARGE, charge == Price::ZERO), (UP, nothing(up)), (DOWN, nothing(down))];
        for (field, _) in of_an_edge.iter().filter(|(_, nothing)| !nothing) {
            let expected = "nothing, because without a parent there is no edge";
            problems.add(row.problem(*field, expected));
        }
    }
    (problems.count() == before).then(|| Entry {
        at: row.at,
        name,
        parent: parent.to_owned(),
        charge,
        up,
        down,
        parent_column: row.column(PARENT),
    })
}

fn read_charge(text: &str) -> Result<Price, String> {
    if text.is_empty() {
        return Ok(Price::ZERO);
    }
    match price(text) {
        Ok(charge) if charge < Price::ZERO => Err("a charge from 0 on".to_owned()),
        read => read,
    }
}

/// Notes every row that keeps the zones from being one tree.
fn check_tree(sheet: &Sheet, entries: &[Entry], problems: &mut Problems) {
    let parents: BTreeMap<&str, &str> =
        entries.iter().map(|entry| (entry.name.as_str(), entry.parent.as_str())).collect();
    let mut wrong_parent = |entry: &Entry, expected: String| {
        let (column, found) = (Some(entry.parent_column), shown(&entry.parent));
        problems.add(sheet.problem(entry.at, column, found, expected));
    };
    let mut roots = entries.iter().filter(|entry| entry.parent.is_empty());
    let root = roots.next();
    for entry in roots {
        let first = root.map_or(1, |root| sheet.line(root.at));
        let expected = format!("a parent: the root is the zone in line {first}, and there is one");
        wrong_parent(entry, expected);
    }
    for entry in entries.iter().filter(|entry| !entry.parent.is_empty()) {
        if !parents.contains_key(entry.parent.as_str()) {
            let expected = "the name of a zone of this file".to_owned();
            wrong_parent(entry, expected);
        }
    }
    for entry in circular(entries, &parents) {
        let expected = "a parent that leads up to the root, not round in a circle".to_owned();
        wrong_parent(entry, expected);
    }
}

/// One zone of every circle of parents: the first of it in the file.
fn circular<'e>(entries: &'e [Entry], parents: &BTreeMap<&str, &str>) -> Vec<&'e Entry> {
    // By zone: the walk that first came by.
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (walk, entry) in entries.iter().enumerate() {
        let mut at = entry.name.as_str();
        while let Some(parent) = parents.get(at) {
            match seen.get(at) {
                Some(earlier) if *earlier == walk => {
                    found.push(at);
                    break;
                }
                Some(_) => break,
                None => seen.insert(at, walk),
            };
            at = parent;
        }
    }
    let of = |name: &str| entries.iter().find(|entry| entry.name == name);
    found.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "zone,parent,charge_per_kwh,capacity_up_wh,capacity_down_wh\n";

    fn read(rows: &str) -> Result<Zones, String> {
        let text = format!("{HEADER}{rows}").into_bytes();
        let sheet = Sheet::from_bytes("z.csv".to_owned(), text).map_err(|e| e.to_string())?;
        let mut problems = Problems::default();
        let zones = Zones::read(&sheet, &mut problems).map_err(|e| e.to_string())?;
        zones.ok_or_else(|| problems.to_string())
    }

    #[test]
    fn zones_are_numbered_by_name_and_listed_as_in_the_file() {
        let zones = read("town,,,,\nb,town,0.02,5000,\na,town,,,0\n").expect("a tree");
        let listed: Vec<_> = zones.listed().map(|id| zones.name(id)).collect();
        assert_eq!(listed, ["town", "b", "a"]);
        let (a, b, town) = (zones.id("a"), zones.id("b"), zones.id("town"));
        assert_eq!((a, b, town), (Some(ZoneId(0)), Some(ZoneId(1)), Some(ZoneId(2))));
        let edge = |id: Option<ZoneId>| zones.tree().zone(id?)?.edge;
        assert_eq!(edge(town), None);
        let of_b = edge(b).expect("an edge");
        assert_eq!(of_b.charge.micros_per_kwh(), 20_000);
        assert_eq!((of_b.capacity_up, of_b.capacity_down), (Some(Energy::from_wh(5_000)), None));
        assert_eq!(edge(a).expect("an edge").capacity_down, Some(Energy::ZERO));
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_column() {
        for (rows, told) in [
            ("", "z.csv, line 2, found no row below the header"),
            ("a,,,,\nb,,,,\n", "line 3, column 2 (parent): found nothing, expected a parent"),
            ("a,,,,\nb,c,,,\n", "line 3, column 2 (parent): found \"c\", expected the name of"),
            ("a,b,,,\nb,a,,,\n", "line 2, column 2 (parent): found \"b\", expected a parent that"),
            ("r,,,,\na,a,,,\n", "line 3, column 2 (parent): found \"a\", expected a parent that"),
            ("a,,,,\na,a,,,\n", "line 3, column 1 (zone): found \"a\", expected each zone once"),
            ("a,,,,\n,a,,,\n", "line 3, column 1 (zone): found nothing, expected a name"),
            ("a,,,,\nb,a,-1,,\n", "line 3, column 3 (charge_per_kwh): found \"-1\", expected"),
            ("a,,,,\nb,a,x,,\n", "column 3 (charge_per_kwh): found \"x\", expected a decimal"),
            ("a,,,,\nb,a,,-1,\n", "column 4 (capacity_up_wh): found \"-1\", expected a whole"),
            ("a,,,,\nb,a,,,1.5\n", "column 5 (capacity_down_wh): found \"1.5\", expected a whole"),
            ("a,,0.1,,\n", "line 2, column 3 (charge_per_kwh): found \"0.1\", expected nothing"),
            ("a,,,7,\n", "line 2, column 4 (capacity_up_wh): found \"7\", expected nothing"),
            ("a,,,\n", "line 2, column 5: found a row of 4 fields, expected 5"),
        ] {
            let problem = read(rows).expect_err(rows);
            assert!(problem.contains(told), "{rows:?}: {problem}");
        }
    }

    #[test]
    fn one_circle_is_one_mistake_and_what_hangs_below_it_none() {
        let problem =
            read("r,,,,\nx,b,,,\na,c,,,\nb,a,,,\nc,b,,,\ny,x,,,\n").expect_err("a circle");
        assert_eq!(problem.lines().count(), 1, "{problem}");
        assert!(problem.contains("round in a circle"), "{problem}");
    }

    #[test]
    fn there_are_at_most_65_536_zones() {
        let rows = |count: usize| -> String {
            (0..count)
                .map(|n| if n == 0 { "0,,,,\n".into() } else { format!("{n},0,,,\n") })
                .collect()
        };
        assert_eq!(read(&rows(65_536)).map(|zones| zones.len()), Ok(65_536));
        let problem = read(&rows(65_537)).map(|_| ()).expect_err("one too many");
        assert!(problem.contains("line 65538, column 1 (zone): found \"65536\""), "{problem}");
    }
}
