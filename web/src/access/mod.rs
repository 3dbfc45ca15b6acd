//! Who may call what: every route has a row with an [`Access`], and is served only to whom that
//! lets in.

mod admit;
mod cookie;
mod viewer;

pub(crate) use admit::{admit, may_look_at, note};
pub(crate) use cookie::{ended_cookie, session_cookie};
pub(crate) use viewer::Viewer;

/// Figures are told to the public only if they are sums over at least so many households
/// (`docs/security.md`).
pub(crate) const HOUSEHOLDS_MIN: usize = 5;

/// Who may call a route.
///
/// Where the configuration opens the household pages, everybody may do what needs no session: the
/// demo's households are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Everybody if the community has enough members that its sums name nobody; else as
    /// [`Access::Member`].
    Aggregates,
    /// Households and operators.
    Member,
    /// The household that the path names, and operators. Any other household hears that there is
    /// no such household, and the attempt is noted.
    Household,
    /// Whoever has a session, for what concerns it. Also where household pages are open.
    SignedIn,
    /// Operators.
    Operator,
    /// Operators that have proved who they are within the last ten minutes: for money and
    /// membership.
    OperatorConfirmed,
}
