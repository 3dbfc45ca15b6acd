//! Block fetching, both sides.

use libp2p::PeerId;
use libp2p::request_response::{Event, InboundFailure, Message, OutboundFailure};

use super::SwarmTask;
use crate::counters::count;
use crate::error::MeshError;
use crate::fetch::FetchEvent;
use crate::frame::{BlockResponse, Request, Response};
use crate::handle::{FetchDone, MeshEvent};
use crate::limits::{FETCHES_MAX, SERVING_MAX, SERVING_PER_PEER_MAX};
use crate::ticket::RequestTicket;

/// A fetch under way.
pub(super) struct Pending {
    request: Request,
    done: FetchDone,
}

impl SwarmTask {
    pub(super) fn fetch(&mut self, peer: PeerId, request: Request, done: FetchDone) {
        let refusal = if !self.links.is_connected(&peer) {
            Some(MeshError::NotConnected { peer })
        } else if self.fetches.len() >= FETCHES_MAX {
            Some(MeshError::FetchBusy { limit: FETCHES_MAX })
        } else {
            None
        };
        if let Some(error) = refusal {
            // Here and below: the requester may have stopped waiting.
            let _ = done.send(Err(error));
            return;
        }
        let id = self.swarm.behaviour_mut().fetch.send_request(&peer, request);
        self.fetches.insert(id, Pending { request, done });
    }

    pub(super) fn on_answer(&mut self, ticket: RequestTicket, response: Response) {
        let sent = self.swarm.behaviour_mut().fetch.send_response(ticket.0, response);
        if sent.is_err() {
            tracing::debug!("a block request was answered too late");
        }
    }

    pub(super) fn on_fetch(&mut self, event: FetchEvent) {
        match event {
            Event::Message { peer, message, .. } => match message {
                Message::Request { request_id, request, channel } => {
                    if !self.may_serve(&peer) {
                        // Dropping the channel tells the requester at once.
                        count(&self.counters.requests_refused);
                        return;
                    }
                    self.serving.insert(request_id, peer);
                    let ticket = RequestTicket(channel);
                    self.emit(match request {
                        Request::Blocks(request) => {
                            MeshEvent::BlocksRequested { from: peer, request, ticket }
                        }
                        Request::Snapshot(request) => {
                            MeshEvent::SnapshotRequested { from: peer, request, ticket }
                        }
                    });
                }
                Message::Response { request_id, response } => {
                    if let Some(Pending { request, done }) = self.fetches.remove(&request_id) {
                        let _ = done.send(check_response(peer, &request, response));
                    }
                }
            },
            Event::OutboundFailure { peer, request_id, error, .. } => {
                if let Some(Pending { done, .. }) = self.fetches.remove(&request_id) {
                    let _ = done.send(Err(fetch_error(peer, &error)));
                }
            }
            Event::InboundFailure { peer, request_id, error, .. } => {
                self.serving.remove(&request_id);
                if !matches!(error, InboundFailure::ResponseOmission) {
                    tracing::debug!(%peer, %error, "a block request failed");
                }
            }
            Event::ResponseSent { request_id, .. } => {
                self.serving.remove(&request_id);
            }
        }
    }

    fn may_serve(&self, peer: &PeerId) -> bool {
        let own = self.serving.values().filter(|served| *served == peer).count();
        self.serving.len() < SERVING_MAX && own < SERVING_PER_PEER_MAX
    }
}

fn check_response(
    peer: PeerId,
    request: &Request,
    response: Response,
) -> Result<Response, MeshError> {
    match (request, &response) {
        (Request::Blocks(request), Response::Blocks(BlockResponse { blocks, .. })) => {
            let (sent, asked) = (blocks.len(), request.count_max);
            if sent > usize::from(asked) {
                return Err(MeshError::TooManyBlocks { peer, sent, asked });
            }
            Ok(response)
        }
        (Request::Snapshot(_), Response::Snapshot(_)) => Ok(response),
        _ => Err(other_kind(peer)),
    }
}

/// An answer to something that was not asked.
pub(crate) fn other_kind(peer: PeerId) -> MeshError {
    MeshError::FetchFailed { peer, reason: "the answer is of another kind".to_owned() }
}

fn fetch_error(peer: PeerId, error: &OutboundFailure) -> MeshError {
    match error {
        OutboundFailure::Timeout => MeshError::FetchTimedOut { peer },
        OutboundFailure::DialFailure => MeshError::NotConnected { peer },
        OutboundFailure::ConnectionClosed
        | OutboundFailure::UnsupportedProtocols
        | OutboundFailure::Io(_) => MeshError::FetchFailed { peer, reason: error.to_string() },
    }
}
