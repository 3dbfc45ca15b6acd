//! Requests and answers between two nodes, and their bytes on the wire. All integers are
//! big-endian.
//!
//! ```text
//! frame       length u32 | body
//! body        version u8 (2) | kind u8 | content
//! request 1   blocks:    from_height u64 | count_max u16 | flags u8 (bit 0: with results)
//! request 2   snapshot:  height u64 (0: the newest) | offset u64
//! answer 81h  blocks:    tip_height u64 | count u32 | count x (length u32 | bytes)
//! answer 82h  snapshot:  height u64 | total u64 | length u32 | bytes
//! ```
//!
//! The functions here encode and decode bodies. Decoding is total: any bytes give a value or an
//! error, memory stays within the input's own size, and one value has one encoding.

use crate::error::MeshError;
use crate::limits::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MAX};

const VERSION: u8 = 2;
const BLOCKS: u8 = 1;
const SNAPSHOT: u8 = 2;
/// Answers have kinds of their own, so that no piece of one reads as a question.
const BLOCKS_ANSWER: u8 = 0x81;
const SNAPSHOT_ANSWER: u8 = 0x82;
const WITH_RESULTS: u8 = 1;

/// What one node asks another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// For committed blocks.
    Blocks(BlockRequest),
    /// For a part of a snapshot of the state.
    Snapshot(SnapshotRequest),
}

/// What the other answers: always of the request's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Committed blocks.
    Blocks(BlockResponse),
    /// A part of a snapshot.
    Snapshot(SnapshotResponse),
}

/// Asks a neighbour for committed blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRequest {
    /// The first height wanted.
    pub from_height: u64,
    /// How many blocks at most, 0 to learn the tip height alone.
    pub count_max: u16,
    /// Whether the results of each block are wanted too.
    pub with_results: bool,
}

/// A neighbour's answer. It may hold fewer blocks than were asked for, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockResponse {
    /// The height of the answering node's last committed block. Its word, not a proof.
    pub tip_height: u64,
    /// Encoded committed blocks, opaque to the mesh, from the requested height upwards.
    pub blocks: Vec<Vec<u8>>,
}

/// Asks a neighbour for a part of a certified snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The height after which the state is wanted, 0 for the newest that the neighbour has.
    pub height: u64,
    /// The first byte wanted.
    pub offset: u64,
}

/// A neighbour's answer. Without a snapshot of that height all of it is zero and empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotResponse {
    /// The height of the snapshot.
    pub height: u64,
    /// The length of the whole snapshot in bytes. Its word, not a proof.
    pub total: u64,
    /// At most [`SNAPSHOT_CHUNK_BYTES_MAX`] bytes from the requested offset, opaque to the mesh.
    pub bytes: Vec<u8>,
}

/// The body of a request.
pub fn encode_request(request: &Request) -> Vec<u8> {
    let mut body = Vec::with_capacity(18);
    body.push(VERSION);
    match request {
        Request::Blocks(request) => {
            body.push(BLOCKS);
            body.extend_from_slice(&request.from_height.to_be_bytes());
            body.extend_from_slice(&request.count_max.to_be_bytes());
            body.push(if request.with_results { WITH_RESULTS } else { 0 });
        }
        Request::Snapshot(request) => {
            body.push(SNAPSHOT);
            body.extend_from_slice(&request.height.to_be_bytes());
            body.extend_from_slice(&request.offset.to_be_bytes());
        }
    }
    body
}

