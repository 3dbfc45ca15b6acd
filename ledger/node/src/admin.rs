//! Asking a running node for what only it can do: its ledger is held by it alone.
//!
//! It is asked over a Unix socket in a folder of the data directory that only its own user may
//! enter: whoever can write there could read the ledger anyway, and nothing listens on a network.
//!
//! ```text
//! request   one line of JSON: {"backup": {"to": "/path"}}, {"snapshot": {"to": "/path"}},
//!           {"statement": {"party": "..", "from_ms": 1, "until_ms": 2, "to": "/path"}}, or
//!           {"erase": {"party": ".."}}
//! answer    lines of JSON: any number of {"progress": {"height": 1, "tip": 2}}, then
//!           {"done": {"height": 2}}, {"erased": {..}} or {"failed": "why"}
//! ```

use ledger::genesis::Genesis;
use market::keys::SigningKey;
use market::member::PartyId;
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::snapshot::write_snapshot;
use crate::statement::{Span, write_statement};
use crate::store::{BackupProgress, ErasureEntry, ErasureStanding, Store};

/// The folder in the data directory.
pub(crate) const FOLDER: &str = "admin";
const SOCKET: &str = "socket";

/// The longest request, in bytes.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;

/// How long whoever connected may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a node can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminRequest {
    /// A copy of the ledger in a new file.
    Backup {
        /// The file; absolute.
        to: PathBuf,
    },
    /// The newest certified snapshot in a new file.
    Snapshot {
        /// The file; absolute.
        to: PathBuf,
    },
    /// A party's statement in a new file.
    Statement {
        /// Whose, as hexadecimal digits.
        party: String,
        /// What was posted from this time on, in milliseconds since 1970, UTC.
        from_ms: i64,
        /// And before this one.
        until_ms: i64,
        /// The file; absolute.
        to: PathBuf,
    },
    /// To carry out at once what is due of the requests to erase, and to say how one stands.
    Erase {
        /// Whom, as hexadecimal digits.
        party: String,
    },
}

/// What it answers, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Progress(BackupProgress),
    Done { height: u64 },
    Erased(ErasureEntry),
    Failed(String),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminDone {
    /// A file was written, of the ledger up to a height.
    Written {
        /// The height.
        height: u64,
    },
    /// A party is erased.
    Erased(ErasureEntry),
}

/// Why a running node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It does not run, or not as this user.
    #[error("no node runs on {data_dir}, or not as this user: {source}")]
    NotRunning {
        /// Its data directory.
        data_dir: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It could not.
    #[error("{0}")]
    Failed(String),
    /// It ended on the way.
    #[error("the node ended before it was done; ask again")]
    Ended,
}

/// Asks the node that runs on a data directory.
///
/// # Errors
/// [`AdminError`] if it does not run, or could not.
pub async fn ask(
    data_dir: &Path,
    request: &AdminRequest,
    mut tell: impl FnMut(BackupProgress),
) -> Result<AdminDone, AdminError> {
    let not_running = |source| AdminError::NotRunning { data_dir: data_dir.to_owned(), source };
    let socket = data_dir.join(FOLDER).join(SOCKET);
    let stream = UnixStream::connect(socket).await.map_err(not_running)?;
    let (reading, mut writing) = stream.into_split();
    let line =
        serde_json::to_string(request).map_err(|error| AdminError::Failed(error.to_string()))?;
    let sent = writing.write_all(format!("{line}\n").as_bytes()).await;
    sent.map_err(|_| AdminError::Ended)?;
    let mut lines = BufReader::new(reading).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Answer::Progress(progress)) => tell(progress),
            Ok(Answer::Done { height }) => return Ok(AdminDone::Written { height }),
            Ok(Answer::Erased(entry)) => return Ok(AdminDone::Erased(entry)),
            Ok(Answer::Failed(words)) => return Err(AdminError::Failed(words)),
            Err(error) => return Err(AdminError::Failed(error.to_string())),
        }
    }
    Err(AdminError::Ended)
}

/// What requests are answered from. Also without a running node, whose ledger is then opened.
#[derive(Debug)]
pub struct Admin {
    /// Where the node's files lie.
    pub data_dir: PathBuf,
    /// The ledger.
    pub store: Store,
    /// The community.
    pub genesis: Genesis,
    /// Signs receipts.
    pub key: SigningKey,
}

