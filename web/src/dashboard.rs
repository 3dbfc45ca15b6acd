//! The dashboard as one thing: opened, fed with blocks, served.

use std::sync::Arc;
use std::time::Duration;

use ledger::block::CommittedBlock;
use ledger::genesis::Genesis;
use market::time::Clock;
use mesh::key_file::Keychain;
use mesh::{Mesh, MeshConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::api;
use crate::chain::{Chain, FollowError, Telling};
use crate::config::DashboardConfig;
use crate::data_dir::DataDir;
use crate::error::WebError;
use crate::events::Events;
use crate::follow::{Announced, catch_up, hear};
use crate::hosts::Hosts;
use crate::limits::Limits;
use crate::local_time::LocalZone;
use crate::metrics::Metrics;
use crate::read_model::{ReadModel, restore};
use crate::serve::serve;
use crate::sign_in::check::SignIn;
use crate::site::Site;
use crate::status::Live;
use crate::tls;

/// How often it is looked whether the status has changed (real time).
const STATUS_LOOK: Duration = Duration::from_millis(250);

/// How often the status is told although it has not changed (real time).
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// The two clocks of a dashboard.
#[derive(Clone)]
pub struct Clocks {
    /// Market time.
    pub market: Arc<dyn Clock>,
    /// Real time, by which people's sessions and links end.
    pub real: Arc<dyn Clock>,
}

/// Market time is real time, as everywhere but in demos.
impl<C: Clock + 'static> From<Arc<C>> for Clocks {
    fn from(clock: Arc<C>) -> Self {
        Self { market: Arc::clone(&clock) as Arc<dyn Clock>, real: clock }
    }
}

/// Runs the dashboard until shutdown: follows the community over the mesh and serves the API and
/// the page on `listener`.
///
/// `keys` opens the transport key. Network time-outs and the ages of blocks are real time.
///
/// # Errors
/// [`WebError`] if something it needs cannot be used. Nothing that comes from peers or browsers is
/// an error: it is refused, counted and logged.
pub async fn run(
    config: DashboardConfig,
    keys: Keychain,
    listener: TcpListener,
    clocks: impl Into<Clocks>,
    shutdown: CancellationToken,
) -> Result<(), WebError> {
    let transport_key = config.mesh.read_key(&keys)?;
    let dashboard = Dashboard::open(&config, clocks).await?;
    let site = Arc::clone(dashboard.chain.site());
    // Whichever part ends first ends the others.
    let stop = shutdown.child_token();
    let ending = stop.clone().drop_guard();
    let mesh_config = MeshConfig {
        transport_key,
        chain_id: *site.genesis.chain_id().as_bytes(),
        listen: config.mesh.listen,
        bootstrap: config.mesh.bootstrap,
        mdns: config.mesh.mdns,
        serve_blocks: false,
    };
    let (mesh, mesh_events) = Mesh::start(mesh_config, stop.clone()).await?;
    let (announce, announced) = watch::channel(Announced::default());
    tracing::info!(
        address = %listener.local_addr().map_err(WebError::Listener)?,
        peer = %mesh.peer_id(),
        height = site.live.tip().state.height(),
        "the dashboard is up"
    );
    let hearing = hear(Arc::clone(&site), mesh.clone(), mesh_events, announce);
    let hearing = async {
        let ended = hearing.await;
        stop.cancel();
        ended
    };
    let following = catch_up(dashboard.chain, mesh, announced, stop.clone());
    let serving = serve_site(Arc::clone(&site), dashboard.tls, listener, stop.clone());
    let (heard, (), ()) = tokio::join!(hearing, following, serving);
    drop(ending);
    site.close().await;
    Ok(heard?)
}

/// A dashboard without a network: for [`run`], and for whoever has blocks at hand.
pub struct Dashboard {
    chain: Chain,
    tls: Option<Arc<ServerConfig>>,
}

