//! How the engine's messages look on the wire and in its write-ahead log: borsh, length-capped.
//!
//! Decoding is total: any bytes give a message or an error, with no byte left over and no memory
//! reserved on the word of a length field. Rounds that the protocol never leaves open (-1 in the
//! engine's terms) cannot be written down here.

mod bodies;
mod peers;
#[cfg(test)]
mod tests;
mod votes;

use arc_malachitebft_app_channel::app::consensus::LivenessMsg;
use arc_malachitebft_app_channel::app::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_app_channel::app::types::{ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::{PolkaCertificate, Round, ValidatorProof};
use arc_malachitebft_sync as sync;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

use super::context::{Chain, Part};

pub(super) use bodies::{RESPONSE_BYTES_MAX, SYNC_BATCH, commit_certificate, decided_value};

/// Room for a certificate of 100 validators and the framing around it.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// The codec of every engine message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Borsh;

/// Bytes that are no message, or a message that must not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    #[error("{length} bytes are more than the {limit} a {what} can have")]
    TooLong { what: &'static str, length: usize, limit: usize },
    #[error("not a {what}: {source}")]
    Malformed { what: &'static str, source: std::io::Error },
    #[error("a {what} names no round")]
    NoRound { what: &'static str },
    #[error("a {what} carries no peer id")]
    NoPeerId { what: &'static str },
}

/// The written form of an engine message `T`.
trait Wire<T>: BorshSerialize + BorshDeserialize {
    /// Its name in errors.
    const WHAT: &'static str;
    /// The most bytes it can have.
    const LIMIT: usize;

    fn of(message: &T) -> Result<Self, CodecError>;

    fn message(self) -> Result<T, CodecError>;
}

fn read<T, W: Wire<T>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (what, length, limit) = (W::WHAT, bytes.len(), W::LIMIT);
    if length > limit {
        return Err(CodecError::TooLong { what, length, limit });
    }
    borsh::from_slice::<W>(bytes)
        .map_err(|source| CodecError::Malformed { what, source })?
        .message()
}

fn write<T, W: Wire<T>>(message: &T) -> Result<Bytes, CodecError> {
    let (what, limit) = (W::WHAT, W::LIMIT);
    let bytes =
        borsh::to_vec(&W::of(message)?).map_err(|source| CodecError::Malformed { what, source })?;
    if bytes.len() > limit {
        return Err(CodecError::TooLong { what, length: bytes.len(), limit });
    }
    Ok(bytes.into())
}

macro_rules! written_as {
    ($($message:ty => $wire:ty;)*) => {
        $(impl Codec<$message> for Borsh {
            type Error = CodecError;

            fn decode(&self, bytes: Bytes) -> Result<$message, CodecError> {
                read::<$message, $wire>(&bytes)
            }

            fn encode(&self, message: &$message) -> Result<Bytes, CodecError> {
                write::<$message, $wire>(message)
            }
        })*
    };
}

written_as! {
    SignedConsensusMsg<Chain> => votes::WireConsensus;
    LivenessMsg<Chain> => votes::WireLiveness;
    PolkaCertificate<Chain> => votes::WirePolka;
    ProposedValue<Chain> => votes::WireProposedValue;
    Part => bodies::WirePart;
    StreamMessage<Part> => bodies::WireStreamMessage;
    sync::Response<Chain> => bodies::WireResponse;
    sync::Request<Chain> => peers::WireRequest;
    sync::Status<Chain> => peers::WireStatus;
    ValidatorProof<Chain> => peers::WireProof;
}

impl HasEncodedLen<sync::Response<Chain>> for Borsh {
    fn encoded_len(&self, response: &sync::Response<Chain>) -> Result<usize, CodecError> {
        let what = bodies::WireResponse::WHAT;
        borsh::object_length(&bodies::WireResponse::of(response)?)
            .map_err(|source| CodecError::Malformed { what, source })
    }
}

fn round_of(round: Round, what: &'static str) -> Result<u32, CodecError> {
    round.as_u32().ok_or(CodecError::NoRound { what })
}
