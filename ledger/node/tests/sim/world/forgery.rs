//! Blocks that break one rule each.

use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamMessage};
use ledger::block::{BLOCK_BYTES_MAX, Block, BlockHash, transactions_root};
use ledger::draft::Draft;
use ledger::genesis::Genesis;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::energy::Energy;
use market::hash::Digest;
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::signed::Signed;
use market::time::{DeliveryPeriod, PeriodLength};

use super::genesis::{metering_point, party, party_key};
use crate::consensus::Candidate;
use crate::consensus::context::{Outline, Part};
use crate::consensus::parts::PIECE_BYTES_MAX;

const MINUTE_MS: i64 = 60_000;

/// Which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::consensus) enum Forgery {
    BadSignature,
    OversoldEnergy,
    AfterGate,
    ReplayedSequence,
    WrongResults,
    WrongState,
    WrongValidators,
    WrongPrevious,
    WrongHeight,
    OtherCommunity,
    UnknownVersion,
    FutureTime,
    StaleTime,
    BodyOfAnother,
    NotCanonical,
    Oversize,
    /// Long past, in parts that claim that it is proposed again.
    Backdated,
}

impl Forgery {
    pub(in crate::consensus) const ALL: [Self; 16] = [
        Self::BadSignature,
        Self::OversoldEnergy,
        Self::AfterGate,
        Self::ReplayedSequence,
        Self::WrongResults,
        Self::WrongState,
        Self::WrongValidators,
        Self::WrongPrevious,
        Self::WrongHeight,
        Self::OtherCommunity,
        Self::UnknownVersion,
        Self::FutureTime,
        Self::StaleTime,
        Self::BodyOfAnother,
        Self::NotCanonical,
        Self::Oversize,
    ];

    /// What an honest validator says about it, one or the other; nothing if it never gets to see
    /// the block.
    pub(in crate::consensus) fn named(self) -> &'static [&'static str] {
        match self {
            Self::BadSignature => &["does not count: bad signature"],
            Self::OversoldEnergy => &["the metering point is registered for"],
            Self::AfterGate => &["the last gate for this period closed at"],
            Self::ReplayedSequence => &["which already counts"],
            Self::WrongResults => &["the header's results root is"],
            Self::WrongState => &["the header's state root is"],
            Self::WrongValidators => &["the header's validator set is"],
            Self::WrongPrevious => &["but the block before is"],
            Self::WrongHeight => &["the block has height"],
            Self::OtherCommunity => &["the block belongs to community"],
            Self::UnknownVersion => &["block version 9 is unknown"],
            Self::FutureTime => &["ahead of this node's clock"],
            Self::StaleTime => &["is not after the block before", "behind this node's clock"],
            Self::BodyOfAnother => &["is not the body's"],
            Self::NotCanonical => &["bytes are no block"],
            Self::Oversize => &[],
            Self::Backdated => &["behind this node's clock"],
        }
    }

    /// Whether the block itself is good and only the bytes that carry it are not.
    pub(in crate::consensus) fn is_harmless(self) -> bool {
        matches!(self, Self::NotCanonical | Self::Oversize)
    }

    /// A part of the block as it is sent.
    pub(in crate::consensus) fn parts(
        forgery: Option<Self>,
        part: StreamMessage<Part>,
    ) -> Vec<StreamMessage<Part>> {
        match forgery {
            Some(Self::Oversize) => oversized(&part),
            Some(Self::Backdated) => vec![claimed_again(part)],
            _ => vec![part],
        }
    }

    /// Makes a bad block of a good one.
    pub(in crate::consensus) fn forge(
        self,
        genesis: &Genesis,
        state: &State,
        mut block: Block,
    ) -> Candidate {
        let header = &mut block.header;
        match self {
            Self::BadSignature => add(&mut block, order(genesis, state, 1, 100, 40)),
            Self::OversoldEnergy => add(&mut block, order(genesis, state, 0, 6_000, 40)),
            Self::AfterGate => add(&mut block, order(genesis, state, 0, 100, 2)),
            Self::ReplayedSequence => {
                let said = order(genesis, state, 0, 100, 40);
                add(&mut block, said.clone());
                add(&mut block, said);
            }
            Self::WrongResults => header.results_root = Digest::of(&[b"another price"]),
            Self::WrongState => header.state_root = Digest::of(&[b"another balance"]),
            Self::WrongValidators => header.next_validators = Digest::of(&[b"friends"]),
            Self::WrongPrevious => header.previous = BlockHash::from_bytes([6; 32]),
            Self::WrongHeight => header.height += 1,
            Self::OtherCommunity => header.chain = market::keys::ChainId::from_bytes([5; 32]),
            Self::UnknownVersion => header.version = 9,
            Self::FutureTime => header.time = header.time.plus_millis(20 * MINUTE_MS),
            Self::StaleTime => header.time = state.time(),
            Self::BodyOfAnother => header.transactions_root = Digest::of(&[b"another body"]),
            Self::NotCanonical | Self::Oversize => {}
            Self::Backdated => {
                let time = state.time().plus_millis(1);
                let draft = Draft::open(state, time, block.salt).expect("the time rises");
                block = draft.finish().expect("a block").block;
            }
        }
        let mut bytes = block.to_bytes();
        if self == Self::NotCanonical {
            bytes.push(0);
        }
        Candidate { hash: block.hash(), bytes }
    }
}

