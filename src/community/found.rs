//! Makes keys and genesis of a plan.

use std::collections::BTreeMap;

use ledger::acts::{Invitation as Opened, Operators, Purpose};
use ledger::genesis::Genesis;
use ledger::validators::{Validator, ValidatorSet};
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateSchedule;
use market::keys::{PublicKey, SigningKey};
use market::member::{MeteringPointId, PartyId};
use market::price::{Price, Tick};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::tariff::Tariff;
use market::time::Timestamp;
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use mesh::key_file::Seed;
use mesh::{Multiaddr, TransportKey};

use crate::community::error::CommunityError;
use crate::community::options::ValidatorPlan;
use crate::community::plan::{InvitationPlan, Plan};
use crate::invitation::{ADDRESSES_MAX, Invitation};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// A community with all its secrets.
pub(crate) struct Founded {
    pub(crate) genesis: Genesis,
    pub(crate) validators: Vec<ValidatorKeys>,
    pub(crate) operators: Vec<OperatorKeys>,
    pub(crate) invitations: Vec<Invited>,
    pub(crate) dashboard: Seed,
}

/// A validator with its secrets.
pub(crate) struct ValidatorKeys {
    pub(crate) plan: ValidatorPlan,
    pub(crate) validator: Seed,
    pub(crate) consensus: Seed,
    pub(crate) mesh: Seed,
}

/// An operator with its secrets.
pub(crate) struct OperatorKeys {
    pub(crate) name: String,
    pub(crate) operator: Seed,
    pub(crate) mesh: Seed,
}

/// A household's invitation.
pub(crate) struct Invited {
    pub(crate) name: String,
    pub(crate) party: PartyId,
    pub(crate) invitation: Invitation,
}

impl ValidatorKeys {
    /// New keys for a validator.
    ///
    /// # Errors
    /// [`CommunityError::Randomness`].
    pub(crate) fn new(plan: ValidatorPlan) -> Result<Self, CommunityError> {
        Ok(Self { plan, validator: seed()?, consensus: seed()?, mesh: seed()? })
    }

    /// How the ledger knows it.
    pub(crate) fn public(&self) -> PublicKey {
        SigningKey::from_seed(&self.validator).public()
    }

    /// Where the other validators reach it.
    pub(crate) fn endpoint(&self) -> String {
        let peer = TransportKey::from_seed(self.consensus.clone()).peer_id();
        format!("{}/p2p/{peer}", multiaddr(&self.plan, self.plan.consensus_port))
    }

    /// Where members reach it.
    pub(crate) fn mesh_address(&self) -> String {
        multiaddr(&self.plan, self.plan.mesh_port)
    }
}

impl OperatorKeys {
    /// How the ledger knows it.
    pub(crate) fn public(&self) -> PublicKey {
        SigningKey::from_seed(&self.operator).public()
    }
}

fn multiaddr(plan: &ValidatorPlan, port: u16) -> String {
    let family = if plan.address.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/tcp/{port}", plan.address)
}

fn seed() -> Result<Seed, CommunityError> {
    Seed::generate().map_err(CommunityError::Randomness)
}

/// A random identifier: it says nothing about whom it names.
pub(crate) fn identifier() -> std::io::Result<[u8; 16]> {
    let seed = Seed::generate()?;
    let mut id = [0; 16];
    id.iter_mut().zip(seed.iter()).for_each(|(to, from)| *to = *from);
    Ok(id)
}

/// Makes everything that the plan needs. Nothing is written.
///
/// # Errors
/// [`CommunityError`] if the values found no community.
pub(crate) fn found(plan: &Plan, now: Timestamp) -> Result<Founded, CommunityError> {
    let validators = plan.validators.iter().cloned().map(ValidatorKeys::new);
    let validators = validators.collect::<Result<Vec<_>, _>>()?;
    let operators = plan
        .operators
        .iter()
        .map(|name| Ok(OperatorKeys { name: name.clone(), operator: seed()?, mesh: seed()? }));
    let operators = operators.collect::<Result<Vec<_>, CommunityError>>()?;
    let set = validators.iter().map(|one| Validator { key: one.public(), power: 1 }).collect();
    let keys = operators.iter().map(OperatorKeys::public).collect();
    let (zones, labels) = zones(plan)?;
    let mut genesis = Genesis {
        name: plan.name.clone(),
        currency: plan.currency.clone(),
        time_zone: plan.time_zone.clone(),
        // The last full minute: it is read by people, and no clock stands before it.
        starts_at: Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(60_000)),
        rules: rules(plan)?,
        zones,
        heartbeat_ms: MINUTE_MS,
        block_drift_max_ms: 10_000,
        validators: ValidatorSet::new(set).map_err(CommunityError::unsound)?,
        operators: Operators::new(keys, plan.approvals_required)
            .map_err(CommunityError::unsound)?,
        members: BTreeMap::new(),
        invitations: BTreeMap::new(),
    };
    let days = i64::from(plan.invitation_days);
    let expires_at = now.plus_millis(days.saturating_mul(i64::try_from(DAY_MS).unwrap_or(0)));
    let mut invited = Vec::new();
    for one in &plan.invitations {
        let (seed, purpose) = (seed()?, purpose(plan, one, &labels)?);
        let party = purpose.party();
        let key = SigningKey::from_seed(&seed).public();
        genesis.invitations.insert(key, Opened::open(purpose, expires_at));
        invited.push((one.name.clone(), party, seed));
    }
    genesis.check().map_err(CommunityError::unsound)?;
    // The text is what people exchange: what is founded is what it says.
    let genesis = ledger::genesis::read(&ledger::genesis::write(&genesis)?)?;
    let addresses: Vec<Multiaddr> = validators
        .iter()
        .take(ADDRESSES_MAX)
        .filter_map(|one| one.mesh_address().parse().ok())
        .collect();
    let invitations = invited.into_iter().map(|(name, party, seed)| Invited {
        name,
        party,
        invitation: Invitation {
            community: genesis.name.clone(),
            chain: genesis.chain_id(),
            bootstrap: addresses.clone(),
            seed,
            expires_at,
        },
    });
    let invitations = invitations.collect();
    Ok(Founded { genesis, validators, operators, invitations, dashboard: seed()? })
}

