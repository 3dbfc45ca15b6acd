//! The example's input, read from the tables of the document.

use std::collections::BTreeMap;

use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateIndex;
use market::hash::Digest;
use market::member::PartyId;
use market::money::Money;
use market::order::{OrderId, Origin};
use market::price::Price;
use market::settlement::{Holder, Settlement, ZonePrices};
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::trade::{Path, Trade};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};

use crate::bare::party;
use crate::settlement::world::{Reading, World};

/// The document.
pub(super) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settlement.md");

/// 2026-06-15T00:00:00+02:00, a Monday.
const MIDNIGHT: i64 = 1_781_474_400_000;

pub(super) type Row = BTreeMap<String, String>;

/// The rows of the table that has exactly these columns first.
pub(super) fn table(text: &str, columns: &[&str]) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let lines: Vec<&str> = text.lines().collect();
    let head = lines.iter().position(|line| line.starts_with('|') && cells(line) == columns);
    let head = head.unwrap_or_else(|| panic!("no table with columns {columns:?}"));
    let body = lines[head + 2..].iter().take_while(|line| line.starts_with('|'));
    let row = |line: &&str| {
        let cells = cells(line);
        assert_eq!(cells.len(), columns.len(), "{line}");
        columns.iter().map(|column| (*column).to_owned()).zip(cells).collect()
    };
    body.map(row).collect()
}

pub(super) fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no whole number"))
}

fn price(text: &str) -> Price {
    text.parse().unwrap_or_else(|problem| panic!("{problem}"))
}

/// Minutes of the day from `hh:mm`.
fn minute(text: &str) -> u16 {
    let (hours, minutes) = text.split_once(':').expect("hh:mm");
    let part = |text: &str| u16::try_from(number(text)).expect("a time of day");
    part(hours) * 60 + part(minutes)
}

/// What the document's input tables say.
pub(super) struct Example {
    pub(super) text: String,
    pub(super) zone_names: Vec<String>,
    zones: ZoneTree,
    pub(super) names: Vec<String>,
    homes: Vec<ZoneId>,
    pub(super) tariff: Tariff,
    pub(super) stretches: Vec<Stretch>,
}

/// Quarter hours that are alike.
pub(super) struct Stretch {
    pub(super) from: String,
    pub(super) periods: Vec<DeliveryPeriod>,
    pub(super) readings: Vec<Reading>,
    /// Of the one household whose meter is silent.
    pub(super) expected: (i64, i64),
    deals: Vec<Row>,
    pub(super) prices: ZonePrices,
}

