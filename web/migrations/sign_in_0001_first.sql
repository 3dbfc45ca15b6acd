-- Who may sign in and who has: the dashboard's own, never on the ledger and never made anew.
-- Instants are ms UTC of real time; hashes and handles are lower-case hexadecimal digits.

CREATE TABLE operators (
    name TEXT PRIMARY KEY NOT NULL,
    salt BLOB NOT NULL,
    memory_kib BIGINT NOT NULL,
    passes BIGINT NOT NULL,
    lanes BIGINT NOT NULL,
    password_hash BLOB NOT NULL,
    totp_secret BLOB NOT NULL,
    -- The step of the last code that was used: none counts twice.
    totp_step BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

-- The id itself is in the browser alone; the handle names the session in lists.
CREATE TABLE sessions (
    id_hash TEXT PRIMARY KEY NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- The key with which a household signed in: another key, and the session is over.
    party_key TEXT,
    secure BIGINT NOT NULL,
    device TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    confirmed_at_ms BIGINT NOT NULL
);
CREATE INDEX sessions_by_subject ON sessions (role, subject);

-- Links that were used, until they would have expired anyway.
CREATE TABLE used_links (
    id TEXT PRIMARY KEY NOT NULL,
    expires_at_ms BIGINT NOT NULL
);

CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    at_ms BIGINT NOT NULL,
    role TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL
);
CREATE INDEX audit_by_what ON audit (role, actor, action, subject, at_ms);
