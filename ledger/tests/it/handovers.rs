//! Handovers: from the genesis alone to whoever votes at a height, through certified changes.

use ledger::block::{BlockHash, CommittedBlock, Header};
use ledger::certificate::{CommitCertificate, VoteKind, vote_bytes};
use ledger::follower::LightFollower;
use ledger::handover::{Handover, HandoverError, Succession};
use ledger::receipt::{Receipt, ReceiptError};
use ledger::validators::{Validator, ValidatorSet};
use market::hash::Digest;
use market::keys::ChainId;

use crate::neighbourhood::{Chain, genesis, validator_key};

/// The validators with these keys.
fn set(keys: &[usize]) -> ValidatorSet {
    let validator = |n: &usize| Validator { key: validator_key(*n).public(), power: 1 };
    ValidatorSet::new(keys.iter().map(validator).collect()).expect("validators")
}

fn certify(header: &Header, signers: &[usize]) -> CommitCertificate {
    let (block, height) = (header.hash(), header.height);
    let sign = |n: &usize| {
        let key = validator_key(*n);
        let address = Validator { key: key.public(), power: 1 }.address();
        let chain = &header.chain;
        let bytes = vote_bytes(chain, VoteKind::Precommit, height, 0, Some(&block), &address);
        (address, key.sign(&bytes))
    };
    CommitCertificate { height, round: 0, block, signatures: signers.iter().map(sign).collect() }
}

/// A header of a height after which these validators decide.
fn header(height: u64, next: &ValidatorSet) -> Header {
    let chain = Chain::of_one_traded_quarter();
    let next_validators = next.hash();
    Header { height, next_validators, ..chain.served(6).committed.block.header }
}

fn handover(height: u64, signers: &[usize], next: &[usize]) -> Handover {
    let validators = set(next);
    let header = header(height, &validators);
    Handover { certificate: certify(&header, signers), header, validators }
}

/// 0 1 2 3 decide up to height 10, 1 2 3 4 up to 25, 4 5 6 7 8 from then on.
pub(crate) fn changes() -> Vec<Handover> {
    vec![handover(10, &[0, 1, 2], &[1, 2, 3, 4]), handover(25, &[2, 3, 4], &[4, 5, 6, 7, 8])]
}

#[test]
fn handovers_lead_from_the_genesis_to_whoever_votes() {
    let succession = Succession::verify(&genesis(), &changes()).unwrap();
    assert_eq!(succession.changes(), 2);
    for (height, expected) in [
        (1, set(&[0, 1, 2, 3])),
        (10, set(&[0, 1, 2, 3])),
        (11, set(&[1, 2, 3, 4])),
        (25, set(&[1, 2, 3, 4])),
        (26, set(&[4, 5, 6, 7, 8])),
        (u64::MAX, set(&[4, 5, 6, 7, 8])),
    ] {
        assert_eq!(succession.at(height), Some(&expected), "{height}");
    }
    assert_eq!(succession.at(0), None);
    let after = header(30, &set(&[4, 5, 6, 7, 8]));
    assert_eq!(succession.check(&after, &certify(&after, &[4, 5, 6, 7])), Ok(()));
    for old in [&[0, 1, 2, 3][..], &[1, 2, 3, 4], &[4, 5, 6]] {
        assert!(succession.check(&after, &certify(&after, old)).is_err(), "{old:?}");
    }
}

