//! Canonical bytes that must never change: what is signed, hashed and stored.
//!
//! `HIDAMARI_REWRITE=1 cargo nextest run -p ledger golden` writes the files anew. A difference in
//! one of them is another format: existing chains, signatures and receipts stop holding.

use std::path::PathBuf;

use ledger::acts::{Corrected, EdgeChange, Measure, Verdict, join_consent, key_consent};
use ledger::block::Header;
use ledger::certificate::{VoteKind, vote_bytes};
use ledger::genesis;
use ledger::receipt::Receipt;
use ledger::transaction::Transaction;
use ledger::validators::{Address, Validator};
use market::energy::Energy;
use market::hash::Digest;
use market::money::Money;
use market::order::Side;
use market::price::Price;
use market::signed::signed_bytes;
use market::zone::{Edge, ZoneId};

use crate::neighbourhood::{
    Chain, genesis as neighbourhood, minute, order, party, party_key, quarter, reading,
    validator_key,
};
use crate::speaking::{by_operator, by_party, enrol, invite, join, place, replace_key};

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
    let joined = join(0, &party_key(7));
    if let Transaction::Join(envelope) = &joined {
        let consent = join_consent(&chain, &envelope.unverified().invitation);
        line("join.consent_bytes", hex::encode(consent));
        line("join.signed_bytes", hex::encode(signed_bytes(&chain, envelope.unverified())));
        line("join.transaction", hex::encode(joined.to_bytes()));
    }
    let rotated = by_party(0, 5, replace_key(party(0), &party_key(9)));
    if let Transaction::PartyAct(envelope) = &rotated {
        line("party_act.consent_bytes", hex::encode(key_consent(&chain, &party(0))));
        line("party_act.signed_bytes", hex::encode(signed_bytes(&chain, envelope.unverified())));
        line("party_act.transaction", hex::encode(rotated.to_bytes()));
    }
    for (name, measure) in measures() {
        let act = by_operator(0, 5, measure);
        let Transaction::OperatorAct(envelope) = &act else { continue };
        line(&format!("operator_act.{name}.bytes"), encoded(envelope.unverified()));
        line(&format!("operator_act.{name}.transaction"), hex::encode(act.to_bytes()));
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
    for (number, leaf) in Chain::of_one_traded_quarter().leaves(2).iter().enumerate() {
        line(&format!("leaf.{number}.bytes"), hex::encode(leaf.to_bytes()));
        line(&format!("leaf.{number}.hash"), leaf.hash().to_string());
    }
    let text = lines.join("\n") + "\n";
    compare("canonical_bytes.txt", &text);
}

/// An operator's acts, one of each shape.
fn measures() -> Vec<(&'static str, Measure)> {
    let period = quarter(20);
    let reading =
        Corrected { party: party(1), imported: Energy::from_wh(7), exported: Energy::ZERO };
    let edge = Edge {
        parent: ZoneId(0),
        charge: Price::from_micros_per_kwh(20_000),
        capacity_up: Some(Energy::from_wh(500)),
        capacity_down: None,
    };
    let set = EdgeChange::Set { zone: ZoneId(1), label: "Feeder 1".to_owned(), edge };
    let note = "seen".to_owned();
    vec![
        ("invite", invite(0, place(7), minute(60))),
        ("enrol", enrol(0, &party_key(7))),
        ("revoke", Measure::Revoke { party: party(1) }),
        ("grid", Measure::Grid { from: period, edges: vec![set] }),
        (
            "approve",
            Measure::Approve { from: period, through: quarter(21), settlements: Digest::default() },
        ),
        (
            "decide",
            Measure::Decide {
                dispute: 3,
                verdict: Verdict::Corrected { readings: vec![reading] },
                note,
            },
        ),
        (
            "payout",
            Measure::RecordPayout {
                party: party(1),
                amount: Money::from_micros(-5),
                reference: "SEPA 1".to_owned(),
            },
        ),
    ]
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
    let trade = Receipt::of(&leaves, 1, &committed.block.header, &committed.certificate);
    compare("receipt.json", &trade.expect("a leaf").to_json());
    compare("genesis.toml", &genesis::write(&neighbourhood()).expect("a sound genesis"));
    // What lies on disk holds by itself.
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let file = |name| std::fs::read_to_string(folder.join(name)).expect("a golden file");
    let genesis = genesis::read(&file("genesis.toml")).expect("a genesis");
    let proven = Receipt::from_json(&file("receipt.json")).expect("a receipt").verify(&genesis);
    assert!(proven.expect("it holds").sentence().starts_with("Proved: a trade of 0.600 kWh"));
}
