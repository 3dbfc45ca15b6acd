//! What the example comes to, as the document shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use market::certificate::issue;
use market::decimal::Fixed;
use market::energy::Energy;
use market::money::Money;
use market::order::Origin;
use market::settlement::{
    CommunitySettlement, Imbalance, PartySettlement, PoolShare, Settlement, Transfer, difference,
    pool_shares,
};
use market::zone::ZoneId;

use crate::bare::party;
use crate::settlement::document::read::{Example, Stretch, number, table};

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
    "congestion rent",
    "rounding",
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
pub(super) fn quarters(example: &Example, shown: &mut BTreeMap<&'static str, String>) {
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
pub(super) fn totals(example: &Example, shown: &mut BTreeMap<&'static str, String>) {
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

pub(super) fn certificates(example: &Example) -> String {
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

pub(super) fn correction(example: &Example, shown: &mut BTreeMap<&'static str, String>) {
    let silent = |stretch: &&Stretch| stretch.readings.contains(&None);
    let stretch = example.stretches.iter().find(silent).expect("a missing reading");
    let late = &table(&example.text, &["draws", "feeds in"])[0];
    let late = Some((number(&late["draws"]), number(&late["feeds in"])));
    let estimated = example.first(stretch);
    let readings: Vec<_> = stretch.readings.iter().map(|reading| reading.or(late)).collect();
    let (before, after) = (estimated.settled(), estimated.metering(&readings).settled());
    let transfers = difference(&after, Some(&before)).unwrap();
    let row = |transfer: &Transfer| {
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
pub(super) fn pooling(example: &Example) -> String {
    let stretch = example.stretches.iter().find(|s| s.from == "16:00").expect("the afternoon");
    let world = example.first(stretch);
    let shares = world.facts(pool_shares).unwrap();
    let over = shares.iter().filter(|share| share.zone == ZoneId(0));
    let part = |share: &PoolShare| {
        let (price, charges) = (share.price.micros_per_kwh(), share.charges.micros_per_kwh());
        let long = share.imbalance == Imbalance::Long;
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
