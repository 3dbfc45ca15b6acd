//! Whole-house tests: what holds for the tree as a whole, and for real processes together.

mod arrows;
mod clear;
mod lock;
mod metering;
mod mistakes;
mod shipped;
mod tidy;

mod scenario;
