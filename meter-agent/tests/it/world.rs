//! A small community: a clock, a genesis, and the files of its households.

use ledger::acts::Operators;
use ledger::genesis::{self, Genesis};
use ledger::validators::{Validator, ValidatorSet};
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateSchedule;
use market::keys::SigningKey;
use market::member::{Member, MeteringPointId, PartyId};
use market::price::Tick;
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::tariff::Tariff;
use market::time::{Clock, PeriodLength, Timestamp};
use market::zone::{Zone, ZoneId, ZoneTree};
use mesh::key_file;
use meter_agent::AgentConfig;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Market time that runs faster than real time.
pub(crate) struct FastClock {
    begun: Instant,
    starts_at: Timestamp,
    speed: u32,
}

impl FastClock {
    pub(crate) fn new(starts_at: Timestamp, speed: u32) -> Self {
        Self { begun: Instant::now(), starts_at, speed }
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.begun.elapsed() * self.speed;
        self.starts_at.plus_millis(i64::try_from(elapsed.as_millis()).unwrap())
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        let ahead_ms = u64::try_from(at.millis_since(self.now())).unwrap_or_default();
        Duration::from_millis(ahead_ms) / self.speed
    }
}

/// 2026-06-15T10:01:00Z
pub(crate) const STARTS_AT: Timestamp = Timestamp::from_millis(1_781_517_660_000);

pub(crate) fn party(number: u8) -> PartyId {
    PartyId::from_bytes([number; 16])
}

pub(crate) fn party_key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

pub(crate) fn validator_key() -> SigningKey {
    SigningKey::from_seed(&[100; 32])
}

/// Two households (parties 1 and 2), one zone, one validator, one gate five minutes ahead.
pub(crate) fn genesis() -> Genesis {
    let member = |number: u8| {
        let member = Member {
            key: party_key(number).public(),
            metering_point: MeteringPointId::from_bytes([number; 16]),
            zone: ZoneId(0),
            import_max: Energy::from_wh(2_500),
            export_max: Energy::from_wh(2_500),
            joined_at: None,
            revoked_at: None,
        };
        (party(number), member)
    };
    let validator = Validator { key: validator_key().public(), power: 1 };
    let zone = Zone { label: "street".to_owned(), edge: None };
    let genesis = Genesis {
        name: "Test street".to_owned(),
        currency: "EUR".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        starts_at: STARTS_AT,
        rules: MarketRules {
            period_length: PeriodLength::Minutes15,
            gates: GateSchedule::new(vec![300_000]).unwrap(),
            horizon_ms: 86_400_000,
            mechanism: Schedule::always(MechanismKind::ZonalAuction),
            k_millionths: 500_000,
            tick: Tick::from_micros_per_kwh(1_000).unwrap(),
            price_min: "0".parse().unwrap(),
            price_max: "1".parse().unwrap(),
            tariffs: Schedule::always(
                Tariff::flat("0.32".parse().unwrap(), "0.08".parse().unwrap()).unwrap(),
            ),
            settlement_delay_ms: 7_200_000,
            finality_delay_ms: 86_400_000,
        },
        zones: ZoneTree::new(BTreeMap::from([(ZoneId(0), zone)])).unwrap(),
        heartbeat_ms: 300_000,
        block_drift_max_ms: 60_000,
        validators: ValidatorSet::new(vec![validator]).unwrap(),
        operators: Operators::new(vec![party_key(99).public()], 1).unwrap(),
        members: BTreeMap::from([member(1), member(2)]),
        invitations: BTreeMap::new(),
    };
    genesis.check().unwrap();
    genesis
}

/// Writes a household's files and reads its configuration.
pub(crate) fn household(
    dir: &Path,
    number: u8,
    meter: SocketAddr,
    bootstrap: &mesh::Multiaddr,
) -> AgentConfig {
    std::fs::write(dir.join("genesis.toml"), genesis::write(&genesis()).unwrap()).unwrap();
    for (name, seed) in [("party.key", number), ("transport.key", number + 50)] {
        key_file::create(&dir.join(name), &[seed; 32]).unwrap();
    }
    let text = format!(
        "data_dir = \"data\"\ngenesis = \"genesis.toml\"\nparty = \"{}\"\n\
         party_key = \"party.key\"\nrated_power_w = 10000\n\n\
         [mesh]\ntransport_key = \"transport.key\"\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n\
         bootstrap = [\"{bootstrap}\"]\n\n\
         [meter]\nprofile = \"eastron-sdm630\"\nhost = \"{}\"\nport = {}\n\
         poll_interval_ms = 100\n",
        party(number),
        meter.ip(),
        meter.port()
    );
    AgentConfig::from_toml(&text, &dir.join("agent.toml")).unwrap()
}
