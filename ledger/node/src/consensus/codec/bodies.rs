//! Block bodies: in parts while they are proposed, whole with their certificate while a node
//! catches up.

use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_core_types::{
    CommitSignature, ExtendedCommitCertificate, ExtendedCommitSignature, Round,
};
use arc_malachitebft_sync as sync;
use borsh::{BorshDeserialize, BorshSerialize};
use ledger::block::{BLOCK_BYTES_MAX, BlockHash};
use ledger::certificate::CommitCertificate;

use super::super::context::{Chain, Height, Outline, Part, Voter};
use super::super::parts::PIECE_BYTES_MAX;
use super::{CERTIFICATE_BYTES_MAX, CodecError, Wire};

/// How many values one sync request asks for.
pub(in super::super) const SYNC_BATCH: usize = 5;

/// The longest sync answer.
pub(in super::super) const RESPONSE_BYTES_MAX: usize =
    SYNC_BATCH * (BLOCK_BYTES_MAX + CERTIFICATE_BYTES_MAX);

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum WirePart {
    Outline { height: u64, round: u32, valid_round: Option<u32>, length: u32, digest: [u8; 32] },
    Piece(Vec<u8>),
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireStreamMessage {
    stream: Vec<u8>,
    sequence: u64,
    /// `None` is the engine's end-of-stream marker, which this chain does not need.
    part: Option<WirePart>,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireResponse {
    first: u64,
    values: Vec<(Vec<u8>, CommitCertificate)>,
}

impl Wire<Part> for WirePart {
    const WHAT: &'static str = "proposal part";
    const LIMIT: usize = PIECE_BYTES_MAX + 16;

    fn of(part: &Part) -> Result<Self, CodecError> {
        Ok(match part {
            Part::Outline(Outline { height, round, valid_round, length, digest }) => {
                let (height, round, length) = (*height, *round, *length);
                Self::Outline { height, round, valid_round: *valid_round, length, digest: *digest }
            }
            Part::Piece(piece) => Self::Piece(piece.to_vec()),
        })
    }

    fn message(self) -> Result<Part, CodecError> {
        Ok(match self {
            Self::Outline { height, round, valid_round, length, digest } => {
                Part::Outline(Outline { height, round, valid_round, length, digest })
            }
            Self::Piece(piece) => Part::Piece(piece.into()),
        })
    }
}

impl Wire<StreamMessage<Part>> for WireStreamMessage {
    const WHAT: &'static str = "stream message";
    const LIMIT: usize = PIECE_BYTES_MAX + 64;

    fn of(message: &StreamMessage<Part>) -> Result<Self, CodecError> {
        Ok(Self {
            stream: message.stream_id.to_bytes().to_vec(),
            sequence: message.sequence,
            part: message.content.as_data().map(WirePart::of).transpose()?,
        })
    }

    fn message(self) -> Result<StreamMessage<Part>, CodecError> {
        let content = match self.part {
            Some(part) => StreamContent::Data(part.message()?),
            None => StreamContent::Fin,
        };
        Ok(StreamMessage::new(StreamId::new(self.stream.into()), self.sequence, content))
    }
}

impl Wire<sync::Response<Chain>> for WireResponse {
    const WHAT: &'static str = "value response";
    const LIMIT: usize = RESPONSE_BYTES_MAX;

    fn of(response: &sync::Response<Chain>) -> Result<Self, CodecError> {
        let sync::Response::ValueResponse(response) = response;
        let values = response.values.iter().map(|value| {
            let certificate = value.certificate.trim_vote_extensions();
            let votes = &certificate.commit_signatures;
            commit_certificate(certificate.height, certificate.round, certificate.value_id, votes)
                .map(|certificate| (value.value_bytes.to_vec(), certificate))
                .ok_or(CodecError::NoRound { what: Self::WHAT })
        });
        Ok(Self { first: response.start_height.0, values: values.collect::<Result<_, _>>()? })
    }

    fn message(self) -> Result<sync::Response<Chain>, CodecError> {
        let values = self.values.into_iter();
        let values = values.map(|(body, certificate)| decided_value(body, &certificate)).collect();
        let response = sync::ValueResponse::new(Height(self.first), values);
        Ok(sync::Response::ValueResponse(response))
    }
}

/// A committed block in the engine's terms.
pub(in super::super) fn decided_value(
    body: Vec<u8>,
    certificate: &CommitCertificate,
) -> sync::RawDecidedValue<Chain> {
    let signatures = certificate
        .signatures
        .iter()
        .map(|(voter, signature)| ExtendedCommitSignature::new(Voter(*voter), *signature, None));
    let certificate = ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: certificate.round.into(),
        value_id: certificate.block,
        commit_signatures: signatures.collect(),
    };
    sync::RawDecidedValue::new(body.into(), certificate)
}

/// The engine's certificate in the ledger's terms, signatures by address; `None` without a round.
pub(in super::super) fn commit_certificate(
    height: Height,
    round: Round,
    block: BlockHash,
    signatures: &[CommitSignature<Chain>],
) -> Option<CommitCertificate> {
    let votes = signatures.iter().map(|vote| (vote.address.0, vote.signature));
    let mut signatures: Vec<_> = votes.collect();
    signatures.sort_unstable();
    Some(CommitCertificate { height: height.0, round: round.as_u32()?, block, signatures })
}
