//! Certificates: more than two thirds of the power, each vote once, each for exactly this block.

use ledger::block::BlockHash;
use ledger::certificate::{CertificateError, CommitCertificate, VoteKind, vote_bytes};
use ledger::validators::{Address, Validator, ValidatorSet, ValidatorSetError};
use market::keys::{ChainId, PublicKey, Signature, SignatureError};
use proptest::prelude::*;

use crate::neighbourhood::{certificate, validator_key, validators};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const BLOCK: BlockHash = BlockHash::from_bytes([2; 32]);

fn signed_by(signers: &[usize]) -> CommitCertificate {
    certificate(&CHAIN, 9, BLOCK, signers)
}

fn verify(certificate: &CommitCertificate) -> Result<(), CertificateError> {
    certificate.verify(&CHAIN, &validators(&[1; 4]))
}

fn address(n: usize) -> Address {
    Validator { key: validator_key(n).public(), power: 1 }.address()
}

#[test]
fn three_of_four_are_a_quorum_and_two_are_not() {
    assert_eq!(verify(&signed_by(&[0, 1, 2, 3])), Ok(()));
    for left_out in 0..4 {
        let three: Vec<_> = (0..4).filter(|n| *n != left_out).collect();
        assert_eq!(verify(&signed_by(&three)), Ok(()));
        let none = CertificateError::NoQuorum { have: 2, total: 4 };
        assert_eq!(verify(&signed_by(&three[..2])), Err(none));
    }
    let none = CertificateError::NoQuorum { have: 0, total: 4 };
    assert_eq!(verify(&signed_by(&[])), Err(none));
}

#[test]
fn exactly_two_thirds_of_the_power_are_not_enough() {
    let thirds = validators(&[1, 1, 1]);
    let two = signed_by(&[0, 1]).verify(&CHAIN, &thirds);
    assert_eq!(two, Err(CertificateError::NoQuorum { have: 2, total: 3 }));
    assert_eq!(signed_by(&[0, 1, 2]).verify(&CHAIN, &thirds), Ok(()));
    let alone = validators(&[1]);
    assert_eq!(signed_by(&[0]).verify(&CHAIN, &alone), Ok(()));
    // Power counts, not heads: 7 of 10 by one of four.
    let heavy = validators(&[7, 1, 1, 1]);
    assert_eq!(signed_by(&[0]).verify(&CHAIN, &heavy), Ok(()));
    let light = signed_by(&[1, 2, 3]).verify(&CHAIN, &heavy);
    assert_eq!(light, Err(CertificateError::NoQuorum { have: 3, total: 10 }));
}

#[test]
fn a_vote_counts_once() {
    let twice = signed_by(&[0, 1, 1, 2]);
    assert_eq!(verify(&twice), Err(CertificateError::Twice(address(1))));
    assert_eq!(verify(&signed_by(&[0, 0, 0])), Err(CertificateError::Twice(address(0))));
}

#[test]
fn a_vote_of_a_stranger_does_not_count() {
    let foreign = signed_by(&[0, 1, 2, 4]);
    assert_eq!(verify(&foreign), Err(CertificateError::NotAValidator(address(4))));
}

#[test]
fn a_vote_for_anything_else_does_not_count() {
    let good = signed_by(&[0, 1, 2]);
    let bad = |change: fn(&mut CommitCertificate)| {
        let mut changed = good.clone();
        change(&mut changed);
        matches!(verify(&changed), Err(CertificateError::BadVote { .. }))
    };
    assert!(bad(|certificate| certificate.height += 1));
    assert!(bad(|certificate| certificate.round += 1));
    assert!(bad(|certificate| certificate.block = BlockHash::default()));
    assert!(bad(|certificate| {
        let (one, other) = (certificate.signatures[0].1, certificate.signatures[1].1);
        (certificate.signatures[0].1, certificate.signatures[1].1) = (other, one);
    }));
    let elsewhere = good.verify(&ChainId::from_bytes([3; 32]), &validators(&[1; 4]));
    assert!(matches!(elsewhere, Err(CertificateError::BadVote { .. })));
    // A prevote is no precommit, and a vote for nothing is none for a block.
    for (kind, block) in [(VoteKind::Prevote, Some(&BLOCK)), (VoteKind::Precommit, None)] {
        let mut changed = good.clone();
        let bytes = vote_bytes(&CHAIN, kind, 9, 2, block, &address(0));
        changed.signatures[0].1 = validator_key(0).sign(&bytes);
        assert!(matches!(verify(&changed), Err(CertificateError::BadVote { .. })));
    }
}

