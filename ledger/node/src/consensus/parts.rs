//! Block bodies in pieces: cut by the proposer, put together by everybody else.
//!
//! Parts are not signed, so nothing in them is believed. A stream is named by its publisher (whose
//! signature the network checks), height and round; only publishers on the allow list are heard;
//! each has room for a few streams near the current height, each stream for one block, and each
//! stream is handed out at most once. The body must match the length and the SHA-256 in its
//! outline; whether it is the block of the hash in the proposal is for the application to say.

use std::collections::{BTreeMap, BTreeSet};

use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::PeerId;
use bytes::Bytes;
use ledger::block::BLOCK_BYTES_MAX;
use market::hash::Digest;

use super::context::{Outline, Part};

/// The longest piece of a body, in bytes.
pub(super) const PIECE_BYTES_MAX: usize = 128 * 1024;
/// Streams held per publisher: two rounds each of this height and the next.
const STREAMS_PER_PUBLISHER: usize = 4;
/// Heights after the next one for which parts are kept: others may be ahead while we commit.
const HEIGHTS_AHEAD: u64 = 3;
/// Rounds after the current one for which parts are kept; the engine looks ahead as far.
pub(super) const ROUNDS_AHEAD: u32 = 10;

/// A body whose pieces are all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) outline: Outline,
    pub(super) bytes: Vec<u8>,
}

/// Why a part was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PartRefused {
    #[error("its publisher is not on the allow list")]
    Stranger,
    #[error("it stands at no place of a stream")]
    Misplaced,
    #[error("it is for height {height}, round {round}, which is not near")]
    NotNear { height: u64, round: u32 },
    #[error("its outline promises what no proposal can be")]
    BadOutline,
    #[error("its stream is longer than a block can be")]
    TooLong,
    #[error("the pieces do not add up to the body of the outline")]
    WrongBody,
}

/// Which height and round are being decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) height: u64,
    pub(super) round: u32,
}

type Key = (PeerId, u64, u32);

/// The bodies on their way to this node.
#[derive(Debug)]
pub(super) struct Assembly {
    publishers: BTreeSet<PeerId>,
    growing: BTreeMap<Key, Growing>,
    whole: BTreeMap<Key, Body>,
    closed: BTreeSet<Key>,
}

#[derive(Debug, Default)]
struct Growing {
    outline: Option<Outline>,
    pieces: BTreeMap<u64, Bytes>,
    length: usize,
}

/// The messages that carry a body. A body longer than a block can be gives none.
pub(super) fn cut(place: Place, valid_round: Option<u32>, body: &[u8]) -> Vec<StreamMessage<Part>> {
    let Some(length) = u32::try_from(body.len()).ok().filter(|_| body.len() <= BLOCK_BYTES_MAX)
    else {
        return Vec::new();
    };
    let Place { height, round } = place;
    let digest = *Digest::of(&[body]).as_bytes();
    let outline = Part::Outline(Outline { height, round, valid_round, length, digest });
    let pieces = body.chunks(PIECE_BYTES_MAX).map(|piece| Part::Piece(piece.to_vec().into()));
    let parts = std::iter::once(outline).chain(pieces);
    (0_u64..)
        .zip(parts)
        .map(|(at, part)| StreamMessage::new(stream_id(place), at, StreamContent::Data(part)))
        .collect()
}

impl Assembly {
    /// Hears these publishers and nobody else.
    pub(super) fn new(publishers: BTreeSet<PeerId>) -> Self {
        Self {
            publishers,
            growing: BTreeMap::new(),
            whole: BTreeMap::new(),
            closed: BTreeSet::new(),
        }
    }

    /// From now on hears these publishers and nobody else.
    pub(super) fn hear(&mut self, publishers: BTreeSet<PeerId>) {
        self.growing.retain(|key, _| publishers.contains(&key.0));
        self.whole.retain(|key, _| publishers.contains(&key.0));
        self.publishers = publishers;
    }

    /// Takes a part in.
    pub(super) fn add(
        &mut self,
        publisher: PeerId,
        message: StreamMessage<Part>,
        now: Place,
    ) -> Result<(), PartRefused> {
        if !self.publishers.contains(&publisher) {
            return Err(PartRefused::Stranger);
        }
        let StreamContent::Data(part) = message.content else {
            return Ok(());
        };
        let place = place_of(&message.stream_id).ok_or(PartRefused::Misplaced)?;
        if !is_near(place, now) {
            return Err(PartRefused::NotNear { height: place.height, round: place.round });
        }
        let key = (publisher, place.height, place.round);
        if self.closed.contains(&key) || self.whole.contains_key(&key) {
            return Ok(());
        }
        self.make_room(key);
        let stream = self.growing.entry(key).or_default();
        match stream.add(place, message.sequence, part) {
            Ok(None) => Ok(()),
            Ok(Some(body)) => {
                self.growing.remove(&key);
                self.whole.insert(key, body);
                Ok(())
            }
            Err(refused) => {
                self.growing.remove(&key);
                self.closed.insert(key);
                Err(refused)
            }
        }
    }