impl Admin {
    /// Answers until shutdown. A node on which the socket cannot be made goes on without it.
    pub(crate) async fn serve(self, shutdown: CancellationToken) {
        let folder = self.data_dir.join(FOLDER);
        let listener = match listen(&folder) {
            Ok(listener) => listener,
            Err(error) => {
                let path = folder.display();
                tracing::warn!(%error, %path, "nothing can be asked of this node while it runs");
                return;
            }
        };
        loop {
            let stream = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a request of the operator was lost");
                        tokio::time::sleep(PATIENCE).await;
                        continue;
                    }
                },
            };
            // One after another: each reads the whole ledger.
            let answered = self.answer(stream);
            if let Some(Err(error)) = shutdown.run_until_cancelled(answered).await {
                tracing::warn!(%error, "whoever asked for something went away");
            }
        }
        // Only tidiness: a left-over socket is removed at the next start.
        let _ = fs::remove_file(folder.join(SOCKET));
    }

    async fn answer(&self, stream: UnixStream) -> io::Result<()> {
        let (reading, mut writing) = stream.into_split();
        let mut line = String::new();
        let mut reading = BufReader::new(reading.take(REQUEST_BYTES_MAX));
        tokio::time::timeout(PATIENCE, reading.read_line(&mut line)).await??;
        let (tell, mut told) = mpsc::channel(4);
        let work = async {
            // With `tell` the channel ends.
            let tell = |progress| {
                // Whoever is slow to listen hears less often.
                let _ = tell.try_send(progress);
            };
            match serde_json::from_str::<AdminRequest>(&line) {
                Ok(request) => self.carry_out(&request, tell).await,
                Err(error) => Err(AdminError::Failed(format!("this is no request: {error}"))),
            }
        };
        let mut work = std::pin::pin!(work);
        let answer = loop {
            tokio::select! {
                result = &mut work => break match result {
                    Ok(AdminDone::Written { height }) => Answer::Done { height },
                    Ok(AdminDone::Erased(entry)) => Answer::Erased(entry),
                    Err(error) => Answer::Failed(error.to_string()),
                },
                Some(progress) = told.recv() => {
                    send(&mut writing, &Answer::Progress(progress)).await?;
                }
            }
        };
        send(&mut writing, &answer).await
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// [`AdminError::Failed`] says what to mend.
    pub async fn carry_out(
        &self,
        request: &AdminRequest,
        tell: impl FnMut(BackupProgress) + Send,
    ) -> Result<AdminDone, AdminError> {
        let failed = |error: &dyn std::error::Error| AdminError::Failed(error.to_string());
        let height = match request {
            AdminRequest::Backup { to } => {
                let copied = self.store.backup(&self.genesis, to, tell).await;
                copied.map_err(|error| failed(&error))?
            }
            AdminRequest::Snapshot { to } => {
                write_snapshot(&self.store, to).await.map_err(|error| failed(&error))?
            }
            AdminRequest::Statement { party, from_ms, until_ms, to } => {
                let span = Span {
                    from: Timestamp::from_millis(*from_ms),
                    until: Timestamp::from_millis(*until_ms),
                };
                let (genesis, party) = (&self.genesis, read_party(party)?);
                let written = write_statement(&self.store, genesis, party, span, to, tell).await;
                written.map_err(|error| failed(&error))?
            }
            AdminRequest::Erase { party } => return self.erase(&read_party(party)?).await,
        };
        Ok(AdminDone::Written { height })
    }

    async fn erase(&self, party: &PartyId) -> Result<AdminDone, AdminError> {
        let chain = self.genesis.chain_id();
        let standing = async {
            self.store.carry_out_erasures(&chain, &self.key).await?;
            self.store.erasure_of(party, &chain).await
        };
        let standing = standing.await.map_err(|error| AdminError::Failed(error.to_string()))?;
        match standing {
            ErasureStanding::Done(receipt) => Ok(AdminDone::Erased(receipt.into())),
            ErasureStanding::Waiting { requested_at, due_at } => Err(AdminError::Failed(format!(
                "block {requested_at} asks to erase {party}; a restart of this node needs the \
                     blocks before until height {due_at}, where it erases them by itself"
            ))),
            ErasureStanding::NotRequested => Err(AdminError::Failed(format!(
                "no block here asks to erase {party}; an operator asks all nodes by `hidamari \
                 operator erase {party}`, once it is revoked and its last period is final"
            ))),
        }
    }
}

fn read_party(text: &str) -> Result<PartyId, AdminError> {
    let bad = |error| AdminError::Failed(format!("{text} is no party: {error}"));
    text.parse().map_err(bad)
}

fn listen(folder: &Path) -> io::Result<UnixListener> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let socket = folder.join(SOCKET);
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(socket),
    }
}

async fn send(writing: &mut tokio::net::unix::OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let line = serde_json::to_string(answer).map_err(io::Error::other)?;
    writing.write_all(format!("{line}\n").as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_node_writes_the_copies_that_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().to_owned();
        let text = include_str!("../../../tests/golden/genesis.toml");
        let genesis = ledger::genesis::read(text).unwrap();
        let backup = |name: &str| AdminRequest::Backup { to: data_dir.join(name) };
        let nobody = ask(&data_dir, &backup("a"), |_| {}).await.unwrap_err();
        assert!(matches!(nobody, AdminError::NotRunning { .. }), "{nobody}");

        let (store, _) = Store::open(&data_dir, &genesis).await.unwrap();
        let stop = CancellationToken::new();
        let key = SigningKey::from_seed(&[1; 32]);
        let admin = Admin { data_dir: data_dir.clone(), store, genesis, key };
        let serving = tokio::spawn(admin.serve(stop.clone()));
        while !data_dir.join(FOLDER).join(SOCKET).exists() {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            ask(&data_dir, &backup("a"), |_| {}).await.unwrap(),
            AdminDone::Written { height: 0 }
        );
        assert!(data_dir.join("a").is_file());
        let twice = ask(&data_dir, &backup("a"), |_| {}).await.unwrap_err();
        assert!(twice.to_string().contains("is there already"), "{twice}");
        let snapshot = AdminRequest::Snapshot { to: data_dir.join("b") };
        let early = ask(&data_dir, &snapshot, |_| {}).await.unwrap_err();
        assert!(early.to_string().contains("no snapshot before height 64"), "{early}");
        let erase = AdminRequest::Erase { party: "a0".repeat(16) };
        let unasked = ask(&data_dir, &erase, |_| {}).await.unwrap_err();
        assert!(unasked.to_string().contains("hidamari operator erase a0a0"), "{unasked}");
        // Whoever talks nonsense is told so, and the next one is served.
        let mut stream = UnixStream::connect(data_dir.join(FOLDER).join(SOCKET)).await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        assert!(told.contains("this is no request"), "{told}");
        assert_eq!(
            ask(&data_dir, &backup("c"), |_| {}).await.unwrap(),
            AdminDone::Written { height: 0 }
        );
        stop.cancel();
        serving.await.unwrap();
    }
}
