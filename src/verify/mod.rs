//! `hidamari verify`: nothing but files, arithmetic and the genesis.

mod chain;
mod receipt;
mod statement;

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use ledger::genesis::Genesis;
use serde_json::{Value, json};

use crate::cli::{Proofs, Verify};
use crate::failure::Failure;

/// What a file proved.
struct Verdict {
    proved: bool,
    sentence: String,
    /// What follows the sentence, line by line.
    lines: Vec<String>,
    /// What else stands in the answer in JSON.
    details: Value,
}

impl Verdict {
    fn proved(sentence: String) -> Self {
        Self { proved: true, sentence, lines: Vec::new(), details: json!({}) }
    }

    fn not_proved(error: &impl Display) -> Self {
        let sentence = format!("Not proved: {error}.");
        Self { proved: false, ..Self::proved(sentence) }
    }

    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    fn tell(self, file: &Path, as_json: bool) {
        if as_json {
            let mut answer = self.details;
            answer["file"] = json!(file.display().to_string());
            answer["proved"] = json!(self.proved);
            answer["sentence"] = json!(self.sentence);
            println!("{answer}");
            return;
        }
        println!("{}", self.sentence);
        self.lines.iter().for_each(|line| println!("{line}"));
    }
}

/// Checks files, one after the other, and says of each what it proved, or what does not hold.
///
/// # Errors
/// [`Failure`] if a file cannot be read, the genesis is none, or a file never was what it should
/// be. A proof that does not hold is no failure of the program: exit code 1.
pub(crate) fn run(verify: &Verify) -> Result<ExitCode, Failure> {
    let (Verify::Receipt(proofs) | Verify::Statement(proofs) | Verify::Chain(proofs)) = verify;
    let genesis = read_genesis(proofs)?;
    let mut all = true;
    for file in &proofs.files {
        let judged = match verify {
            Verify::Receipt(_) => receipt::judge(&read(file)?, &genesis),
            Verify::Statement(_) => statement::judge(&read(file)?, &genesis),
            Verify::Chain(_) => chain::judge(file, &genesis),
        };
        let verdict = judged.map_err(|problem| Failure::file(file, &problem))?;
        all &= verdict.proved;
        verdict.tell(file, proofs.json);
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::file(file, &error))
}

fn read_genesis(proofs: &Proofs) -> Result<Genesis, Failure> {
    let path = &proofs.genesis;
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::file(path, &error).of("--genesis"))?;
    ledger::genesis::read(&text).map_err(|error| Failure::file(path, &error).of("--genesis"))
}
