//! The genesis file: TOML that people can read, compare and sign off.
//!
//! Prices are decimals per kWh as text, energies whole watt-hours, times minutes or hours, keys and
//! identifiers hexadecimal. Unknown keys are refused, so that a misspelt rule is not a silent
//! default.

use market::energy::Energy;
use market::keys::PublicKey;
use market::member::Member;
use market::price::Price;
use market::time::Timestamp;
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;

use crate::acts::{Invitation, Operators, Purpose};
use crate::genesis::rules_file::{MarketToml, MechanismToml, TariffToml, read_rules, write_rules};
use crate::genesis::{Genesis, GenesisError};
use crate::validators::{Validator, ValidatorSet};

/// Why a genesis file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisFileError {
    /// Not TOML, a key missing, unknown or of the wrong type. The text names line and column.
    #[error("{0}")]
    Toml(String),
    /// A value that does not fit its key.
    #[error("{key}: {problem}")]
    Value {
        /// Which key, with its table.
        key: String,
        /// What was expected and found.
        problem: String,
    },
    /// The values do not found a community together.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisToml {
    name: String,
    currency: String,
    time_zone: String,
    starts_at_ms: i64,
    heartbeat_ms: u64,
    block_drift_max_ms: u64,
    operators: Vec<String>,
    #[serde(default = "one")]
    approvals_required: u8,
    market: MarketToml,
    mechanisms: Vec<MechanismToml>,
    tariffs: Vec<TariffToml>,
    zones: Vec<ZoneToml>,
    validators: Vec<ValidatorToml>,
    members: Vec<MemberToml>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    invitations: Vec<InvitationToml>,
}

