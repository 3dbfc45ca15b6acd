//! What is written is read back; anything else is an error, never a panic or a wrong message.

use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamId};
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_core_types::{
    NilOrVal, PolkaSignature, RoundCertificate, RoundCertificateType, RoundSignature,
    SignedMessage, Validity, VoteType,
};
use ledger::block::{BLOCK_BYTES_MAX, BlockHash};
use ledger::certificate::CommitCertificate;
use ledger::validators::Address;
use market::keys::Signature;
use proptest::prelude::*;

use super::super::context::{Height, Outline, Proposal, Value, Vote, Voter};
use super::super::parts::PIECE_BYTES_MAX;
use super::*;

fn block() -> impl Strategy<Value = BlockHash> {
    any::<[u8; 32]>().prop_map(BlockHash::from_bytes)
}

fn voter() -> impl Strategy<Value = Voter> {
    any::<[u8; 20]>().prop_map(|bytes| Voter(Address::from_bytes(bytes)))
}

fn signature() -> impl Strategy<Value = Signature> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(one, other)| {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&one);
        bytes[32..].copy_from_slice(&other);
        Signature::from_bytes(bytes)
    })
}

fn kind() -> impl Strategy<Value = VoteType> {
    prop_oneof![Just(VoteType::Prevote), Just(VoteType::Precommit)]
}

fn nil_or_block() -> impl Strategy<Value = NilOrVal<BlockHash>> {
    prop_oneof![Just(NilOrVal::Nil), block().prop_map(NilOrVal::Val)]
}

fn optional_round() -> impl Strategy<Value = Round> {
    any::<Option<u32>>().prop_map(Round::from)
}

fn vote() -> impl Strategy<Value = SignedMessage<Chain, Vote>> {
    (kind(), any::<u64>(), any::<u32>(), nil_or_block(), voter(), signature()).prop_map(
        |(kind, height, round, value, voter, signature)| {
            let (height, round) = (Height(height), Round::new(round));
            SignedMessage::new(Vote { kind, height, round, value, voter }, signature)
        },
    )
}

fn consensus() -> impl Strategy<Value = SignedConsensusMsg<Chain>> {
    let proposal = (any::<u64>(), any::<u32>(), block(), optional_round(), voter(), signature())
        .prop_map(|(height, round, block, pol_round, proposer, signature)| {
            let (height, round) = (Height(height), Round::new(round));
            let value = Value(block);
            SignedMessage::new(Proposal { height, round, value, pol_round, proposer }, signature)
        });
    prop_oneof![
        vote().prop_map(SignedConsensusMsg::Vote),
        proposal.prop_map(SignedConsensusMsg::Proposal),
    ]
}

fn polka() -> impl Strategy<Value = PolkaCertificate<Chain>> {
    let votes = prop::collection::vec((voter(), signature()), 0..=100);
    (any::<u64>(), any::<u32>(), block(), votes).prop_map(|(height, round, value_id, votes)| {
        let votes = votes.into_iter().map(|(voter, sign)| PolkaSignature::new(voter, sign));
        let (height, round) = (Height(height), Round::new(round));
        PolkaCertificate { height, round, value_id, polka_signatures: votes.collect() }
    })
}

fn liveness() -> impl Strategy<Value = LivenessMsg<Chain>> {
    let votes = prop::collection::vec((kind(), nil_or_block(), voter(), signature()), 0..=100);
    let cert_type =
        prop_oneof![Just(RoundCertificateType::Skip), Just(RoundCertificateType::Precommit)];
    let round = (any::<u64>(), any::<u32>(), cert_type, votes).prop_map(
        |(height, round, cert_type, votes)| RoundCertificate {
            height: Height(height),
            round: Round::new(round),
            cert_type,
            round_signatures: votes
                .into_iter()
                .map(|(kind, value, voter, sign)| RoundSignature::new(kind, value, voter, sign))
                .collect(),
        },
    );
    prop_oneof![
        vote().prop_map(LivenessMsg::Vote),
        polka().prop_map(LivenessMsg::PolkaCertificate),
        round.prop_map(LivenessMsg::SkipRoundCertificate),
    ]
}

