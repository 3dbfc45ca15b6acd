//! Who did what, as far as somebody may be asked about it later.

use market::time::Timestamp;
use sqlx::Row as _;

use crate::accounts::{Accounts, AccountsError};

/// How many entries are kept.
const KEPT_MAX: i64 = 100_000;

/// The same again within this time is not written again, so that nobody can flood the log.
const REPEATED_WITHIN_MS: i64 = 10 * 60_000;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Signed in.
    SignedIn,
    /// Signed out.
    SignedOut,
    /// Named itself once more before something weighty.
    Confirmed,
    /// Ended sessions.
    EndedSessions,
    /// Did not sign in, although the name is an operator's.
    SignInFailed,
    /// Asked for a household that it may not see.
    DeniedHousehold,
    /// An operator looked at a household.
    SawHousehold,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::Confirmed => "confirmed",
            Self::EndedSessions => "ended_sessions",
            Self::SignInFailed => "sign_in_failed",
            Self::DeniedHousehold => "denied_household",
            Self::SawHousehold => "saw_household",
        }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditEntry {
    /// Its number, from 1.
    pub(crate) number: i64,
    /// When, in real time.
    pub(crate) at: Timestamp,
    /// `household`, `operator` or `public`.
    pub(crate) role: String,
    /// Party or operator.
    pub(crate) actor: String,
    /// What was done, in a word.
    pub(crate) action: String,
    /// To what.
    pub(crate) subject: String,
}

impl Accounts {
    /// Writes an entry, unless the same stands there from the last ten minutes.
    pub(crate) async fn note(
        &self,
        (role, actor): (&str, &str),
        action: Action,
        subject: &str,
        now: Timestamp,
    ) -> Result<(), AccountsError> {
        let now_ms = now.as_millis();
        self.asked(async {
            let written = sqlx::query(
                "INSERT INTO audit (at_ms, role, actor, action, subject) \
                 SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM audit \
                 WHERE role = $2 AND actor = $3 AND action = $4 AND subject = $5 AND at_ms > $6)",
            )
            .bind(now_ms)
            .bind(role)
            .bind(actor)
            .bind(action.word())
            .bind(subject)
            .bind(now_ms.saturating_sub(REPEATED_WITHIN_MS))
            .execute(&self.pool)
            .await?;
            if written.rows_affected() > 0 {
                let last = written.last_insert_rowid();
                sqlx::query("DELETE FROM audit WHERE number <= $1")
                    .bind(last.saturating_sub(KEPT_MAX))
                    .execute(&self.pool)
                    .await?;
            }
            Ok(())
        })
        .await
    }

    /// The newest entries below a number.
    pub(crate) async fn audit(
        &self,
        before: i64,
        count_max: i64,
    ) -> Result<Vec<AuditEntry>, AccountsError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT number, at_ms, role, actor, action, subject FROM audit \
                 WHERE number < $1 ORDER BY number DESC LIMIT $2",
            )
            .bind(before)
            .bind(count_max)
            .fetch_all(&self.pool)
            .await?;
            rows.iter()
                .map(|row| {
                    Ok(AuditEntry {
                        number: row.try_get("number")?,
                        at: Timestamp::from_millis(row.try_get("at_ms")?),
                        role: row.try_get("role")?,
                        actor: row.try_get("actor")?,
                        action: row.try_get("action")?,
                        subject: row.try_get("subject")?,
                    })
                })
                .collect()
        })
        .await
    }
}
