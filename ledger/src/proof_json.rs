//! What proof files have in common: certificates, handovers and hashes as JSON.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::{Digest, NotHex};
use market::keys::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

use crate::block::{BlockHash, Header};
use crate::certificate::CommitCertificate;
use crate::handover::Handover;
use crate::validators::{Address, Validator, ValidatorSet};

/// A value as the hexadecimal digits of its canonical bytes.
pub(crate) fn to_hex<T: BorshSerialize>(value: &T) -> String {
    hex::encode(borsh::to_vec(value).unwrap_or_default())
}

/// Reads it back, from exactly its bytes.
pub(crate) fn from_hex<T: BorshDeserialize>(text: &str) -> Option<T> {
    borsh::from_slice(&hex::decode(text).ok()?).ok()
}

/// Hashes, one text each.
pub(crate) fn hashes_to_text(hashes: &[Digest]) -> Vec<String> {
    hashes.iter().map(Digest::to_string).collect()
}

/// Reads them back.
pub(crate) fn hashes_from_text(texts: &[String]) -> Result<Vec<Digest>, NotHex> {
    texts.iter().map(|text| text.parse()).collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateJson {
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
    pub(crate) fn of(certificate: &CommitCertificate) -> Self {
        let signature = |(address, signature): &(Address, Signature)| SignatureJson {
            validator: address.to_string(),
            signature: signature.to_string(),
        };
        Self {
            height: certificate.height,
            round: certificate.round,
            block: certificate.block.to_string(),
            signatures: certificate.signatures.iter().map(signature).collect(),
        }
    }

    pub(crate) fn read(&self) -> Result<CommitCertificate, NotHex> {
        let mut signatures = Vec::with_capacity(self.signatures.len());
        for entry in &self.signatures {
            let address = Address::from_str(&entry.validator)?;
            signatures.push((address, Signature::from_str(&entry.signature)?));
        }
        Ok(CommitCertificate {
            height: self.height,
            round: self.round,
            block: BlockHash::from_str(&self.block)?,
            signatures,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandoverJson {
    header: String,
    certificate: CertificateJson,
    validators: Vec<ValidatorJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidatorJson {
    key: String,
    power: u64,
}

impl HandoverJson {
    pub(crate) fn of(handover: &Handover) -> Self {
        let validator = |validator: &Validator| ValidatorJson {
            key: validator.key.to_string(),
            power: validator.power,
        };
        Self {
            header: to_hex(&handover.header),
            certificate: CertificateJson::of(&handover.certificate),
            validators: handover.validators.iter().map(validator).collect(),
        }
    }

    /// Reads a handover, or says what about it cannot be read.
    pub(crate) fn read(&self) -> Result<Handover, String> {
        let header: Option<Header> = from_hex(&self.header);
        let header = header.ok_or_else(|| "its header's bytes are no header".to_owned())?;
        let certificate = self.certificate.read().map_err(|error| error.to_string())?;
        let read = |validator: &ValidatorJson| {
            let key = PublicKey::from_str(&validator.key)?;
            Ok(Validator { key, power: validator.power })
        };
        let validators = self.validators.iter().map(read).collect::<Result<_, NotHex>>();
        let validators = validators.map_err(|error| error.to_string())?;
        let validators = ValidatorSet::new(validators).map_err(|error| error.to_string())?;
        Ok(Handover { header, certificate, validators })
    }
}
