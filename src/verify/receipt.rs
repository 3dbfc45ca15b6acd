//! `hidamari verify receipt`.

use ledger::genesis::Genesis;
use ledger::receipt::{Receipt, ReceiptError};

use crate::verify::Verdict;

/// Where receipts come from.
const HOW_TO_GET_ONE: &str = "fetch one from the dashboard, where every trade links its receipt: \
                              /api/v1/receipts/HEIGHT/INDEX";

/// What stands in every receipt. One flipped byte spoils at most one of them, so that a forged
/// receipt is still told from a file that never was one.
const MARKS: [&str; 5] =
    ["hidamari/receipt/", "\"leaf\":", "\"path\":", "\"header\":", "\"certificate\":"];

/// How many of the marks a file needs to be judged as a receipt.
const MARKS_NEEDED: usize = 3;

/// Judges a receipt; the other way out is why the file never was one.
pub(super) fn judge(bytes: &[u8], genesis: &Genesis) -> Result<Verdict, String> {
    if let Some(found) = no_receipt(bytes) {
        return Err(format!("this is no receipt: {found}; {HOW_TO_GET_ONE}"));
    }
    let proven = match std::str::from_utf8(bytes) {
        Ok(text) => Receipt::from_json(text).and_then(|receipt| receipt.verify(genesis)),
        Err(error) => Err(ReceiptError::File(error.to_string())),
    };
    Ok(match proven {
        Ok(proven) => Verdict::proved(proven.sentence()),
        Err(error) => Verdict::not_proved(&error),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/golden/receipt.json");

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
        let genesis = include_str!("../../tests/golden/genesis.toml");
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
