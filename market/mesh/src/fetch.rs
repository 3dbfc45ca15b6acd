//! The fetch protocol as libp2p's request-response sees it: frames of `frame` on a stream.

use std::io;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::{self, ProtocolSupport};

use crate::error::MeshError;
use crate::frame::{self, Request, Response};
use crate::limits::{
    FETCH_STREAM_TIMEOUT, FETCH_STREAMS_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX,
};

pub(crate) type Fetch = request_response::Behaviour<FetchCodec>;
pub(crate) type FetchEvent = request_response::Event<Request, Response>;

/// Without `serve_blocks` the protocol is not offered to others at all.
pub(crate) fn build(protocol: StreamProtocol, serve_blocks: bool) -> Fetch {
    let support = if serve_blocks { ProtocolSupport::Full } else { ProtocolSupport::Outbound };
    let config = request_response::Config::default()
        .with_request_timeout(FETCH_STREAM_TIMEOUT)
        .with_max_concurrent_streams(FETCH_STREAMS_MAX);
    request_response::Behaviour::with_codec(FetchCodec, [(protocol, support)], config)
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchCodec;

#[async_trait]
impl request_response::Codec for FetchCodec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let body = read_frame(stream, REQUEST_BYTES_MAX).await?;
        frame::decode_request(&body).map_err(invalid)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let body = read_frame(stream, RESPONSE_BYTES_MAX).await?;
        frame::decode_response(&body).map_err(invalid)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(stream, &frame::encode_request(&request)).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        // The requester sees its stream end without an answer, and asks somebody else.
        let body = frame::encode_response(&response).map_err(invalid)?;
        drop(response);
        write_frame(stream, &body).await
    }
}

async fn read_frame<T>(stream: &mut T, limit: usize) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let claimed = u32::from_be_bytes(length);
    let length = frame::to_usize(claimed);
    if length > limit {
        return Err(invalid(MeshError::FrameTooLong { length, limit }));
    }
    // Grows with what arrives: a claimed length alone costs nothing.
    let mut body = Vec::new();
    stream.take(u64::from(claimed)).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

async fn write_frame<T>(stream: &mut T, body: &[u8]) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(body).await
}

fn invalid(error: MeshError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    #[test]
    fn a_frame_comes_back_as_written_and_a_cut_one_is_an_error() {
        let mut wire = Cursor::new(Vec::new());
        block_on(write_frame(&mut wire, b"body")).expect("written");
        let wire = wire.into_inner();
        assert_eq!(block_on(read_frame(&mut wire.as_slice(), 4)).expect("read"), b"body");
        assert!(block_on(read_frame(&mut wire.as_slice(), 3)).is_err());
        for cut in 0..wire.len() {
            assert!(block_on(read_frame(&mut &wire[..cut], 4)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_claimed_length_over_the_limit_is_refused_before_anything_is_read() {
        let mut wire = u32::MAX.to_be_bytes().to_vec();
        wire.extend_from_slice(&[0; 64]);
        let error = block_on(read_frame(&mut wire.as_slice(), RESPONSE_BYTES_MAX));
        assert_eq!(error.expect_err("refused").kind(), io::ErrorKind::InvalidData);
    }
}
