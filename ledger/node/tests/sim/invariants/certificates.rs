//! Every committed block has a certificate that verifies against the validators of its height, and
//! no height has certificates for two blocks.

use std::collections::{BTreeMap, BTreeSet};

use crate::consensus::sim::world::Record;

pub(super) fn check(record: &Record) -> Result<(), String> {
    let (chain, validators) = (record.genesis.chain_id(), &record.genesis.validators);
    let mut certified = BTreeMap::new();
    let kept = record.chains.iter().flatten().map(|(_, certificate)| certificate);
    for certificate in record.commits.iter().map(|commit| &commit.certificate).chain(kept) {
        let height = certificate.height;
        let block = *certified.entry(height).or_insert(certificate.block);
        if block != certificate.block {
            return Err(format!("height {height} is certified for two blocks"));
        }
    }
    let mut verified = BTreeSet::new();
    for commit in record.honest_commits() {
        let (certificate, header) = (&commit.certificate, &commit.block.header);
        let height = header.height;
        if (certificate.height, certificate.block) != (height, header.hash()) {
            return Err(format!("the certificate at height {height} is another block's"));
        }
        // Most nodes have the same votes, and a vote holds or does not.
        if !verified.insert((height, certificate.round, certificate.signatures.clone())) {
            continue;
        }
        certificate
            .verify(&chain, validators)
            .map_err(|error| format!("the certificate of height {height}: {error}"))?;
    }
    Ok(())
}
