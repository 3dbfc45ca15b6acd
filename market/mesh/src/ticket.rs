//! Tickets: what a role gives back to say what becomes of a message or a block request. Each is
//! used once, and one that is dropped answers for itself, so nothing waits for ever.

use libp2p::PeerId;
use libp2p::gossipsub::MessageId;
use libp2p::request_response::ResponseChannel;
use tokio::sync::mpsc;

use crate::frame::Response;

/// What becomes of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is good: forward it.
    Accept,
    /// It is bad, and whoever forwarded it could have known: drop it and charge the neighbour it
    /// came from. Two of these cut the neighbour off. Only for what every node judges alike,
    /// whatever its height and clock: garbled bytes, a wrong signature.
    Reject,
    /// Drop it, nobody is to blame: a repetition, an unknown party, a closed gate, no time.
    Ignore,
}

/// Stands for one delivered message until [`crate::Mesh::judge`]. Dropped unjudged, the message
/// is ignored.
#[derive(Debug)]
pub struct MessageTicket {
    /// Taken when the ticket is dropped, which every ticket is.
    judgement: Option<Box<Judgement>>,
    replies: mpsc::UnboundedSender<Reply>,
}

impl MessageTicket {
    pub(crate) fn new(
        id: MessageId,
        from: PeerId,
        bytes: usize,
        replies: mpsc::UnboundedSender<Reply>,
    ) -> MessageTicket {
        let judgement = Judgement { id, from, bytes, verdict: Verdict::Ignore };
        MessageTicket { judgement: Some(Box::new(judgement)), replies }
    }

    pub(crate) fn settle(mut self, verdict: Verdict) {
        if let Some(judgement) = &mut self.judgement {
            judgement.verdict = verdict;
        }
    }
}

impl Drop for MessageTicket {
    fn drop(&mut self) {
        if let Some(judgement) = self.judgement.take() {
            // Unbounded, yet bounded: one per ticket, and the inbox bounds the tickets. A closed
            // channel means the mesh has stopped.
            let _ = self.replies.send(Reply::Judgement(judgement));
        }
    }
}

/// Stands for one request until [`crate::Mesh::answer`] or [`crate::Mesh::answer_snapshot`],
/// whichever is of its kind. Dropped unanswered, the requester's
/// fetch fails at once.
#[derive(Debug)]
pub struct RequestTicket(pub(crate) ResponseChannel<Response>);

/// What comes back from the role to the swarm task.
#[derive(Debug)]
pub(crate) enum Reply {
    Judgement(Box<Judgement>),
    Answer { ticket: RequestTicket, response: Response },
}

#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) id: MessageId,
    pub(crate) from: PeerId,
    pub(crate) bytes: usize,
    pub(crate) verdict: Verdict,
}
