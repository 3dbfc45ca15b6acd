//! The configuration files of the demo's processes, and how each is started.
//!
//! Keys stay from start to start; addresses are free ones of this machine and are written anew.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use ledger_node::config::{ConsensusSection, MeshSection, NodeConfig};
use market::price::Price;
use market::tariff::Rates;
use market::time::DeliveryPeriod;
use mesh::TransportKey;
use mesh::key_file::{self, KeyFileError};
use toml::{Table, Value};

use crate::demo::founding::{Founded, RATED_POWER_W, Secret, party_of, secret};
use crate::demo::stage::Stage;
use crate::demo::supervisor::{Recipe, Role};
use crate::demo::{DemoError, DemoOptions};
use crate::scaled_clock::ScaledClock;

/// How often an agent asks its meter, in real milliseconds.
const POLL_INTERVAL_MS: u32 = 1_000;

/// What the demo starts, and where it can look at it.
pub(super) struct Cast {
    pub(super) recipes: Vec<Recipe>,
    /// The status pages of the validators, in order: `http://127.0.0.1:PORT`.
    pub(super) validator_urls: Vec<String>,
    /// The dashboard's address.
    pub(super) dashboard_url: String,
    /// The agents' folders, in order.
    pub(super) agent_dirs: Vec<PathBuf>,
    /// The validators' data directories, in order.
    pub(super) validator_dirs: Vec<PathBuf>,
}

/// Writes every configuration file and says how to start what it is for.
///
/// # Errors
/// [`DemoError`] if a file cannot be written or no port is free.
pub(super) fn cast(
    dir: &Path,
    options: &DemoOptions,
    founded: &Founded,
    stage: &Stage,
    clock: &ScaledClock,
) -> Result<Cast, DemoError> {
    let clock_text = clock.to_string();
    let mut cast = Cast {
        recipes: Vec::new(),
        validator_urls: Vec::new(),
        dashboard_url: format!("http://127.0.0.1:{}", options.port),
        agent_dirs: Vec::new(),
        validator_dirs: Vec::new(),
    };
    let recipe = |role: Role, name: &str, arguments: Vec<String>| Recipe {
        name: name.to_owned(),
        role,
        program: options.program.clone(),
        arguments: arguments.into_iter().chain(["--exit-with-parent".to_owned()]).collect(),
        environment: vec![("HIDAMARI_CLOCK".to_owned(), clock_text.clone())],
        log: dir.join(name).join("log"),
    };
    let places = validator_places(founded.seed, options.validators)?;
    for (index, place) in places.iter().enumerate() {
        let name = format!("validator-{}", index + 1);
        let folder = make_folder(dir, &name)?;
        write_validator(&folder, &name, founded.seed, index, &places)?;
        let arguments = ["node", "--config"].map(str::to_owned).into_iter();
        let file = folder.join("node.toml").display().to_string();
        cast.recipes.push(recipe(Role::Validator, &name, arguments.chain([file]).collect()));
        cast.validator_urls.push(format!("http://{}", place.http));
        cast.validator_dirs.push(folder.join("data"));
    }
    let bootstrap: Vec<String> = places.iter().map(|place| multiaddr(place.mesh)).collect();
    for (index, meter) in stage.addresses().into_iter().enumerate() {
        let name = format!("house-{:02}", index + 1);
        let folder = make_folder(dir, &name)?;
        // Two neighbours of the mesh each, in turn, so that no validator carries all of them.
        let joins = (0..2).map(|step| &bootstrap[(index + step) % bootstrap.len()]);
        let joins: Vec<String> = joins.cloned().collect();
        write_agent(&folder, founded, index, meter, &joins, options.speed)?;
        let arguments = ["agent", "--config"].map(str::to_owned).into_iter();
        let file = folder.join("agent.toml").display().to_string();
        cast.recipes.push(recipe(Role::Agent, &name, arguments.chain([file]).collect()));
        cast.agent_dirs.push(folder.join("data"));
    }
    let folder = make_folder(dir, "dashboard")?;
    write_dashboard(&folder, founded.seed, &bootstrap, options.speed)?;
    let arguments = vec![
        "dashboard".to_owned(),
        "--config".to_owned(),
        folder.join("dashboard.toml").display().to_string(),
        "--listen".to_owned(),
        format!("127.0.0.1:{}", options.port),
    ];
    cast.recipes.push(recipe(Role::Dashboard, "dashboard", arguments));
    Ok(cast)
}

/// Where one validator listens.
pub(crate) struct ValidatorPlace {
    consensus: SocketAddr,
    consensus_peer: String,
    pub(crate) mesh: SocketAddr,
    http: SocketAddr,
}

