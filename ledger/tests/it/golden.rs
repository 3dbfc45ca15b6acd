//! Canonical bytes that must never change: what is signed, hashed and stored.
//!
//! `HIDAMARI_REWRITE=1 cargo nextest run -p ledger golden` writes the files anew. A difference in
//! one of them is another format: existing chains, signatures and receipts stop holding.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ledger::acts::{Corrected, EdgeChange, Measure, Verdict, join_consent, key_consent};
use ledger::block::Header;
use ledger::certificate::{VoteKind, vote_bytes};
use ledger::chain_file::write;
use ledger::genesis;
use ledger::merkle::{head_over, leaf, multi_path, path};
use ledger::posting::Account;
use ledger::pruned::{PrunedBlock, Traces};
use ledger::receipt::Receipt;
use ledger::salt::Tree;
use ledger::state_proof::balance_bytes;
use ledger::statement::StatementBundle;
use ledger::transaction::Transaction;
use ledger::validators::{Address, Validator};
use market::energy::Energy;
use market::hash::Digest;
use market::money::Money;
use market::order::Side;
use market::price::Price;
use market::signed::signed_bytes;
use market::zone::{Edge, ZoneId};

use crate::handovers::{changes, late_receipt};
use crate::neighbourhood::{
    Chain, genesis as neighbourhood, minute, order, party, party_key, quarter, reading,
    validator_key,
};
use crate::speaking::{by_operator, by_party, enrol, invite, join, place, replace_key};
use crate::street::{bundle, street};

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
    let traded = Chain::of_one_traded_quarter();
    let first = traded.served(1).committed.block;
    line("block.1.salt", hex::encode(first.salt.as_bytes()));
    for (number, transaction) in (0..).zip(&first.transactions) {
        let salt = first.salt.leaf_salt(Tree::Transactions, number);
        line(&format!("block.1.transaction.{number}.bytes"), hex::encode(transaction.to_bytes()));
        line(&format!("block.1.transaction.{number}.salt"), salt.to_string());
        let hash = salt.leaf(&transaction.to_bytes());
        line(&format!("block.1.transaction.{number}.hash"), hash.to_string());
    }
    line("block.1.transactions_root", first.header.transactions_root.to_string());
    let mut pruned = PrunedBlock::of(&first, &[]);
    pruned.erase(&Traces::of(party(1)));
    line("block.1.without_party_1", hex::encode(pruned.to_bytes()));
    line("tree.0.head", head_over([]).to_string());
    let five: Vec<_> = (0..5_u8).map(|n| leaf(&[n])).collect();
    line("tree.5.leaf.0", five[0].to_string());
    line("tree.5.head", head_over(five.iter().copied()).to_string());
    let hashes =
        |hashes: Vec<Digest>| hashes.iter().map(Digest::to_string).collect::<Vec<_>>().join(" ");
    line("tree.5.path.2", hashes(path(&five, 2).expect("a leaf")));
    line("tree.5.multi_path.1.4", hashes(multi_path(&five, &[1, 4]).expect("leaves")));
    let (account, state) = (Account::Party(party(0)), &traded.blocks[5].state);
    let balance = state.accounts().balance(&account);
    line("balance.bytes", hex::encode(balance_bytes(&account, &balance)));
    line("balance.hash", leaf(&balance_bytes(&account, &balance)).to_string());
    for (number, handover) in changes().iter().enumerate() {
        line(&format!("handover.{number}.header"), encoded(&handover.header));
        line(&format!("handover.{number}.certificate"), encoded(&handover.certificate));
        line(&format!("handover.{number}.validators"), encoded(&handover.validators));
        let hash = handover.validators.hash();
        line(&format!("handover.{number}.validators_hash"), hash.to_string());
    }
    let second = traded.served(2).committed.block;
    line("block.2.results_root", second.header.results_root.to_string());
    line("block.2.salt", hex::encode(second.salt.as_bytes()));
    line("block.2.salt_commitment", second.salt.commitment().to_string());
    for (number, leaf) in Chain::of_one_traded_quarter().leaves(2).iter().enumerate() {
        let salt = second.salt.leaf_salt(Tree::Results, u64::try_from(number).expect("few"));
        line(&format!("leaf.{number}.salt"), salt.to_string());
        line(&format!("leaf.{number}.bytes"), hex::encode(leaf.to_bytes()));
        line(&format!("leaf.{number}.hash"), leaf.hash(&salt).to_string());
    }
    let mut file = Vec::new();
    let blocks = (1..=traded.blocks.len()).map(|height| traded.served(height));
    write(&mut file, &chain, blocks).expect("into memory");
    line("chain_file.sha256", Digest::of(&[&file]).to_string());
    let text = lines.join("\n") + "\n";
    compare("canonical_bytes.txt", &text);
    check_document(&text);
}

/// Every worked number of the page on formats is one of the golden ones.
fn check_document(golden: &str) {
    let page = include_str!("../../../docs/formats.md");
    let golden: BTreeSet<_> = golden.lines().collect();
    let name = |line: &str| line.split_once(" = ").map(|(name, _)| name.to_owned());
    let names: BTreeSet<_> = golden.iter().filter_map(|line| name(line)).collect();
    let worked = page.lines().filter(|line| name(line).is_some_and(|name| names.contains(&name)));
    let mut count = 0;
    for line in worked {
        assert!(golden.contains(line), "docs/formats.md: {line}");
        count += 1;
    }
    assert!(count > 15, "docs/formats.md works out {count} numbers");
}

#[test]
fn receipts_of_other_kinds_and_a_statement() {
    let chain = Chain::of_one_traded_quarter();
    let committed = chain.served(6).committed;
    let reading = Receipt::of_transaction(&committed, 0, &[]).expect("a leaf");
    compare("receipt_transaction.json", &reading.to_json());
    let (account, state) = (Account::Party(party(0)), &chain.blocks[5].state);
    let balance = Receipt::of_balance(&committed, state, &account, &[]).expect("an account");
    compare("receipt_balance.json", &balance.to_json());
    compare("receipt_handovers.json", &late_receipt().to_json());
    let (genesis, street) = street();
    compare("street.toml", &genesis::write(&genesis).expect("a sound genesis"));
    let bundle = bundle(&genesis, &street, 3, (8, 12));
    compare("statement.json", &bundle.to_json());
    // What lies on disk holds by itself.
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let file = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a golden file");
    let neighbours = genesis::read(&file("genesis.toml")).expect("a genesis");
    for name in ["receipt_transaction.json", "receipt_balance.json", "receipt_handovers.json"] {
        let receipt = Receipt::from_json(&file(name)).expect("a receipt");
        assert!(receipt.verify(&neighbours).is_ok(), "{name}");
    }
    let genesis = genesis::read(&file("street.toml")).expect("a genesis");
    let statement = StatementBundle::from_json(&file("statement.json")).expect("a bundle");
    let statement = statement.verify(&genesis).expect("it holds");
    assert!(statement.lines.iter().any(|line| line.corrects), "with a correction");
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
