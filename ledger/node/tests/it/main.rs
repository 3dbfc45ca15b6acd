//! The room's behaviour from outside.

mod consensus;