/// Reads the body of a request.
///
/// # Errors
/// A `Frame…` variant of [`MeshError`] if the bytes are not exactly one request.
pub fn decode_request(body: &[u8]) -> Result<Request, MeshError> {
    let mut reader = Reader::new(body, REQUEST_BYTES_MAX)?;
    let request = match reader.kind()? {
        BLOCKS => {
            let from_height = u64::from_be_bytes(reader.array()?);
            let count_max = u16::from_be_bytes(reader.array()?);
            let [flags] = reader.array()?;
            if flags & !WITH_RESULTS != 0 {
                return Err(MeshError::FrameFlags { flags });
            }
            let with_results = flags & WITH_RESULTS != 0;
            Request::Blocks(BlockRequest { from_height, count_max, with_results })
        }
        SNAPSHOT => {
            let height = u64::from_be_bytes(reader.array()?);
            let offset = u64::from_be_bytes(reader.array()?);
            Request::Snapshot(SnapshotRequest { height, offset })
        }
        kind => return Err(MeshError::FrameKind { version: VERSION, kind }),
    };
    reader.end()?;
    Ok(request)
}

/// The body of a response. Blocks that do not fit into [`RESPONSE_BYTES_MAX`] are left out, from
/// the first that does not; the requester asks on from there.
///
/// # Errors
/// [`MeshError::BlockTooLong`] if not even the first one fits: an answer without it would say that
/// there is none. The same for a part of a snapshot beyond [`SNAPSHOT_CHUNK_BYTES_MAX`].
pub fn encode_response(response: &Response) -> Result<Vec<u8>, MeshError> {
    match response {
        Response::Blocks(response) => encode_blocks(response),
        Response::Snapshot(response) => encode_snapshot(response),
    }
}

fn encode_blocks(response: &BlockResponse) -> Result<Vec<u8>, MeshError> {
    let mut length = 14_usize;
    let mut fitting: Vec<(&[u8], u32)> = Vec::new();
    for block in &response.blocks {
        length = length.saturating_add(4).saturating_add(block.len());
        match u32::try_from(block.len()) {
            Ok(block_length) if length <= RESPONSE_BYTES_MAX => {
                fitting.push((block, block_length));
            }
            _ if fitting.is_empty() => {
                let (length, limit) = (block.len(), RESPONSE_BYTES_MAX);
                return Err(MeshError::BlockTooLong { length, limit });
            }
            _ => break,
        }
    }
    let count = u32::try_from(fitting.len()).unwrap_or(u32::MAX);
    let mut body = Vec::with_capacity(length.min(RESPONSE_BYTES_MAX));
    body.extend_from_slice(&[VERSION, BLOCKS_ANSWER]);
    body.extend_from_slice(&response.tip_height.to_be_bytes());
    body.extend_from_slice(&count.to_be_bytes());
    for (block, block_length) in fitting {
        body.extend_from_slice(&block_length.to_be_bytes());
        body.extend_from_slice(block);
    }
    Ok(body)
}

fn encode_snapshot(response: &SnapshotResponse) -> Result<Vec<u8>, MeshError> {
    let (length, limit) = (response.bytes.len(), SNAPSHOT_CHUNK_BYTES_MAX);
    let counted = u32::try_from(length).ok().filter(|_| length <= limit);
    let counted = counted.ok_or(MeshError::BlockTooLong { length, limit })?;
    let mut body = Vec::with_capacity(length.saturating_add(22));
    body.extend_from_slice(&[VERSION, SNAPSHOT_ANSWER]);
    body.extend_from_slice(&response.height.to_be_bytes());
    body.extend_from_slice(&response.total.to_be_bytes());
    body.extend_from_slice(&counted.to_be_bytes());
    body.extend_from_slice(&response.bytes);
    Ok(body)
}