impl Dashboard {
    /// Reads the genesis and opens the read model, which goes on where it ended: its state is
    /// checked against the certified headers, and made anew if it does not hold.
    ///
    /// # Errors
    /// [`WebError`] names the file that cannot be used, and why.
    pub async fn open(
        config: &DashboardConfig,
        clocks: impl Into<Clocks>,
    ) -> Result<Self, WebError> {
        let Clocks { market: clock, real: real_clock } = clocks.into();
        let (genesis, genesis_text) = read_genesis(config)?;
        let zone = LocalZone::named(&genesis.time_zone)
            .ok_or_else(|| WebError::UnknownTimeZone { name: genesis.time_zone.clone() })?;
        let data_dir = DataDir::take(&config.data_dir)?;
        let tls = config
            .tls
            .as_ref()
            .map(|section| tls::server_config(section, &config.data_dir, &config.allowed_hosts));
        let tls = tls.transpose()?;
        let accounts = Accounts::open(&config.data_dir).await?;
        let model = ReadModel::open(&config.data_dir, &genesis).await?;
        let state = restore::restore(&model, &genesis).await?;
        let run = format!("{:x}", clock.now().as_millis());
        let site = Site {
            genesis,
            genesis_text,
            zone,
            household_pages: config.household_pages,
            clock_speed: config.clock_speed,
            hosts: Hosts::new(&config.allowed_hosts),
            data_dir,
            clock,
            real_clock,
            under_tls: tls.is_some(),
            proxies: config.proxies.clone(),
            accounts,
            sign_in: SignIn::new(),
            limits: Limits::new(&config.limits),
            model,
            live: Live::at(state),
            events: Events::new(run),
            metrics: Metrics::new(),
        };
        Ok(Self { chain: Chain::new(Arc::new(site)), tls })
    }

    /// The height of the last followed block; 0 before the first.
    pub fn height(&self) -> u64 {
        self.chain.site().live.tip().state.height()
    }

    /// Verifies and applies the next block, writes it down, and tells listeners.
    ///
    /// # Errors
    /// [`FollowError`]; nothing has changed then.
    pub async fn follow(&mut self, committed: CommittedBlock) -> Result<(), FollowError> {
        self.chain.follow(committed, Telling::Aloud).await
    }

    /// Serves the API and the page until shutdown. The future is its own: blocks can be followed
    /// while it runs.
    pub fn serve(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        serve_site(Arc::clone(self.chain.site()), self.tls.clone(), listener, shutdown)
    }

    /// Closes the read model and lets go of the data directory.
    pub async fn close(self) {
        self.chain.site().close().await;
    }
}

fn read_genesis(config: &DashboardConfig) -> Result<(Genesis, String), WebError> {
    let path = &config.genesis;
    let text = std::fs::read_to_string(path)
        .map_err(|source| WebError::GenesisUnreadable { path: path.clone(), source })?;
    let genesis = ledger::genesis::read(&text)
        .map_err(|error| WebError::Genesis { path: path.clone(), error })?;
    Ok((genesis, text))
}

async fn serve_site(
    site: Arc<Site>,
    tls: Option<Arc<ServerConfig>>,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    let telling = tell_status(Arc::clone(&site), shutdown.clone());
    let serving = serve(listener, tls, api::router(&site), Arc::clone(&site), shutdown);
    tokio::join!(telling, serving);
}

/// Tells listeners the status when it changes, and every now and then.
async fn tell_status(site: Arc<Site>, shutdown: CancellationToken) {
    let mut look = tokio::time::interval(STATUS_LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    while shutdown.run_until_cancelled(look.tick()).await.is_some() {
        let status = site.status();
        let now = (status.state, status.height, status.peers_count);
        let due = told
            .is_none_or(|(what, at): (_, Instant)| what != now || at.elapsed() >= STATUS_INTERVAL);
        if due {
            site.events.tell_now("status", &status);
            told = Some((now, Instant::now()));
        }
    }
}