impl Example {
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string(PATH).expect("the document");
        let rows = table(&text, &["zone", "above it", "charge on the way up"]);
        let zone_names: Vec<String> = rows.iter().map(|row| row["zone"].clone()).collect();
        let id = |name: &str| zone_id(&zone_names, name);
        let zone = |row: &Row| {
            let edge = (!row["above it"].is_empty()).then(|| Edge {
                parent: id(&row["above it"]),
                charge: price(&row["charge on the way up"]),
                capacity_up: None,
                capacity_down: None,
            });
            (id(&row["zone"]), Zone { label: row["zone"].clone(), edge })
        };
        let zones = ZoneTree::new(rows.iter().map(zone).collect()).expect("a tree");
        let households = table(&text, &["household", "zone", "has"]);
        let names: Vec<String> = households.iter().map(|row| row["household"].clone()).collect();
        let homes = households.iter().map(|row| id(&row["zone"])).collect();
        let tariff = tariff(&text);
        let stretches = stretches(&text, &names, &zone_names);
        Self { text, zone_names, zones, names, homes, tariff, stretches }
    }

    /// One quarter hour.
    pub(super) fn world(&self, stretch: &Stretch, period: DeliveryPeriod) -> World {
        World {
            period,
            zones: self.zones.clone(),
            homes: self.homes.clone(),
            readings: stretch.readings.clone(),
            expected: stretch.expected,
            trades: stretch.deals.iter().map(|row| self.trade(row, period)).collect(),
            mechanism: MechanismKind::ZonalAuction,
            prices: stretch.prices.clone(),
            tariff: self.tariff.clone(),
        }
    }

    /// The first quarter hour of a stretch.
    pub(super) fn first(&self, stretch: &Stretch) -> World {
        self.world(stretch, stretch.periods[0])
    }

    fn trade(&self, row: &Row, period: DeliveryPeriod) -> Trade {
        let who = |name: &str| self.names.iter().position(|n| n == name).expect("a household");
        let (seller, buyer) = (who(&row["seller"]), who(&row["buyer"]));
        let energy = Energy::from_wh(number(&row["Wh"]));
        let (from, to) = (self.homes[seller], self.homes[buyer]);
        let over = if from == to { from } else { self.zones.root() };
        let amount = |price: Price| price.amount_for(energy).unwrap();
        let sum = |prices: [Price; 3]| {
            Price::from_micros_per_kwh(prices.iter().map(|price| price.micros_per_kwh()).sum())
        };
        let (seller_price, charge, rent) =
            (price(&row["seller's price"]), price(&row["charge"]), price(&row["rent"]));
        let parts = [amount(seller_price), amount(charge), amount(rent)];
        let name = |what: &str| {
            let deal = format!("{what} {} {} {}", row["from"], row["seller"], row["buyer"]);
            OrderId::from_bytes(*Digest::of(&[deal.as_bytes()]).as_bytes())
        };
        Trade {
            period,
            gate: GateIndex(0),
            seller: party(seller),
            buyer: party(buyer),
            offer: name("offer"),
            bid: name("bid"),
            energy,
            seller_price,
            buyer_price: sum([seller_price, charge, rent]),
            seller_amount: parts[0],
            buyer_amount: Money::sum(parts).unwrap(),
            charge: parts[1],
            rent: parts[2],
            path: Path { from, over, to },
            origin: Some(match row["origin"].as_str() {
                "solar" => Origin::Solar,
                "battery" => Origin::Battery,
                other => panic!("{other} is no origin"),
            }),
        }
    }

    /// Every quarter hour of the day.
    pub(super) fn day(&self) -> Vec<(World, Settlement)> {
        let quarters = self
            .stretches
            .iter()
            .flat_map(|stretch| stretch.periods.iter().map(|period| self.world(stretch, *period)));
        quarters.map(|world| (world.clone(), world.settled())).collect()
    }

    pub(super) fn name(&self, party: PartyId) -> &str {
        let at = (0..self.names.len()).find(|n| crate::bare::party(*n) == party);
        &self.names[at.expect("a household")]
    }

    pub(super) fn holder(&self, holder: Holder) -> String {
        match holder {
            Holder::Party(party) => self.name(party).to_owned(),
            Holder::Supplier => "supplier".into(),
            Holder::GridOperator => "grid operator".into(),
            Holder::CongestionRent => "congestion rent".into(),
            Holder::Rounding => "rounding".into(),
            Holder::Bank => "bank".into(),
        }
    }
}

fn zone_id(names: &[String], name: &str) -> ZoneId {
    let at = names.iter().position(|zone| zone == name);
    ZoneId(u16::try_from(at.unwrap_or_else(|| panic!("no zone {name:?}"))).expect("few zones"))
}