/// Reads the body of a response.
///
/// # Errors
/// A `Frame…` variant of [`MeshError`] if the bytes are not exactly one response.
pub fn decode_response(body: &[u8]) -> Result<Response, MeshError> {
    let mut reader = Reader::new(body, RESPONSE_BYTES_MAX)?;
    let response = match reader.kind()? {
        BLOCKS_ANSWER => {
            let tip_height = u64::from_be_bytes(reader.array()?);
            let count = u32::from_be_bytes(reader.array()?);
            let mut blocks = Vec::new();
            for _ in 0..count {
                let length = to_usize(u32::from_be_bytes(reader.array()?));
                blocks.push(reader.take(length)?.to_vec());
            }
            Response::Blocks(BlockResponse { tip_height, blocks })
        }
        SNAPSHOT_ANSWER => {
            let height = u64::from_be_bytes(reader.array()?);
            let total = u64::from_be_bytes(reader.array()?);
            let length = to_usize(u32::from_be_bytes(reader.array()?));
            if length > SNAPSHOT_CHUNK_BYTES_MAX {
                return Err(MeshError::FrameTooLong { length, limit: SNAPSHOT_CHUNK_BYTES_MAX });
            }
            let bytes = reader.take(length)?.to_vec();
            Response::Snapshot(SnapshotResponse { height, total, bytes })
        }
        kind => return Err(MeshError::FrameKind { version: VERSION, kind }),
    };
    reader.end()?;
    Ok(response)
}

