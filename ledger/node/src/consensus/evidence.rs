//! What proves that a validator broke the rules: two signed statements about one step that differ.
//!
//! Each pair is a line of JSON in the data directory, with the bytes that were signed, so that
//! anybody who knows the validator's key can check it. Nobody is punished by a program: what follows
//! from a pair is for the operators to decide.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ledger::validators::Address;
use market::keys::Signature;
use serde::{Deserialize, Serialize};

use super::guard::Statement;

const FILE: &str = "evidence.jsonl";
/// More than operators will read; a liar must not fill the disk.
const PAIRS_MAX: usize = 1_000;

/// One of the two: what it says, the bytes that say so, and the signature over them.
pub(super) type Signed = (Statement, Vec<u8>, Signature);

/// The file, with what stands in it.
#[derive(Debug)]
pub(super) struct EvidenceFile {
    path: PathBuf,
    known: BTreeSet<String>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Pair {
    validator: String,
    statements: [Line; 2],
}

#[derive(Serialize, Deserialize)]
struct Line {
    says: String,
    signed_bytes: String,
    signature: String,
}

impl EvidenceFile {
    /// The file of a data directory. A line that cannot be read counts for nothing and stays.
    pub(super) fn open(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| serde_json::from_str::<Pair>(line).ok());
        Self { path, known: pairs.map(|pair| pair.place()).collect() }
    }

    /// How many pairs it holds.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.known.len()).unwrap_or(u64::MAX)
    }

    /// Keeps a pair, unless one about the same step is kept already; whether it is new.
    ///
    /// # Errors
    /// What the operating system said; the pair is not kept then.
    pub(super) fn keep(&mut self, validator: &Address, pair: [Signed; 2]) -> io::Result<bool> {
        let statements = pair.map(|(statement, bytes, signature)| Line {
            says: statement.to_string(),
            signed_bytes: hex::encode(bytes),
            signature: signature.to_string(),
        });
        let pair = Pair { validator: validator.to_string(), statements };
        let place = pair.place();
        if self.known.contains(&place) || self.known.len() >= PAIRS_MAX {
            return Ok(false);
        }
        let mut line = serde_json::to_vec(&pair)?;
        line.push(b'\n');
        let mut file = File::options().create(true).append(true).open(&self.path)?;
        file.write_all(&line)?;
        file.sync_data()?;
        self.known.insert(place);
        Ok(true)
    }
}

impl Pair {
    /// Both statements in either order are one pair.
    fn place(&self) -> String {
        let Self { validator, statements: [one, other] } = self;
        let (low, high) = (one.min_bytes(other), one.max_bytes(other));
        format!("{validator} {low} {high}")
    }
}

impl Line {
    fn min_bytes<'a>(&'a self, other: &'a Self) -> &'a str {
        self.signed_bytes.as_str().min(&other.signed_bytes)
    }

    fn max_bytes<'a>(&'a self, other: &'a Self) -> &'a str {
        self.signed_bytes.as_str().max(&other.signed_bytes)
    }
}

#[cfg(test)]
mod tests {
    use ledger::block::BlockHash;
    use ledger::certificate::{VoteKind, vote_bytes};
    use market::keys::{ChainId, SigningKey};

    use super::super::guard::Step;
    use super::*;

    const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

    fn signed(height: u64, block: u8) -> Signed {
        let key = SigningKey::from_seed(&[9; 32]);
        let block = Some(BlockHash::from_bytes([block; 32]));
        let voter = Address::of(&key.public());
        let bytes = vote_bytes(&CHAIN, VoteKind::Prevote, height, 0, block.as_ref(), &voter);
        let statement = Statement { height, round: 0, step: Step::Prevote, block, pol_round: None };
        let signature = key.sign(&bytes);
        (statement, bytes, signature)
    }

    #[test]
    fn a_pair_is_kept_once_over_restarts_and_anybody_can_check_it() {
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed(&[9; 32]).public();
        let voter = Address::of(&key);
        let mut file = EvidenceFile::open(directory.path());
        assert!(file.keep(&voter, [signed(5, 1), signed(5, 2)]).unwrap());
        assert!(!file.keep(&voter, [signed(5, 2), signed(5, 1)]).unwrap(), "the same pair");
        let mut file = EvidenceFile::open(directory.path());
        assert_eq!(file.count(), 1);
        assert!(!file.keep(&voter, [signed(5, 1), signed(5, 2)]).unwrap());
        assert!(file.keep(&voter, [signed(6, 1), signed(6, 2)]).unwrap());

        let text = fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            let pair: Pair = serde_json::from_str(line).unwrap();
            assert_eq!(pair.validator, voter.to_string());
            for statement in pair.statements {
                let signature = hex::decode(statement.signature).unwrap().try_into().unwrap();
                let bytes = hex::decode(statement.signed_bytes).unwrap();
                key.verify(&bytes, &Signature::from_bytes(signature)).unwrap();
                assert!(statement.says.starts_with("a prevote for block 0"), "{}", statement.says);
            }
        }
    }

    #[test]
    fn a_liar_does_not_fill_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let voter = Address::of(&SigningKey::from_seed(&[9; 32]).public());
        let mut file = EvidenceFile::open(directory.path());
        file.known = (0..PAIRS_MAX).map(|at| at.to_string()).collect();
        assert!(!file.keep(&voter, [signed(5, 1), signed(5, 2)]).unwrap());
        assert!(!directory.path().join(FILE).exists());
    }
}