#[test]
fn no_bit_of_a_certificate_can_flip_unnoticed() {
    let bytes = borsh::to_vec(&signed_by(&[0, 1, 2])).unwrap();
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        if let Ok(certificate) = borsh::from_slice::<CommitCertificate>(&flipped) {
            assert!(verify(&certificate).is_err(), "bit {at}");
        }
    }
}

proptest! {
    #[test]
    fn any_two_quorums_share_more_than_a_third_of_the_power(
        powers in prop::collection::vec(1..1_000_u64, 1..20),
        sides in prop::collection::vec(0..4_u8, 20),
    ) {
        let set = validators(&powers);
        let power = |quorum: u8| {
            let of = powers.iter().zip(&sides).filter(|(_, side)| **side & quorum != 0);
            of.map(|(power, _)| *power).sum::<u64>()
        };
        let both = powers.iter().zip(&sides).filter(|(_, side)| **side == 3);
        let both: u64 = both.map(|(power, _)| *power).sum();
        prop_assert_eq!(set.total_power(), powers.iter().sum::<u64>());
        if set.is_quorum(power(1)) && set.is_quorum(power(2)) {
            prop_assert!(3 * both > set.total_power(), "two quorums share {}", both);
        }
    }
}

#[test]
fn validators_that_do_not_form_a_set_are_refused() {
    let one = |power| Validator { key: validator_key(0).public(), power };
    assert_eq!(ValidatorSet::new(vec![]), Err(ValidatorSetError::Empty));
    let many = (0..101).map(|n| Validator { key: validator_key(n).public(), power: 1 });
    assert_eq!(ValidatorSet::new(many.collect()), Err(ValidatorSetError::TooMany(101)));
    let twice = ValidatorSet::new(vec![one(1), one(2)]);
    assert_eq!(twice, Err(ValidatorSetError::Twice(address(0))));
    for power in [0, u64::from(u32::MAX) + 1, u64::MAX] {
        let refused = ValidatorSet::new(vec![one(power)]);
        assert_eq!(refused, Err(ValidatorSetError::Power { address: address(0), power }));
    }
    let weak = PublicKey::from_bytes([0; 32]);
    let refused = ValidatorSet::new(vec![Validator { key: weak, power: 1 }]);
    assert_eq!(refused, Err(ValidatorSetError::Key(SignatureError::WeakKey(weak))));
    // The same door for bytes, and one spelling: what is sorted otherwise is refused.
    let set = validators(&[3, 1, 2]);
    let mut reversed: Vec<Validator> = set.iter().copied().collect();
    reversed.reverse();
    assert!(borsh::from_slice::<ValidatorSet>(&borsh::to_vec(&reversed).unwrap()).is_err());
    let read: ValidatorSet = borsh::from_slice(&borsh::to_vec(&set).unwrap()).unwrap();
    assert_eq!((read.hash(), read), (set.hash(), set));
    assert!(borsh::from_slice::<ValidatorSet>(&[0; 4]).is_err());
}

#[test]
fn a_signature_of_zeros_does_not_hold() {
    let mut certificate = signed_by(&[0, 1, 2]);
    certificate.signatures[2].1 = Signature::from_bytes([0; 64]);
    assert!(matches!(verify(&certificate), Err(CertificateError::BadVote { .. })));
}
