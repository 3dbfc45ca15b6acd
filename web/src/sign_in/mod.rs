//! Signing in, without a central list of passwords of households.
//!
//! | module | who | by what |
//! |---|---|---|
//! | [`link`] | a household | a one-time link that its own agent signs with the party key |
//! | [`password`], [`totp`] | an operator | a password (Argon2id) and a code of an authenticator |
//! | [`throttle`] | anybody who fails | waits, by name and by address |
//! | [`check`] | | both ways, from what was sent to who it is |

pub(crate) mod check;
pub(crate) mod link;
pub(crate) mod password;
pub(crate) mod throttle;
pub(crate) mod totp;
