//! Block requests and responses, and their bytes on the wire. All integers are big-endian.
//!
//! ```text
//! frame     length u32 | body
//! request   from_height u64 | count_max u16 | flags u8 (bit 0: with results)
//! response  tip_height u64 | count u32 | count x (length u32 | bytes)
//! ```
//!
//! The functions here encode and decode bodies. Decoding is total: any bytes give a value or an
//! error, memory stays within the input's own size, and one value has one encoding.

use crate::error::MeshError;
use crate::limits::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};

const WITH_RESULTS: u8 = 1;

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

/// The body of a request.
pub fn encode_request(request: &BlockRequest) -> Vec<u8> {
    let mut body = Vec::with_capacity(11);
    body.extend_from_slice(&request.from_height.to_be_bytes());
    body.extend_from_slice(&request.count_max.to_be_bytes());
    body.push(if request.with_results { WITH_RESULTS } else { 0 });
    body
}

/// Reads the body of a request.
///
/// # Errors
/// A `Frame…` variant of [`MeshError`] if the bytes are not exactly one request.
pub fn decode_request(body: &[u8]) -> Result<BlockRequest, MeshError> {
    let mut reader = Reader::new(body, REQUEST_BYTES_MAX)?;
    let from_height = u64::from_be_bytes(reader.array()?);
    let count_max = u16::from_be_bytes(reader.array()?);
    let [flags] = reader.array()?;
    reader.end()?;
    if flags & !WITH_RESULTS != 0 {
        return Err(MeshError::FrameFlags { flags });
    }
    Ok(BlockRequest { from_height, count_max, with_results: flags & WITH_RESULTS != 0 })
}

/// The body of a response. Blocks that do not fit into [`RESPONSE_BYTES_MAX`] are left out, from
/// the first that does not; the requester asks on from there.
///
/// # Errors
/// [`MeshError::BlockTooLong`] if not even the first one fits: an answer without it would say that
/// there is none.
pub fn encode_response(response: &BlockResponse) -> Result<Vec<u8>, MeshError> {
    let mut length = 12_usize;
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
    body.extend_from_slice(&response.tip_height.to_be_bytes());
    body.extend_from_slice(&count.to_be_bytes());
    for (block, block_length) in fitting {
        body.extend_from_slice(&block_length.to_be_bytes());
        body.extend_from_slice(block);
    }
    Ok(body)
}

/// Reads the body of a response.
///
/// # Errors
/// A `Frame…` variant of [`MeshError`] if the bytes are not exactly one response.
pub fn decode_response(body: &[u8]) -> Result<BlockResponse, MeshError> {
    let mut reader = Reader::new(body, RESPONSE_BYTES_MAX)?;
    let tip_height = u64::from_be_bytes(reader.array()?);
    let count = u32::from_be_bytes(reader.array()?);
    let mut blocks = Vec::new();
    for _ in 0..count {
        let length = to_usize(u32::from_be_bytes(reader.array()?));
        blocks.push(reader.take(length)?.to_vec());
    }
    reader.end()?;
    Ok(BlockResponse { tip_height, blocks })
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

    fn response() -> BlockResponse {
        BlockResponse { tip_height: 77, blocks: vec![vec![1, 2, 3], Vec::new(), vec![9; 300]] }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for with_results in [false, true] {
            let request = BlockRequest { from_height: u64::MAX, count_max: 500, with_results };
            let body = encode_request(&request);
            assert!(body.len() <= REQUEST_BYTES_MAX);
            assert_eq!(decode_request(&body).expect("a request"), request);
        }
        let body = encode_response(&response()).expect("a body");
        assert_eq!(decode_response(&body).expect("a response"), response());
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        let request =
            encode_request(&BlockRequest { from_height: 1, count_max: 2, with_results: true });
        let response = encode_response(&response()).expect("a body");
        for cut in 0..request.len() {
            assert!(decode_request(&request[..cut]).is_err(), "request cut at {cut}");
        }
        for cut in 0..response.len() {
            assert!(decode_response(&response[..cut]).is_err(), "response cut at {cut}");
        }
        for mut body in [request.clone(), response.clone()] {
            body.push(0);
            assert!(decode_request(&body).is_err());
            assert!(decode_response(&body).is_err());
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
        for round in 0..20_000 {
            let length = usize::try_from(next() % 80).expect("below 80");
            let mut body: Vec<u8> = (0..length).map(|_| next().to_be_bytes()[0]).collect();
            // Mostly small counts and lengths, so that some garbage gets past the first field.
            if round % 2 == 0 {
                body.iter_mut().skip(8).for_each(|byte| *byte &= 3);
                body.iter_mut().skip(8).step_by(4).for_each(|byte| *byte = 0);
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
        let mut body = 5_u64.to_be_bytes().to_vec();
        body.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(decode_response(&body), Err(MeshError::FrameTooShort { .. })));
        body.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(decode_response(&body), Err(MeshError::FrameTooShort { .. })));
        let oversized = vec![0; RESPONSE_BYTES_MAX + 1];
        assert!(matches!(decode_response(&oversized), Err(MeshError::FrameTooLong { .. })));
    }

    #[test]
    fn blocks_beyond_the_limit_are_left_out_from_the_first_that_does_not_fit() {
        let mebibyte = vec![7; 1024 * 1024];
        let blocks = vec![mebibyte.clone(), mebibyte.clone(), mebibyte.clone(), mebibyte, vec![1]];
        let body = encode_response(&BlockResponse { tip_height: 9, blocks }).expect("a body");
        assert!(body.len() <= RESPONSE_BYTES_MAX);
        let decoded = decode_response(&body).expect("a response");
        assert_eq!((decoded.tip_height, decoded.blocks.len()), (9, 3));
    }
    #[test]
    fn a_block_that_fits_into_no_answer_is_an_error_and_not_an_answer_without_blocks() {
        let fitting = RESPONSE_BYTES_MAX - 16;
        for (length, fits) in [(fitting, true), (fitting + 1, false)] {
            let blocks = vec![vec![7; length], vec![1]];
            let body = encode_response(&BlockResponse { tip_height: 9, blocks });
            match body {
                Ok(body) => {
                    assert!(fits);
                    assert_eq!(decode_response(&body).expect("a response").blocks.len(), 1);
                }
                Err(error) => assert!(!fits, "{error}"),
            }
        }
        let none = BlockResponse { tip_height: 9, blocks: Vec::new() };
        assert!(encode_response(&none).is_ok(), "nothing wanted is no error");
    }
}
