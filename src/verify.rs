//! `hidamari verify`: nothing but files, arithmetic and the genesis.

use std::path::Path;
use std::process::ExitCode;

use ledger::receipt::Receipt;

use crate::cli;
use crate::failure::Failure;

/// Checks a receipt and says in one sentence what it proved, or which step fails.
///
/// # Errors
/// [`Failure`] if a file cannot be read or the genesis is none. A receipt that does not hold is no
/// failure of the program: exit code 1.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(crate) fn receipt(options: &cli::Receipt) -> Result<ExitCode, Failure> {
    let genesis = ledger::genesis::read(&read(&options.genesis)?)
        .map_err(|error| Failure::file(&options.genesis, &error))?;
    let bytes =
        std::fs::read(&options.file).map_err(|error| Failure::file(&options.file, &error))?;
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

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))
}
