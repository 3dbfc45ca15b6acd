//! The dashboard over a real chain: what every route says, what none may say, and what survives.

mod closed;
mod community;
mod events;
mod history;
mod hostile;
mod households;
mod ledger_pages;
mod market_pages;
mod network;
mod openapi;
mod restart;
mod roles;
mod sign_in;
mod signed_in;
mod stage;
mod tls;
