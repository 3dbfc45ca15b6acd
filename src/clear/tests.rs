//! From the text of files to the text of results. The examples are those of `docs/examples/clear`.

use clap::Parser as _;
use serde_json::Value;

use super::*;

const HEADER: &str = "id,party,zone,side,price,energy_wh\n";
const ZONES: &str = "zone,parent,charge_per_kwh,capacity_up_wh,capacity_down_wh\n";

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Clear,
}

fn options(arguments: &[&str]) -> Clear {
    let fixed = ["clear", "--orders", "orders.csv"];
    Line::try_parse_from(fixed.iter().chain(arguments)).expect("understood").options
}

/// What the command writes for these texts.
fn written(options: &Clear, zones: Option<&str>, orders: &str) -> Result<String, ClearError> {
    let sheet = |name: &str, text: &str| Sheet::from_bytes(name.to_owned(), text.into());
    let zones = zones.map(|text| sheet("zones.csv", text)).transpose()?;
    let (zones, orders) =
        read(zones.as_ref(), &sheet("orders.csv", orders)?, &mut Progress::start())?;
    let (book, listing) = orders.seal(options.seed)?;
    let result = cleared(options, &zones, &book)?;
    let report = Report::of(options, &zones, &listing, &result)?;
    let mut bytes = Vec::new();
    let wrote =
        if options.json { report.write_json(&mut bytes) } else { report.write_tables(&mut bytes) };
    wrote.expect("memory takes everything");
    Ok(String::from_utf8(bytes).expect("text"))
}

fn json(arguments: &[&str], zones: Option<&str>, orders: &str) -> Value {
    let options = options(&[arguments, &["--json"]].concat());
    let text = written(&options, zones, orders).expect("cleared");
    serde_json::from_str(&text).expect("one JSON object")
}

fn refusal(zones: Option<&str>, orders: &str) -> String {
    written(&options(&[]), zones, orders).expect_err("a mistake").to_string()
}

/// The refusal of these rows in one zone.
fn row_refusal(rows: &str) -> String {
    refusal(None, &format!("{HEADER}{rows}"))
}

fn micros(value: &Value) -> i128 {
    let text = value.as_str().expect("a decimal string");
    let (whole, fraction) = text.split_once('.').expect("a point");
    assert_eq!(fraction.len(), 6, "{text}");
    format!("{whole}{fraction}").parse().expect("a number")
}

/// Six places: `price("0.25")` is `"0.250000"`.
fn price(text: &str) -> Value {
    text.parse::<market::price::Price>().expect("a price").to_string().into()
}

fn column(list: &Value, field: &str) -> Vec<Value> {
    list.as_array().expect("a list").iter().map(|entry| entry[field].clone()).collect()
}

/// No energy and no money appears or is lost, whatever the mechanism.
fn assert_adds_up(result: &Value) {
    let sum = |list: &str, field: &str| column(&result[list], field).iter().map(micros).sum();
    let of_side = |side: &str| -> i128 {
        let orders = result["orders"].as_array().expect("a list").iter();
        orders.filter(|order| order["side"] == side).map(|order| micros(&order["amount"])).sum()
    };
    let (charges, rents): (i128, i128) = (sum("trades", "charge"), sum("trades", "rent"));
    let edges: i128 = sum("edges", "charge");
    assert_eq!(of_side("bid"), of_side("offer") + charges + rents);
    assert_eq!(edges, charges);
    if result["mechanism"] == "zonal" {
        let edge_rents: i128 = sum("edges", "rent");
        assert_eq!(edge_rents, rents);
    }
    for (total, value) in [
        ("paid", of_side("bid")),
        ("received", of_side("offer")),
        ("charges", charges),
        ("rents", rents),
    ] {
        assert_eq!(micros(&result[total]), value, "{total}");
    }
    let energy = |list: &str, field: &str| -> i64 {
        column(&result[list], field).iter().map(|wh| wh.as_i64().expect("whole")).sum()
    };
    assert_eq!(energy("orders", "filled_wh"), 2 * energy("trades", "energy_wh"));
    assert_eq!(energy("zones", "bought_wh"), energy("zones", "sold_wh"));
}

