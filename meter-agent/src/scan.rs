//! Finds devices on endpoints and serial lines, and proposes profiles for them.

use market::time::Clock;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

use crate::interval::GAP_MAX_MS;
use crate::modbus::{Address, Connection, PollError, Session, in_words};
use crate::profile::{Function, Profile, RegisterReading, Source, Vitals, WordRequest};

/// After connecting some devices want to be left alone.
const CONNECT_DELAY: Duration = Duration::from_secs(1);
/// A line on which an answer was missed has to be quiet for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Where nearly every device has words, or says that it has none.
const KNOCKS: [WordRequest; 2] = [
    WordRequest { function: Function::Holding, address: 40_000, count: 2 },
    WordRequest { function: Function::Input, address: 0, count: 4 },
];

/// What to scan, and how patiently.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Where to look.
    pub addresses: Vec<Address>,
    /// The unit ids to try on each of them.
    pub units: Vec<u8>,
    /// How long to wait for an answer.
    pub timeout: Duration,
}

/// How far a scan is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Units tried.
    pub done: usize,
    /// Units to try.
    pub total: usize,
    /// Where it is.
    pub address: &'a Address,
    /// The unit that is tried.
    pub unit: u8,
}

/// What a scan brought.
#[derive(Debug, Clone, Default)]
pub struct Scanned {
    /// The devices that answer.
    pub found: Vec<Found>,
    /// The endpoints that do not, and why.
    pub unreachable: Vec<(Address, String)>,
}

/// A device that answers.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub address: Address,
    /// Its unit id.
    pub unit: u8,
    /// The profiles that fit, the best first; empty if none does.
    pub candidates: Vec<Candidate>,
}

/// A profile that fits.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The profile's name, for `profile = "..."`.
    pub profile: String,
    /// What people call the device.
    pub device: String,
    /// Whether the device itself says that it is of this kind.
    pub certain: bool,
    /// How many of the quantities that the profile knows make sense.
    pub matched: usize,
    /// How many it knows.
    pub known: usize,
    /// What it reads.
    pub reading: RegisterReading,
    /// Everything else that it shows.
    pub vitals: Vitals,
}

impl Candidate {
    /// The better, the lower.
    fn rank(&self) -> (bool, usize, std::cmp::Reverse<usize>) {
        let missed = self.known.saturating_sub(self.matched);
        (!self.certain, missed, std::cmp::Reverse(self.matched))
    }
}

/// The settings that are tried on a serial line, the most usual first.
pub fn usual_lines(path: &std::path::Path) -> Vec<Address> {
    use crate::profile::{Parity, SerialLine};
    let formats = [(Parity::None, 1), (Parity::Even, 1), (Parity::None, 2)];
    let bauds = [9_600, 19_200, 38_400, 115_200, 2_400];
    let lines = bauds
        .into_iter()
        .flat_map(|baud| formats.map(|(parity, stop_bits)| SerialLine { baud, parity, stop_bits }));
    let address = |line| Address::Serial { path: PathBuf::from(path), line, strip_echo: false };
    lines.map(address).collect()
}

/// Tries every unit id on every address, one after the other, and every profile on whatever
/// answers. Once a serial line has brought a device, its other settings are passed over.
pub async fn scan(
    options: &ScanOptions,
    clock: &dyn Clock,
    mut progress: impl FnMut(&Progress<'_>),
) -> Scanned {
    let mut scanned = Scanned::default();
    let total = options.addresses.len().saturating_mul(options.units.len());
    let mut settled: Vec<PathBuf> = Vec::new();
    for (index, address) in options.addresses.iter().enumerate() {
        let line = match address {
            Address::Serial { path, .. } => Some(path),
            _ => None,
        };
        if line.is_some_and(|path| settled.contains(path)) {
            continue;
        }
        let before = scanned.found.len();
        let mut bus = Bus { address, timeout: options.timeout, connection: None };
        for (offset, unit) in options.units.iter().enumerate() {
            let done = index.saturating_mul(options.units.len()).saturating_add(offset);
            progress(&Progress { done, total, address, unit: *unit });
            match bus.look(*unit, clock).await {
                Ok(Some(found)) if !answers_to_all(&scanned, &found) => scanned.found.push(found),
                Ok(_) => {}
                Err(why) => {
                    scanned.unreachable.push((address.clone(), why));
                    break;
                }
            }
        }
        if let Some(path) = line.filter(|_| scanned.found.len() > before) {
            settled.push(path.clone());
        }
    }
    scanned
}

/// Devices on TCP often answer to every unit id.
fn answers_to_all(scanned: &Scanned, found: &Found) -> bool {
    let serial =
        |found: &Found| found.candidates.first().and_then(|best| best.vitals.serial.clone());
    let Some(shown) = serial(found) else { return false };
    let before = scanned.found.iter().filter(|before| before.address == found.address);
    before.into_iter().any(|before| serial(before).as_ref() == Some(&shown))
}

/// One endpoint while it is scanned.
struct Bus<'a> {
    address: &'a Address,
    timeout: Duration,
    connection: Option<Connection>,
}

