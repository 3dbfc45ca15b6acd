//! `docs/settlement.md`: its example is read from its tables and settled, and every figure that it
//! shows is compared.
//!
//! `HIDAMARI_REWRITE=1 cargo nextest run -p market document` writes the computed tables anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use market::certificate::issue;
use market::decimal::Fixed;
use market::energy::Energy;
use market::gate::GateIndex;
use market::hash::Digest;
use market::member::PartyId;
use market::money::Money;
use market::order::{OrderId, Origin};
use market::price::Price;
use market::settlement::{
    CommunitySettlement, Holder, PartySettlement, Settlement, ZonePrices, difference,
};
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::trade::{Path, Trade};
use market::zone::{Edge, Zone, ZoneId, ZoneTree};

use crate::bare::party;
use crate::settlement::naive;
use crate::settlement::world::{Reading, World};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settlement.md");

/// 2026-06-15T00:00:00+02:00, a Monday.
const MIDNIGHT: i64 = 1_781_474_400_000;

type Row = BTreeMap<String, String>;

/// The rows of the table that has exactly these columns first.
fn table(text: &str, columns: &[&str]) -> Vec<Row> {
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

fn number(text: &str) -> i64 {
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
struct Example {
    text: String,
    zone_names: Vec<String>,
    zones: ZoneTree,
    names: Vec<String>,
    homes: Vec<ZoneId>,
    tariff: Tariff,
    stretches: Vec<Stretch>,
}

/// Quarter hours that are alike.
struct Stretch {
    from: String,
    periods: Vec<DeliveryPeriod>,
    readings: Vec<Reading>,
    deals: Vec<Row>,
    prices: ZonePrices,
}

impl Example {
    fn read() -> Self {
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
    fn world(&self, stretch: &Stretch, period: DeliveryPeriod) -> World {
        World {
            period,
            zones: self.zones.clone(),
            homes: self.homes.clone(),
            readings: stretch.readings.clone(),
            trades: stretch.deals.iter().map(|row| self.trade(row, period)).collect(),
            prices: stretch.prices.clone(),
            tariff: self.tariff.clone(),
        }
    }

    /// The first quarter hour of a stretch.
    fn first(&self, stretch: &Stretch) -> World {
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
    fn day(&self) -> Vec<(World, Settlement)> {
        let quarters = self
            .stretches
            .iter()
            .flat_map(|stretch| stretch.periods.iter().map(|period| self.world(stretch, *period)));
        quarters.map(|world| (world.clone(), world.settled())).collect()
    }

    fn name(&self, party: PartyId) -> &str {
        let at = (0..self.names.len()).find(|n| crate::bare::party(*n) == party);
        &self.names[at.expect("a household")]
    }

    fn holder(&self, holder: Holder) -> String {
        match holder {
            Holder::Party(party) => self.name(party).to_owned(),
            Holder::Supplier => "supplier".into(),
            Holder::GridOperator => "grid operator".into(),
            Holder::Community => "community".into(),
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
        let of_zone = |priced: &Row, zone: &String| {
            let shown = &priced[zone];
            (!shown.is_empty()).then(|| (zone_id(zones, zone), price(shown)))
        };
        stretches.push(Stretch {
            from: row["from"].clone(),
            periods: (minute(&row["from"])..next).step_by(15).map(quarter).collect(),
            readings: names.iter().map(reading).collect(),
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

/// A Markdown table.
fn drawn<const N: usize>(columns: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(N));
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).expect("memory");
    }
    text
}

fn wh(energy: Energy) -> String {
    energy.wh().to_string()
}

/// With a sign, so that nobody has to guess who pays.
fn signed(micros: i64) -> String {
    let sign = if micros > 0 { "+" } else { "" };
    format!("{sign}{}", Fixed::millionths(micros))
}

fn signed_wh(plus: Energy, minus: Energy) -> String {
    match (plus.wh(), minus.wh()) {
        (0, 0) => "0".into(),
        (plus, 0) => format!("+{plus}"),
        (0, minus) => format!("-{minus}"),
        (plus, minus) => format!("+{plus} -{minus}"),
    }
}

/// trades, pool, pool wheeling, supplier, levies, tax, net
fn money_lines(s: &PartySettlement) -> [i64; 7] {
    [
        s.trade_income.micros() - s.trade_cost.micros(),
        s.pool_income.micros() - s.pool_cost.micros(),
        -s.pool_wheeling.micros(),
        s.supplier_income.micros() - s.supplier_cost.micros(),
        -s.levies.micros(),
        -s.tax.micros(),
        s.net_income().unwrap().micros(),
    ]
}

const OTHERS: [&str; 7] = [
    "grid operator: trades",
    "grid operator: pool",
    "community: rent",
    "community: rounding",
    "supplier",
    "levies",
    "tax",
];

fn community_lines(c: &CommunitySettlement) -> [i64; 7] {
    [c.trade_wheeling, c.pool_wheeling, c.congestion_rent, c.rounding, c.supplier, c.levies, c.tax]
        .map(Money::micros)
}

fn add<const N: usize>(sum: &mut [i64; N], lines: [i64; N]) {
    sum.iter_mut().zip(lines).for_each(|(sum, line)| *sum += line);
}

/// The tables of one quarter hour of each stretch.
fn quarters(example: &Example, shown: &mut BTreeMap<&'static str, String>) {
    let (mut energy, mut pools, mut money, mut community) = (vec![], vec![], vec![], vec![]);
    for stretch in &example.stretches {
        let from = stretch.from.clone();
        let settlement = example.first(stretch).settled();
        for (n, name) in example.names.iter().enumerate() {
            let s = settlement.parties[&party(n)];
            energy.push([
                from.clone(),
                name.clone(),
                wh(s.sold),
                wh(s.bought),
                wh(s.surplus),
                wh(s.missing),
                wh(s.extra),
                wh(s.not_taken),
                signed_wh(s.pooled_long, s.pooled_short),
                signed_wh(s.fed_in, s.supplied),
            ]);
            let [trades, pool, wheeling, supplier, levies, tax, net] = money_lines(&s).map(signed);
            money.push([
                from.clone(),
                name.clone(),
                trades,
                pool,
                wheeling,
                supplier,
                levies,
                tax,
                net,
            ]);
        }
        for pool in &settlement.pools {
            let zone = example.zone_names[usize::from(pool.zone.0)].clone();
            pools.push([from.clone(), zone, wh(pool.energy), pool.price.to_string()]);
        }
        let [a, b, c, d, e, f, g] = community_lines(&settlement.community).map(signed);
        community.push([from, a, b, c, d, e, f, g]);
    }
    let energy_columns = [
        "from",
        "household",
        "sold",
        "bought",
        "surplus",
        "missing",
        "extra",
        "not taken",
        "pooled",
        "supplier",
    ];
    shown.insert("energy", drawn(energy_columns, energy));
    shown.insert("pools", drawn(["from", "zone", "Wh", "price"], pools));
    let money_columns = [
        "from",
        "household",
        "trades",
        "pool",
        "pool wheeling",
        "supplier",
        "levies",
        "tax",
        "net",
    ];
    shown.insert("money", drawn(money_columns, money));
    let [a, b, c, d, e, f, g] = OTHERS;
    shown.insert("community", drawn(["from", a, b, c, d, e, f, g], community));
}

/// The tables of the whole day.
fn totals(example: &Example, shown: &mut BTreeMap<&'static str, String>) {
    let day = example.day();
    let (mut energy, mut money, mut levies) = (vec![], vec![], vec![]);
    let mut net_of_all = 0;
    for (n, name) in example.names.iter().enumerate() {
        let (mut flows, mut lines, mut alone) = ([0; 8], [0; 7], 0);
        let mut by_levy: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (world, settlement) in &day {
            let s = settlement.parties[&party(n)];
            let parts = [
                s.metered.imported,
                s.metered.exported,
                s.sold,
                s.bought,
                s.pooled_long,
                s.pooled_short,
                s.fed_in,
                s.supplied,
            ];
            add(&mut flows, parts.map(Energy::wh));
            add(&mut lines, money_lines(&s));
            alone += s.net_income_without_market(&world.rates()).unwrap().micros();
            for line in example.tariff.levy_lines(s.supplied, s.metered.imported).unwrap() {
                let sums = by_levy.entry(&line.levy.name).or_default();
                (sums.0, sums.1) = (sums.0 + line.energy.wh(), sums.1 + line.amount.micros());
            }
        }
        let on_bill: i64 = by_levy.values().map(|(_, amount)| amount).sum();
        assert_eq!(on_bill, -lines[4], "the lines of the levies are the levies");
        net_of_all += lines[6];
        let [drawn, fed, sold, bought, given, had, taken, supplied] =
            flows.map(|wh| wh.to_string());
        energy.push([name.clone(), drawn, fed, sold, bought, given, had, taken, supplied]);
        let [trades, pool, wheeling, supplier, levy, tax, net] = lines.map(signed);
        let (alone_shown, saved) = (signed(alone), signed(lines[6] - alone));
        money.push([
            name.clone(),
            trades,
            pool,
            wheeling,
            supplier,
            levy,
            tax,
            net,
            alone_shown,
            saved,
        ]);
        for levy in example.tariff.levies() {
            let (wh, amount) = by_levy[levy.name.as_str()];
            let amount = Fixed::millionths(amount).to_string();
            levies.push([name.clone(), levy.name.clone(), wh.to_string(), amount]);
        }
    }
    let energy_columns = [
        "household",
        "drawn",
        "fed in",
        "sold",
        "bought",
        "given to the pool",
        "had from the pool",
        "taken by the supplier",
        "supplied",
    ];
    shown.insert("day energy", drawn(energy_columns, energy));
    let money_columns = [
        "household",
        "trades",
        "pool",
        "pool wheeling",
        "supplier",
        "levies",
        "tax",
        "net",
        "alone",
        "saved",
    ];
    shown.insert("day money", drawn(money_columns, money));
    shown.insert("levies", drawn(["household", "levy", "Wh", "amount"], levies));
    let mut others = [0; 7];
    for (_, settlement) in &day {
        add(&mut others, community_lines(&settlement.community));
    }
    shown.insert("day community", drawn(OTHERS, vec![others.map(signed)]));
    let of_others: i64 = others.iter().sum();
    let zero = format!(
        "Together the households have {} and all others {}: nothing is lost and nothing is made.\n",
        signed(net_of_all),
        signed(of_others)
    );
    assert_eq!(net_of_all + of_others, 0);
    shown.insert("sentence: zero", zero);
}

fn certificates(example: &Example) -> String {
    let mut sums: BTreeMap<(&str, &str, &str), i64> = BTreeMap::new();
    for (world, settlement) in example.day() {
        for one in issue(&settlement, &world.trades).unwrap() {
            let origin = if one.origin == Origin::Solar { "solar" } else { "battery" };
            let name = (example.name(one.producer), example.name(one.consumer), origin);
            *sums.entry(name).or_default() += one.energy.wh();
        }
    }
    let row = |((producer, consumer, origin), wh): (&(&str, &str, &str), &i64)| {
        [*producer, *consumer, *origin].map(str::to_owned).into_iter().chain([wh.to_string()])
    };
    let rows = sums.iter().map(|line| row(line).collect::<Vec<_>>().try_into().unwrap());
    drawn(["from", "for", "origin", "Wh"], rows.collect())
}

fn correction(example: &Example, shown: &mut BTreeMap<&'static str, String>) {
    let silent = |stretch: &&Stretch| stretch.readings.contains(&None);
    let stretch = example.stretches.iter().find(silent).expect("a missing reading");
    let late = &table(&example.text, &["draws", "feeds in"])[0];
    let late = Some((number(&late["draws"]), number(&late["feeds in"])));
    let estimated = example.first(stretch);
    let readings: Vec<_> = stretch.readings.iter().map(|reading| reading.or(late)).collect();
    let (before, after) = (estimated.settled(), estimated.metering(&readings).settled());
    let transfers = difference(&after, Some(&before)).unwrap();
    let row = |transfer: &market::settlement::Transfer| {
        let amount = Fixed::millionths(transfer.amount.micros()).to_string();
        let cause = format!("{:?}", transfer.cause);
        [example.holder(transfer.payer), example.holder(transfer.payee), cause, amount]
    };
    let rows = transfers.iter().map(row).collect();
    shown.insert("correction", drawn(["payer", "payee", "cause", "amount"], rows));
    let of = |settlement: &Settlement, n: usize| {
        settlement.parties[&party(n)].net_income().unwrap().micros()
    };
    let moved =
        |n: usize| format!("{} {}", example.names[n], signed(of(&after, n) - of(&before, n)));
    let moves: Vec<_> = (0..example.names.len()).map(moved).collect();
    let again = difference(&after, Some(&after)).unwrap().len();
    let sentence = format!(
        "So the correction comes to {}. Settling the quarter hour once more posts {again} \
         differences.\n",
        moves.join(", ")
    );
    shown.insert("sentence: correction", sentence);
}

/// How the pool of the afternoon works, in a sentence.
fn pooling(example: &Example) -> String {
    let stretch = example.stretches.iter().find(|s| s.from == "16:00").expect("the afternoon");
    let world = example.first(stretch);
    let shares = world.facts(market::settlement::pool_shares).unwrap();
    let over = shares.iter().filter(|share| share.zone == ZoneId(0));
    let part = |share: &market::settlement::PoolShare| {
        let (price, charges) = (share.price.micros_per_kwh(), share.charges.micros_per_kwh());
        let long = share.imbalance == market::settlement::Imbalance::Long;
        let (verb, comes_to) =
            if long { ("gets", price - charges) } else { ("pays", price + charges) };
        let at = Fixed::millionths(comes_to);
        format!("{} {verb} {at} per kWh for {} Wh", example.name(share.party), share.energy.wh())
    };
    let parts: Vec<_> = over.map(part).collect();
    format!(
        "At 16:00 feeder A has first cancelled what it could by itself; at the transformer {}. The \
         difference is the charge of two lines.\n",
        parts.join(", ")
    )
}

/// Puts what was computed between its marks.
fn filled(text: &str, shown: &BTreeMap<&'static str, String>) -> String {
    let mut result = String::new();
    let mut lines = text.lines().peekable();
    let mut used = 0;
    while let Some(line) = lines.next() {
        writeln!(result, "{line}").expect("memory");
        let mark = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some(content) = mark.map(|mark| &shown[mark]) else { continue };
        used += 1;
        // What stood there ends with an empty line and is followed by one.
        lines.next_if(|line| line.is_empty());
        while lines.peek().is_some_and(|line| !line.is_empty() && !line.starts_with("<!-- ")) {
            lines.next();
        }
        writeln!(result, "\n{}", content.trim_end()).expect("memory");
    }
    assert_eq!(used, shown.len(), "every computed part has its place");
    result
}

#[test]
fn every_figure_of_the_document_is_what_its_tables_come_to() {
    let example = Example::read();
    let mut shown = BTreeMap::new();
    quarters(&example, &mut shown);
    totals(&example, &mut shown);
    shown.insert("certificates", certificates(&example));
    shown.insert("sentence: pooling", pooling(&example));
    correction(&example, &mut shown);
    let expected = filled(&example.text, &shown);
    if std::env::var_os("HIDAMARI_REWRITE").is_some() {
        std::fs::write(PATH, &expected).expect("docs/settlement.md can be written");
        return;
    }
    for (number, (found, expected)) in example.text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "docs/settlement.md, line {}", number + 1);
    }
    assert_eq!(example.text, expected);
}

#[test]
fn the_quarter_hours_of_a_row_are_alike_and_settle_as_plain_loops_say() {
    let example = Example::read();
    let alike = |settlement: &Settlement| {
        (settlement.parties.clone(), settlement.pools.clone(), settlement.community)
    };
    let mut count = 0;
    for stretch in &example.stretches {
        let first = alike(&example.first(stretch).settled());
        for period in &stretch.periods {
            let world = example.world(stretch, *period);
            assert_eq!(alike(&world.settled()), first);
            let mut naively = naive::settle(&world);
            naively.pools.sort_by_key(|pool| std::cmp::Reverse(pool.zone));
            assert_eq!(world.settled(), naively);
            count += 1;
        }
    }
    assert_eq!(count, 96);
}

#[test]
fn the_prices_of_the_trades_are_those_of_the_zones() {
    let example = Example::read();
    for stretch in &example.stretches {
        for trade in example.first(stretch).trades {
            let price = |zone| stretch.prices.price(zone);
            assert_eq!(price(trade.path.from), Some(trade.seller_price), "{}", stretch.from);
            assert_eq!(price(trade.path.to), Some(trade.buyer_price), "{}", stretch.from);
        }
    }
}

#[test]
fn a_table_that_stands_nowhere_is_missed() {
    let found = std::panic::catch_unwind(|| table("| a | b |\n|---|---|\n| 1 | 2 |\n", &["a"]));
    assert!(found.is_err());
    assert_eq!(table("| a | b |\n|---|---|\n| 1 |  |\n", &["a", "b"])[0]["b"], "");
}