macro_rules! example {
    ($name:literal) => {
        include_str!(concat!("../../docs/examples/clear/", $name))
    };
}

/// Shared reference `clearing.md`, section 4.
#[test]
fn the_worked_example_of_ten_orders() {
    for k in ["0", "0.5", "1"] {
        let result = json(&["--k", k], None, example!("ten-orders.csv"));
        assert_adds_up(&result);
        assert_eq!(result["zones"][0]["price"], price("18"));
        assert_eq!(result["volume_wh"], 6_200);
        assert_eq!(result["welfare"], price("45.8"));
        assert_eq!((&result["paid"], &result["received"]), (&price("111.6"), &price("111.6")));
        let fills = column(&result["orders"], "filled_wh");
        assert_eq!(fills, [2_000, 1_500, 1_000, 1_700, 1_000, 2_000, 1_200, 2_000, 0, 0]);
        let told = |n: usize| result["orders"][n]["answer"].clone();
        assert_eq!(told(3)["code"], "shared_at_margin");
        assert_eq!(told(8)["limit"], price("22"));
        let words = told(8)["en"].as_str().expect("a sentence").to_owned();
        assert!(words.contains("22.000000 was above the clearing price 18.000000"), "{words}");
        let words = told(9)["ja"].as_str().expect("a sentence").to_owned();
        assert!(words.contains("12.000000"), "{words}");
    }
    let pairs = json(&["--mechanism", "midpoint"], None, example!("ten-orders.csv"));
    assert_adds_up(&pairs);
    assert_eq!(pairs["paid"], price("109.7"));
    assert_eq!(pairs["volume_wh"], 6_200);
}

/// Table A: HS Mittweida, 87.5 published; McAfee's price from outside is the same.
#[test]
fn table_a_hs_mittweida() {
    for mechanism in ["zonal", "mcafee"] {
        let result = json(&["--mechanism", mechanism], None, example!("mittweida.csv"));
        assert_adds_up(&result);
        assert_eq!(result["zones"][0]["price"], price("87.5"), "{mechanism}");
        assert_eq!(result["volume_wh"], 2_000);
    }
    let at = |k| json(&["--k", k], None, example!("mittweida.csv"))["zones"][0]["price"].clone();
    assert_eq!((at("0"), at("1")), (price("85"), price("90")));
    // With b3 = 84 and s3 = 100 the price from outside, 92, is above b2: one trade, 90 and 85.
    let reduced = example!("mittweida.csv")
        .replace("buyer 3,,bid,80", "buyer 3,,bid,84")
        .replace("seller 3,,offer,95", "seller 3,,offer,100");
    let result = json(&["--mechanism", "mcafee"], None, &reduced);
    assert_adds_up(&result);
    let trade = &result["trades"][0];
    assert_eq!(result["trades"].as_array().map(Vec::len), Some(1));
    assert_eq!((&trade["buyer_price"], &trade["seller_price"]), (&price("90"), &price("85")));
    assert_eq!(result["rents"], price("5"));
}

/// Table E: pymarket `docs/Huang.ipynb`.
#[test]
fn table_e_huang() {
    let efficient = json(&["--k", "0"], None, example!("huang.csv"));
    assert_eq!(
        (&efficient["zones"][0]["price"], &efficient["volume_wh"]),
        (&price("4"), &6_000.into())
    );
    assert_eq!(efficient["welfare"], price("21.5"));
    assert_eq!(json(&["--k", "1"], None, example!("huang.csv"))["zones"][0]["price"], price("6"));
    let reduced = json(&["--mechanism", "mcafee"], None, example!("huang.csv"));
    assert_adds_up(&reduced);
    assert_eq!(reduced["volume_wh"], 4_000);
    assert_eq!(reduced["rents"], price("8"));
    let fills = column(&reduced["orders"], "filled_wh");
    assert_eq!(fills, [800, 800, 800, 800, 800, 0, 1_000, 1_000, 2_000, 0, 0]);
    for trade in reduced["trades"].as_array().expect("a list") {
        assert_eq!((&trade["buyer_price"], &trade["seller_price"]), (&price("6"), &price("4")));
    }
}

