//! The agent against hostile meters, its outbox across restarts, and whole agents on a real mesh.

mod agent;
mod hostile_meter;
mod meter;
mod node;
mod outbox;
mod withholding;
mod world;
