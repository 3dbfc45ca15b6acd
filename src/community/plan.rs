//! The plan of a community: from a file, from options, and from answers at the terminal.

use std::collections::BTreeSet;
use std::path::Path;

use market::price::Price;
use serde::Deserialize;

use crate::community::error::CommunityError;
use crate::community::options::{Init, ValidatorPlan};
use crate::community::presets::Country;
use crate::terminal::Terminal;

/// What a household may draw or feed in, unless the plan says otherwise: a main fuse of three
/// phases of 35 A at 230 V, for one hour.
const FUSE_WH_PER_HOUR: i64 = 24_000;

/// Everything that has to be known.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) country: Country,
    pub(crate) currency: String,
    pub(crate) time_zone: String,
    pub(crate) retail: Price,
    pub(crate) feed_in: Price,
    pub(crate) approvals_required: u8,
    pub(crate) validators: Vec<ValidatorPlan>,
    pub(crate) operators: Vec<String>,
    pub(crate) zones: Vec<ZonePlan>,
    pub(crate) invitations: Vec<InvitationPlan>,
    pub(crate) invitation_days: u16,
}

/// A part of the grid below the community.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZonePlan {
    pub(crate) label: String,
    /// The zone above; without it, the community itself.
    pub(crate) parent: Option<String>,
    pub(crate) charge: Option<String>,
    pub(crate) capacity_up_wh: Option<i64>,
    pub(crate) capacity_down_wh: Option<i64>,
}