fn proposed_value() -> impl Strategy<Value = ProposedValue<Chain>> {
    (any::<u64>(), any::<u32>(), optional_round(), voter(), block(), any::<bool>()).prop_map(
        |(height, round, valid_round, proposer, block, valid)| ProposedValue {
            height: Height(height),
            round: Round::new(round),
            valid_round,
            proposer,
            value: Value(block),
            validity: Validity::from_bool(valid),
        },
    )
}

fn part() -> impl Strategy<Value = Part> {
    let piece = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        (any::<u64>(), any::<u32>(), any::<Option<u32>>(), any::<u32>(), any::<[u8; 32]>())
            .prop_map(|(height, round, valid_round, length, digest)| {
                Part::Outline(Outline { height, round, valid_round, length, digest })
            }),
        piece.prop_map(|piece| Part::Piece(piece.into())),
    ]
}

fn stream() -> impl Strategy<Value = StreamMessage<Part>> {
    let id = prop::collection::vec(any::<u8>(), 0..16);
    (id, any::<u64>(), prop::option::of(part())).prop_map(|(id, sequence, part)| {
        let content = part.map_or(StreamContent::Fin, StreamContent::Data);
        StreamMessage::new(StreamId::new(id.into()), sequence, content)
    })
}

fn response() -> impl Strategy<Value = sync::Response<Chain>> {
    let body = prop::collection::vec(any::<u8>(), 0..300);
    let votes = prop::collection::btree_map(any::<[u8; 20]>(), signature(), 0..=100);
    let value = (body, any::<u64>(), any::<u32>(), block(), votes).prop_map(
        |(body, height, round, block, votes)| {
            let votes = votes.into_iter();
            let signatures =
                votes.map(|(voter, sign)| (Address::from_bytes(voter), sign)).collect();
            decided_value(body, &CommitCertificate { height, round, block, signatures })
        },
    );
    (any::<u64>(), prop::collection::vec(value, 0..SYNC_BATCH)).prop_map(|(first, values)| {
        sync::Response::ValueResponse(sync::ValueResponse::new(Height(first), values))
    })
}

fn request() -> impl Strategy<Value = sync::Request<Chain>> {
    any::<(u64, u64)>().prop_map(|(first, last)| {
        sync::Request::ValueRequest(sync::ValueRequest::new(Height(first)..=Height(last)))
    })
}

fn status() -> impl Strategy<Value = sync::Status<Chain>> {
    any::<(u8, u64, u64)>().prop_map(|(peer, tip, history_min)| sync::Status {
        peer_id: PeerId::from_bytes(&[0, 1, peer]).unwrap(),
        tip_height: Height(tip),
        history_min_height: Height(history_min),
    })
}

fn proof() -> impl Strategy<Value = ValidatorProof<Chain>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..50);
    (bytes(), bytes(), signature())
        .prop_map(|(public_key, peer, signature)| ValidatorProof::new(public_key, peer, signature))
}