impl Bus<'_> {
    /// What answers to a unit id, if anything does. The error says why the endpoint is no use.
    async fn look(&mut self, unit: u8, clock: &dyn Clock) -> Result<Option<Found>, String> {
        if !self.answers(unit).await? {
            return Ok(None);
        }
        let mut candidates = Vec::new();
        for name in Profile::names() {
            // The built-in profiles are sound; a test reads them all.
            let Some(Ok(profile)) = Profile::built_in(name) else { continue };
            let profile = Profile { timeout: self.timeout, ..profile };
            candidates.extend(self.fit(unit, name, &profile, clock).await?);
        }
        candidates.sort_by_key(Candidate::rank);
        Ok(Some(Found { address: self.address.clone(), unit, candidates }))
    }

    async fn answers(&mut self, unit: u8) -> Result<bool, String> {
        let Some(profile) = Profile::names().next().and_then(Profile::built_in) else {
            return Ok(false);
        };
        let profile = profile.map_err(|error| error.to_string())?;
        let profile = Profile { timeout: self.timeout, ..profile };
        for knock in KNOCKS {
            let mut connection = self.connection(&profile).await?;
            match connection.ask(unit, knock, &profile).await {
                Err(error) if error.is_silence() || error.poisons_connection() => {
                    self.give_back(connection, &error).await;
                }
                Ok(_) | Err(_) => {
                    self.connection = Some(connection);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the unit makes sense as the device of a profile.
    async fn fit(
        &mut self,
        unit: u8,
        name: &str,
        profile: &Profile,
        clock: &dyn Clock,
    ) -> Result<Option<Candidate>, String> {
        let mut connection = self.connection(profile).await?;
        match try_profile(&mut connection, unit, profile, clock).await {
            Ok((session, reading)) => {
                self.connection = Some(connection);
                Ok(judge(name, profile, &session, reading))
            }
            Err(error) => {
                self.give_back(connection, &error).await;
                Ok(None)
            }
        }
    }

    async fn connection(&mut self, profile: &Profile) -> Result<Connection, String> {
        if let Some(open) = self.connection.take() {
            return Ok(open);
        }
        let patient = Profile { connect_delay: CONNECT_DELAY, ..profile.clone() };
        let patient = if self.address.is_rtu() { profile.clone() } else { patient };
        let opened = Connection::open(self.address, &patient).await;
        opened.map_err(|error| in_words(&error).into_owned())
    }

    async fn give_back(&mut self, connection: Connection, error: &PollError) {
        if !error.poisons_connection() {
            self.connection = Some(connection);
        } else if self.address.is_rtu() {
            drop(connection);
            sleep(QUIET).await;
        }
    }
}

async fn try_profile(
    connection: &mut Connection,
    unit: u8,
    profile: &Profile,
    clock: &dyn Clock,
) -> Result<(Session, RegisterReading), PollError> {
    let mut session = Session::start(connection, unit, profile).await?;
    let reading = session.poll(connection, unit, profile, clock, GAP_MAX_MS).await?;
    Ok((session, reading))
}

/// How well it fits; `None` if nothing but zeros speaks for it, or its model word against it.
fn judge(
    name: &str,
    profile: &Profile,
    session: &Session,
    reading: RegisterReading,
) -> Option<Candidate> {
    let vitals = session.vitals();
    let model = session.map.shows_model(&session.all_answers());
    let described = matches!(profile.source, Source::SunSpec(_));
    let measured = vitals.frequency_hz.iter().chain(&vitals.voltages_v);
    let sensible = measured.filter(|value| **value != 0.0).count();
    let certain = described || model == Some(true);
    if model == Some(false) || (sensible == 0 && !certain) {
        return None;
    }
    Some(Candidate {
        profile: name.to_owned(),
        device: profile.name.clone(),
        certain,
        matched: sensible.saturating_add(usize::from(vitals.serial.is_some())),
        known: session.map.vital_count(),
        reading,
        vitals,
    })
}