pub(crate) fn validator_places(seed: u64, count: usize) -> Result<Vec<ValidatorPlace>, DemoError> {
    // All are held until all are known, so that no port is handed out twice.
    let held = (0..count * 3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let held = held.collect::<Result<Vec<_>, _>>().map_err(DemoError::NoPort)?;
    let addresses = held.iter().map(TcpListener::local_addr);
    let addresses = addresses.collect::<Result<Vec<_>, _>>().map_err(DemoError::NoPort)?;
    let place = |(index, chunk): (usize, &[SocketAddr])| {
        let &[consensus, mesh, http] = chunk else { return None };
        let transport = secret(seed, Secret::ConsensusTransport, index);
        let consensus_peer = TransportKey::from_seed(transport).peer_id().to_string();
        Some(ValidatorPlace { consensus, consensus_peer, mesh, http })
    };
    Ok(addresses.chunks(3).enumerate().filter_map(place).collect())
}

pub(crate) fn write_validator(
    folder: &Path,
    name: &str,
    seed: u64,
    index: usize,
    places: &[ValidatorPlace],
) -> Result<(), DemoError> {
    keep_key(&folder.join("validator.key"), seed, Secret::ValidatorKey, index)?;
    keep_key(&folder.join("consensus.key"), seed, Secret::ConsensusTransport, index)?;
    keep_key(&folder.join("mesh.key"), seed, Secret::ValidatorMesh, index)?;
    let place = &places[index];
    let others = || places.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, it)| it);
    let consensus_peer =
        |it: &ValidatorPlace| format!("{}/p2p/{}", multiaddr(it.consensus), it.consensus_peer);
    let config = NodeConfig {
        moniker: name.to_owned(),
        data_dir: "data".into(),
        genesis: "../genesis.toml".into(),
        validator_key: "validator.key".into(),
        from_snapshot: None,
        prune_after_days: None,
        http_listen: place.http.to_string(),
        consensus: ConsensusSection {
            transport_key: "consensus.key".into(),
            listen: multiaddr(place.consensus),
            peers: others().map(consensus_peer).collect(),
            ..ConsensusSection::default()
        },
        mesh: MeshSection {
            transport_key: "mesh.key".into(),
            listen: vec![multiaddr(place.mesh)],
            bootstrap: others().map(|it| multiaddr(it.mesh)).collect(),
            mdns: false,
        },
    };
    write_toml(&folder.join("node.toml"), &config)
}

fn write_agent(
    folder: &Path,
    founded: &Founded,
    index: usize,
    meter: SocketAddr,
    bootstrap: &[String],
    speed: f64,
) -> Result<(), DemoError> {
    let seed = founded.seed;
    keep_key(&folder.join("party.key"), seed, Secret::PartyKey, index)?;
    keep_key(&folder.join("mesh.key"), seed, Secret::HouseMesh, index)?;
    let meter = Table::from_iter([
        ("profile".to_owned(), Value::from("eastron-sdm630")),
        ("host".to_owned(), Value::from(meter.ip().to_string())),
        ("port".to_owned(), Value::from(i64::from(meter.port()))),
        ("unit".to_owned(), Value::from(i64::from(crate::modbus_server::UNIT_ID))),
        ("poll_interval_ms".to_owned(), Value::from(i64::from(poll_interval_ms(speed)))),
    ]);
    let limits = owner_limits(founded, index);
    let mut strategy = Table::from_iter([
        ("kind".to_owned(), Value::from("truthful")),
        ("sell_floor".to_owned(), Value::from(limits.sell_floor)),
        ("buy_cap".to_owned(), Value::from(limits.buy_cap)),
    ]);
    if founded.plans.get(index).is_some_and(|plan| plan.solar.is_some()) {
        // The simulated batteries never feed in: what leaves these houses comes from the roof.
        strategy.insert("offer_origin".to_owned(), Value::from("solar"));
    }
    let config = Table::from_iter([
        ("data_dir".to_owned(), Value::from("data")),
        ("genesis".to_owned(), Value::from("../genesis.toml")),
        ("party".to_owned(), Value::from(party_of(seed, index).to_string())),
        ("party_key".to_owned(), Value::from("party.key")),
        ("rated_power_w".to_owned(), Value::from(i64::from(RATED_POWER_W))),
        ("meter".to_owned(), Value::from(meter)),
        ("mesh".to_owned(), Value::from(mesh_table(bootstrap))),
        ("strategy".to_owned(), Value::from(strategy)),
    ]);
    write_toml(&folder.join("agent.toml"), &config)
}

/// At high speeds a real second is a long time: ask more often, but never a device to death.
fn poll_interval_ms(speed: f64) -> u32 {
    if speed > 120.0 { POLL_INTERVAL_MS / 4 } else { POLL_INTERVAL_MS }
}

