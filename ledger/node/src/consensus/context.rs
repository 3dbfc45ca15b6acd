//! The engine's nouns in terms of the ledger's: heights, votes, proposals, validators.
//!
//! Most types are one-field wrappers, because the engine's traits and the ledger's types both
//! belong to other crates. They stay inside this room.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_malachitebft_core_types as engine;
use bytes::Bytes;
use engine::{Context, LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType, VotingPower};
use ledger::block::BlockHash;
use ledger::validators::{Address, ValidatorSet};
use market::keys::PublicKey;

use super::signing::Ed25519;

/// The engine's bundle of types for this chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain;

/// A block height; 0 is genesis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Height(pub(super) u64);

/// The address of a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Voter(pub(super) Address);

/// What is voted on. The engine passes only the hash around; bodies travel in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value(pub(super) BlockHash);

/// A validator of one height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) voter: Voter,
    pub(super) key: PublicKey,
    pub(super) power: VotingPower,
}

/// The validators of one height, in the order of the ledger's set: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seats {
    first: Seat,
    seats: Arc<[Seat]>,
    total_power: VotingPower,
}

/// A prevote or precommit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) kind: VoteType,
    pub(super) height: Height,
    pub(super) round: Round,
    pub(super) value: NilOrVal<BlockHash>,
    pub(super) voter: Voter,
}

/// A proposal: the signed claim that a block is this round's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) height: Height,
    pub(super) round: Round,
    pub(super) value: Value,
    pub(super) pol_round: Round,
    pub(super) proposer: Voter,
}

/// One message of a block body's way through the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The first: what follows.
    Outline(Outline),
    /// A piece of the body.
    Piece(Bytes),
}

/// What a stream of pieces will add up to. Unsigned: everything in it is a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) height: u64,
    pub(super) round: u32,
    /// The earlier round in which the block got a quorum of prevotes, if it is proposed again.
    pub(super) valid_round: Option<u32>,
    /// Length of the whole body in bytes.
    pub(super) length: u32,
    /// SHA-256 of the whole body.
    pub(super) digest: [u8; 32],
}

impl Seats {
    /// The seats of a set, or `None` if it is empty.
    pub(super) fn of(set: &ValidatorSet) -> Option<Self> {
        let seats: Arc<[Seat]> = set
            .iter()
            .map(|validator| Seat {
                voter: Voter(validator.address()),
                key: validator.key,
                power: validator.power,
            })
            .collect();
        let total_power = seats.iter().fold(0, |sum: u64, seat| sum.saturating_add(seat.power));
        Some(Self { first: *seats.first()?, seats, total_power })
    }

    /// Whose turn it is: the validators in their order, one further with every height and round.
    /// Equal turns whatever the power, so that a dead proposer is passed after one round.
    pub(super) fn proposer(&self, height: u64, round: u32) -> &Seat {
        let turns = u128::from(height) + u128::from(round);
        let turn = turns % (self.seats.len() as u128);
        usize::try_from(turn).ok().and_then(|turn| self.seats.get(turn)).unwrap_or(&self.first)
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// The voting powers by key.
    pub(super) fn powers(&self) -> BTreeMap<&[u8], VotingPower> {
        self.seats.iter().map(|seat| (seat.key.as_bytes().as_slice(), seat.power)).collect()
    }

    /// Whether this much power is more than two thirds of all.
    pub(super) fn is_quorum(&self, power: VotingPower) -> bool {
        u128::from(power) * 3 > u128::from(self.total_power) * 2
    }

    pub(super) fn seat(&self, voter: &Voter) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.voter == *voter)
    }
}

impl Context for Chain {
    type Address = Voter;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Seat;
    type ValidatorSet = Seats;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, seats: &'a Seats, height: Height, round: Round) -> &'a Seat {
        // The engine asks for round -1 nowhere; the first round stands in.
        seats.proposer(height.0, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        proposer: Voter,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, proposer }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<BlockHash>,
        voter: Voter,
    ) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, voter }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<BlockHash>,
        voter: Voter,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, voter }
    }
}

impl engine::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Address for Voter {}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Value for Value {
    type Id = BlockHash;

    fn id(&self) -> BlockHash {
        self.0
    }
}

impl engine::Validator<Chain> for Seat {
    fn address(&self) -> &Voter {
        &self.voter
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> VotingPower {
        self.power
    }
}

impl engine::ValidatorSet<Chain> for Seats {
    fn count(&self) -> usize {
        self.seats.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.total_power
    }

    fn get_by_address(&self, address: &Voter) -> Option<&Seat> {
        self.seat(address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Seat> {
        self.seats.get(index)
    }
}

impl engine::Vote<Chain> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockHash> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockHash> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Voter {
        &self.voter
    }

    // This chain has no vote extensions: every height runs with the policy `Disabled`.

    fn extension(&self) -> Option<&SignedExtension<Chain>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Chain>> {
        None
    }

    fn extend(self, _: SignedExtension<Chain>) -> Self {
        self
    }
}

impl engine::Proposal<Chain> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Voter {
        &self.proposer
    }
}

impl engine::ProposalPart<Chain> for Part {
    fn is_first(&self) -> bool {
        matches!(self, Self::Outline(_))
    }

    fn is_last(&self) -> bool {
        // The outline states the length, so no part needs to say that it is the last.
        false
    }
}