/// Tables F (gsy-e, two edges of 0.02) and G (Quartierstrom, one edge of 6).
#[test]
fn tables_f_and_g_share_the_gain_around_the_grid_fee() {
    let (zones, orders) = (example!("grid-fee-zones.csv"), example!("grid-fee-orders.csv"));
    for (k, paid, received) in
        [("0", "0.14", "0.10"), ("1", "0.30", "0.26"), ("0.5", "0.22", "0.18")]
    {
        let result = json(&["--k", k], Some(zones), orders);
        assert_adds_up(&result);
        assert_eq!((&result["paid"], &result["received"]), (&price(paid), &price(received)), "{k}");
        assert_eq!(result["charges"], price("0.04"));
        assert_eq!(column(&result["edges"], "flow_wh"), [1_000, -1_000]);
    }
    let (zones, orders) =
        (example!("quartierstrom-zones.csv"), example!("quartierstrom-orders.csv"));
    let result = json(&[], Some(zones), orders);
    assert_adds_up(&result);
    let trade = &result["trades"][0];
    assert_eq!(trade["buyer_price"], price("15.375"));
    assert_eq!(trade["seller_price"], price("9.375"));
    assert_eq!(trade["charge"], price("6"));
    // Down to a tick of 0.01 at the root.
    let ticked = json(&["--tick", "0.01"], Some(zones), orders);
    assert_eq!(ticked["trades"][0]["buyer_price"], price("15.37"));
}

#[test]
fn answers_and_mistakes_name_zones_as_the_files_do() {
    let (zones, orders) = (example!("street-zones.csv"), example!("street-orders.csv"));
    let result = json(&[], Some(zones), orders);
    assert_adds_up(&result);
    let told = &result["orders"][1]["answer"];
    assert_eq!((&told["code"], &told["full_edge"]), (&"edge_full".into(), &"east".into()));
    for language in ["en", "ja"] {
        assert!(told[language].as_str().is_some_and(|words| words.contains("east")), "{told}");
    }
    let one_zone_only = options(&["--mechanism", "mcafee"]);
    let refused = written(&one_zone_only, Some(zones), orders).expect_err("edges bind").to_string();
    assert!(refused.contains("--mechanism mcafee") && refused.contains("\"east\""), "{refused}");
}

#[test]
fn rows_of_one_id_are_one_curve_in_any_order_and_equal_prices_add_up() {
    let tidy = "a,p,,bid,3,100\na,p,,bid,2,70\na,p,,bid,1,5\ns,q,,offer,1,150\n";
    let untidy = "s,q,,offer,1,150\n\
                  a,p,,bid,1,5\na,p,,bid,2.0,30\na,p,,bid,3.000000,60\n\
                  a,p,,bid,2,40\na,p,,bid,3,40\n";
    let by_id = |rows: &str| {
        let mut result = json(&[], None, &format!("{HEADER}{rows}"));
        let orders = result["orders"].as_array_mut().expect("a list");
        orders.sort_by_key(|order| order["id"].to_string());
        result
    };
    assert_eq!(by_id(tidy), by_id(untidy));
    assert_eq!(by_id(tidy)["orders"][0]["ordered_wh"], 175);
    assert_eq!(by_id(tidy)["orders"][0]["filled_wh"], 150);
    let steps = |prices: std::ops::RangeInclusive<u32>| -> String {
        prices.map(|price| format!("a,p,,bid,{price},1\n")).collect()
    };
    assert_eq!(by_id(&steps(1..=16))["orders"][0]["ordered_wh"], 16);
    let refused = row_refusal(&steps(1..=17));
    assert!(
        refused.contains("line 18, column 5 (price): found \"17\", expected at most 16 prices"),
        "{refused}"
    );
}

