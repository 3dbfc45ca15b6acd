//! Who the household is, as the ledger knows it, for a household that genesis does not name.
//!
//! `hidamari agent join` writes it when an operator has taken the household in, from a chain that it
//! has verified itself; `hidamari agent rotate-key` writes it anew.

use ledger::genesis::toml_problem;
use market::energy::Energy;
use market::keys::PublicKey;
use market::member::{Member, PartyId};
use market::time::Timestamp;
use market::zone::ZoneId;
use serde::{Deserialize, Serialize};

/// A household's place in its community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who it is.
    pub party: PartyId,
    /// What is registered.
    pub member: Member,
    /// The height at which the ledger said so.
    pub height: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MembershipToml {
    party: String,
    key: String,
    metering_point: String,
    zone: u16,
    import_max_wh: i64,
    export_max_wh: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_at_ms: Option<i64>,
    height: u64,
}

impl Membership {
    /// As a file (TOML).
    pub fn to_text(&self) -> String {
        let Member { key, metering_point, zone, import_max, export_max, joined_at, .. } =
            &self.member;
        let file = MembershipToml {
            party: self.party.to_string(),
            key: key.to_string(),
            metering_point: metering_point.to_string(),
            zone: zone.0,
            import_max_wh: import_max.wh(),
            export_max_wh: export_max.wh(),
            joined_at_ms: joined_at.map(Timestamp::as_millis),
            height: self.height,
        };
        // Texts and numbers always have a form in TOML.
        let table = toml::to_string(&file).unwrap_or_default();
        format!(
            "# What the ledger says about this household. Written by `hidamari agent join`.\n{table}"
        )
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Line or key, and what was expected.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let file: MembershipToml =
            toml::from_str(text).map_err(|error| toml_problem(text, &error))?;
        let key: PublicKey = file.key.parse().map_err(|error| format!("key: {error}"))?;
        let party = file.party.parse().map_err(|error| format!("party: {error}"))?;
        let metering_point = file.metering_point.parse();
        let member = Member {
            key,
            metering_point: metering_point.map_err(|error| format!("metering_point: {error}"))?,
            zone: ZoneId(file.zone),
            import_max: Energy::from_wh(file.import_max_wh),
            export_max: Energy::from_wh(file.export_max_wh),
            joined_at: file.joined_at_ms.map(Timestamp::from_millis),
            revoked_at: None,
        };
        Ok(Self { party, member, height: file.height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::member::MeteringPointId;

    #[test]
    fn a_membership_is_read_back_and_mistakes_are_named() {
        let membership = Membership {
            party: PartyId::from_bytes([1; 16]),
            member: Member {
                key: PublicKey::from_bytes([2; 32]),
                metering_point: MeteringPointId::from_bytes([3; 16]),
                zone: ZoneId(4),
                import_max: Energy::from_wh(5),
                export_max: Energy::from_wh(6),
                joined_at: Some(Timestamp::from_millis(7)),
                revoked_at: None,
            },
            height: 8,
        };
        let text = membership.to_text();
        assert_eq!(Membership::from_text(&text), Ok(membership));
        let wrong = text.replace("zone = 4", "zone = \"four\"");
        assert!(Membership::from_text(&wrong).is_err_and(|told| told.contains("line 5")));
        let wrong = text.replace("0101", "01g1");
        assert!(Membership::from_text(&wrong).is_err_and(|told| told.starts_with("party: ")));
    }
}
