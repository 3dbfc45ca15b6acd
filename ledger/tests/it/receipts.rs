//! Receipts: every result of a block can be proved offline, and no byte of a receipt file is free.

use ledger::block::CommittedBlock;
use ledger::genesis::Genesis;
use ledger::posting::Account;
use ledger::receipt::{Evidence, Receipt, ReceiptError};
use ledger::results::ResultLeaf;

use crate::neighbourhood::{Chain, certify, genesis, minute, party};

fn receipt(chain: &Chain, height: usize, index: usize) -> Receipt {
    let committed = chain.served(height).committed;
    Receipt::of_result(&committed, &chain.leaves(height), index, &[]).expect("a leaf")
}

/// The receipt of the trade at height 2.
fn of_a_trade() -> Receipt {
    let chain = Chain::of_one_traded_quarter();
    let leaves = chain.leaves(2);
    let at = leaves.iter().position(|leaf| matches!(leaf, ResultLeaf::Trade(_))).expect("a trade");
    receipt(&chain, 2, at)
}

fn verify(text: &str, genesis: &Genesis) -> Result<String, ReceiptError> {
    Ok(Receipt::from_json(text)?.verify(genesis)?.sentence())
}

#[test]
fn every_result_of_every_block_has_a_receipt_that_says_what_it_proves() {
    let chain = Chain::of_one_traded_quarter();
    let genesis = genesis();
    let mut sentences = Vec::new();
    for height in 1..=chain.blocks.len() {
        for (index, leaf) in chain.leaves(height).iter().enumerate() {
            let receipt = receipt(&chain, height, index);
            let text = receipt.to_json();
            assert_eq!(Receipt::from_json(&text).as_ref(), Ok(&receipt));
            let proven = receipt.verify(&genesis).unwrap();
            let stated =
                matches!(proven.evidence(), Evidence::Result { leaf: said, .. } if said == leaf);
            assert!(stated);
            assert_eq!(proven.header().height, u64::try_from(height).unwrap());
            sentences.push(proven.sentence());
        }
        let (leaves, committed) = (chain.leaves(height), chain.served(height).committed);
        assert_eq!(Receipt::of_result(&committed, &leaves, leaves.len(), &[]), None);
    }
    for what in [
        "a clearing of",
        "a trade of 0.600 kWh",
        "the answer to order",
        "a settlement of",
        "posting 1 of",
    ] {
        assert!(sentences.iter().any(|sentence| sentence.contains(what)), "{what}");
    }
    assert!(
        sentences
            .iter()
            .all(|s| s.ends_with("signed by 3 of the 4 validators that the genesis names."))
    );
}

#[test]
fn every_transaction_and_every_account_has_a_receipt_too() {
    let chain = Chain::of_one_traded_quarter();
    let genesis = genesis();
    let mut sentences = Vec::new();
    let mut prove = |receipt: Receipt| {
        let text = receipt.to_json();
        assert_eq!(Receipt::from_json(&text).as_ref(), Ok(&receipt));
        sentences.push(receipt.verify(&genesis).unwrap().sentence());
    };
    for (height, executed) in (1..).zip(&chain.blocks) {
        let committed = chain.served(height).committed;
        for index in 0..committed.block.transactions.len() {
            prove(Receipt::of_transaction(&committed, index, &[]).unwrap());
        }
        let none = committed.block.transactions.len();
        assert_eq!(Receipt::of_transaction(&committed, none, &[]), None);
        for account in (0..4).map(|n| Account::Party(party(n))) {
            prove(Receipt::of_balance(&committed, &executed.state, &account, &[]).unwrap());
        }
    }
    let committed = chain.served(1).committed;
    let unused = Receipt::of_balance(&committed, &chain.blocks[0].state, &Account::Supplier, &[]);
    assert_eq!(unused, None, "nobody has opened it");
    for what in ["the bid of party a0", "the offer of party a1", "the reading of party a3"] {
        assert!(sentences.iter().any(|sentence| sentence.contains(what)), "{what}");
    }
    assert!(
        sentences.iter().any(|s| s.contains("has paid 0.000000 and received 0.000000, and that"))
    );
    assert!(sentences.iter().any(|s| s.contains("has paid 0.") && !s.contains("paid 0.000000")));
}

#[test]
fn a_receipt_of_one_kind_is_none_of_another() {
    let chain = Chain::of_one_traded_quarter();
    let (committed, genesis) = (chain.served(1).committed, genesis());
    let order = Receipt::of_transaction(&committed, 0, &[]).unwrap();
    let account = Account::Party(party(0));
    let state = &chain.blocks[0].state;
    let balance = Receipt::of_balance(&committed, state, &account, &[]).unwrap();
    for (receipt, kind) in [(order, "transaction"), (balance, "balance")] {
        let text = receipt.to_json();
        for other in ["transaction", "balance", "result"].into_iter().filter(|one| *one != kind) {
            let (from, to) = (format!("\"kind\": \"{kind}\""), format!("\"kind\": \"{other}\""));
            let error = verify(&text.replace(&from, &to), &genesis).unwrap_err().to_string();
            assert!(error.starts_with("step 2, leaf"), "{error}");
        }
    }
}