pub(crate) fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(body: &'a [u8], limit: usize) -> Result<Reader<'a>, MeshError> {
        if body.len() > limit {
            return Err(MeshError::FrameTooLong { length: body.len(), limit });
        }
        Ok(Reader { rest: body })
    }

    /// The kind, behind a version that is known.
    fn kind(&mut self) -> Result<u8, MeshError> {
        let [version, kind] = self.array()?;
        if version == VERSION { Ok(kind) } else { Err(MeshError::FrameKind { version, kind }) }
    }

    fn take(&mut self, needed: usize) -> Result<&'a [u8], MeshError> {
        let too_short = MeshError::FrameTooShort { needed, left: self.rest.len() };
        let (head, rest) = self.rest.split_at_checked(needed).ok_or(too_short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MeshError> {
        let too_short = MeshError::FrameTooShort { needed: N, left: self.rest.len() };
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(too_short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn end(self) -> Result<(), MeshError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(MeshError::FrameTrailing { extra }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Response {
        let blocks = vec![vec![1, 2, 3], Vec::new(), vec![9; 300]];
        Response::Blocks(BlockResponse { tip_height: 77, blocks })
    }

    fn part() -> Response {
        Response::Snapshot(SnapshotResponse { height: 64, total: 1 << 20, bytes: vec![8; 50] })
    }

    fn requests() -> [Request; 3] {
        let ask = |with_results| {
            Request::Blocks(BlockRequest { from_height: u64::MAX, count_max: 500, with_results })
        };
        let part = SnapshotRequest { height: 7, offset: u64::MAX };
        [ask(false), ask(true), Request::Snapshot(part)]
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for request in requests() {
            let body = encode_request(&request);
            assert!(body.len() <= REQUEST_BYTES_MAX);
            assert_eq!(decode_request(&body).expect("a request"), request);
        }
        for response in [blocks(), part()] {
            let body = encode_response(&response).expect("a body");
            assert_eq!(decode_response(&body).expect("a response"), response);
        }
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        let requests = requests().map(|request| encode_request(&request));
        let responses =
            [blocks(), part()].map(|response| encode_response(&response).expect("fits"));
        for mut body in requests.into_iter().chain(responses) {
            for cut in 0..body.len() {
                assert!(decode_request(&body[..cut]).is_err(), "request cut at {cut}");
                assert!(decode_response(&body[..cut]).is_err(), "response cut at {cut}");
            }
            body.push(0);
            assert!(decode_request(&body).is_err());
            assert!(decode_response(&body).is_err());
        }
    }

    #[test]
    fn another_version_or_kind_is_refused_by_name() {
        for (version, kind) in [(1, 1), (3, 1), (2, 0), (2, 3)] {
            let mut body = encode_request(&requests()[0]);
            body[..2].copy_from_slice(&[version, kind]);
            let refused = decode_request(&body).expect_err("unknown");
            assert!(matches!(refused, MeshError::FrameKind { .. }), "{refused}");
            let refused = decode_response(&body).expect_err("unknown");
            assert!(matches!(refused, MeshError::FrameKind { .. }), "{refused}");
        }
    }

    #[test]
    fn garbage_gives_an_error_or_a_value_that_encodes_to_the_same_bytes() {
        // xorshift: the same garbage on every run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut kinds = [BLOCKS, SNAPSHOT, BLOCKS_ANSWER, SNAPSHOT_ANSWER].iter().cycle();
        for round in 0..20_000_u32 {
            let length = usize::try_from(next() % 80).expect("below 80");
            let mut body: Vec<u8> = (0..length).map(|_| next().to_be_bytes()[0]).collect();
            // Mostly a known version and kind, small counts and lengths, so that some garbage gets
            // past the first fields.
            if round % 2 == 0 {
                body.iter_mut().skip(10).for_each(|byte| *byte &= 3);
                body.iter_mut().skip(10).step_by(4).for_each(|byte| *byte = 0);
                body.iter_mut()
                    .zip([VERSION, *kinds.next().expect("endless")])
                    .for_each(|(byte, known)| *byte = known);
            }
            if let Ok(request) = decode_request(&body) {
                assert_eq!(encode_request(&request), body);
            }
            if let Ok(response) = decode_response(&body) {
                assert_eq!(encode_response(&response).expect("a body"), body);
            }
        }
    }

    #[test]
    fn a_lying_count_or_length_is_an_error_and_no_allocation() {
        let mut body = vec![VERSION, BLOCKS_ANSWER];
        body.extend_from_slice(&5_u64.to_be_bytes());
        body.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(decode_response(&body), Err(MeshError::FrameTooShort { .. })));
        body.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(decode_response(&body), Err(MeshError::FrameTooShort { .. })));
        let oversized = vec![0; RESPONSE_BYTES_MAX + 1];
        assert!(matches!(decode_response(&oversized), Err(MeshError::FrameTooLong { .. })));
        let mut body = vec![VERSION, SNAPSHOT_ANSWER];
        body.extend_from_slice(&[0; 16]);
        body.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(decode_response(&body), Err(MeshError::FrameTooLong { .. })));
        let bytes = vec![0; SNAPSHOT_CHUNK_BYTES_MAX + 1];
        let greedy = SnapshotResponse { height: 1, total: 1, bytes };
        assert!(encode_response(&Response::Snapshot(greedy)).is_err());
    }

    #[test]
    fn blocks_beyond_the_limit_are_left_out_from_the_first_that_does_not_fit() {
        let mebibyte = vec![7; 1024 * 1024];
        let blocks = vec![mebibyte.clone(), mebibyte.clone(), mebibyte.clone(), mebibyte, vec![1]];
        let response = Response::Blocks(BlockResponse { tip_height: 9, blocks });
        let body = encode_response(&response).expect("a body");
        assert!(body.len() <= RESPONSE_BYTES_MAX);
        let Response::Blocks(decoded) = decode_response(&body).expect("a response") else {
            panic!("another kind");
        };
        assert_eq!((decoded.tip_height, decoded.blocks.len()), (9, 3));
    }

    #[test]
    fn a_block_that_fits_into_no_answer_is_an_error_and_not_an_answer_without_blocks() {
        let fitting = RESPONSE_BYTES_MAX - 18;
        for (length, fits) in [(fitting, true), (fitting + 1, false)] {
            let blocks = vec![vec![7; length], vec![1]];
            let response = Response::Blocks(BlockResponse { tip_height: 9, blocks });
            match encode_response(&response) {
                Ok(body) => {
                    assert!(fits);
                    let first = BlockResponse { tip_height: 9, blocks: vec![vec![7; length]] };
                    assert_eq!(decode_response(&body).ok(), Some(Response::Blocks(first)));
                }
                Err(error) => assert!(!fits, "{error}"),
            }
        }
        let none = BlockResponse { tip_height: 9, blocks: Vec::new() };
        assert!(encode_response(&Response::Blocks(none)).is_ok(), "nothing wanted is no error");
    }
}
