//! The topics of the market, and their names on the wire.

use std::fmt;

use libp2p::gossipsub::{IdentTopic, TopicHash};

use crate::names::Names;

/// What a gossip message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Signed orders.
    Orders,
    /// Signed meter readings.
    Readings,
    /// Signed acts of members and operators: joins, keys, disputes, approvals and the like.
    Acts,
    /// Announcements of committed blocks.
    Blocks,
}

impl Topic {
    /// All topics, in the order of [`crate::MeshCounts::topics`].
    pub const ALL: [Topic; 4] = [Topic::Orders, Topic::Readings, Topic::Acts, Topic::Blocks];

    /// The topic's name in logs and metrics: `orders`, `readings`, `acts`, `blocks`.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Orders => "orders",
            Topic::Readings => "readings",
            Topic::Acts => "acts",
            Topic::Blocks => "blocks",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a message on a gossipsub topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// For the role.
    Market(Topic),
    /// For nobody: it makes a quiet publisher's duplicate cache drop what is expired.
    Pulse,
}

/// The gossipsub topics of one chain.
pub(crate) struct Topics {
    market: [IdentTopic; 4],
    pulse: IdentTopic,
}

impl Topics {
    pub(crate) fn new(names: &Names) -> Topics {
        Topics {
            market: Topic::ALL.map(|topic| IdentTopic::new(names.topic(topic.name()))),
            pulse: IdentTopic::new(names.topic("pulse")),
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &IdentTopic> {
        self.market.iter().chain([&self.pulse])
    }

    pub(crate) fn hash(&self, topic: Topic) -> TopicHash {
        let [orders, readings, acts, blocks] = &self.market;
        match topic {
            Topic::Orders => orders.hash(),
            Topic::Readings => readings.hash(),
            Topic::Acts => acts.hash(),
            Topic::Blocks => blocks.hash(),
        }
    }

    pub(crate) fn pulse(&self) -> TopicHash {
        self.pulse.hash()
    }

    pub(crate) fn heard(&self, hash: &TopicHash) -> Option<Heard> {
        if *hash == self.pulse.hash() {
            return Some(Heard::Pulse);
        }
        Topic::ALL.into_iter().find(|topic| self.hash(*topic) == *hash).map(Heard::Market)
    }
}
