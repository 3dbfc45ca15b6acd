//! `hidamari agent join`: from an invitation to a member's agent.
//!
//! Every step can be repeated: keys that are there are kept, a request that stands in a block is
//! not sent again, and whoever was taken in meanwhile is told at once.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ledger::acts::{Join as Request, Measure, Purpose, join_consent};
use ledger::genesis::Genesis;
use ledger::state::State;
use ledger::transaction::Transaction;
use ledger_node::submit::Visit;
use market::fingerprint::Fingerprint;
use market::keys::{ChainId, PublicKey, SigningKey};
use market::signed::Signed;
use market::time::Clock;
use mesh::{MeshConfig, Topic, TransportKey};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::household::files::{Files, write};
use crate::household::options::Join;
use crate::invitation::Invitation;
use crate::visit::{Door, failed, read_genesis};

/// How long the community may take to answer, or to take the request into a block.
const PATIENCE: Duration = Duration::from_secs(60);

/// Joins.
///
/// # Errors
/// [`Failure`] says what to mend, or what may go better the next time.
pub(crate) async fn join(options: Join, clock: Arc<dyn Clock>) -> Result<ExitCode, Failure> {
    let invitation = Invitation::given(&options.invitation)
        .map_err(|problem| Failure::option("INVITATION", &problem))?;
    if invitation.expires_at <= clock.now() {
        let problem = format!("it expired at {}; ask for another", invitation.expires_at);
        return Err(Failure::option("INVITATION", &problem));
    }
    let files = Files::make(&options.dir)?;
    let keys = options.keys.keychain();
    let transport = Files::key(&files.mesh_key(), &keys)?;
    let party_key = SigningKey::from_seed(&*Files::key(&files.party_key(), &keys)?);
    let genesis = match known_genesis(&options, &files)? {
        Some(genesis) => genesis,
        None => {
            let mesh = MeshConfig {
                transport_key: TransportKey::from_seed(transport.clone()),
                chain_id: *invitation.chain.as_bytes(),
                listen: Vec::new(),
                bootstrap: invitation.bootstrap.clone(),
                mdns: false,
                serve_blocks: false,
            };
            ledger_node::submit::fetch_genesis(mesh, PATIENCE).await.map_err(failed)?
        }
    };
    check_genesis(&genesis, &invitation.chain)?;
    keep_genesis(&files.genesis(), &genesis)?;
    let door = Door {
        genesis,
        transport,
        bootstrap: invitation.bootstrap.clone(),
        data_dir: files.data(),
    };
    let mut visit = door.enter(clock).await?;
    let candidate = Candidate { options: &options, invitation, key: party_key, files };
    let result = candidate.join(&door.genesis, &mut visit).await;
    door.leave(visit).await;
    result
}

struct Candidate<'a> {
    options: &'a Join,
    invitation: Invitation,
    key: SigningKey,
    files: Files,
}