/// A household to be invited.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationPlan {
    pub(crate) name: String,
    pub(crate) zone: Option<String>,
    pub(crate) import_max_wh: Option<i64>,
    pub(crate) export_max_wh: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanToml {
    name: Option<String>,
    country: Option<Country>,
    currency: Option<String>,
    time_zone: Option<String>,
    retail: Option<String>,
    feed_in: Option<String>,
    approvals_required: Option<u8>,
    #[serde(default)]
    validators: Vec<ValidatorPlan>,
    #[serde(default)]
    operators: Vec<OperatorToml>,
    #[serde(default)]
    zones: Vec<ZonePlan>,
    #[serde(default)]
    invitations: Vec<InvitationPlan>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorToml {
    name: String,
}

impl Plan {
    /// The whole plan: options before the file before the terminal.
    ///
    /// # Errors
    /// [`CommunityError`] names what is missing or does not fit.
    pub(crate) fn of(options: &Init) -> Result<Self, CommunityError> {
        let mut file = options.from.as_deref().map(read).transpose()?.unwrap_or_default();
        let invitation = |text: &String| {
            let (name, zone) = match text.split_once('@') {
                Some((name, zone)) => (name, Some(zone.trim().to_owned())),
                None => (text.as_str(), None),
            };
            let name = name.trim().to_owned();
            InvitationPlan { name, zone, import_max_wh: None, export_max_wh: None }
        };
        let zone = |label: &String| ZonePlan {
            label: label.clone(),
            parent: None,
            charge: None,
            capacity_up_wh: None,
            capacity_down_wh: None,
        };
        let named = |name: &String| OperatorToml { name: name.clone() };
        file.validators.extend(options.validators.iter().cloned());
        file.operators.extend(options.operators.iter().map(named));
        file.zones.extend(options.zones.iter().map(zone));
        file.invitations.extend(options.invitations.iter().map(invitation));
        file.name = options.name.clone().or(file.name);
        file.country = options.country.or(file.country);
        file.currency = options.currency.clone().or(file.currency);
        file.time_zone = options.time_zone.clone().or(file.time_zone);
        file.approvals_required = options.approvals_required.or(file.approvals_required);
        let lacks = file.name.is_none()
            || file.country.is_none()
            || file.validators.is_empty()
            || file.operators.is_empty();
        if lacks
            && !options.no_questions
            && let Some(mut terminal) = Terminal::open()
        {
            ask(&mut file, &mut terminal).map_err(CommunityError::Questions)?;
        }
        file.complete(options)
    }

    /// What a household may draw or feed in in one period, in Wh.
    pub(crate) fn fuse_wh(&self) -> i64 {
        FUSE_WH_PER_HOUR.saturating_mul(self.country.preset().period.minutes()) / 60
    }

    fn check(self) -> Result<Self, CommunityError> {
        let names = |what, names: Vec<&String>| check_names(what, &names);
        names("validator", self.validators.iter().map(|one| &one.name).collect())?;
        names("operator", self.operators.iter().collect())?;
        names("invitation", self.invitations.iter().map(|one| &one.name).collect())?;
        let mut places: Vec<(String, &str)> = Vec::new();
        for one in &self.validators {
            let own = [one.consensus_port, one.mesh_port, one.http_port];
            for port in own {
                let place = std::net::SocketAddr::new(one.address, port).to_string();
                if let Some((address, other)) = places.iter().find(|(known, _)| *known == place) {
                    return Err(CommunityError::SamePlace {
                        one: (*other).to_owned(),
                        other: one.name.clone(),
                        address: address.clone(),
                    });
                }
                places.push((place, one.name.as_str()));
            }
            if one.address.is_unspecified() || one.address.is_multicast() {
                let problem = "the others cannot reach this address".to_owned();
                let found = one.address.to_string();
                return Err(CommunityError::Word { what: "address", found, problem });
            }
        }
        Ok(self)
    }
}

impl PlanToml {
    fn complete(self, options: &Init) -> Result<Plan, CommunityError> {
        let missing = |what, option| CommunityError::Missing { what, option };
        let price = |given: Option<Price>, text: Option<&String>, preset: Price, what| {
            let read = text.map(|text| text.parse::<Price>()).transpose();
            let read = read.map_err(|error| CommunityError::Word {
                what,
                found: text.cloned().unwrap_or_default(),
                problem: error.to_string(),
            })?;
            Ok::<_, CommunityError>(given.or(read).unwrap_or(preset))
        };
        let country = self.country.ok_or_else(|| missing("in which country it is", "--country"))?;
        let preset = country.preset();
        let (retail, feed_in) = (self.retail.as_ref(), self.feed_in.as_ref());
        if self.validators.is_empty() {
            return Err(missing("who validates", "--validator NAME=IP"));
        }
        if self.operators.is_empty() {
            return Err(missing("who operates it", "--operator NAME"));
        }
        let plan = Plan {
            name: self.name.ok_or_else(|| missing("how the community is called", "--name"))?,
            country,
            currency: self.currency.unwrap_or_else(|| preset.currency.to_owned()),
            time_zone: self.time_zone.unwrap_or_else(|| preset.time_zone.to_owned()),
            retail: price(options.retail, retail, preset.retail(), "retail")?,
            feed_in: price(options.feed_in, feed_in, preset.feed_in(), "feed_in")?,
            approvals_required: self.approvals_required.unwrap_or(1),
            validators: self.validators,
            operators: self.operators.into_iter().map(|operator| operator.name).collect(),
            zones: self.zones,
            invitations: self.invitations,
            invitation_days: options.invitation_days,
        };
        plan.check()
    }
}

fn read(path: &Path) -> Result<PlanToml, CommunityError> {
    let file = |source| CommunityError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(file)?;
    toml::from_str(&text).map_err(|error| CommunityError::Plan {
        path: path.to_owned(),
        problem: ledger::genesis::toml_problem(&text, &error),
    })
}

/// Asks for what is missing, in the order in which people think about it.
fn ask(plan: &mut PlanToml, terminal: &mut Terminal) -> std::io::Result<()> {
    let present = |text: &str| match text {
        "" => Err("please answer"),
        text => Ok(text.to_owned()),
    };
    if plan.name.is_none() {
        plan.name = Some(terminal.ask_for("How is the community called", None, present)?);
    }
    let country = match plan.country {
        Some(country) => country,
        None => {
            let codes = Country::ALL.map(Country::code).join(", ");
            let read = |text: &str| {
                let found = Country::ALL.into_iter().find(|country| country.code() == text);
                found.ok_or_else(|| format!("one of {codes}"))
            };
            terminal.ask_for(&format!("In which country is it ({codes})"), None, read)?
        }
    };
    plan.country = Some(country);
    let preset = country.preset();
    let price = |text: &str| text.parse::<Price>().map(|_| text.to_owned());
    let default = |given: &Option<String>, preset: String| given.clone().unwrap_or(preset);
    let currency = default(&plan.currency, preset.currency.to_owned());
    plan.currency = Some(terminal.ask("Currency", Some(&currency))?);
    let time_zone = default(&plan.time_zone, preset.time_zone.to_owned());
    plan.time_zone = Some(terminal.ask("Time zone", Some(&time_zone))?);
    let retail = default(&plan.retail, preset.retail().to_string());
    let question = "What a household pays the supplier per kWh";
    plan.retail = Some(terminal.ask_for(question, Some(&retail), price)?);
    let feed_in = default(&plan.feed_in, preset.feed_in().to_string());
    let question = "What the supplier pays a household per kWh";
    plan.feed_in = Some(terminal.ask_for(question, Some(&feed_in), price)?);
    if plan.validators.is_empty() {
        terminal.say("Validators keep the ledger. Four bear one that fails, seven bear two.")?;
        let read = |text: &str| match text {
            "" => Ok(None),
            text => text.parse::<ValidatorPlan>().map(Some),
        };
        let question = "A validator as NAME=IP (empty: no more)";
        while let Some(validator) = terminal.ask_for(question, None, read)? {
            plan.validators.push(validator);
        }
    }
    if plan.operators.is_empty() {
        let names = terminal.ask("Who operates it (names, separated by commas)", None)?;
        plan.operators.extend(list(&names).map(|name| OperatorToml { name }));
        if plan.operators.len() > 1 && plan.approvals_required.is_none() {
            let count = |text: &str| text.parse::<u8>();
            let question = "How many of them have to approve a settlement";
            plan.approvals_required = Some(terminal.ask_for(question, Some("1"), count)?);
        }
    }
    if plan.zones.is_empty() {
        let labels = terminal.ask("Parts of the grid, such as feeders (empty: one)", None)?;
        plan.zones.extend(list(&labels).map(|label| ZonePlan {
            label,
            parent: None,
            charge: None,
            capacity_up_wh: None,
            capacity_down_wh: None,
        }));
    }
    if plan.invitations.is_empty() {
        let names = terminal.ask("Households to invite, NAME or NAME@ZONE (empty: none)", None)?;
        plan.invitations.extend(list(&names).map(|text| {
            let (name, zone) = match text.split_once('@') {
                Some((name, zone)) => (name.trim().to_owned(), Some(zone.trim().to_owned())),
                None => (text, None),
            };
            InvitationPlan { name, zone, import_max_wh: None, export_max_wh: None }
        }));
    }
    Ok(())
}

fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// Names are names of folders, and each stands for one.
fn check_names(what: &'static str, names: &[&String]) -> Result<(), CommunityError> {
    let mut known = BTreeSet::new();
    for name in names {
        let wrong = |problem: &str| CommunityError::Word {
            what,
            found: (*name).clone(),
            problem: problem.to_owned(),
        };
        let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_');
        if !(1..=40).contains(&name.chars().count()) || !name.chars().all(is_letter) {
            return Err(wrong("expected 1 to 40 letters, digits, - and _: it names a folder"));
        }
        if !known.insert(name.to_lowercase()) {
            return Err(wrong("it is named twice"));
        }
    }
    Ok(())
}
