//! Sessions: a random id in the browser, its hash here, and times after which it is over.

use data_encoding::BASE64URL_NOPAD;
use market::hash::Digest;
use market::keys::PublicKey;
use market::member::PartyId;
use market::time::Timestamp;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::accounts::{Accounts, AccountsError, OperatorName};
use crate::sign_in::link::CheckedLink;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How often it is written down that a session is in use.
const SEEN_EVERY_MS: i64 = MINUTE_MS;

/// How long a confirmation lets somebody do what moves money or membership.
const CONFIRMED_FOR_MS: i64 = 10 * MINUTE_MS;

/// How long a used link is remembered after it has expired, should the clock be set back.
const USED_FOR_MS: i64 = 24 * HOUR_MS;

/// Sessions of one household or operator; one more ends the one that was not seen for the longest.
const SESSIONS_MAX: i64 = 10;

/// Characters kept of what a browser calls itself.
const DEVICE_MAX: usize = 120;

/// Who a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// A household, which signed in with this key.
    Household(PartyId, PublicKey),
    /// An operator.
    Operator(OperatorName),
}

impl Role {
    /// The role in a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Household(..) => "household",
            Self::Operator(_) => "operator",
        }
    }

    /// Whose session it is.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Household(party, _) => party.to_string(),
            Self::Operator(name) => name.to_string(),
        }
    }

    /// A household looks in now and then from its own device; an operator's page shows everybody.
    fn idle_ms(&self) -> i64 {
        match self {
            Self::Household(..) => 7 * 24 * HOUR_MS,
            Self::Operator(_) => 30 * MINUTE_MS,
        }
    }

    fn absolute_ms(&self) -> i64 {
        match self {
            Self::Household(..) => 30 * 24 * HOUR_MS,
            Self::Operator(_) => 12 * HOUR_MS,
        }
    }
}

/// What the browser holds: 32 random bytes. It never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionId([u8; 32]);

impl SessionId {
    fn generate() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        SysRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }

    /// From a cookie's value.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// For the cookie alone.
    pub(crate) fn to_text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// What is stored of it. The id is random, so that its hash tells nothing.
    pub(crate) fn hash(&self) -> Digest {
        Digest::of(&[&self.0])
    }
}

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionId")
    }
}

/// A session that has been found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id_hash: Digest,
    /// Names it in lists; whoever knows it cannot use the session.
    pub(crate) handle: String,
    pub(crate) role: Role,
    /// Whether it was begun under TLS: then its cookie is sent under TLS alone.
    pub(crate) secure: bool,
    /// What the browser called itself.
    pub(crate) device: String,
    pub(crate) created_at: Timestamp,
    pub(crate) seen_at: Timestamp,
    pub(crate) confirmed_at: Timestamp,
}

impl Session {
    /// When it is over whatever happens.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.created_at.plus_millis(self.role.absolute_ms())
    }

    /// When it is over if nothing is asked for until then.
    pub(crate) fn idle_at(&self) -> Timestamp {
        self.seen_at.plus_millis(self.role.idle_ms()).min(self.ends_at())
    }

    /// Until when its owner need not prove once more who it is.
    pub(crate) fn confirmed_until(&self) -> Timestamp {
        self.confirmed_at.plus_millis(CONFIRMED_FOR_MS)
    }

    /// Whether it is over. A clock that has been set back ends it too.
    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.idle_at() || now < self.created_at
    }
}

/// How a session begins.
pub(crate) struct Begin<'a> {
    pub(crate) role: Role,
    /// A link is used up in the same change.
    pub(crate) link: Option<&'a CheckedLink>,
    /// The session that this one takes the place of.
    pub(crate) instead: Option<&'a Digest>,
    pub(crate) secure: bool,
    pub(crate) device: &'a str,
    pub(crate) now: Timestamp,
}

impl Accounts {
    /// Begins a session under a new id; `None` if the link has been used already.
    pub(crate) async fn begin_session(
        &self,
        begin: Begin<'_>,
    ) -> Result<Option<(SessionId, Session)>, AccountsError> {
        let id = SessionId::generate().map_err(AccountsError::Secret)?;
        let handle = SessionId::generate().map_err(AccountsError::Secret)?;
        let handle: String = handle.hash().to_string().chars().take(32).collect();
        let session = Session {
            id_hash: id.hash(),
            handle,
            role: begin.role,
            secure: begin.secure,
            device: begin.device.chars().take(DEVICE_MAX).collect(),
            created_at: begin.now,
            seen_at: begin.now,
            confirmed_at: begin.now,
        };
        let written = async {
            let mut change = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            if let Some(link) = begin.link
                && !use_link(&mut change, link, begin.now).await?
            {
                return Ok(false);
            }
            if let Some(instead) = begin.instead {
                sqlx::query("DELETE FROM sessions WHERE id_hash = $1")
                    .bind(instead.to_string())
                    .execute(&mut *change)
                    .await?;
            }
            insert(&mut change, &session).await?;
            end_surplus(&mut change, &session.role, begin.now).await?;
            change.commit().await?;
            Ok(true)
        };
        Ok(self.asked(written).await?.then_some((id, session)))
    }

