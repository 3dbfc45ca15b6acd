//! `hidamari verify`: nothing but files, arithmetic and the genesis.

use std::path::Path;
use std::process::ExitCode;

use ledger::receipt::Receipt;

use crate::cli;
use crate::failure::Failure;

/// Where receipts come from.
const HOW_TO_GET_ONE: &str = "fetch one from the dashboard, where every trade links its receipt: \
                              /api/v1/receipts/HEIGHT/INDEX";

/// What stands in every receipt. One flipped byte spoils at most one of them, so that a forged
/// receipt is still told from a file that never was one.
const MARKS: [&str; 5] =
    ["hidamari/receipt/", "\"leaf\":", "\"path\":", "\"header\":", "\"certificate\":"];

/// How many of the marks a file needs to be judged as a receipt.
const MARKS_NEEDED: usize = 3;

/// Checks a receipt and says in one sentence what it proved, or which step fails.
///
/// # Errors
/// [`Failure`] if a file cannot be read, the genesis is none, or the file never was a receipt. A
/// receipt that does not hold is no failure of the program: exit code 1.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(crate) fn receipt(options: &cli::Receipt) -> Result<ExitCode, Failure> {
    let bytes =
        std::fs::read(&options.file).map_err(|error| Failure::file(&options.file, &error))?;
    if let Some(found) = no_receipt(&bytes) {
        let problem = format!("this is no receipt: {found}; {HOW_TO_GET_ONE}");
        return Err(Failure::file(&options.file, &problem));
    }
    let genesis = ledger::genesis::read(&read_genesis(&options.genesis)?)
        .map_err(|error| Failure::file(&options.genesis, &error).of("--genesis"))?;
    let proven = match std::str::from_utf8(&bytes) {
        Ok(text) => Receipt::from_json(text).and_then(|receipt| receipt.verify(&genesis)),
        Err(error) => Err(ledger::receipt::ReceiptError::File(error.to_string())),
    };
    let (proved, sentence) = match &proven {
        Ok(proven) => (true, proven.sentence()),
        Err(error) => (false, format!("Not proved: {error}.")),
    };
    if options.json {
        println!("{}", serde_json::json!({ "proved": proved, "sentence": sentence }));
    } else {
        println!("{sentence}");
    }
    Ok(if proved { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What a file is that never was a receipt; `None` for a receipt, whether it holds or not.
fn no_receipt(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    if MARKS.iter().filter(|mark| text.contains(**mark)).count() >= MARKS_NEEDED {
        return None;
    }
    if text.trim().is_empty() {
        return Some("the file is empty".to_owned());
    }
    let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) else {
        return Some("it is not the JSON of one".to_owned());
    };
    // The dashboard's error answers say in `detail` what was wrong with the request.
    let told = ["detail", "error", "message"].iter().find_map(|key| json.get(key)?.as_str());
    Some(match told {
        Some(words) => format!("it is an error answer that says {words:?}"),
        None => "it is other JSON".to_owned(),
    })
}

fn read_genesis(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error).of("--genesis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../tests/golden/receipt.json");

    #[test]
    fn a_forged_receipt_is_judged_as_one_whatever_byte_was_flipped() {
        assert_eq!(no_receipt(GOLDEN.as_bytes()), None);
        for at in 0..GOLDEN.len() {
            for bit in 0..8 {
                let mut forged = GOLDEN.as_bytes().to_vec();
                forged[at] ^= 1 << bit;
                assert_eq!(no_receipt(&forged), None, "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn what_never_was_a_receipt_is_named() {
        let problem = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"None."}"#;
        let genesis = include_str!("../tests/golden/genesis.toml");
        for (file, words) in [
            ("", "empty"),
            (" \n", "empty"),
            (problem, "an error answer that says \"None.\""),
            (r#"{"error":"not found"}"#, "an error answer that says \"not found\""),
            ("{}", "other JSON"),
            ("[1, 2]", "other JSON"),
            ("\"leaf\"", "other JSON"),
            (genesis, "not the JSON of one"),
            ("<html></html>", "not the JSON of one"),
        ] {
            assert!(no_receipt(file.as_bytes()).is_some_and(|told| told.contains(words)), "{file}");
        }
        assert!(no_receipt(&[0xff, 0xfe, 0]).is_some());
    }
}