#[test]
fn every_mistake_in_a_row_is_named_with_its_line_and_column() {
    for (row, told) in [
        (",p,,bid,1,1", "column 1 (id): found nothing, expected a name"),
        ("a,,,bid,1,1", "column 2 (party): found nothing, expected a name"),
        ("a,p,,ask,1,1", "column 4 (side): found \"ask\", expected bid or offer"),
        ("a,p,,,1,1", "column 4 (side): found nothing, expected bid or offer"),
        ("a,p,,bid,cheap,1", "column 5 (price): found \"cheap\", expected a decimal number"),
        ("a,p,,bid,\"0,25\",1", "column 5 (price): found \"0,25\", expected a decimal number such"),
        ("a,p,,bid,0.1234567,1", "column 5 (price): found \"0.1234567\", expected at most 6"),
        ("a,p,,bid,1e12,1", "column 5 (price): found \"1e12\", expected a decimal number"),
        (
            "a,p,,bid,9999999999999999,1",
            "column 5 (price): found \"9999999999999999\", expected a price from",
        ),
        (
            "a,p,,bid,1,0",
            "column 6 (energy_wh): found \"0\", expected a whole number of Wh above 0",
        ),
        ("a,p,,bid,1,-4", "column 6 (energy_wh): found \"-4\", expected a whole number of Wh"),
        ("a,p,,bid,1,1.5", "column 6 (energy_wh): found \"1.5\", expected a whole number of Wh"),
        ("a,p,,bid,1,99999999999999999999", "column 6 (energy_wh): found"),
        ("x,other,,bid,1,1", "column 2 (party): found \"other\", expected what line 2 says"),
        ("x,p,,offer,1,1", "column 4 (side): found \"offer\", expected what line 2 says"),
        (
            "x,p,,bid,1,9223372036854775807",
            "column 6 (energy_wh): found \"9223372036854775807\", expected energies",
        ),
        ("a,p,attic,bid,1,1", "column 3 (zone): found \"attic\", expected nothing, as in line 2"),
        ("a,p,,bid,1", "column 6: found a row of 5 fields, expected 6, separated by commas"),
        ("a,p,,bid,0,25,1", "column 7: found a row of 7 fields, expected 6, separated by commas"),
        ("a,\"p,,bid,1,1", "column 3: found a quote that is not closed, expected 6"),
        ("\"a\nb\",p,,bid,1,1", "column 1 (id): found \"a\\nb\", expected a name of 1 to 64"),
    ] {
        let refused = row_refusal(&format!("x,p,,bid,1,1\n{row}\n"));
        assert!(refused.starts_with("orders.csv, line 3, column "), "{row}: {refused}");
        assert!(refused.contains(told), "{row}: {refused}");
    }
    let long = "n".repeat(65);
    let refused = row_refusal(&format!("{long},p,,bid,1,1\n"));
    assert!(refused.contains("and more, expected a name of 1 to 64 characters"), "{refused}");
    assert!(
        json(&[], None, &format!("{HEADER}{},p,,bid,1,1\n", "日".repeat(64)))["orders"][0]
            .is_object()
    );
}

#[test]
fn mistakes_of_both_files_are_told_together_but_at_most_20() {
    let refused =
        refusal(Some(&format!("{ZONES}a,,,,\nb,,,,\n")), &format!("{HEADER}x,p,c,bid,?,1\n"));
    assert!(refused.starts_with("2 mistakes in the input:\n  zones.csv, line 3"), "{refused}");
    assert!(refused.contains("\n  orders.csv, line 2, column 5 (price)"), "{refused}");
    let rows = "a,p,,ask,?,?\n".repeat(100);
    let refused = row_refusal(&rows);
    assert!(refused.starts_with("the first 20 mistakes in the input:"), "{refused}");
    assert_eq!(refused.lines().count(), 21);
    let grid = format!("{ZONES}a,,,,\n");
    let refused = refusal(Some(&grid), &format!("{HEADER}x,p,c,bid,1,1\ny,p,,bid,1,1\n"));
    assert!(
        refused.contains("line 2, column 3 (zone): found \"c\", expected the name of a zone"),
        "{refused}"
    );
    assert!(
        refused.contains("line 3, column 3 (zone): found nothing, expected a name"),
        "{refused}"
    );
}

