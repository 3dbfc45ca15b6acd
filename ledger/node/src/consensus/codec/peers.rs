//! What validators tell each other about themselves.

use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_core_types::ValidatorProof;
use arc_malachitebft_sync as sync;
use borsh::{BorshDeserialize, BorshSerialize};
use market::keys::Signature;

use super::super::context::{Chain, Height};
use super::{CodecError, Wire};

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireProof {
    public_key: Vec<u8>,
    peer: Vec<u8>,
    signature: Signature,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireStatus {
    peer: Vec<u8>,
    tip: u64,
    history_min: u64,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireRequest {
    first: u64,
    last: u64,
}

impl Wire<ValidatorProof<Chain>> for WireProof {
    const WHAT: &'static str = "validator proof";
    const LIMIT: usize = 256;

    fn of(proof: &ValidatorProof<Chain>) -> Result<Self, CodecError> {
        Ok(Self {
            public_key: proof.public_key.clone(),
            peer: proof.peer_id.clone(),
            signature: proof.signature,
        })
    }

    fn message(self) -> Result<ValidatorProof<Chain>, CodecError> {
        Ok(ValidatorProof::new(self.public_key, self.peer, self.signature))
    }
}

impl Wire<sync::Status<Chain>> for WireStatus {
    const WHAT: &'static str = "status";
    const LIMIT: usize = 128;

    fn of(status: &sync::Status<Chain>) -> Result<Self, CodecError> {
        Ok(Self {
            peer: status.peer_id.to_bytes(),
            tip: status.tip_height.0,
            history_min: status.history_min_height.0,
        })
    }

    fn message(self) -> Result<sync::Status<Chain>, CodecError> {
        let no_peer_id = |_| CodecError::NoPeerId { what: Self::WHAT };
        Ok(sync::Status {
            peer_id: PeerId::from_bytes(&self.peer).map_err(no_peer_id)?,
            tip_height: Height(self.tip),
            history_min_height: Height(self.history_min),
        })
    }
}

impl Wire<sync::Request<Chain>> for WireRequest {
    const WHAT: &'static str = "value request";
    const LIMIT: usize = 16;

    fn of(request: &sync::Request<Chain>) -> Result<Self, CodecError> {
        let sync::Request::ValueRequest(request) = request;
        Ok(Self { first: request.range.start().0, last: request.range.end().0 })
    }

    fn message(self) -> Result<sync::Request<Chain>, CodecError> {
        let range = Height(self.first)..=Height(self.last);
        Ok(sync::Request::ValueRequest(sync::ValueRequest::new(range)))
    }
}