    /// Hands out, once each, the whole bodies of the current height up to the current round.
    pub(super) fn take(&mut self, now: Place) -> Option<Body> {
        let due = |key: &&Key| key.1 == now.height && key.2 <= now.round;
        let key = *self.whole.keys().find(due)?;
        self.closed.insert(key);
        self.whole.remove(&key)
    }

    /// Whether anything was heard for this height.
    pub(super) fn knows_of(&self, height: u64) -> bool {
        self.growing.keys().chain(self.whole.keys()).any(|key| key.1 == height)
    }

    /// Forgets what is below this height.
    pub(super) fn prune(&mut self, height: u64) {
        self.growing.retain(|key, _| key.1 >= height);
        self.whole.retain(|key, _| key.1 >= height);
        self.closed.retain(|key| key.1 >= height);
    }

    /// Drops the publisher's oldest stream if this one would be one too many.
    fn make_room(&mut self, new: Key) {
        if self.growing.contains_key(&new) {
            return;
        }
        let own = |key: &&Key| key.0 == new.0;
        let mut keys: Vec<Key> =
            self.growing.keys().chain(self.whole.keys()).filter(own).copied().collect();
        if keys.len() < STREAMS_PER_PUBLISHER {
            return;
        }
        keys.sort_unstable();
        if let Some(oldest) = keys.first() {
            self.growing.remove(oldest);
            self.whole.remove(oldest);
        }
    }
}

impl Growing {
    /// Gives the body once it is whole.
    fn add(
        &mut self,
        place: Place,
        sequence: u64,
        part: Part,
    ) -> Result<Option<Body>, PartRefused> {
        match part {
            Part::Outline(outline) if sequence == 0 => {
                check_outline(&outline, place)?;
                self.outline.get_or_insert(outline);
            }
            Part::Piece(piece) if (1..=pieces_of(BLOCK_BYTES_MAX)).contains(&sequence) => {
                if piece.is_empty() || piece.len() > PIECE_BYTES_MAX {
                    return Err(PartRefused::Misplaced);
                }
                if !self.pieces.contains_key(&sequence) {
                    self.length = self.length.saturating_add(piece.len());
                    self.pieces.insert(sequence, piece);
                }
            }
            Part::Outline(_) | Part::Piece(_) => return Err(PartRefused::Misplaced),
        }
        if self.length > BLOCK_BYTES_MAX {
            return Err(PartRefused::TooLong);
        }
        let Some(outline) = self.outline else { return Ok(None) };
        self.whole(outline)
    }

    fn whole(&mut self, outline: Outline) -> Result<Option<Body>, PartRefused> {
        let length = usize::try_from(outline.length).map_err(|_| PartRefused::BadOutline)?;
        let expected = pieces_of(length);
        if u64::try_from(self.pieces.len()).is_ok_and(|have| have < expected) {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.pieces).into_values().collect::<Vec<_>>().concat();
        if bytes.len() == length && *Digest::of(&[&bytes]).as_bytes() == outline.digest {
            Ok(Some(Body { outline, bytes }))
        } else {
            Err(PartRefused::WrongBody)
        }
    }
}

fn check_outline(outline: &Outline, place: Place) -> Result<(), PartRefused> {
    let placed = (outline.height, outline.round) == (place.height, place.round);
    let sized =
        usize::try_from(outline.length).is_ok_and(|len| (1..=BLOCK_BYTES_MAX).contains(&len));
    // A body that claims an earlier round is judged more mildly, so round 0 can claim none.
    let earlier = outline.valid_round.is_none_or(|round| round < outline.round);
    if placed && sized && earlier { Ok(()) } else { Err(PartRefused::BadOutline) }
}

fn is_near(place: Place, now: Place) -> bool {
    let round = if place.height == now.height { now.round } else { 0 };
    (now.height..=now.height.saturating_add(HEIGHTS_AHEAD)).contains(&place.height)
        && place.round <= round.saturating_add(ROUNDS_AHEAD)
}

