//! Bundles as JSON text.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::NotHex;
use serde::{Deserialize, Serialize};

use crate::proof_json::{
    CertificateJson, HandoverJson, from_hex, hashes_from_text, hashes_to_text, to_hex,
};
use crate::state_proof::StateProof;
use crate::statement::{
    Anchor, BlockProof, LeafProofs, ProvenLeaf, StatementBundle, StatementError,
};

const FORMAT: &str = "hidamari/statement/1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleJson {
    format: String,
    party: String,
    handovers: Vec<HandoverJson>,
    opening: Option<AnchorJson>,
    blocks: Vec<BlockJson>,
    closing: AnchorJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorJson {
    header: String,
    certificate: CertificateJson,
    state: LeavesJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockJson {
    header: String,
    certificate: CertificateJson,
    transactions: LeavesJson,
    results: LeavesJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeavesJson {
    size: u64,
    leaves: Vec<LeafJson>,
    beside: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeafJson {
    index: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    leaf: String,
}

impl StatementBundle {
    /// The bundle as the JSON text of a statement file.
    pub fn to_json(&self) -> String {
        let file = BundleJson {
            format: FORMAT.to_owned(),
            party: self.party.to_string(),
            handovers: self.handovers.iter().map(HandoverJson::of).collect(),
            opening: self.opening.as_ref().map(AnchorJson::of),
            blocks: self.blocks.iter().map(BlockJson::of).collect(),
            closing: AnchorJson::of(&self.closing),
        };
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a statement file. There is exactly one way to write a bundle: any other byte, even a
    /// space, is refused, so that no change of a file goes unnoticed.
    ///
    /// # Errors
    /// [`StatementError::File`] says what cannot be read.
    pub fn from_json(text: &str) -> Result<Self, StatementError> {
        let file: BundleJson =
            serde_json::from_str(text).map_err(|error| StatementError::File(error.to_string()))?;
        if file.format != FORMAT {
            let found = file.format;
            return Err(StatementError::File(format!("expected format {FORMAT}, found {found:?}")));
        }
        let bundle = file.read().map_err(StatementError::File)?;
        if bundle.to_json() != text {
            let problem = "it is not written byte for byte as statements are written";
            return Err(StatementError::File(problem.to_owned()));
        }
        Ok(bundle)
    }
}

impl BundleJson {
    fn read(&self) -> Result<StatementBundle, String> {
        Ok(StatementBundle {
            party: self.party.parse().map_err(|error: NotHex| format!("party: {error}"))?,
            handovers: self.handovers.iter().map(HandoverJson::read).collect::<Result<_, _>>()?,
            opening: self.opening.as_ref().map(AnchorJson::read).transpose()?,
            blocks: self.blocks.iter().map(BlockJson::read).collect::<Result<_, _>>()?,
            closing: self.closing.read()?,
        })
    }
}

fn no_header() -> String {
    "the bytes of a header are no header".to_owned()
}

impl AnchorJson {
    fn of(anchor: &Anchor) -> Self {
        let leaf = |(index, bytes): &(u64, Vec<u8>)| LeafJson {
            index: *index,
            salt: None,
            leaf: hex::encode(bytes),
        };
        let StateProof { size, leaves, beside } = &anchor.state;
        let leaves = leaves.iter().map(leaf).collect();
        Self {
            header: to_hex(&anchor.header),
            certificate: CertificateJson::of(&anchor.certificate),
            state: LeavesJson { size: *size, leaves, beside: hashes_to_text(beside) },
        }
    }

    fn read(&self) -> Result<Anchor, String> {
        let bytes = |leaf: &LeafJson| {
            let bytes = hex::decode(&leaf.leaf).map_err(|error| format!("a leaf: {error}"))?;
            Ok::<_, String>((leaf.index, bytes))
        };
        Ok(Anchor {
            header: from_hex(&self.header).ok_or_else(no_header)?,
            certificate: self.certificate.read().map_err(|error| error.to_string())?,
            state: StateProof {
                size: self.state.size,
                leaves: self.state.leaves.iter().map(bytes).collect::<Result<_, _>>()?,
                beside: hashes_from_text(&self.state.beside).map_err(|error| error.to_string())?,
            },
        })
    }
}

impl BlockJson {
    fn of(block: &BlockProof) -> Self {
        Self {
            header: to_hex(&block.header),
            certificate: CertificateJson::of(&block.certificate),
            transactions: LeavesJson::of(&block.transactions),
            results: LeavesJson::of(&block.results),
        }
    }

    fn read(&self) -> Result<BlockProof, String> {
        Ok(BlockProof {
            header: from_hex(&self.header).ok_or_else(no_header)?,
            certificate: self.certificate.read().map_err(|error| error.to_string())?,
            transactions: self.transactions.read()?,
            results: self.results.read()?,
        })
    }
}

impl LeavesJson {
    fn of<T: BorshSerialize>(proofs: &LeafProofs<T>) -> Self {
        let leaf = |one: &ProvenLeaf<T>| LeafJson {
            index: one.index,
            salt: Some(one.salt.to_string()),
            leaf: to_hex(&one.leaf),
        };
        Self {
            size: proofs.size,
            leaves: proofs.leaves.iter().map(leaf).collect(),
            beside: hashes_to_text(&proofs.beside),
        }
    }

    fn read<T: BorshDeserialize>(&self) -> Result<LeafProofs<T>, String> {
        let read = |one: &LeafJson| {
            let salt = one.salt.as_ref().ok_or("a leaf has no salt")?;
            Ok(ProvenLeaf {
                index: one.index,
                salt: salt.parse().map_err(|error: NotHex| error.to_string())?,
                leaf: from_hex(&one.leaf).ok_or("the bytes of a leaf are no leaf")?,
            })
        };
        Ok(LeafProofs {
            size: self.size,
            leaves: self.leaves.iter().map(read).collect::<Result<_, String>>()?,
            beside: hashes_from_text(&self.beside).map_err(|error| error.to_string())?,
        })
    }
}
