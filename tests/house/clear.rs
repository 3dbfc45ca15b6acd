//! `hidamari clear` as people run it: the real program over real files, with the worked examples of
//! `docs/clear.md`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const ORDERS: &str = "id,party,zone,side,price,energy_wh\n";
const ZONES: &str = "zone,parent,charge_per_kwh,capacity_up_wh,capacity_down_wh\n";

struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (out, err) = (text(output.stdout), text(output.stderr));
        Self { code: output.status.code(), out, err }
    }
}

impl Told {
    fn json(&self) -> Value {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        serde_json::from_str(&self.out).expect("exactly one JSON object")
    }

    /// Exit code 2, nothing on standard output, and all of the words on standard error.
    fn refused(&self, words: &[&str]) {
        self.failed(2, words);
    }

    /// The same with this exit code.
    fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        for part in words {
            assert!(self.err.contains(part), "{part:?} is not in {}", self.err);
        }
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hidamari"));
    command.arg("clear");
    command
}

fn clear(arguments: &[&str]) -> Told {
    program().args(arguments).output().expect("the program runs").into()
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn example(name: &str) -> String {
    docs().join("examples/clear").join(name).display().to_string()
}

/// A directory with files.
fn files(of: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in of {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    dir
}

fn path(dir: &tempfile::TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

fn micros(value: &Value) -> i128 {
    let text = value.as_str().expect("a decimal string");
    text.replace('.', "").parse().expect("a decimal with six places")
}

/// The sum of a decimal field over those entries of a list that are wanted.
fn total(result: &Value, list: &str, field: &str, wanted: impl Fn(&Value) -> bool) -> i128 {
    let entries = result[list].as_array().expect("a list").iter();
    entries.filter(|entry| wanted(entry)).map(|entry| micros(&entry[field])).sum()
}

fn assert_money_is_kept(result: &Value) {
    let of = |side: &'static str| total(result, "orders", "amount", |order| order["side"] == side);
    let kept = |field| total(result, "edges", field, |_| true);
    assert_eq!(of("bid"), of("offer") + kept("charge") + kept("rent"));
}

#[test]
fn the_object_has_the_documented_members() {
    let orders = example("street-orders.csv");
    let result =
        clear(&["--orders", &orders, "--zones", &example("street-zones.csv"), "--json"]).json();
    assert_money_is_kept(&result);
    assert_eq!(result["welfare"], "0.845000");
    let names = |list: &str, field: &str| -> Vec<Value> {
        let entries = result[list].as_array().expect("a list").iter();
        entries.map(|entry| entry[field].clone()).collect()
    };
    assert_eq!(names("zones", "zone"), ["community", "east", "west"]);
    assert_eq!(names("zones", "price"), ["0.180000", "0.080000", "0.200000"]);
    assert_eq!(names("edges", "zone"), ["east", "west"]);
    assert_eq!(names("edges", "flow_wh"), [3_000, -3_000]);
    assert_eq!(names("edges", "charge"), ["0.060000", "0.060000"]);
    assert_eq!(names("edges", "rent"), ["0.240000", "0.000000"]);
    let ids = ["sun-a", "sun-b", "home-c", "battery", "home-e", "car-f", "heat-g"];
    assert_eq!(names("orders", "id"), ids);
    assert_eq!(names("orders", "filled_wh"), [4_000, 500, 1_500, 1_000, 2_500, 1_500, 0]);
    for order in result["orders"].as_array().expect("a list") {
        for member in ["code", "en", "ja"] {
            assert!(order["answer"][member].is_string(), "{order}");
        }
    }
    for trade in result["trades"].as_array().expect("a list") {
        assert!(trade["energy_wh"].as_i64().is_some_and(|wh| wh > 0), "{trade}");
        for member in ["seller", "buyer", "seller_price", "buyer_price", "charge"] {
            assert!(trade[member].is_string(), "{trade}");
        }
    }
}

/// What the page shows is what the program writes.
#[test]
fn the_worked_outputs_of_the_page_are_those_of_the_program() {
    let path = docs().join("clear.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let mut found = page.clone();
    let mut checked = 0;
    for block in page.split("```text\n$ hidamari clear ").skip(1) {
        let (arguments, rest) = block.split_once('\n').expect("a command");
        let (shown, _) = rest.split_once("```").expect("an end");
        let mut command = program();
        command.args(arguments.split_whitespace()).current_dir(docs().join(".."));
        let told: Told = command.output().expect("the program runs").into();
        let before = format!("{arguments}\n{shown}```");
        found = found.replace(&before, &format!("{arguments}\n{}{}```", told.out, told.err));
        checked += 1;
    }
    assert!(checked >= 3, "{checked} worked outputs");
    if std::env::var_os("HIDAMARI_REWRITE").is_some() {
        std::fs::write(path, &found).expect("written");
    }
    assert_eq!(found, page, "an output changed; if it is meant, run with HIDAMARI_REWRITE=1");
}

/// Shared reference `clearing.md`, sections 4 and 5: what was published, from CSV.
#[test]
fn published_figures_come_out() {
    let run = |orders: &str, more: &[&str]| {
        let orders = example(orders);
        clear(&[&["--orders", &orders, "--json"], more].concat()).json()
    };
    let ten = run("ten-orders.csv", &[]);
    assert_eq!(
        (&ten["zones"][0]["price"], &ten["welfare"]),
        (&"18.000000".into(), &"45.800000".into())
    );
    assert_eq!(total(&ten, "orders", "amount", |order| order["side"] == "bid"), 111_600_000);
    let pairs = run("ten-orders.csv", &["--mechanism", "midpoint"]);
    assert_eq!(total(&pairs, "orders", "amount", |order| order["side"] == "bid"), 109_700_000);
    for mechanism in ["zonal", "mcafee"] {
        let table_a = run("mittweida.csv", &["--mechanism", mechanism]);
        assert_eq!(table_a["zones"][0]["price"], "87.500000");
    }
    let table_e = run("huang.csv", &["--mechanism", "mcafee"]);
    assert_eq!(
        (&table_e["paid"], &table_e["received"]),
        (&"24.000000".into(), &"16.000000".into())
    );
    let grid = example("grid-fee-zones.csv");
    for (k, paid, received) in [
        ("0", "0.140000", "0.100000"),
        ("1", "0.300000", "0.260000"),
        ("0.5", "0.220000", "0.180000"),
    ] {
        let table_f = run("grid-fee-orders.csv", &["--zones", &grid, "--k", k]);
        assert_money_is_kept(&table_f);
        assert_eq!(table_f["orders"][1]["amount"], paid, "k = {k}");
        assert_eq!(table_f["orders"][0]["amount"], received, "k = {k}");
    }
    let quarter = example("quartierstrom-zones.csv");
    let table_g = run("quartierstrom-orders.csv", &["--zones", &quarter]);
    assert_eq!(table_g["trades"][0]["buyer_price"], "15.375000");
    assert_eq!(table_g["trades"][0]["seller_price"], "9.375000");
    assert_eq!(table_g["trades"][0]["charge"], "6.000000");
}

#[test]
fn mistakes_end_with_code_2_and_leave_no_file() {
    let bad = format!("{ORDERS}a,p,,bid,cheap,1\nb,q,,ask,1,0\n");
    let dir = files(&[("bad.csv", &bad), ("old.json", "old")]);
    let (orders, old, new) =
        (path(&dir, "bad.csv"), path(&dir, "old.json"), path(&dir, "new.json"));
    for out in [&old, &new] {
        let told = clear(&["--orders", &orders, "--json", "--out", out]);
        told.refused(&[
            "3 mistakes in the input:",
            "bad.csv, line 2, column 5 (price): found \"cheap\", expected a decimal number",
            "bad.csv, line 3, column 4 (side): found \"ask\", expected bid or offer",
            "bad.csv, line 3, column 6 (energy_wh): found \"0\", expected a whole number of Wh",
        ]);
    }
    assert_eq!(std::fs::read_to_string(&old).expect("there"), "old");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 2, "nothing is left");
    clear(&["--orders", &path(&dir, "missing.csv")]).refused(&["missing.csv: cannot be read"]);
    let itself = clear(&["--orders", &orders, "--out", &orders]);
    itself.refused(&["--out", "is one of the input files"]);
    let nowhere = path(&dir, "no/such/folder.json");
    let told = clear(&["--orders", &example("ten-orders.csv"), "--out", &nowhere]);
    told.failed(1, &["folder.json: cannot be written"]);
}

#[test]
fn output_that_cannot_be_written_ends_with_code_1() {
    if Path::new("/dev/full").exists() {
        let told = clear(&["--orders", &example("ten-orders.csv"), "--out", "/dev/full"]);
        told.failed(1, &["/dev/full: cannot be written"]);
    }
}

#[test]
fn a_dash_is_standard_output() {
    let orders = example("ten-orders.csv");
    let dir = files(&[]);
    let told: Told = program()
        .args(["--orders", &orders, "--json", "--out", "-"])
        .current_dir(dir.path())
        .output()
        .expect("the program runs")
        .into();
    assert_eq!(told.json(), clear(&["--orders", &orders, "--json"]).json());
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "no file");
}

#[test]
fn options_that_are_not_understood_are_named() {
    for (option, value, words) in [
        ("--k", "1.5", "from 0 to 1"),
        ("--k", "-0.5", "from 0 to 1"),
        ("--k", "0.1234567", "at most 6 places"),
        ("--tick", "0", "from 0.000001"),
        ("--tick", "-1", "from 0.000001"),
        ("--seed", "abc", "64 hexadecimal digits"),
        ("--mechanism", "lottery", "zonal, midpoint, mcafee"),
    ] {
        clear(&["--orders", "-", option, value]).refused(&[option, value, words]);
    }
    clear(&[]).refused(&["--orders"]);
    clear(&["--orders", "-", "--zones", "-"]).refused(&["cannot both be read from standard input"]);
}

#[test]
fn standard_input_and_a_file_give_the_same_as_a_file_and_standard_output() {
    let orders = example("ten-orders.csv");
    let to_stdout = clear(&["--orders", &orders, "--json"]);
    let dir = files(&[]);
    let out = path(&dir, "result.json");
    let mut child = program()
        .args(["--orders", "-", "--json", "--out", &out])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let text = std::fs::read(&orders).expect("the example");
    child.stdin.take().expect("a pipe").write_all(&text).expect("taken");
    let told: Told = child.wait_with_output().expect("it ends").into();
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (Some(0), "", ""));
    assert_eq!(std::fs::read_to_string(out).expect("written"), to_stdout.out);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1, "nothing else");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let rows: String = (0..20_000).map(|n| format!("o{n},p{n},,bid,1,1\n")).collect();
    let dir = files(&[("many.csv", &format!("{ORDERS}{rows}"))]);
    let mut child = program()
        .args(["--orders", &path(&dir, "many.csv"), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let told: Told = child.wait_with_output().expect("it ends").into();
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
}

#[test]
fn encodings_and_line_ends_of_spreadsheets_are_read() {
    let plain = format!("{ORDERS}a,Ähre 麦,,bid,2,10\nb,\"Doe, J.\",,offer,1,10\n");
    let excel = format!("\u{feff}{}\r\n,,,,,\r\n", plain.replace('\n', "\r\n"));
    let mut latin = plain.clone().into_bytes();
    latin.extend(b"c,caf\xe9,,bid,1,1\n");
    let dir = files(&[("plain.csv", &plain), ("excel.csv", &excel)]);
    std::fs::write(dir.path().join("latin.csv"), latin).expect("written");
    let run = |name: &str| clear(&["--orders", &path(&dir, name), "--json"]);
    assert_eq!(run("excel.csv").json(), run("plain.csv").json());
    assert_eq!(run("plain.csv").json()["trades"][0]["seller"], "Doe, J.");
    assert_eq!(run("plain.csv").json()["trades"][0]["buyer"], "Ähre 麦");
    run("latin.csv").refused(&["latin.csv, line 4, column 2: found the byte 0xE9", "UTF-8"]);
}

#[test]
fn a_thousand_zones_and_rows_in_any_order_give_the_same() {
    let mut zones: Vec<String> = vec!["town,,,,".to_owned()];
    let mut orders = Vec::new();
    for n in 0..1_000 {
        let parent = if n < 10 { "town".to_owned() } else { format!("street {}", n % 10) };
        zones.push(format!("street {n},{parent},0.01,5000,5000"));
        orders.push(format!("b{n},home {n},street {n},bid,0.{},1001", 10 + n % 37));
        let wh = 1_500 * (n % 2) + 1;
        orders.push(format!("s{n},roof {n},street {n},offer,0.{},{wh}", 10 + n % 29));
    }
    let text = |header: &str, rows: &[String]| format!("{header}{}\n", rows.join("\n"));
    let run = |zones: &[String], orders: &[String]| {
        let dir = files(&[("z.csv", &text(ZONES, zones)), ("o.csv", &text(ORDERS, orders))]);
        clear(&["--orders", &path(&dir, "o.csv"), "--zones", &path(&dir, "z.csv"), "--json"]).json()
    };
    let sorted = |mut result: Value| {
        for (list, key) in [("zones", "zone"), ("edges", "zone"), ("orders", "id")] {
            let entries = result[list].as_array_mut().expect("a list");
            entries.sort_by_key(|entry| entry[key].to_string());
        }
        result
    };
    let result = run(&zones, &orders);
    assert_money_is_kept(&result);
    assert_eq!(result["zones"].as_array().map(Vec::len), Some(1_001));
    assert!(total(&result, "edges", "rent", |_| true) > 0, "some edge is full");
    assert_eq!(result["orders"][0]["id"], "b0");
    zones.reverse();
    orders.reverse();
    orders.rotate_left(333);
    let again = run(&zones, &orders);
    assert_eq!(again["orders"][0]["id"], orders[0].split(',').next().expect("an id"));
    assert_eq!(sorted(result), sorted(again));
}

#[test]
fn the_help_tells_the_formats() {
    let help = clear(&["--help"]);
    assert_eq!(help.code, Some(0));
    for words in [
        "id,party,zone,side,price,energy_wh",
        "zone,parent,charge_per_kwh,capacity_up_wh,capacity_down_wh",
        "--mechanism",
        "--seed",
        "Exit codes: 0",
    ] {
        assert!(help.out.contains(words), "{words}");
    }
}