/// Written, read back equal; every cut and every byte too many is refused.
fn check<T>(message: &T)
where
    T: PartialEq + std::fmt::Debug,
    Borsh: Codec<T, Error = CodecError>,
{
    let bytes = Borsh.encode(message).unwrap();
    assert_eq!(&Borsh.decode(bytes.clone()).unwrap(), message);
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(<Borsh as Codec<T>>::decode(&Borsh, bytes.slice(..cut)).is_err(), "cut at {cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(<Borsh as Codec<T>>::decode(&Borsh, longer.into()).is_err());
}

/// Whatever the bytes are, a message that is read writes the same bytes again.
fn check_garbage<T>(bytes: &[u8])
where
    Borsh: Codec<T, Error = CodecError>,
{
    if let Ok(message) = <Borsh as Codec<T>>::decode(&Borsh, bytes.to_vec().into()) {
        let written = Borsh.encode(&message).unwrap();
        assert_eq!(&written[..], bytes, "two spellings of one message");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_is_read_back_as_written(
        consensus in consensus(), liveness in liveness(), polka in polka(),
        proposed_value in proposed_value(), part in part(), stream in stream(),
        response in response(), request in request(), status in status(), proof in proof(),
    ) {
        check(&consensus);
        check(&liveness);
        check(&polka);
        check(&proposed_value);
        check(&part);
        check(&stream);
        check(&request);
        check(&status);
        check(&proof);
        check(&response);
        let length = Borsh.encoded_len(&response).unwrap();
        prop_assert_eq!(length, Borsh.encode(&response).unwrap().len());
    }

    #[test]
    fn garbage_is_refused_or_is_the_only_spelling_of_a_message(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        check_garbage::<SignedConsensusMsg<Chain>>(&bytes);
        check_garbage::<LivenessMsg<Chain>>(&bytes);
        check_garbage::<PolkaCertificate<Chain>>(&bytes);
        check_garbage::<ProposedValue<Chain>>(&bytes);
        check_garbage::<Part>(&bytes);
        check_garbage::<StreamMessage<Part>>(&bytes);
        check_garbage::<sync::Request<Chain>>(&bytes);
        check_garbage::<sync::Status<Chain>>(&bytes);
        check_garbage::<ValidatorProof<Chain>>(&bytes);
    }

    #[test]
    fn one_changed_byte_never_panics(
        consensus in consensus(), liveness in liveness(), response in response(),
        at in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        fn change<T>(message: &T, at: prop::sample::Index, flip: u8)
        where
            Borsh: Codec<T, Error = CodecError>,
        {
            let mut bytes = Borsh.encode(message).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let _ = <Borsh as Codec<T>>::decode(&Borsh, bytes.into());
        }
        change(&consensus, at, flip);
        change(&liveness, at, flip);
        change(&response, at, flip);
    }
}

#[test]
fn a_full_piece_and_a_full_sync_answer_fit_and_a_byte_more_does_not() {
    let piece = |length| Part::Piece(vec![7; length].into());
    check(&piece(PIECE_BYTES_MAX));
    assert!(Borsh.encode(&piece(PIECE_BYTES_MAX + 100)).is_err());
    let message = StreamMessage::new(
        StreamId::new(vec![1; 12].into()),
        8,
        StreamContent::Data(piece(PIECE_BYTES_MAX)),
    );
    check(&message);

    let signatures = (0..100_u8)
        .map(|at| (Address::from_bytes([at; 20]), Signature::from_bytes([at; 64])))
        .collect();
    let block = BlockHash::from_bytes([1; 32]);
    let certificate = CommitCertificate { height: 1, round: 0, block, signatures };
    let value = decided_value(vec![7; BLOCK_BYTES_MAX], &certificate);
    let response = sync::ValueResponse::new(Height(1), vec![value; SYNC_BATCH]);
    let bytes = Borsh.encode(&sync::Response::ValueResponse(response)).unwrap();
    assert!(bytes.len() <= RESPONSE_BYTES_MAX);
}

#[test]
fn a_length_field_that_lies_reserves_no_memory() {
    // A vote list that claims 4 billion entries, and a piece that claims 4 GB.
    let mut polka = vec![0; 44];
    polka.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(<Borsh as Codec<PolkaCertificate<Chain>>>::decode(&Borsh, polka.into()).is_err());
    let piece = [&[1][..], &u32::MAX.to_le_bytes(), &[0; 8]].concat();
    assert!(<Borsh as Codec<Part>>::decode(&Borsh, piece.into()).is_err());
}

#[test]
fn a_vote_without_a_round_is_not_written() {
    let vote = Vote {
        kind: VoteType::Prevote,
        height: Height(1),
        round: Round::Nil,
        value: NilOrVal::Nil,
        voter: Voter(Address::from_bytes([1; 20])),
    };
    let vote = SignedMessage::new(vote, Signature::from_bytes([0; 64]));
    assert!(Borsh.encode(&SignedConsensusMsg::Vote(vote)).is_err());
}
