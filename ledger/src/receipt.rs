//! Receipts: one leaf of a block's results, provable offline with nothing but the genesis.

use market::hash::Digest;
use market::keys::Signature;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

use crate::block::{BlockHash, Header};
use crate::certificate::{CertificateError, CommitCertificate};
use crate::genesis::Genesis;
use crate::merkle;
use crate::results::ResultLeaf;
use crate::validators::Address;

/// A leaf, its way to the results root, the header that carries the root, and the certificate of
/// the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What is proved.
    pub leaf: ResultLeaf,
    /// Its place among the block's results, from 0.
    pub index: u64,
    /// How many results the block has.
    pub size: u64,
    /// The hashes beside the way to the root, from the bottom up.
    pub path: Vec<Digest>,
    /// The header.
    pub header: Header,
    /// Who committed the header.
    pub certificate: CommitCertificate,
}

/// A receipt that was checked against a genesis. Its one door is [`Receipt::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    leaf: ResultLeaf,
    header: Header,
    signatures: usize,
    validators: usize,
}

/// Which step of a receipt does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The file is not written as receipts are.
    #[error("step 1, file: {0}")]
    File(String),
    /// The leaf's bytes are no result.
    #[error("step 2, leaf: its bytes are no result of a block")]
    Leaf,
    /// The path does not lead from the leaf to the header's root.
    #[error("step 3, path: it does not lead from the leaf to the header's results root")]
    Path,
    /// The header is of another community or not of its own hash.
    #[error("step 4, header: {0}")]
    Header(String),
    /// The certificate is for another block, or does not hold.
    #[error("step 5, certificate: {0}")]
    Certificate(String),
}

impl Receipt {
    /// The receipt of one leaf of a block; `None` if there is no such leaf.
    pub fn of(
        leaves: &[ResultLeaf],
        index: usize,
        header: &Header,
        certificate: &CommitCertificate,
    ) -> Option<Self> {
        let hashes: Vec<_> = leaves.iter().map(ResultLeaf::hash).collect();
        Some(Self {
            leaf: leaves.get(index)?.clone(),
            index: u64::try_from(index).ok()?,
            size: u64::try_from(leaves.len()).ok()?,
            path: merkle::path(&hashes, index)?,
            header: header.clone(),
            certificate: certificate.clone(),
        })
    }

    /// Checks leaf, path, header and certificate against a genesis.
    ///
    /// # Errors
    /// [`ReceiptError`] names the first step that does not hold.
    pub fn verify(self, genesis: &Genesis) -> Result<Proven, ReceiptError> {
        let root = merkle::root_from_path(self.leaf.hash(), self.index, self.size, &self.path);
        let head = root.map(|root| merkle::head(self.size, &root));
        if head != Some(self.header.results_root) {
            return Err(ReceiptError::Path);
        }
        let chain = genesis.chain_id();
        if self.header.chain != chain {
            let found = self.header.chain;
            let problem = format!("it belongs to community {found}, the genesis is of {chain}");
            return Err(ReceiptError::Header(problem));
        }
        let hash = self.header.hash();
        if self.certificate.block != hash || self.certificate.height != self.header.height {
            let (block, height) = (self.certificate.block, self.certificate.height);
            return Err(ReceiptError::Certificate(format!(
                "it commits block {block} at height {height}, the header is block {hash} at {}",
                self.header.height
            )));
        }
        let failed = |error: CertificateError| ReceiptError::Certificate(error.to_string());
        self.certificate.verify(&chain, &genesis.validators).map_err(failed)?;
        Ok(Proven {
            signatures: self.certificate.signatures.len(),
            validators: genesis.validators.count(),
            leaf: self.leaf,
            header: self.header,
        })
    }