    /// The session of an id, if it is not over; notes that it is in use.
    pub(crate) async fn session(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, AccountsError> {
        let id_hash = id.hash();
        let row = sqlx::query("SELECT * FROM sessions WHERE id_hash = $1")
            .bind(id_hash.to_string())
            .fetch_optional(&self.pool);
        let Some(row) = self.asked(row).await? else { return Ok(None) };
        let session = read(&row).ok_or_else(|| self.damaged("sessions"))?;
        if session.is_over(now) {
            self.end_session(&session.id_hash).await?;
            return Ok(None);
        }
        if now.millis_since(session.seen_at) >= SEEN_EVERY_MS {
            let seen = sqlx::query("UPDATE sessions SET seen_at_ms = $2 WHERE id_hash = $1")
                .bind(id_hash.to_string())
                .bind(now.as_millis())
                .execute(&self.pool);
            self.asked(seen).await?;
        }
        Ok(Some(session))
    }

    /// Ends a session.
    pub(crate) async fn end_session(&self, id_hash: &Digest) -> Result<(), AccountsError> {
        let ended = sqlx::query("DELETE FROM sessions WHERE id_hash = $1")
            .bind(id_hash.to_string())
            .execute(&self.pool);
        self.asked(ended).await.map(drop)
    }

    /// The sessions of whoever this is that are not over, the last seen first.
    pub(crate) async fn sessions_of(
        &self,
        role: &Role,
        now: Timestamp,
    ) -> Result<Vec<Session>, AccountsError> {
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE role = $1 AND subject = $2 \
             ORDER BY seen_at_ms DESC, handle",
        )
        .bind(role.word())
        .bind(role.subject())
        .fetch_all(&self.pool);
        let rows = self.asked(rows).await?;
        let sessions: Option<Vec<Session>> = rows.iter().map(read).collect();
        let mut sessions = sessions.ok_or_else(|| self.damaged("sessions"))?;
        sessions.retain(|session| !session.is_over(now));
        Ok(sessions)
    }

    /// Ends a session of whoever this is by its handle; `false` if it has none of this handle.
    pub(crate) async fn end_session_of(
        &self,
        role: &Role,
        handle: &str,
    ) -> Result<bool, AccountsError> {
        let ended =
            sqlx::query("DELETE FROM sessions WHERE role = $1 AND subject = $2 AND handle = $3")
                .bind(role.word())
                .bind(role.subject())
                .bind(handle)
                .execute(&self.pool);
        Ok(self.asked(ended).await?.rows_affected() > 0)
    }

    /// Ends all sessions of a household or an operator, but for one; gives how many.
    pub(crate) async fn end_sessions(
        &self,
        role: &str,
        subject: &str,
        but: Option<&Digest>,
    ) -> Result<u64, AccountsError> {
        let ended =
            sqlx::query("DELETE FROM sessions WHERE role = $1 AND subject = $2 AND id_hash <> $3")
                .bind(role)
                .bind(subject)
                .bind(but.map(ToString::to_string).unwrap_or_default())
                .execute(&self.pool);
        Ok(self.asked(ended).await?.rows_affected())
    }
}

/// Uses a link up; `false` if it has been used already.
async fn use_link(
    change: &mut sqlx::SqliteConnection,
    link: &CheckedLink,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    sqlx::query("DELETE FROM used_links WHERE expires_at_ms <= $1")
        .bind(now.plus_millis(-USED_FOR_MS).as_millis())
        .execute(&mut *change)
        .await?;
    let used = sqlx::query(
        "INSERT INTO used_links (id, expires_at_ms) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&link.id)
    .bind(link.expires_at.as_millis())
    .execute(change)
    .await?;
    Ok(used.rows_affected() > 0)
}

async fn insert(change: &mut sqlx::SqliteConnection, session: &Session) -> Result<(), sqlx::Error> {
    let key = match &session.role {
        Role::Household(_, key) => Some(key.to_string()),
        Role::Operator(_) => None,
    };
    sqlx::query(
        "INSERT INTO sessions (id_hash, handle, role, subject, party_key, secure, device, \
         created_at_ms, seen_at_ms, confirmed_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8)",
    )
    .bind(session.id_hash.to_string())
    .bind(&session.handle)
    .bind(session.role.word())
    .bind(session.role.subject())
    .bind(key)
    .bind(i64::from(session.secure))
    .bind(&session.device)
    .bind(session.created_at.as_millis())
    .execute(change)
    .await
    .map(drop)
}

/// Ends what is long over, and the sessions of this owner beyond those that it may have.
async fn end_surplus(
    change: &mut sqlx::SqliteConnection,
    role: &Role,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM sessions WHERE role = $1 AND created_at_ms <= $2")
        .bind(role.word())
        .bind(now.plus_millis(-role.absolute_ms()).as_millis())
        .execute(&mut *change)
        .await?;
    sqlx::query(
        "DELETE FROM sessions WHERE role = $1 AND subject = $2 AND id_hash NOT IN \
         (SELECT id_hash FROM sessions WHERE role = $1 AND subject = $2 \
         ORDER BY seen_at_ms DESC, created_at_ms DESC, rowid DESC LIMIT $3)",
    )
    .bind(role.word())
    .bind(role.subject())
    .bind(SESSIONS_MAX)
    .execute(change)
    .await
    .map(drop)
}

fn read(row: &SqliteRow) -> Option<Session> {
    let text = |column| row.try_get::<String, _>(column).ok();
    let instant = |column| row.try_get(column).ok().map(Timestamp::from_millis);
    let role = match text("role")?.as_str() {
        "household" => {
            Role::Household(text("subject")?.parse().ok()?, text("party_key")?.parse().ok()?)
        }
        "operator" => Role::Operator(text("subject")?.parse().ok()?),
        _ => return None,
    };
    Some(Session {
        id_hash: text("id_hash")?.parse().ok()?,
        handle: text("handle")?,
        role,
        secure: row.try_get::<i64, _>("secure").ok()? != 0,
        device: text("device")?,
        created_at: instant("created_at_ms")?,
        seen_at: instant("seen_at_ms")?,
        confirmed_at: instant("confirmed_at_ms")?,
    })
}
