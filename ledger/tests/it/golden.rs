//! Canonical bytes that must never change: what is signed, hashed and stored.
//!
//! `HIDAMARI_REWRITE=1 cargo nextest run -p ledger golden` writes the files anew. A difference in
//! one of them is another format: existing chains, signatures and receipts stop holding.

use std::path::PathBuf;

use ledger::block::Header;
use ledger::certificate::{VoteKind, vote_bytes};
use ledger::genesis;
use ledger::receipt::Receipt;
use ledger::salt::Tree;
use ledger::transaction::Transaction;
use ledger::validators::{Address, Validator};
use market::order::Side;
use market::signed::signed_bytes;

use crate::neighbourhood::{
    Chain, genesis as neighbourhood, order, quarter, reading, validator_key,
};

/// Compares with the file, or writes it.
fn compare(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
    if std::env::var_os("HIDAMARI_REWRITE").is_some_and(|rewrite| rewrite == "1") {
        std::fs::write(&path, actual).expect("tests/golden can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("the golden file is there");
    assert!(
        expected == actual,
        "{} differs; HIDAMARI_REWRITE=1 writes it anew\n--- expected\n{expected}\n--- actual\n{actual}",
        path.display()
    );
}

fn encoded<T: borsh::BorshSerialize>(value: &T) -> String {
    hex::encode(borsh::to_vec(value).expect("in memory"))
}

/// The header of height 6 of the neighbourhood's chain.
fn header() -> Header {
    Chain::of_one_traded_quarter().blocks[5].block.header.clone()
}

#[test]
fn canonical_bytes() {
    let genesis = neighbourhood();
    let chain = genesis.chain_id();
    let mut lines = vec![
        "# Canonical bytes, written by ledger/tests/it/golden.rs.".to_owned(),
        format!("genesis.chain_id = {chain}"),
        format!("genesis.bytes = {}", encoded(&genesis)),
        format!("validators.hash = {}", genesis.validators.hash()),
    ];
    let mut line = |name: &str, value: String| lines.push(format!("{name} = {value}"));
    let said = order(0, quarter(20), Side::Buy, &[(310_000, 800), (240_000, 100)], 7);
    if let Transaction::Order(envelope) = &said {
        line("order.bytes", encoded(envelope.unverified()));
        line("order.signed_bytes", hex::encode(signed_bytes(&chain, envelope.unverified())));
        line("order.id", envelope.id(&chain).to_string());
        line("order.envelope", encoded(envelope));
        line("order.transaction", hex::encode(said.to_bytes()));
        line("order.transaction_hash", said.hash().to_string());
    }
    let metered = reading(1, quarter(20), (10, 580), 2);
    if let Transaction::Reading(envelope) = &metered {
        line("reading.bytes", encoded(envelope.unverified()));
        line("reading.signed_bytes", hex::encode(signed_bytes(&chain, envelope.unverified())));
        line("reading.id", envelope.id(&chain).to_string());
        line("reading.envelope", encoded(envelope));
        line("reading.transaction", hex::encode(metered.to_bytes()));
    }
    let header = header();
    line("header.bytes", encoded(&header));
    line("header.hash", header.hash().to_string());
    let voter = Validator { key: validator_key(0).public(), power: 1 }.address();
    line("vote.address", voter.to_string());
    let vote = |kind, block: bool| {
        let hash = header.hash();
        let block = block.then_some(&hash);
        hex::encode(vote_bytes(&chain, kind, header.height, 2, block, &voter))
    };
    line("vote.prevote", vote(VoteKind::Prevote, true));
    line("vote.precommit", vote(VoteKind::Precommit, true));
    line("vote.precommit_nil", vote(VoteKind::Precommit, false));
    let second = Chain::of_one_traded_quarter().served(2).committed.block;
    line("block.2.salt", hex::encode(second.salt.as_bytes()));
    line("block.2.salt_commitment", second.salt.commitment().to_string());
    for (number, leaf) in Chain::of_one_traded_quarter().leaves(2).iter().enumerate() {
        let salt = second.salt.leaf_salt(Tree::Results, u64::try_from(number).expect("few"));
        line(&format!("leaf.{number}.salt"), salt.to_string());
        line(&format!("leaf.{number}.bytes"), hex::encode(leaf.to_bytes()));
        line(&format!("leaf.{number}.hash"), leaf.hash(&salt).to_string());
    }
    let text = lines.join("\n") + "\n";
    compare("canonical_bytes.txt", &text);
}

/// The layout of a vote, written out by hand from its documentation.
#[test]
fn vote_bytes_are_laid_out_as_documented() {
    let (chain, header) = (neighbourhood().chain_id(), header());
    let voter = Address::from_bytes([9; 20]);
    let hash = header.hash();
    let bytes = vote_bytes(&chain, VoteKind::Precommit, 6, 2, Some(&hash), &voter);
    let mut expected = vec![15];
    expected.extend_from_slice(b"hidamari/vote/1");
    expected.extend_from_slice(chain.as_bytes());
    expected.extend_from_slice(&[2, 6, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]);
    expected.extend_from_slice(hash.as_bytes());
    expected.extend_from_slice(&[9; 20]);
    assert_eq!(bytes, expected);
}

#[test]
fn a_receipt_and_the_genesis_that_it_is_checked_against() {
    let chain = Chain::of_one_traded_quarter();
    let committed = chain.served(2).committed;
    let leaves = chain.leaves(2);
    let trade = Receipt::of_result(&committed, &leaves, 1, &[]);
    compare("receipt.json", &trade.expect("a leaf").to_json());
    compare("genesis.toml", &genesis::write(&neighbourhood()).expect("a sound genesis"));
    // What lies on disk holds by itself.
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let file = |name| std::fs::read_to_string(folder.join(name)).expect("a golden file");
    let genesis = genesis::read(&file("genesis.toml")).expect("a genesis");
    let proven = Receipt::from_json(&file("receipt.json")).expect("a receipt").verify(&genesis);
    assert!(proven.expect("it holds").sentence().starts_with("Proved: a trade of 0.600 kWh"));
}