/// How far from the edge of a period the reads lie at most from which an agent draws a figure of
/// the best quality, in milliseconds of market time. Agents want the reads around an edge 2.2 polls
/// apart at most (and a minute where polls are shorter), and an exchange to take no longer, in the
/// middle of which the counter is taken to be read: half as much again.
pub(super) fn reads_reach_ms(speed: f64) -> i64 {
    let polls_ms = 2.2 * f64::from(poll_interval_ms(speed)) * speed;
    #[expect(clippy::cast_possible_truncation, reason = "some minutes; a float cast saturates")]
    let reach_ms = (1.5 * polls_ms.max(60_000.0)).ceil() as i64;
    // Agents measure the clock's speed, to the millisecond in the real hour.
    reach_ms.saturating_add(1_000)
}

fn write_dashboard(
    folder: &Path,
    seed: u64,
    bootstrap: &[String],
    speed: f64,
) -> Result<(), DemoError> {
    keep_key(&folder.join("mesh.key"), seed, Secret::DashboardMesh, 0)?;
    let config = Table::from_iter([
        ("data_dir".to_owned(), Value::from("data")),
        ("genesis".to_owned(), Value::from("../genesis.toml")),
        // The households are simulated: there is nobody whose page could be read by a stranger.
        ("household_pages".to_owned(), Value::from("open")),
        ("clock_speed".to_owned(), Value::from(speed)),
        ("mesh".to_owned(), Value::from(mesh_table(bootstrap))),
    ]);
    write_toml(&folder.join("dashboard.toml"), &config)
}

fn mesh_table(bootstrap: &[String]) -> Table {
    let bootstrap: Vec<Value> = bootstrap.iter().cloned().map(Value::from).collect();
    let listen = vec![Value::from("/ip4/127.0.0.1/tcp/0")];
    Table::from_iter([
        ("transport_key".to_owned(), Value::from("mesh.key")),
        ("listen".to_owned(), Value::from(listen)),
        ("bootstrap".to_owned(), Value::from(bootstrap)),
        ("mdns".to_owned(), Value::from(false)),
    ])
}

/// What one owner is willing to accept, in the currency per kWh.
struct OwnerLimits {
    sell_floor: String,
    buy_cap: String,
}

/// Owners differ: some would rather sell at once, some hold out; some buy only when it is clearly
/// cheaper. Floors lie 10 to 45 % above feed-in, caps 70 to 97 % of retail.
fn owner_limits(founded: &Founded, index: usize) -> OwnerLimits {
    let rules = &founded.genesis.rules;
    let first = DeliveryPeriod::containing(founded.genesis.starts_at, rules.period_length);
    let none = Rates::flat(Price::ZERO, Price::ZERO);
    let rates = first.map_or(none, |first| rules.rates(first));
    let span = rates.retail.micros_per_kwh() - rates.feed_in.micros_per_kwh();
    let drawn = secret(founded.seed, Secret::PartyId, index + 10_000);
    let percent = |byte: u8, lo: i64, hi: i64| lo + i64::from(byte) * (hi - lo) / 255;
    let tick = i64::from(founded.genesis.rules.tick.micros_per_kwh());
    let at = |percent: i64| {
        let micros = rates.feed_in.micros_per_kwh() + span * percent / 100;
        Price::from_micros_per_kwh(micros / tick * tick).to_string()
    };
    OwnerLimits { sell_floor: at(percent(drawn[0], 5, 40)), buy_cap: at(percent(drawn[1], 60, 96)) }
}

pub(crate) fn multiaddr(address: SocketAddr) -> String {
    format!("/ip4/{}/tcp/{}", address.ip(), address.port())
}

pub(crate) fn make_folder(dir: &Path, name: &str) -> Result<PathBuf, DemoError> {
    let folder = dir.join(name);
    if folder.exists() && !folder.is_dir() {
        return Err(DemoError::damaged(&folder, "it is no directory"));
    }
    std::fs::create_dir_all(&folder).map_err(DemoError::file(&folder))?;
    Ok(folder)
}

/// Writes a key file, or judges the one that is there.
fn keep_key(path: &Path, seed: u64, purpose: Secret, index: usize) -> Result<(), DemoError> {
    let key = secret(seed, purpose, index);
    if !path.exists() {
        return Ok(key_file::create(path, &key)?);
    }
    let damaged = |problem: &str| DemoError::Damaged {
        path: path.to_owned(),
        problem: problem.to_owned(),
        remedy: "remove it, and the demo writes it anew from its seed",
    };
    match key_file::read(path) {
        Ok(kept) if *kept == key => Ok(()),
        Ok(_) => Err(damaged("it holds another key than the demo's seed gives")),
        Err(KeyFileError::NotAKey { .. }) => Err(damaged("it holds no key")),
        Err(error) => Err(error.into()),
    }
}

fn write_toml(path: &Path, value: &impl serde::Serialize) -> Result<(), DemoError> {
    let text = toml::to_string(value).map_err(DemoError::founding)?;
    std::fs::write(path, text).map_err(DemoError::file(path))
}
