//! Everything that is checked before an agent starts.

use ledger::genesis::{self, Genesis};
use market::keys::SigningKey;
use market::member::{Member, PartyId};
use market::time::{Clock, Timestamp};
use mesh::key_file::Keychain;
use mesh::{MeshConfig, TransportKey};
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::commission::Record;
use crate::config::AgentConfig;
use crate::error::AgentError;
use crate::interval::{GAP_MAX_MS, IntervalRules};
use crate::membership::Membership;
use crate::outbox::{Outbox, OutboxError, Restored};
use crate::pace::market_ms_in;
use crate::signer::Signer;

/// What a checked configuration gives.
pub(crate) struct Prepared {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) member: Member,
    pub(crate) signer: Signer,
    pub(crate) mesh: MeshConfig,
    pub(crate) outbox: Outbox,
    pub(crate) restored: Restored,
    /// Why the meter may not trade, if its last check failed.
    pub(crate) failed_check: Option<String>,
}

/// Reads and checks what the configuration names, and opens the outbox. The data directory belongs
/// to this process as long as the file is held.
pub(crate) async fn prepare(
    config: &AgentConfig,
    keys: &Keychain,
    now: Timestamp,
) -> Result<(Prepared, File), AgentError> {
    let genesis = read_genesis(&config.genesis)?;
    let party = config.party;
    let member = match read_membership(&config.membership, party)? {
        Some(member) => Some(member),
        None => genesis.members.get(&party).cloned(),
    };
    let member =
        member.ok_or_else(|| AgentError::NotAMember { party, community: genesis.name.clone() })?;
    if let Some(configured) = config.metering_point.filter(|p| *p != member.metering_point) {
        let registered = member.metering_point;
        return Err(AgentError::ForeignMeteringPoint { configured, registered });
    }
    let key = SigningKey::from_seed(&*keys.read(&config.party_key)?);
    if key.public() != member.key {
        return Err(AgentError::ForeignKey { path: config.party_key.clone(), party });
    }
    let chain = genesis.chain_id();
    let mesh = MeshConfig {
        transport_key: TransportKey::from_seed(keys.read(&config.mesh.transport_key)?),
        chain_id: *chain.as_bytes(),
        listen: config.mesh.listen.clone(),
        bootstrap: config.mesh.bootstrap.clone(),
        mdns: config.mesh.mdns,
        serve_blocks: false,
    };
    let lock = hold_data_dir(&config.data_dir)?;
    let period_length = genesis.rules.period_length;
    let opened = Outbox::open(&config.data_dir, chain, party, period_length, now).await;
    let (outbox, restored) = opened.map_err(|error| match error {
        OutboxError::Foreign { party, chain } => AgentError::ForeignDataDir {
            path: config.data_dir.clone(),
            found_party: party,
            found_chain: chain,
        },
        other => AgentError::Outbox(other),
    })?;
    let unreadable = |source| AgentError::DataDir { path: config.data_dir.clone(), source };
    let last_check = Record::read(&config.data_dir).map_err(unreadable)?;
    let failed_check = last_check.and_then(|record| record.objection());
    let signer = Signer::new(key, chain, party, &member);
    let genesis = Arc::new(genesis);
    let prepared = Prepared { genesis, member, signer, mesh, outbox, restored, failed_check };
    Ok((prepared, lock))
}

/// What the interval machine has to know.
pub(crate) fn interval_rules(
    config: &AgentConfig,
    genesis: &Genesis,
    clock: &dyn Clock,
) -> IntervalRules {
    let profile = &config.meter.profile;
    IntervalRules {
        period_length: genesis.rules.period_length,
        rated_power_w: config.rated_power_w,
        gap_max_ms: gap_max_ms(config, clock),
        rollovers_wh: profile.rollovers_wh(),
    }
}

/// Twice the poll interval in market time, at least a minute: on a scaled clock a poll every second
/// may well be a minute of market time.
pub(crate) fn gap_max_ms(config: &AgentConfig, clock: &dyn Clock) -> i64 {
    // A tenth of leeway: polls never come exactly on time.
    let two_polls = config.meter.poll_interval.mul_f64(2.2);
    market_ms_in(clock, two_polls).max(GAP_MAX_MS)
}

fn read_genesis(path: &Path) -> Result<Genesis, AgentError> {
    let unusable = |problem: String| AgentError::Genesis { path: path.to_owned(), problem };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    genesis::read(&text).map_err(|error| unusable(error.to_string()))
}

/// What the ledger says about a household that has joined after genesis, or has changed its key.
fn read_membership(path: &Path, party: PartyId) -> Result<Option<Member>, AgentError> {
    let unusable = |problem: String| AgentError::Membership { path: path.to_owned(), problem };
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| unusable(error.to_string()))?,
    };
    let membership = Membership::from_text(&text).map_err(unusable)?;
    if membership.party == party {
        Ok(Some(membership.member))
    } else {
        Err(unusable(format!("it is about party {}, not about {party}", membership.party)))
    }
}

/// Makes the directory and takes it for this process alone, as long as the file is held.
///
/// # Errors
/// [`AgentError::DataDirInUse`] if an agent runs there, [`AgentError::DataDir`] if it cannot be
/// made.
pub fn hold_data_dir(path: &Path) -> Result<File, AgentError> {
    let failed = |source: io::Error| AgentError::DataDir { path: path.to_owned(), source };
    std::fs::create_dir_all(path).map_err(failed)?;
    let lock = File::create(path.join("agent.lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(AgentError::DataDirInUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
