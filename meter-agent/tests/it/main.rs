//! The agent against hostile meters, its outbox across restarts, and whole agents on a real mesh.

mod agent;
mod commissioning;
mod device;
mod devices;
mod experiments;
mod hostile_meter;
mod meter;
mod node;
mod oracle;
mod outbox;
mod serial;
mod skill;
mod withholding;
mod world;