fn pieces_of(length: usize) -> u64 {
    u64::try_from(length.div_ceil(PIECE_BYTES_MAX)).unwrap_or(u64::MAX)
}

/// A publisher has one stream per height and round, so resending it fills the gaps of the first.
fn stream_id(place: Place) -> StreamId {
    let mut id = place.height.to_le_bytes().to_vec();
    id.extend_from_slice(&place.round.to_le_bytes());
    StreamId::new(id.into())
}

fn place_of(id: &StreamId) -> Option<Place> {
    let bytes = id.to_bytes();
    let (height, round) = bytes.split_first_chunk::<8>()?;
    Some(Place {
        height: u64::from_le_bytes(*height),
        round: u32::from_le_bytes(round.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Place = Place { height: 5, round: 1 };

    fn peer(byte: u8) -> PeerId {
        // An identity multihash: code 0, length 1, one byte.
        PeerId::from_bytes(&[0, 1, byte]).unwrap()
    }

    fn assembly() -> Assembly {
        Assembly::new(BTreeSet::from([peer(1), peer(2)]))
    }

    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[test]
    fn a_body_survives_any_order_and_repetition_of_its_parts() {
        for length in [1, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1, BLOCK_BYTES_MAX] {
            let body = body(length);
            let mut parts = cut(NOW, Some(0), &body);
            parts.extend(parts.clone());
            parts.reverse();
            let mut assembly = assembly();
            for part in parts {
                assembly.add(peer(1), part, NOW).unwrap();
            }
            let taken = assembly.take(NOW).unwrap();
            assert_eq!(taken.bytes, body);
            assert_eq!(taken.outline.valid_round, Some(0));
            for part in cut(NOW, Some(0), &body) {
                assembly.add(peer(1), part, NOW).unwrap();
            }
            assert_eq!(assembly.take(NOW), None, "a stream is handed out once");
        }
        assert!(cut(NOW, None, &body(BLOCK_BYTES_MAX + 1)).is_empty());
    }

    #[test]
    fn a_body_waits_for_its_height_and_round() {
        let mut assembly = assembly();
        for place in [Place { height: 6, round: 0 }, Place { height: 5, round: 2 }] {
            for part in cut(place, None, &body(10)) {
                assembly.add(peer(1), part, NOW).unwrap();
            }
        }
        assert_eq!(assembly.take(NOW), None);
        assert!(assembly.knows_of(6));
        assert!(assembly.take(Place { height: 5, round: 2 }).is_some());
        assembly.prune(6);
        assert!(assembly.take(Place { height: 6, round: 0 }).is_some());
    }

    #[test]
    fn strangers_far_places_and_lies_are_refused() {
        let mut assembly = assembly();
        let place = |height, round| Place { height, round };
        let first = |place, valid_round| cut(place, valid_round, &body(10)).remove(0);
        assert_eq!(assembly.add(peer(9), first(NOW, None), NOW), Err(PartRefused::Stranger));
        for far in [place(4, 0), place(9, 0), place(5, 12), place(6, 11)] {
            let PartRefused::NotNear { .. } =
                assembly.add(peer(1), first(far, None), NOW).unwrap_err()
            else {
                panic!("{far:?} is not near")
            };
        }
        let claims_itself = first(place(5, 0), Some(0));
        assert_eq!(assembly.add(peer(1), claims_itself, NOW), Err(PartRefused::BadOutline));
        let mut parts = cut(place(5, 1), None, &body(10));
        parts[1].content = StreamContent::Data(Part::Piece(body(11).into()));
        assembly.add(peer(1), parts.remove(0), NOW).unwrap();
        assert_eq!(assembly.add(peer(1), parts.remove(0), NOW), Err(PartRefused::WrongBody));
    }

    #[test]
    fn one_publisher_cannot_take_more_than_its_room_nor_the_room_of_others() {
        let mut assembly = assembly();
        let kept = body(BLOCK_BYTES_MAX);
        for part in cut(NOW, None, &kept) {
            assembly.add(peer(2), part, NOW).unwrap();
        }
        for height in 5..=8 {
            for round in 0..=10 {
                let mut parts = cut(Place { height, round }, None, &body(BLOCK_BYTES_MAX));
                parts.pop();
                for part in parts {
                    assembly.add(peer(1), part, NOW).unwrap();
                }
            }
        }
        let held: usize = assembly.growing.values().map(|stream| stream.length).sum();
        assert!(held <= STREAMS_PER_PUBLISHER * BLOCK_BYTES_MAX, "{held} bytes held");
        assert!(assembly.take(NOW).is_some(), "the other publisher's body is still there");
    }
}