#[test]
fn a_handover_that_does_not_hold_is_named() {
    let genesis = genesis();
    let failing = |change: &dyn Fn(&mut Vec<Handover>)| {
        let mut changed = changes();
        change(&mut changed);
        Succession::verify(&genesis, &changed).unwrap_err()
    };
    let uncertified = |error: &HandoverError, at: u64| match error {
        HandoverError::NotCertified { height, .. } => *height == at,
        _ => false,
    };
    assert!(uncertified(&failing(&|all| drop(all.remove(0))), 25), "one is left out");
    assert!(uncertified(&failing(&|all| all[1].certificate.signatures.truncate(2)), 25));
    assert!(uncertified(&failing(&|all| all[0].header.state_root = Digest::default()), 10));
    assert!(uncertified(&failing(&|all| all[0] = handover(10, &[1, 2, 4], &[1, 2, 3, 4])), 10));
    assert!(matches!(
        failing(&|all| all[0].validators = set(&[1, 2, 3])),
        HandoverError::OtherValidators { height: 10, .. }
    ));
    let swapped = failing(&|all| {
        all.push(handover(20, &[4, 5, 6, 7], &[1]));
    });
    assert_eq!(swapped, HandoverError::NotRising { height: 20, before: 25 });
    let still = failing(&|all| all.push(handover(40, &[4, 5, 6, 7], &[4, 5, 6, 7, 8])));
    assert_eq!(still, HandoverError::NoChange(40));
    let elsewhere = failing(&|all| all[0].header.chain = ChainId::from_bytes([9; 32]));
    assert!(matches!(elsewhere, HandoverError::OtherCommunity { height: 10, .. }));
    let beyond = Succession::verify_up_to(&genesis, &changes(), 25).unwrap_err();
    assert_eq!(beyond, HandoverError::NotNeeded { height: 25, wanted: 25 });
    assert!(Succession::verify_up_to(&genesis, &changes(), 26).is_ok());
}

/// A receipt of height 30, signed by validators of whom the genesis knows none.
pub(crate) fn late_receipt() -> Receipt {
    let mut committed = Chain::of_one_traded_quarter().served(6).committed;
    committed.block.header = header(30, &set(&[4, 5, 6, 7, 8]));
    let certificate = certify(&committed.block.header, &[5, 6, 7, 8]);
    let committed = CommittedBlock { certificate, ..committed };
    Receipt::of_transaction(&committed, 0, &changes()).expect("a reading")
}

#[test]
fn a_receipt_goes_through_validator_changes() {
    let genesis = genesis();
    let receipt = late_receipt();
    let text = receipt.to_json();
    assert_eq!(Receipt::from_json(&text).as_ref(), Ok(&receipt));
    let sentence = receipt.clone().verify(&genesis).unwrap().sentence();
    let end = "signed by 4 of the 5 validators that 2 certified changes of the genesis's lead to.";
    assert!(sentence.ends_with(end), "{sentence}");
    for changed in [vec![], changes()[..1].to_vec(), changes()[1..].to_vec()] {
        let error = Receipt { handovers: changed, ..receipt.clone() }.verify(&genesis);
        let named = matches!(error, Err(ReceiptError::Handovers(_) | ReceiptError::Certificate(_)));
        assert!(named);
    }
    let mut superfluous = receipt;
    superfluous.handovers.push(handover(31, &[4, 5, 6, 7], &[1]));
    assert!(matches!(superfluous.verify(&genesis), Err(ReceiptError::Handovers(_))));
}

/// One byte in seven of the whole file, so that no part of it is left out.
#[test]
fn no_byte_of_the_handovers_of_a_receipt_can_change_unnoticed() {
    let genesis = genesis();
    let text = late_receipt().to_json();
    let mut handovers_caught = 0;
    for at in (0..text.len()).step_by(7) {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'3' { b'4' } else { b'3' };
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let error = Receipt::from_json(&changed).and_then(|receipt| receipt.verify(&genesis));
        let error = error.expect_err(&format!("byte {at}"));
        handovers_caught += usize::from(matches!(error, ReceiptError::Handovers(_)));
    }
    assert!(handovers_caught > 100, "{handovers_caught}");
}

#[test]
fn a_light_follower_goes_on_after_changes_that_it_kept() {
    let genesis = genesis();
    let tip = BlockHash::from_bytes([3; 32]);
    let at = |height| LightFollower::resume_after(&genesis, height, tip, changes());
    let mut light = at(29).expect("they hold");
    assert_eq!(light.handovers(), changes());
    let next = Header { previous: tip, ..header(30, &set(&[4, 5, 6, 7, 8])) };
    let by_nothing = ledger::merkle::head(0, &ledger::merkle::root([]));
    let next = Header { transactions_root: by_nothing, results_root: by_nothing, ..next };
    assert!(light.follow_header(&next, &certify(&next, &[0, 1, 2])).is_err());
    light.follow_header(&next, &certify(&next, &[4, 5, 6, 7])).expect("the new ones decide");
    assert_eq!(light.height(), 30);
    assert!(matches!(at(24), Err(HandoverError::NotNeeded { height: 25, wanted: 25 })));
}