/// Every byte of the file, replaced by each of several other characters: a digit, a letter that is
/// hexadecimal, the same letter in the other case, white space, punctuation.
#[test]
fn no_byte_of_a_receipt_file_can_change_unnoticed() {
    let genesis = genesis();
    let text = of_a_trade().to_json();
    assert!(verify(&text, &genesis).is_ok());
    let mut steps = [0_usize; 7];
    for at in 0..text.len() {
        let byte = text.as_bytes()[at];
        let next_digit = if byte == b'9' || byte == b'f' { byte - 1 } else { byte + 1 };
        for other in [next_digit, byte ^ 0x20, b'0', b'a', b' ', b'"', b'\n'] {
            let mut changed = text.clone().into_bytes();
            changed[at] = other;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            if other == byte {
                continue;
            }
            let error = verify(&changed, &genesis).expect_err(&format!("byte {at} as {other}"));
            let sentence = error.to_string();
            let step = sentence.strip_prefix("step ").and_then(|rest| rest.get(..1));
            let step: usize = step.and_then(|step| step.parse().ok()).expect("names the step");
            steps[step] += 1;
        }
    }
    // Each step catches something; handovers there are none.
    let caught = |step: usize| steps[step] > 0;
    assert!([1, 2, 3, 4, 6].into_iter().all(caught), "{steps:?}");
}

#[test]
fn no_byte_of_a_receipt_file_can_be_left_out_or_doubled_unnoticed() {
    let genesis = genesis();
    let text = of_a_trade().to_json();
    for at in 0..text.len() {
        let (before, after) = text.split_at(at);
        let without = format!("{before}{}", &after[1..]);
        let doubled = format!("{before}{}{after}", &after[..1]);
        for changed in [without, doubled] {
            assert!(changed == text || verify(&changed, &genesis).is_err(), "byte {at}");
        }
    }
    assert!(verify(&format!("{text}\n"), &genesis).is_err());
}

/// A path that fits a tree of six as well as one of five does not prove "of six".
#[test]
fn the_number_of_results_cannot_be_misstated() {
    let genesis = genesis();
    let chain = Chain::of_one_traded_quarter();
    for (index, _) in chain.leaves(6).iter().enumerate() {
        let good = receipt(&chain, 6, index);
        for size in 0..3 * good.size {
            let changed = Receipt { size, ..good.clone() };
            let expected =
                if size == good.size { None } else { Some(ReceiptError::Path("results")) };
            assert_eq!(changed.verify(&genesis).err(), expected, "{size}");
        }
    }
}

#[test]
fn each_step_is_named_when_it_fails() {
    let genesis = genesis();
    let good = of_a_trade();
    let failing = |change: fn(&mut Receipt)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.verify(&genesis).unwrap_err().to_string()
    };
    assert!(failing(|r| r.index += 1).starts_with("step 3, path"));
    assert!(failing(|r| r.path.truncate(1)).starts_with("step 3, path"));
    assert!(failing(|r| r.header.height += 1).starts_with("step 6, certificate"));
    assert!(failing(|r| r.certificate.height += 1).starts_with("step 6, certificate"));
    assert!(failing(|r| r.certificate.signatures.truncate(2)).starts_with("step 6, certificate"));
    let other = Genesis { name: "Shady Street".to_owned(), ..genesis.clone() };
    let elsewhere = good.clone().verify(&other).unwrap_err().to_string();
    assert!(elsewhere.starts_with("step 4, header: it belongs to community"), "{elsewhere}");
    for (text, step) in [
        ("", "step 1, file"),
        ("{}", "step 1, file"),
        (&good.to_json().replace("receipt/2", "receipt/3"), "step 1, file"),
        (&good.to_json().replace("\"leaf\": \"02", "\"leaf\": \"09"), "step 2, leaf"),
        (&good.to_json().replace("\"header\": \"", "\"header\": \"00"), "step 4, header"),
    ] {
        let error = verify(text, &genesis).unwrap_err().to_string();
        assert!(error.starts_with(step), "{error}");
    }
}

#[test]
fn a_receipt_of_a_block_without_a_quorum_proves_nothing() {
    let mut chain = Chain::of_one_traded_quarter();
    let executed = chain.block(minute(400), vec![]).clone();
    assert!(executed.results.leaves().is_empty());
    let sixth = chain.blocks[5].clone();
    for signers in [&[][..], &[0], &[0, 1], &[0, 1, 1], &[0, 1, 9]] {
        let certificate = certify(&sixth.block.header, signers);
        let leaves = sixth.results.leaves();
        let committed = CommittedBlock { block: sixth.block.clone(), certificate };
        let receipt = Receipt::of_result(&committed, &leaves, 0, &[]).unwrap();
        let error = receipt.verify(&genesis()).unwrap_err();
        assert!(matches!(error, ReceiptError::Certificate(_)), "{signers:?}: {error}");
    }
}
