//! `hidamari verify statement`.

use ledger::genesis::Genesis;
use ledger::posting::Cause;
use ledger::statement::{PeriodLine, Statement, StatementBundle, StatementError};
use market::Overflow;
use market::time::DeliveryPeriod;
use serde_json::{Value, json};

use crate::verify::Verdict;

/// What stands in every statement file.
const MARK: &str = "hidamari/statement/";

/// Judges a statement; the other way out is why the file never was one.
pub(super) fn judge(bytes: &[u8], genesis: &Genesis) -> Result<Verdict, String> {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(MARK) && !text.contains("\"opening\":") {
        return Err("this is no statement".to_owned());
    }
    let verified = match std::str::from_utf8(bytes) {
        Ok(text) => StatementBundle::from_json(text).and_then(|bundle| bundle.verify(genesis)),
        Err(error) => Err(StatementError::File(error.to_string())),
    };
    let said = verified.and_then(|statement| Ok(tell(&statement)?));
    Ok(said.unwrap_or_else(|error| Verdict::not_proved(&error)))
}

fn tell(statement: &Statement) -> Result<Verdict, Overflow> {
    let Statement { party, opening_height, closing_height, opening, closing, lines, .. } =
        statement;
    let change = closing.minus(*opening)?;
    let sentence = format!(
        "Proved: after block {opening_height} party {party} stood at {opening}; what moved up to \
         block {closing_height} comes to {change} in {} delivery periods; it stands at {closing}.",
        lines.len()
    );
    let causes: serde_json::Map<String, Value> = statement
        .totals
        .by_cause
        .iter()
        .map(|(cause, sum)| (format!("{cause:?}"), json!(sum.to_string())))
        .collect();
    let each: Vec<_> =
        lines.iter().map(|line| line_json(statement, line)).collect::<Result<_, _>>()?;
    let start = |period: &DeliveryPeriod| period.start().to_string();
    let details = json!({
        "party": party.to_string(),
        "opening_height": opening_height,
        "closing_height": closing_height,
        "opening": opening.to_string(),
        "closing": closing.to_string(),
        "imported_wh": statement.totals.imported.wh(),
        "exported_wh": statement.totals.exported.wh(),
        "bought_wh": statement.totals.bought.wh(),
        "sold_wh": statement.totals.sold.wh(),
        "estimated_count": statement.totals.estimated_count,
        "by_cause": causes,
        "unsettled": statement.unsettled.iter().map(start).collect::<Vec<_>>(),
        "lines": each,
    });
    let mut told = Vec::with_capacity(lines.len());
    for line in lines {
        told.push(line_text(statement, line)?);
    }
    for (cause, sum) in &statement.totals.by_cause {
        let (cause, sum) = (words(*cause), sum.to_string());
        told.push(format!("  {cause:<36} {sum:>14}"));
    }
    Ok(Verdict { lines: told, details, ..Verdict::proved(sentence) })
}

fn line_text(statement: &Statement, line: &PeriodLine) -> Result<String, Overflow> {
    let settled = &line.settlement;
    let mut notes = String::new();
    for (holds, note) in [(line.estimated, ", estimated"), (line.corrects, ", a correction")] {
        notes.push_str(if holds { note } else { "" });
    }
    Ok(format!(
        "  {}  drawn {}, fed in {}, bought {}, sold {}: {}{notes}",
        line.period.start(),
        settled.metered.imported,
        settled.metered.exported,
        settled.bought,
        settled.sold,
        line.net(&statement.party)?
    ))
}

fn line_json(statement: &Statement, line: &PeriodLine) -> Result<Value, Overflow> {
    let settled = &line.settlement;
    Ok(json!({
        "from": line.period.start().to_string(),
        "to": line.period.end().to_string(),
        "imported_wh": settled.metered.imported.wh(),
        "exported_wh": settled.metered.exported.wh(),
        "bought_wh": settled.bought.wh(),
        "sold_wh": settled.sold.wh(),
        "estimated": line.estimated,
        "corrects": line.corrects,
        "net": line.net(&statement.party)?.to_string(),
    }))
}

/// What money was for, in words.
fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::Trade => "trades",
        Cause::TradeWheeling => "conveying trades",
        Cause::CongestionRent => "places on full lines",
        Cause::PoolShort => "energy that neighbours had left",
        Cause::PoolLong => "energy that neighbours were short of",
        Cause::PoolWheeling => "conveying pooled energy",
        Cause::Supplied => "energy from the supplier",
        Cause::FedIn => "energy to the supplier",
        Cause::Levies => "levies",
        Cause::Tax => "tax",
        Cause::Payout => "payouts",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_statement_is_proved_and_a_changed_one_is_not() {
        let genesis = include_str!("../../tests/golden/street.toml");
        let genesis = ledger::genesis::read(genesis).expect("a genesis");
        let text = include_str!("../../tests/golden/statement.json");
        let verdict = judge(text.as_bytes(), &genesis).expect("a statement");
        assert!(verdict.proved && verdict.sentence.starts_with("Proved: "), "{}", verdict.sentence);
        let net = |line: &Value| line["net"].as_str().map(str::to_owned);
        let lines = verdict.details["lines"].as_array().expect("lines");
        assert!(!lines.is_empty() && lines.iter().all(|line| net(line).is_some()));
        let forged = text.replacen("\"index\": 1", "\"index\": 2", 1);
        let verdict = judge(forged.as_bytes(), &genesis).expect("a statement");
        assert!(!verdict.proved && verdict.sentence.starts_with("Not proved: "));
        assert!(judge(b"{}", &genesis).is_err());
    }
}
