//! The dashboard over a real chain: what every route says, what none may say, and what survives.

#[allow(dead_code)]
mod community;
mod openapi;