fn tariff(text: &str) -> Tariff {
    let window = |row: &Row| Window {
        days: match row["days"].as_str() {
            "Monday to Friday" => Days::WEEKDAYS,
            "Saturday and Sunday" => Days::WEEKEND,
            other => panic!("{other} are no days"),
        },
        from_minute: minute(&row["from"]),
        to_minute: minute(&row["to"]),
        retail: price(&row["retail"]),
        feed_in: price(&row["feed-in"]),
    };
    let levy = |row: &Row| Levy {
        name: row["levy"].clone(),
        price: price(&row["per kWh"]),
        base: match row["base"].as_str() {
            "supplied" => LevyBase::Supplied,
            "imported" => LevyBase::Imported,
            other => panic!("{other} is no base"),
        },
    };
    let windows = table(text, &["days", "from", "to", "retail", "feed-in"]);
    let levies = table(text, &["levy", "base", "per kWh"]);
    let found = |before: &str, after: &str| {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}"));
        number(rest.split_once(after).expect("a number").0)
    };
    let tax = u32::try_from(found("The tax is ", " %.")).expect("a share") * 10_000;
    let offset = i16::try_from(found("Monday, 15 June 2026, UTC+", ",")).expect("hours") * 60;
    let windows = windows.iter().map(window).collect();
    Tariff::new(offset, windows, levies.iter().map(levy).collect(), tax).expect("a tariff")
}

fn stretches(text: &str, names: &[String], zones: &[String]) -> Vec<Stretch> {
    let metered: Vec<String> =
        names.iter().flat_map(|n| [format!("{n} draws"), format!("{n} feeds in")]).collect();
    let columns: Vec<&str> =
        ["from", "to"].into_iter().chain(metered.iter().map(String::as_str)).collect();
    let trade_columns =
        ["from", "seller", "buyer", "Wh", "seller's price", "charge", "rent", "origin"];
    let deals = table(text, &trade_columns);
    let price_columns: Vec<&str> =
        std::iter::once("from").chain(zones.iter().map(String::as_str)).collect();
    let prices = table(text, &price_columns);
    let known = table(text, &["household", "from", "drew at most", "fed in at least"]);
    let mut next = 0;
    let mut stretches = Vec::new();
    for row in table(text, &columns) {
        assert_eq!(minute(&row["from"]), next, "the rows follow each other");
        next = minute(&row["to"]);
        let quarter = |minute: u16| {
            let start = Timestamp::from_millis(MIDNIGHT + i64::from(minute) * 60_000);
            DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).expect("a quarter hour")
        };
        let reading = |name: &String| {
            let cell = |what: &str| row[&format!("{name} {what}")].as_str();
            (cell("draws") != "-").then(|| (number(cell("draws")), number(cell("feeds in"))))
        };
        let priced = prices.iter().filter(|priced| priced["from"] == row["from"]);
        let readings: Vec<Reading> = names.iter().map(reading).collect();
        let silent = names.iter().zip(&readings).filter(|(_, reading)| reading.is_none());
        let silent: Vec<_> = silent.map(|(name, _)| name.as_str()).collect();
        let known = known.iter().filter(|known| known["from"] == row["from"]);
        let known: Vec<_> = known.collect();
        let of: Vec<_> = known.iter().map(|known| known["household"].as_str()).collect();
        assert_eq!(of, silent, "what is known of who is silent at {}", row["from"]);
        let expected = known.first().map_or((0, 0), |known| {
            (number(&known["drew at most"]), number(&known["fed in at least"]))
        });
        let of_zone = |priced: &Row, zone: &String| {
            let shown = &priced[zone];
            (!shown.is_empty()).then(|| (zone_id(zones, zone), price(shown)))
        };
        stretches.push(Stretch {
            from: row["from"].clone(),
            periods: (minute(&row["from"])..next).step_by(15).map(quarter).collect(),
            readings,
            expected,
            deals: deals.iter().filter(|deal| deal["from"] == row["from"]).cloned().collect(),
            prices: priced
                .flat_map(|priced| zones.iter().filter_map(|zone| of_zone(priced, zone)))
                .collect(),
        });
    }
    assert_eq!(next, 1_440, "the rows fill the day");
    let used: usize = stretches.iter().map(|stretch| stretch.deals.len()).sum();
    assert_eq!(used, deals.len(), "each trade belongs to a row");
    stretches
}