/// How many operators have to approve a settlement unless the file says otherwise.
const fn one() -> u8 {
    1
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneToml {
    id: u16,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity_up_wh: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity_down_wh: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidatorToml {
    key: String,
    power: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberToml {
    party: String,
    key: String,
    metering_point: String,
    zone: u16,
    import_max_wh: i64,
    export_max_wh: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InvitationToml {
    key: String,
    party: String,
    metering_point: String,
    zone: u16,
    import_max_wh: i64,
    export_max_wh: i64,
    expires_at_ms: i64,
}

/// Reads and checks a genesis file's text.
///
/// # Errors
/// [`GenesisFileError`] names the line or the key, and what was expected.
pub fn read(text: &str) -> Result<Genesis, GenesisFileError> {
    let file: GenesisToml =
        toml::from_str(text).map_err(|error| GenesisFileError::Toml(toml_problem(text, &error)))?;
    let zones = read_zones(&file.zones)?;
    let mut members = BTreeMap::new();
    for (index, member) in file.members.iter().enumerate() {
        let key = |field: &str| format!("members[{index}].{field}");
        let party = parse(&key("party"), &member.party)?;
        let read = Member {
            key: parse(&key("key"), &member.key)?,
            metering_point: parse(&key("metering_point"), &member.metering_point)?,
            zone: ZoneId(member.zone),
            import_max: Energy::from_wh(member.import_max_wh),
            export_max: Energy::from_wh(member.export_max_wh),
            joined_at: None,
            revoked_at: None,
        };
        if members.insert(party, read).is_some() {
            return Err(value(&key("party"), "this party is named twice"));
        }
    }
    let mut validators = Vec::new();
    for (index, validator) in file.validators.iter().enumerate() {
        let key = parse(&format!("validators[{index}].key"), &validator.key)?;
        validators.push(Validator { key, power: validator.power });
    }
    let genesis = Genesis {
        rules: read_rules(&file.market, &file.mechanisms, &file.tariffs)?,
        name: file.name,
        currency: file.currency,
        time_zone: file.time_zone,
        starts_at: Timestamp::from_millis(file.starts_at_ms),
        heartbeat_ms: file.heartbeat_ms,
        block_drift_max_ms: file.block_drift_max_ms,
        zones,
        validators: ValidatorSet::new(validators).map_err(|error| value("validators", error))?,
        operators: read_operators(&file.operators, file.approvals_required)?,
        members,
        invitations: read_invitations(&file.invitations)?,
    };
    genesis.check()?;
    Ok(genesis)
}

/// Writes a genesis as the text that [`read`] reads back to the same genesis.
///
/// # Errors
/// [`GenesisFileError`] if the genesis does not hold, or a time is no whole number of minutes.
pub fn write(genesis: &Genesis) -> Result<String, GenesisFileError> {
    genesis.check()?;
    let members = genesis.members.iter().map(|(party, member)| MemberToml {
        party: party.to_string(),
        key: member.key.to_string(),
        metering_point: member.metering_point.to_string(),
        zone: member.zone.0,
        import_max_wh: member.import_max.wh(),
        export_max_wh: member.export_max.wh(),
    });
    let zones = genesis.zones.iter().map(|(id, zone)| ZoneToml {
        id: id.0,
        label: zone.label.clone(),
        parent: zone.edge.map(|edge| edge.parent.0),
        charge: zone.edge.map(|edge| edge.charge.to_string()),
        capacity_up_wh: zone.edge.and_then(|edge| edge.capacity_up).map(Energy::wh),
        capacity_down_wh: zone.edge.and_then(|edge| edge.capacity_down).map(Energy::wh),
    });
    let validators = genesis
        .validators
        .iter()
        .map(|validator| ValidatorToml { key: validator.key.to_string(), power: validator.power });
    let (market, mechanisms, tariffs) = write_rules(&genesis.rules)?;
    let file = GenesisToml {
        name: genesis.name.clone(),
        currency: genesis.currency.clone(),
        time_zone: genesis.time_zone.clone(),
        starts_at_ms: genesis.starts_at.as_millis(),
        heartbeat_ms: genesis.heartbeat_ms,
        block_drift_max_ms: genesis.block_drift_max_ms,
        operators: genesis.operators.keys().iter().map(PublicKey::to_string).collect(),
        approvals_required: genesis.operators.approvals_required(),
        market,
        mechanisms,
        tariffs,
        zones: zones.collect(),
        validators: validators.collect(),
        members: members.collect(),
        invitations: write_invitations(genesis),
    };
    let text = toml::to_string(&file).map_err(|error| GenesisFileError::Toml(error.to_string()))?;
    if read(&text)? == *genesis {
        Ok(text)
    } else {
        Err(value("genesis", "it does not read back as written"))
    }
}

fn read_operators(keys: &[String], required: u8) -> Result<Operators, GenesisFileError> {
    let keys = keys.iter().enumerate();
    let keys = keys.map(|(index, key)| parse(&format!("operators[{index}]"), key));
    let operators = Operators::new(keys.collect::<Result<_, _>>()?, required);
    operators.map_err(|error| value("operators", error))
}

fn read_invitations(
    list: &[InvitationToml],
) -> Result<BTreeMap<PublicKey, Invitation>, GenesisFileError> {
    let mut invitations = BTreeMap::new();
    for (index, invitation) in list.iter().enumerate() {
        let key = |field: &str| format!("invitations[{index}].{field}");
        let purpose = Purpose::NewMember {
            party: parse(&key("party"), &invitation.party)?,
            metering_point: parse(&key("metering_point"), &invitation.metering_point)?,
            zone: ZoneId(invitation.zone),
            import_max: Energy::from_wh(invitation.import_max_wh),
            export_max: Energy::from_wh(invitation.export_max_wh),
        };
        let expires_at = Timestamp::from_millis(invitation.expires_at_ms);
        let read = Invitation::open(purpose, expires_at);
        if invitations.insert(parse(&key("key"), &invitation.key)?, read).is_some() {
            return Err(value(&key("key"), "this invitation is named twice"));
        }
    }
    Ok(invitations)
}

/// A sound genesis invites new members only.
fn write_invitations(genesis: &Genesis) -> Vec<InvitationToml> {
    let written = genesis.invitations.iter().filter_map(|(key, invitation)| {
        let Purpose::NewMember { party, metering_point, zone, import_max, export_max } =
            &invitation.purpose
        else {
            return None;
        };
        Some(InvitationToml {
            key: key.to_string(),
            party: party.to_string(),
            metering_point: metering_point.to_string(),
            zone: zone.0,
            import_max_wh: import_max.wh(),
            export_max_wh: export_max.wh(),
            expires_at_ms: invitation.expires_at.as_millis(),
        })
    });
    written.collect()
}

fn read_zones(zones: &[ZoneToml]) -> Result<ZoneTree, GenesisFileError> {
    let mut tree = BTreeMap::new();
    for (index, zone) in zones.iter().enumerate() {
        let key = |field: &str| format!("zones[{index}].{field}");
        let beside_parent = [
            ("charge", zone.charge.is_some()),
            ("capacity_up_wh", zone.capacity_up_wh.is_some()),
            ("capacity_down_wh", zone.capacity_down_wh.is_some()),
        ];
        if let (None, Some((field, _))) =
            (zone.parent, beside_parent.iter().find(|(_, present)| *present))
        {
            return Err(value(&key(field), "the root has no edge, so it needs a parent"));
        }
        let edge = match zone.parent {
            None => None,
            Some(parent) => Some(Edge {
                parent: ZoneId(parent),
                charge: match &zone.charge {
                    None => Price::ZERO,
                    Some(text) => text.parse().map_err(|error| value(&key("charge"), error))?,
                },
                capacity_up: zone.capacity_up_wh.map(Energy::from_wh),
                capacity_down: zone.capacity_down_wh.map(Energy::from_wh),
            }),
        };
        let read = Zone { label: zone.label.clone(), edge };
        if tree.insert(ZoneId(zone.id), read).is_some() {
            return Err(value(&key("id"), "this zone is named twice"));
        }
    }
    ZoneTree::new(tree).map_err(|error| value("zones", error))
}

pub(super) fn parse<T: std::str::FromStr<Err: Display>>(
    key: &str,
    text: &str,
) -> Result<T, GenesisFileError> {
    text.parse().map_err(|error| value(key, error))
}

/// What TOML says about a text, in one line: the number of the line where it stumbles, what stands
/// there, and what was expected.
pub fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let words = error.message().replace('\n', "; ");
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default();
    let line: String = line.trim().chars().take(80).collect();
    format!("line {} `{line}`: {words}", number.saturating_add(1))
}

pub(super) fn value(key: &str, problem: impl Display) -> GenesisFileError {
    GenesisFileError::Value { key: key.to_owned(), problem: problem.to_string() }
}