impl Candidate<'_> {
    async fn join(&self, genesis: &Genesis, visit: &mut Visit) -> Result<ExitCode, Failure> {
        let invited = self.invitation.public();
        let opened = visit.state().invitation(&invited).cloned();
        let opened = opened.ok_or_else(|| {
            let problem = "the ledger does not know this invitation; ask for another";
            Failure::option("INVITATION", &problem)
        })?;
        let (purpose, key) = (opened.purpose, self.key.public());
        let limit_wh = limit_wh(&purpose, visit.state());
        self.files.write_config(self.options, &self.invitation, &purpose, genesis, limit_wh)?;
        if self.is_enrolled(visit.state(), &purpose) {
            return self.welcome(visit.state(), &purpose);
        }
        if !opened.candidates.contains(&key) {
            let request = self.request(visit.state().chain());
            let seen = visit.submit(&request, Topic::Acts, PATIENCE).await.map_err(failed)?;
            tracing::info!(height = seen.height, "the request stands in a block");
        }
        self.tell_fingerprint(visit.state().chain(), &key);
        if self.options.no_wait {
            return Ok(ExitCode::SUCCESS);
        }
        self.wait(visit, &invited).await?;
        self.welcome(visit.state(), &purpose)
    }

    /// The request to join, signed by the invitation and consented to by the new key.
    fn request(&self, chain: &ChainId) -> Transaction {
        let invitation = self.invitation.public();
        let request = Request {
            community: *chain,
            invitation,
            key: self.key.public(),
            consent: self.key.sign(&join_consent(chain, &invitation)),
        };
        let signed = Signed::sign(request, chain, &self.invitation.signing_key());
        Transaction::Join(signed.into_envelope())
    }

    fn is_enrolled(&self, state: &State, purpose: &Purpose) -> bool {
        let member = state.members().get(&purpose.party());
        member.is_some_and(|member| member.is_active() && member.key == self.key.public())
    }

    /// Waits until an operator takes somebody in by this invitation, or takes it back.
    async fn wait(&self, visit: &mut Visit, invited: &PublicKey) -> Result<(), Failure> {
        let key = self.key.public();
        let outcome = visit.watch(|executed| {
            executed.block.transactions.iter().find_map(|transaction| {
                let Transaction::OperatorAct(envelope) = transaction else { return None };
                match &envelope.unverified().measure {
                    Measure::Enrol { invitation, key } if invitation == invited => Some(Some(*key)),
                    Measure::CancelInvitation { invitation } if invitation == invited => Some(None),
                    _ => None,
                }
            })
        });
        match outcome.await.map_err(failed)? {
            Some(enrolled) if enrolled == key => Ok(()),
            Some(_) => Err(Failure::option(
                "INVITATION",
                &"the operator took another key in by this invitation; tell it, and ask for another",
            )),
            None => Err(Failure::option(
                "INVITATION",
                &"the operator has taken this invitation back; ask for another",
            )),
        }
    }

    fn tell_fingerprint(&self, chain: &ChainId, key: &PublicKey) {
        let fingerprint = Fingerprint::of(chain, key);
        let words = format!(
            "You have asked to join {:?}. Call its operator, and read these digits aloud:\n\n    \
             {fingerprint}\n\n{}",
            self.invitation.community,
            if self.options.no_wait {
                "Give the same command again to see whether you have been taken in."
            } else {
                "Waiting until you are taken in (Ctrl-C is safe: the same command goes on)."
            }
        );
        self.tell(&json!({ "step": "asked", "fingerprint": fingerprint.to_string() }), &words);
    }

    fn welcome(&self, state: &State, purpose: &Purpose) -> Result<ExitCode, Failure> {
        let party = purpose.party();
        let member = state.members().get(&party).ok_or_else(|| {
            Failure::option("INVITATION", &"the ledger does not list this household any more")
        })?;
        self.files.write_membership(party, member, state.height())?;
        let config = self.files.config();
        let mut words = format!(
            "Welcome to {:?}. You are party {party}.\nStart your agent:\n  hidamari agent --config {}",
            self.invitation.community,
            config.display()
        );
        if self.options.meter.is_none() {
            words += &format!("\nbut first fill in the meter in {}.", config.display());
        }
        let config = config.display().to_string();
        let answer = json!({ "step": "member", "party": party.to_string(), "config": config });
        self.tell(&answer, &words);
        Ok(ExitCode::SUCCESS)
    }

    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    fn tell(&self, answer: &Value, words: &str) {
        if self.options.json {
            println!("{answer}");
        } else {
            println!("{words}");
        }
    }
}

/// The most that flows in one period, as it is registered.
fn limit_wh(purpose: &Purpose, state: &State) -> i64 {
    let (import_max, export_max) = match purpose {
        Purpose::NewMember { import_max, export_max, .. } => (import_max.wh(), export_max.wh()),
        Purpose::NewKey { party } => state
            .members()
            .get(party)
            .map_or((0, 0), |member| (member.import_max.wh(), member.export_max.wh())),
    };
    import_max.max(export_max)
}

/// The genesis that was named, or fetched the last time.
fn known_genesis(options: &Join, files: &Files) -> Result<Option<Genesis>, Failure> {
    let kept = files.genesis();
    let path = options.genesis.clone().or_else(|| kept.exists().then_some(kept));
    path.map(|path| read_genesis(&path)).transpose()
}

fn check_genesis(genesis: &Genesis, chain: &ChainId) -> Result<(), Failure> {
    let found = genesis.chain_id();
    if found == *chain {
        return Ok(());
    }
    let problem = format!("this is the genesis of {found}, but the invitation is for {chain}");
    Err(Failure::option("--genesis", &problem))
}

fn keep_genesis(path: &Path, genesis: &Genesis) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    let text = ledger::genesis::write(genesis).map_err(Failure::start)?;
    write(path, &text)
}