#[test]
fn numbers_too_large_together_are_refused_in_words() {
    let most = i64::MAX;
    for rows in [
        format!("a,p,,bid,1,{most}\nb,q,,bid,1,{most}\n"),
        format!("a,p,,offer,1,{most}\nb,q,,offer,1,{most}\nc,r,,bid,2,1\n"),
        format!("a,p,,bid,4611686018427,{most}\nb,q,,offer,4611686018426,{most}\n"),
        format!("a,p,,bid,4611686018427,{most}\nb,q,,offer,-4611686018426,{most}\n"),
    ] {
        let orders = format!("{HEADER}{rows}");
        for mechanism in ["zonal", "midpoint", "mcafee"] {
            match written(&options(&["--mechanism", mechanism, "--json"]), None, &orders) {
                Ok(text) => assert_adds_up(&serde_json::from_str(&text).expect("JSON")),
                Err(error) => assert!(error.to_string().contains("too large together"), "{error}"),
            }
        }
        let zonal = refusal(None, &orders);
        assert!(zonal.starts_with("these orders cannot be cleared: "), "{zonal}");
    }
}

#[test]
fn nobody_is_answered_too() {
    let empty = json(&[], None, HEADER);
    assert_eq!(
        empty["zones"],
        serde_json::json!([{
            "zone": "all", "price": null, "bought_wh": 0, "sold_wh": 0
        }])
    );
    let alone = json(&[], None, &format!("{HEADER}a,p,shed,bid,1,1\n"));
    assert_eq!(
        (&alone["zones"][0]["zone"], &alone["zones"][0]["price"]),
        (&"shed".into(), &Value::Null)
    );
    assert_eq!(alone["orders"][0]["answer"]["code"], "no_trade");
    // Nobody trades with himself: a bid that reaches an offer of its own party stays out.
    let own = json(&[], None, &format!("{HEADER}a,p,,bid,2,1\nb,p,,offer,1,1\n"));
    assert_eq!(own["orders"][0]["answer"]["code"], "own_order_opposite");
    assert_eq!(own["welfare"], price("0"));
}

#[test]
fn who_stands_at_the_price_and_gets_nothing_is_told_so_in_the_table() {
    let rows = "b1,p,,bid,18,1000\nb2,q,,bid,15,1000\ns,r,,offer,14,1000\n";
    let text = written(&options(&["--k", "0"]), None, &format!("{HEADER}{rows}")).expect("cleared");
    assert!(text.contains("nothing is left at its limit 15.00"), "{text}");
    assert!(!text.contains("shared pro rata"), "{text}");
}

#[test]
fn tables_are_aligned_and_long_lists_are_cut() {
    let rows: String = (0..100).map(|n| format!("注文{n},家{n},,bid,{n}.25,1000\n")).collect();
    let text = written(&options(&[]), None, &format!("{HEADER}{rows}s,屋根,,offer,7,5000\n"))
        .expect("cleared");
    assert!(text.contains("\n... and 61 more; --json gives them all\n"), "{text}");
    let widths: std::collections::BTreeSet<_> = text
        .lines()
        .filter(|line| line.starts_with("注文"))
        .map(|line| {
            unicode_width::UnicodeWidthStr::width(line.split("0.00").next().unwrap_or(line))
        })
        .collect();
    assert_eq!(widths.len(), 1, "{text}");
}

/// A generator that gives the same figures on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            let bound = u64::try_from(at).expect("small") + 1;
            list.swap(at, usize::try_from(self.roll(bound)).expect("small"));
        }
    }
}