fn add(block: &mut Block, transaction: Transaction) {
    block.transactions.push(transaction);
    block.header.transactions_root = transactions_root(&block.transactions, &block.salt);
}

/// An order of household 0 for a period some minutes from now, signed with the key of `signer`.
fn order(genesis: &Genesis, state: &State, signer: usize, wh: i64, minutes: i64) -> Transaction {
    let chain = genesis.chain_id();
    let at = state.time().plus_millis(minutes * MINUTE_MS);
    let order = Order {
        community: chain,
        party: party(0),
        metering_point: metering_point(0),
        period: DeliveryPeriod::containing(at, PeriodLength::Minutes15).unwrap(),
        side: Side::Sell,
        steps: vec![Step {
            limit: Price::from_micros_per_kwh(100_000),
            energy: Energy::from_wh(wh),
        }],
        sequence: 900,
        preferences: Preferences::default(),
    };
    Transaction::Order(Signed::sign(order, &chain, &party_key(signer)).into_envelope())
}

/// The part of an honest body as the part of one that is longer than a block can be.
fn oversized(part: &StreamMessage<Part>) -> Vec<StreamMessage<Part>> {
    let StreamContent::Data(Part::Outline(outline)) = &part.content else { return Vec::new() };
    let pieces = BLOCK_BYTES_MAX / PIECE_BYTES_MAX + 1;
    let length = u32::try_from(pieces * PIECE_BYTES_MAX).unwrap();
    let stream = |at: usize, part: Part| {
        let sequence = u64::try_from(at).unwrap();
        StreamMessage::new(stream_of(outline), sequence, StreamContent::Data(part))
    };
    let first = stream(0, Part::Outline(Outline { length, ..*outline }));
    let piece = |at| stream(at, Part::Piece(vec![7; PIECE_BYTES_MAX].into()));
    std::iter::once(first).chain((1..=pieces).map(piece)).collect()
}

/// The same part, whose outline claims that the block got its prevotes in an earlier round, if there
/// was one.
fn claimed_again(mut part: StreamMessage<Part>) -> StreamMessage<Part> {
    if let StreamContent::Data(Part::Outline(outline)) = &mut part.content {
        outline.valid_round = outline.round.checked_sub(1);
    }
    part
}

fn stream_of(outline: &Outline) -> arc_malachitebft_app_channel::app::streaming::StreamId {
    let mut bytes = outline.height.to_le_bytes().to_vec();
    bytes.extend_from_slice(&outline.round.to_le_bytes());
    arc_malachitebft_app_channel::app::streaming::StreamId::new(bytes.into())
}
