//! `docs/settlement.md`: its example is read from its tables and settled, and every figure that it
//! shows is compared.
//!
//! `HIDAMARI_REWRITE=1 cargo nextest run -p market document` writes the computed tables anew.

mod read;
mod show;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use market::settlement::Settlement;

use crate::settlement::document::read::{Example, PATH, table};
use crate::settlement::document::show::{certificates, correction, pooling, quarters, totals};
use crate::settlement::naive;

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