    /// The receipt as the JSON text of a receipt file.
    pub fn to_json(&self) -> String {
        let file = ReceiptJson {
            format: FORMAT.to_owned(),
            leaf: hex::encode(self.leaf.to_bytes()),
            index: self.index,
            size: self.size,
            path: self.path.iter().map(Digest::to_string).collect(),
            header: hex::encode(borsh::to_vec(&self.header).unwrap_or_default()),
            certificate: CertificateJson {
                height: self.certificate.height,
                round: self.certificate.round,
                block: self.certificate.block.to_string(),
                signatures: self
                    .certificate
                    .signatures
                    .iter()
                    .map(|(address, signature)| SignatureJson {
                        validator: address.to_string(),
                        signature: signature.to_string(),
                    })
                    .collect(),
            },
        };
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a receipt file. There is exactly one way to write a receipt: any other byte, even a
    /// space, is refused, so that no change of a file goes unnoticed.
    ///
    /// # Errors
    /// [`ReceiptError`] names the step that cannot be read.
    pub fn from_json(text: &str) -> Result<Self, ReceiptError> {
        let file: ReceiptJson =
            serde_json::from_str(text).map_err(|error| ReceiptError::File(error.to_string()))?;
        if file.format != FORMAT {
            let found = file.format;
            return Err(ReceiptError::File(format!("expected format {FORMAT}, found {found:?}")));
        }
        let leaf_bytes = hex::decode(&file.leaf).map_err(|_| ReceiptError::Leaf)?;
        let header = hex::decode(&file.header)
            .ok()
            .and_then(|bytes| borsh::from_slice(&bytes).ok())
            .ok_or_else(|| ReceiptError::Header("its bytes are no header".to_owned()))?;
        let receipt = Self {
            leaf: borsh::from_slice(&leaf_bytes).map_err(|_| ReceiptError::Leaf)?,
            index: file.index,
            size: file.size,
            path: file
                .path
                .iter()
                .map(|hash| hash.parse())
                .collect::<Result<_, _>>()
                .map_err(|_| ReceiptError::Path)?,
            header,
            certificate: file.certificate.read()?,
        };
        if receipt.to_json() != text {
            let problem = "it is not written byte for byte as receipts are written";
            return Err(ReceiptError::File(problem.to_owned()));
        }
        Ok(receipt)
    }
}

impl Proven {
    /// What is proved.
    pub fn leaf(&self) -> &ResultLeaf {
        &self.leaf
    }

    /// The header under which it stands.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was proved, in one sentence.
    pub fn sentence(&self) -> String {
        let what = match &self.leaf {
            ResultLeaf::Clearing(clearing) => {
                format!("a clearing of {} for {:?}", clearing.volume, clearing.period)
            }
            ResultLeaf::Trade(trade) => format!(
                "a trade of {} from party {} to party {} at {} per kWh, {} in all",
                trade.energy, trade.seller, trade.buyer, trade.seller_price, trade.buyer_amount
            ),
            ResultLeaf::Answer(answer) => format!(
                "the answer to order {}: {} of {} filled",
                answer.order, answer.filled, answer.ordered
            ),
            ResultLeaf::Settled(settled) => format!(
                "a settlement of party {}: {} imported and {} exported",
                settled.party,
                settled.settlement.metered.imported,
                settled.settlement.metered.exported
            ),
            ResultLeaf::Posting(posting) => {
                let pending = if posting.is_posted() { "posting" } else { "pending posting" };
                format!("{pending} {} of {}", posting.number, posting.amount)
            }
            ResultLeaf::CommunitySettled(settled) => {
                format!("what the community's accounts got for {:?}", settled.period)
            }
            ResultLeaf::Certificate(origin) => format!(
                "a certificate for {} from party {} to party {}",
                origin.energy, origin.producer, origin.consumer
            ),
        };
        format!(
            "Proved: {what} stands in block {} of community {}, signed by {} of the {} validators \
             that the genesis names.",
            self.header.height, self.header.chain, self.signatures, self.validators
        )
    }
}

const FORMAT: &str = "hidamari/receipt/1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptJson {
    format: String,
    leaf: String,
    index: u64,
    size: u64,
    path: Vec<String>,
    header: String,
    certificate: CertificateJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateJson {
    height: u64,
    round: u32,
    block: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    validator: String,
    signature: String,
}

impl CertificateJson {
    fn read(&self) -> Result<CommitCertificate, ReceiptError> {
        let failed = |error: market::hash::NotHex| ReceiptError::Certificate(error.to_string());
        let mut signatures = Vec::with_capacity(self.signatures.len());
        for entry in &self.signatures {
            let address = Address::from_str(&entry.validator).map_err(failed)?;
            signatures.push((address, Signature::from_str(&entry.signature).map_err(failed)?));
        }
        Ok(CommitCertificate {
            height: self.height,
            round: self.round,
            block: BlockHash::from_str(&self.block).map_err(failed)?,
            signatures,
        })
    }
}