/// Rows of a grid and of orders on it: odd prices, ties, curves, narrow edges.
fn random_market(dice: &mut Dice) -> (Vec<String>, Vec<String>) {
    let mut zones = vec!["z0,,,,".to_owned()];
    for n in 1..=dice.roll(9) {
        let capacity = |wh: u64| if wh < 2_000 { wh.to_string() } else { String::new() };
        let (up, down) = (capacity(dice.roll(4_000)), capacity(dice.roll(4_000)));
        zones.push(format!("z{n},z{},0.0{},{up},{down}", dice.roll(n), dice.roll(30_001)));
    }
    let count = u64::try_from(zones.len()).expect("few");
    let mut orders = Vec::new();
    for n in 0..=dice.roll(40) {
        let (zone, party) = (dice.roll(count), dice.roll(30));
        let side = if dice.roll(2) == 0 { "bid" } else { "offer" };
        for _ in 0..=dice.roll(3) {
            let price = if dice.roll(2) == 0 {
                format!("0.{}", dice.roll(4) + 1)
            } else {
                format!("-0.{:06}", dice.roll(200_000))
            };
            orders.push(format!("o{n},p{party},z{zone},{side},{price},{}", dice.roll(1_500) + 1));
        }
    }
    (zones, orders)
}

#[test]
fn the_order_of_rows_changes_nothing_and_sums_are_exact() {
    let mut dice = Dice(7);
    let text = |header: &str, rows: &[String]| format!("{header}{}\n", rows.join("\n"));
    let sorted = |result: &Value| {
        let mut result = result.clone();
        for (list, key) in [("zones", "zone"), ("edges", "zone"), ("orders", "id")] {
            let entries = result[list].as_array_mut().expect("a list");
            entries.sort_by_key(|entry| entry[key].to_string());
        }
        result
    };
    let mut traded = 0;
    for _ in 0..300 {
        let (mut zones, mut orders) = random_market(&mut dice);
        let (grid, book) = (text(ZONES, &zones), text(HEADER, &orders));
        let result = json(&[], Some(&grid), &book);
        assert_adds_up(&result);
        traded += u32::from(result["volume_wh"] != 0);
        dice.shuffle(&mut zones);
        dice.shuffle(&mut orders);
        let again = json(&[], Some(&text(ZONES, &zones)), &text(HEADER, &orders));
        assert_eq!(sorted(&result), sorted(&again), "{grid}\n{book}");
        let flat: Vec<String> = zones
            .iter()
            .map(|row| {
                let mut fields = row.split(',');
                let (zone, parent) =
                    (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
                format!("{zone},{parent},,,")
            })
            .collect();
        for mechanism in ["midpoint", "mcafee"] {
            assert_adds_up(&json(&["--mechanism", mechanism], Some(&text(ZONES, &flat)), &book));
        }
    }
    assert!(traded > 200, "{traded}");
}

#[test]
fn a_thousand_zones_are_cleared() {
    let mut zones = ZONES.to_owned();
    let mut orders = HEADER.to_owned();
    zones.push_str("town,,,,\n");
    for n in 0..1_000 {
        let parent = if n < 10 { "town".to_owned() } else { format!("street {}", n % 10) };
        zones.push_str(&format!("street {n},{parent},0.01,5000,5000\n"));
        orders.push_str(&format!("b{n},home {n},street {n},bid,0.{},1000\n", 10 + n % 37));
        orders.push_str(&format!(
            "s{n},roof {n},street {n},offer,0.{},{}\n",
            10 + n % 29,
            1_500 * (n % 2) + 1
        ));
    }
    let result = json(&[], Some(&zones), &orders);
    assert_adds_up(&result);
    assert_eq!(result["zones"].as_array().map(Vec::len), Some(1_001));
    assert_eq!(result["edges"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(result["zones"][1]["zone"], "street 0");
    assert!(
        result["edges"]
            .as_array()
            .is_some_and(|edges| edges.iter().any(|edge| micros(&edge["rent"]) > 0))
    );
}
