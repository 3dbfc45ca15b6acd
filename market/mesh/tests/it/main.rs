//! The mesh over real sockets on the loopback: whole nodes, and raw attackers.

mod attacker;
mod blocks;
mod discovery;
mod gossip;
mod hostile;
mod node;