fn purpose(
    plan: &Plan,
    invited: &InvitationPlan,
    labels: &BTreeMap<String, ZoneId>,
) -> Result<Purpose, CommunityError> {
    let zone = match &invited.zone {
        None => ZoneId(0),
        Some(label) => *labels.get(label).ok_or_else(|| unknown_zone(label))?,
    };
    let limit = |given: Option<i64>| Energy::from_wh(given.unwrap_or_else(|| plan.fuse_wh()));
    Ok(Purpose::NewMember {
        party: PartyId::from_bytes(identifier().map_err(CommunityError::Randomness)?),
        metering_point: MeteringPointId::from_bytes(
            identifier().map_err(CommunityError::Randomness)?,
        ),
        zone,
        import_max: limit(invited.import_max_wh),
        export_max: limit(invited.export_max_wh),
    })
}

fn unknown_zone(label: &str) -> CommunityError {
    let problem = "there is no zone of this label".to_owned();
    CommunityError::Word { what: "zone", found: label.to_owned(), problem }
}

fn zones(plan: &Plan) -> Result<(ZoneTree, BTreeMap<String, ZoneId>), CommunityError> {
    let mut labels = BTreeMap::from([(plan.name.clone(), ZoneId(0))]);
    for (zone, id) in plan.zones.iter().zip(1_u16..) {
        if labels.insert(zone.label.clone(), ZoneId(id)).is_some() {
            let (found, problem) = (zone.label.clone(), "it is named twice".to_owned());
            return Err(CommunityError::Word { what: "zone", found, problem });
        }
    }
    let mut tree = BTreeMap::from([(ZoneId(0), Zone { label: plan.name.clone(), edge: None })]);
    for zone in &plan.zones {
        let parent = zone.parent.as_ref().unwrap_or(&plan.name);
        let charge = zone.charge.as_deref().map(str::parse::<Price>).transpose();
        let edge = Edge {
            parent: *labels.get(parent).ok_or_else(|| unknown_zone(parent))?,
            charge: charge.map_err(CommunityError::unsound)?.unwrap_or(Price::ZERO),
            capacity_up: zone.capacity_up_wh.map(Energy::from_wh),
            capacity_down: zone.capacity_down_wh.map(Energy::from_wh),
        };
        let id = *labels.get(&zone.label).ok_or_else(|| unknown_zone(&zone.label))?;
        tree.insert(id, Zone { label: zone.label.clone(), edge: Some(edge) });
    }
    Ok((ZoneTree::new(tree).map_err(CommunityError::unsound)?, labels))
}

/// One gate a quarter of an hour before delivery, readings awaited for an hour, settlements open
/// for two weeks. Limits leave room on both sides of the tariff.
fn rules(plan: &Plan) -> Result<MarketRules, CommunityError> {
    let retail = plan.retail.micros_per_kwh();
    // The finest step that people write: a thousandth of the retail price, as a power of ten.
    let mut tick = 1_u32;
    while i64::from(tick).saturating_mul(10_000) <= retail {
        tick = tick.saturating_mul(10);
    }
    let price = Price::from_micros_per_kwh;
    Ok(MarketRules {
        period_length: plan.country.preset().period,
        gates: GateSchedule::new(vec![15 * MINUTE_MS]).map_err(CommunityError::unsound)?,
        horizon_ms: DAY_MS,
        mechanism: Schedule::always(MechanismKind::ZonalAuction),
        k_millionths: 500_000,
        tick: Tick::from_micros_per_kwh(tick).ok_or_else(|| CommunityError::unsound("tick"))?,
        price_min: price(retail.saturating_mul(-4)),
        price_max: price(retail.saturating_mul(16)),
        tariffs: Schedule::always(
            Tariff::flat(plan.retail, plan.feed_in).map_err(CommunityError::unsound)?,
        ),
        settlement_delay_ms: 60 * MINUTE_MS,
        finality_delay_ms: 14 * DAY_MS,
    })
}
