//! Operators: names, passwords and authenticators, set up at the command line.

use std::fmt;
use std::str::FromStr;

use market::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::accounts::{Accounts, AccountsError};
use crate::sign_in::password::{Cost, PasswordHash};
use crate::sign_in::totp::TotpSecret;

/// An operator's name at the dashboard: 1 to 32 small letters, digits, `-`, `.` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatorName(String);

/// A text that is no operator's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an operator's name is 1 to 32 small letters, digits, '-', '.' or '_', but not {found:?}")]
pub struct NotAName {
    /// What was found instead, shortened.
    pub found: String,
}

impl FromStr for OperatorName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(NotAName { found: text.chars().take(80).collect() })
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An operator in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEntry {
    /// The name.
    pub name: OperatorName,
    /// When it was set up, in real time.
    pub created_at: Timestamp,
}

/// What an operator proves its name by.
pub(crate) struct OperatorSecrets {
    pub(crate) password: PasswordHash,
    pub(crate) totp: TotpSecret,
    /// The step of the last code that was used.
    pub(crate) totp_step: i64,
}

impl Accounts {
    /// Sets an operator up, or gives one a new password and authenticator: its sessions end then.
    /// `totp_step` is the step of the code that proved the authenticator.
    ///
    /// # Errors
    /// [`AccountsError`] if it cannot be written.
    pub async fn put_operator(
        &self,
        name: &OperatorName,
        password: &str,
        totp: &TotpSecret,
        totp_step: i64,
        now: Timestamp,
    ) -> Result<(), AccountsError> {
        let hash = PasswordHash::new(password).map_err(AccountsError::Secret)?;
        self.asked(async {
            let mut change = self.pool.begin().await?;
            sqlx::query(
                "INSERT INTO operators (name, salt, memory_kib, passes, lanes, password_hash, \
                 totp_secret, totp_step, created_at_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO UPDATE SET \
                 salt = $2, memory_kib = $3, passes = $4, lanes = $5, password_hash = $6, \
                 totp_secret = $7, totp_step = $8",
            )
            .bind(&name.0)
            .bind(hash.salt.as_slice())
            .bind(i64::from(hash.cost.memory_kib))
            .bind(i64::from(hash.cost.passes))
            .bind(i64::from(hash.cost.lanes))
            .bind(hash.hash.as_slice())
            .bind(totp.as_bytes().as_slice())
            .bind(totp_step)
            .bind(now.as_millis())
            .execute(&mut *change)
            .await?;
            end_sessions(&mut change, name).await?;
            change.commit().await
        })
        .await
    }

    /// Takes an operator away with its sessions; `false` if there is none of this name.
    ///
    /// # Errors
    /// [`AccountsError`] if it cannot be written.
    pub async fn remove_operator(&self, name: &OperatorName) -> Result<bool, AccountsError> {
        self.asked(async {
            let mut change = self.pool.begin().await?;
            let removed = sqlx::query("DELETE FROM operators WHERE name = $1")
                .bind(&name.0)
                .execute(&mut *change)
                .await?;
            end_sessions(&mut change, name).await?;
            change.commit().await?;
            Ok(removed.rows_affected() > 0)
        })
        .await
    }

    /// All operators by name.
    ///
    /// # Errors
    /// [`AccountsError`] if they cannot be read.
    pub async fn operators(&self) -> Result<Vec<OperatorEntry>, AccountsError> {
        let query = "SELECT name, created_at_ms FROM operators ORDER BY name";
        let rows = self.asked(sqlx::query(query).fetch_all(&self.pool)).await?;
        let entry = |row: &SqliteRow| {
            let name: String = row.try_get("name").ok()?;
            let created_at = Timestamp::from_millis(row.try_get("created_at_ms").ok()?);
            Some(OperatorEntry { name: name.parse().ok()?, created_at })
        };
        rows.iter().map(|row| entry(row).ok_or_else(|| self.damaged("operators"))).collect()
    }

    /// What an operator proves its name by; `None` if there is none of this name.
    pub(crate) async fn operator_secrets(
        &self,
        name: &OperatorName,
    ) -> Result<Option<OperatorSecrets>, AccountsError> {
        let row = sqlx::query(
            "SELECT salt, memory_kib, passes, lanes, password_hash, totp_secret, totp_step \
             FROM operators WHERE name = $1",
        )
        .bind(&name.0)
        .fetch_optional(&self.pool);
        let Some(row) = self.asked(row).await? else { return Ok(None) };
        let number = |column| {
            row.try_get::<i64, _>(column).ok().and_then(|number| u32::try_from(number).ok())
        };
        let read = || {
            Some(OperatorSecrets {
                password: PasswordHash {
                    cost: Cost {
                        memory_kib: number("memory_kib")?,
                        passes: number("passes")?,
                        lanes: number("lanes")?,
                    },
                    salt: bytes(&row, "salt")?,
                    hash: bytes(&row, "password_hash")?,
                },
                totp: TotpSecret::from_bytes(bytes(&row, "totp_secret")?),
                totp_step: row.try_get("totp_step").ok()?,
            })
        };
        read().map(Some).ok_or_else(|| self.damaged("operators"))
    }

    /// Marks a code as used; `false` if it, or a later one, has been used meanwhile.
    pub(crate) async fn use_code(
        &self,
        name: &OperatorName,
        step: i64,
    ) -> Result<bool, AccountsError> {
        let query =
            sqlx::query("UPDATE operators SET totp_step = $2 WHERE name = $1 AND totp_step < $2");
        let used = query.bind(&name.0).bind(step).execute(&self.pool);
        Ok(self.asked(used).await?.rows_affected() > 0)
    }
}

async fn end_sessions(
    change: &mut sqlx::SqliteConnection,
    name: &OperatorName,
) -> Result<(), sqlx::Error> {
    let query = "DELETE FROM sessions WHERE role = 'operator' AND subject = $1";
    sqlx::query(query).bind(&name.0).execute(change).await.map(drop)
}

fn bytes<const N: usize>(row: &SqliteRow, column: &str) -> Option<[u8; N]> {
    row.try_get::<Vec<u8>, _>(column).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["aiko", "a", "aiko.m-2_x", &"a".repeat(32)] {
            assert_eq!(name.parse::<OperatorName>().unwrap().to_string(), name);
        }
        let huge = "a".repeat(1_000_000);
        for name in ["", "Aiko", "a b", "愛子", "a\u{301}", "a\n", "'--", &"a".repeat(33), &huge]
        {
            let error = name.parse::<OperatorName>().unwrap_err();
            assert!(error.found.chars().count() <= 80);
        }
    }
}
