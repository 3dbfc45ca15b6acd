//! The rules of the market in the genesis file: the table `[market]`, and the lists `[[mechanisms]]`
//! and `[[tariffs]]`, whose first entries hold from the beginning and whose others each from
//! `from_ms` on.

use market::clearing::MechanismKind;
use market::clearing::sharing::{Ranking, Shares, SharingKey, SharingRule};
use market::decimal::{Fixed, parse_millionths};
use market::gate::GateSchedule;
use market::member::PartyId;
use market::price::{Price, Tick};
use market::rules::MarketRules;
use market::schedule::Schedule;
use market::tariff::{Days, Levy, LevyBase, Tariff, Window};
use market::time::{PeriodLength, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::genesis::file::{GenesisFileError, parse, toml_problem, value};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarketToml {
    period_minutes: i64,
    /// Gates before delivery, the earliest first.
    gate_lead_minutes: Vec<u64>,
    /// The gate after delivery, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    gate_lag_minutes: Option<u64>,
    horizon_minutes: u64,
    k: String,
    tick: String,
    price_min: String,
    price_max: String,
    settlement_delay_minutes: u64,
    finality_delay_minutes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MechanismToml {
    #[serde(skip_serializing_if = "Option::is_none")]
    from_ms: Option<i64>,
    kind: String,
    /// Of a sharing rule: the internal price.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<String>,
    /// Of a sharing rule: static, pro-rata, priority or hybrid.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Of a static or hybrid key: the part of each party.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shares: Vec<ShareToml>,
    /// Of a priority key: parties, the first before all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ranking: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareToml {
    party: String,
    share: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TariffToml {
    #[serde(skip_serializing_if = "Option::is_none")]
    from_ms: Option<i64>,
    utc_offset_minutes: i16,
    tax: String,
    windows: Vec<WindowToml>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    levies: Vec<LevyToml>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowToml {
    days: String,
    from: String,
    to: String,
    retail: String,
    feed_in: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LevyToml {
    name: String,
    price: String,
    on: String,
}

pub(super) fn read_rules(
    market: &MarketToml,
    mechanisms: &[MechanismToml],
    tariffs: &[TariffToml],
) -> Result<MarketRules, GenesisFileError> {
    let price = |key: &str, text: &str| parse::<Price>(&format!("market.{key}"), text);
    let minutes = |key: &str, minutes: u64| {
        minutes
            .checked_mul(60_000)
            .ok_or_else(|| value(&format!("market.{key}"), "this many minutes are out of range"))
    };
    let k = parse_millionths(&market.k).map_err(|error| value("market.k", error))?;
    let tick = price("tick", &market.tick)?.micros_per_kwh();
    let tick = u32::try_from(tick).ok().and_then(Tick::from_micros_per_kwh);
    let leads = market.gate_lead_minutes.iter();
    let leads = leads.map(|lead| minutes("gate_lead_minutes", *lead)).collect::<Result<_, _>>()?;
    let lag = market.gate_lag_minutes.map(|lag| minutes("gate_lag_minutes", lag)).transpose()?;
    Ok(MarketRules {
        period_length: PeriodLength::from_minutes(market.period_minutes)
            .ok_or_else(|| value("market.period_minutes", "expected 15 or 30"))?,
        gates: GateSchedule::with_ex_post(leads, lag)
            .map_err(|error| value("market.gate_lead_minutes", error))?,
        horizon_ms: minutes("horizon_minutes", market.horizon_minutes)?,
        mechanism: scheduled("mechanisms", mechanisms, |m| m.from_ms, read_mechanism)?,
        k_millionths: u32::try_from(k)
            .map_err(|_| value("market.k", "expected a number from 0 to 1"))?,
        tick: tick.ok_or_else(|| value("market.tick", "expected 0.000001 to 4000"))?,
        price_min: price("price_min", &market.price_min)?,
        price_max: price("price_max", &market.price_max)?,
        tariffs: scheduled("tariffs", tariffs, |t| t.from_ms, tariff_of)?,
        settlement_delay_ms: minutes("settlement_delay_minutes", market.settlement_delay_minutes)?,
        finality_delay_ms: minutes("finality_delay_minutes", market.finality_delay_minutes)?,
    })
}

pub(super) fn write_rules(
    rules: &MarketRules,
) -> Result<(MarketToml, Vec<MechanismToml>, Vec<TariffToml>), GenesisFileError> {
    let minutes = |key: &str, ms: u64| match (ms.checked_div(60_000), ms.checked_rem(60_000)) {
        (Some(minutes), Some(0)) => Ok(minutes),
        _ => Err(value(&format!("market.{key}"), format!("{ms} ms are no whole minutes"))),
    };
    let leads = rules.gates.leads_ms().iter();
    let lag = rules.gates.ex_post_lag_ms();
    let market = MarketToml {
        period_minutes: rules.period_length.minutes(),
        gate_lead_minutes: leads
            .map(|lead| minutes("gate_lead_minutes", *lead))
            .collect::<Result<_, _>>()?,
        gate_lag_minutes: lag.map(|lag| minutes("gate_lag_minutes", lag)).transpose()?,
        horizon_minutes: minutes("horizon_minutes", rules.horizon_ms)?,
        k: millionths(rules.k_millionths),
        tick: millionths(rules.tick.micros_per_kwh()),
        price_min: rules.price_min.to_string(),
        price_max: rules.price_max.to_string(),
        settlement_delay_minutes: minutes("settlement_delay_minutes", rules.settlement_delay_ms)?,
        finality_delay_minutes: minutes("finality_delay_minutes", rules.finality_delay_ms)?,
    };
    let mechanisms = entries(&rules.mechanism).map(|(from, kind)| write_mechanism(from, kind));
    let tariffs = entries(&rules.tariffs).map(|(from, tariff)| write_tariff(from, tariff));
    Ok((market, mechanisms.collect(), tariffs.collect()))
}

/// Reads a list of which the first entry holds from the beginning and the others from their times.
fn scheduled<T, V>(
    name: &str,
    list: &[T],
    from_ms: impl Fn(&T) -> Option<i64>,
    read: impl Fn(&str, &T) -> Result<V, GenesisFileError>,
) -> Result<Schedule<V>, GenesisFileError> {
    let Some((first, later)) = list.split_first() else {
        return Err(value(name, "expected at least one entry"));
    };
    if from_ms(first).is_some() {
        let problem = "the first entry holds from the beginning; leave from_ms out";
        return Err(value(&format!("{name}[0].from_ms"), problem));
    }
    let mut schedule = Schedule::always(read(&format!("{name}[0]"), first)?);
    let mut before = i64::MIN;
    for (index, entry) in (1_usize..).zip(later) {
        let key = format!("{name}[{index}]");
        let problem = "expected a time in milliseconds, later than that of the entry before";
        let from = from_ms(entry).filter(|from| *from > before);
        before = from.ok_or_else(|| value(&format!("{key}.from_ms"), problem))?;
        schedule.change(Timestamp::from_millis(before), read(&key, entry)?);
    }
    Ok(schedule)
}

fn entries<V>(schedule: &Schedule<V>) -> impl Iterator<Item = (Option<i64>, &V)> {
    let first = schedule.values().take(1).map(|value| (None, value));
    first.chain(schedule.changes().map(|(from, value)| (Some(from.as_millis()), value)))
}

fn read_mechanism(key: &str, entry: &MechanismToml) -> Result<MechanismKind, GenesisFileError> {
    let field = |field: &str| format!("{key}.{field}");
    let sharing = entry.kind == "sharing";
    let beside = [
        ("price", entry.price.is_some()),
        ("key", entry.key.is_some()),
        ("shares", !entry.shares.is_empty()),
        ("ranking", !entry.ranking.is_empty()),
    ];
    if let Some((name, _)) = beside.iter().find(|(_, present)| *present && !sharing) {
        return Err(value(&field(name), "only a mechanism of kind \"sharing\" has it"));
    }
    match entry.kind.as_str() {
        "zonal-auction" => Ok(MechanismKind::ZonalAuction),
        "pair-midpoints" => Ok(MechanismKind::PairMidpoints),
        "trade-reduction" => Ok(MechanismKind::TradeReduction),
        "sharing" => Ok(MechanismKind::Sharing(SharingRule {
            price: parse(&field("price"), entry.price.as_deref().unwrap_or_default())?,
            key: read_key(key, entry)?,
        })),
        other => {
            let expected = "expected \"zonal-auction\", \"pair-midpoints\", \"trade-reduction\" \
                            or \"sharing\"";
            Err(value(&field("kind"), format!("{expected}, but found {other:?}")))
        }
    }
}

fn read_key(key: &str, entry: &MechanismToml) -> Result<SharingKey, GenesisFileError> {
    let shares = || {
        let mut shares = BTreeMap::new();
        for (index, share) in entry.shares.iter().enumerate() {
            let field = |field: &str| format!("{key}.shares[{index}].{field}");
            let party: PartyId = parse(&field("party"), &share.party)?;
            let part = parse_millionths(&share.share);
            let part = part.map_err(|error| value(&field("share"), error))?;
            let part = u32::try_from(part);
            let part = part.map_err(|_| value(&field("share"), "expected a number from 0 to 1"))?;
            if shares.insert(party, part).is_some() {
                return Err(value(&field("party"), "this party has two shares"));
            }
        }
        Shares::new(shares).map_err(|error| value(&format!("{key}.shares"), error))
    };
    match entry.key.as_deref().unwrap_or_default() {
        "static" => Ok(SharingKey::Static(shares()?)),
        "pro-rata" => Ok(SharingKey::ProRata),
        "hybrid" => Ok(SharingKey::Hybrid(shares()?)),
        "priority" => {
            let field = format!("{key}.ranking");
            let parties = entry.ranking.iter().map(|party| parse(&field, party));
            let ranking = Ranking::new(parties.collect::<Result<_, _>>()?);
            Ok(SharingKey::Priority(ranking.map_err(|error| value(&field, error))?))
        }
        other => {
            let expected = "expected \"static\", \"pro-rata\", \"priority\" or \"hybrid\"";
            Err(value(&format!("{key}.key"), format!("{expected}, but found {other:?}")))
        }
    }
}

fn write_mechanism(from_ms: Option<i64>, kind: &MechanismKind) -> MechanismToml {
    let (mut price, mut key, mut shares, mut ranking) = (None, None, Vec::new(), Vec::new());
    let kind = match kind {
        MechanismKind::ZonalAuction => "zonal-auction",
        MechanismKind::PairMidpoints => "pair-midpoints",
        MechanismKind::TradeReduction => "trade-reduction",
        MechanismKind::Sharing(rule) => {
            price = Some(rule.price.to_string());
            let mut share = |of: &Shares| {
                shares.extend(of.millionths().iter().map(|(party, share)| ShareToml {
                    party: party.to_string(),
                    share: millionths(*share),
                }));
            };
            key = Some(match &rule.key {
                SharingKey::Static(of) => {
                    share(of);
                    "static"
                }
                SharingKey::ProRata => "pro-rata",
                SharingKey::Priority(of) => {
                    ranking.extend(of.first_to_last().iter().map(ToString::to_string));
                    "priority"
                }
                SharingKey::Hybrid(of) => {
                    share(of);
                    "hybrid"
                }
            });
            "sharing"
        }
    };
    let (kind, key) = (kind.to_owned(), key.map(str::to_owned));
    MechanismToml { from_ms, kind, price, key, shares, ranking }
}

/// Reads one tariff as it stands in an entry of `tariffs`, with `from_ms` left out.
///
/// # Errors
/// [`GenesisFileError`] names the line or the key, and what was expected.
pub fn read_tariff(text: &str) -> Result<Tariff, GenesisFileError> {
    let entry: TariffToml =
        toml::from_str(text).map_err(|error| GenesisFileError::Toml(toml_problem(text, &error)))?;
    if entry.from_ms.is_some() {
        return Err(value("from_ms", "the time from which on it holds is given beside the file"));
    }
    tariff_of("tariff", &entry)
}

fn tariff_of(key: &str, entry: &TariffToml) -> Result<Tariff, GenesisFileError> {
    let tax = parse_millionths(&entry.tax).map_err(|error| value(&format!("{key}.tax"), error))?;
    let tax = u32::try_from(tax);
    let tax = tax.map_err(|_| value(&format!("{key}.tax"), "expected a number from 0 to 1"))?;
    let windows = entry.windows.iter().enumerate().map(|(index, window)| {
        let field = |field: &str| format!("{key}.windows[{index}].{field}");
        Ok::<_, GenesisFileError>(Window {
            days: read_days(&window.days).ok_or_else(|| {
                let expected = "expected days such as \"mon,tue,sat\", \"weekdays\", \"weekend\" \
                                or \"all\"";
                value(&field("days"), format!("{expected}, but found {:?}", window.days))
            })?,
            from_minute: read_clock(&field("from"), &window.from)?,
            to_minute: read_clock(&field("to"), &window.to)?,
            retail: parse(&field("retail"), &window.retail)?,
            feed_in: parse(&field("feed_in"), &window.feed_in)?,
        })
    });
    let levies = entry.levies.iter().enumerate().map(|(index, levy)| {
        let field = |field: &str| format!("{key}.levies[{index}].{field}");
        let base = match levy.on.as_str() {
            "supplied" => LevyBase::Supplied,
            "imported" => LevyBase::Imported,
            other => {
                let expected = "expected \"supplied\" or \"imported\"";
                return Err(value(&field("on"), format!("{expected}, but found {other:?}")));
            }
        };
        Ok(Levy { name: levy.name.clone(), price: parse(&field("price"), &levy.price)?, base })
    });
    let (windows, levies) =
        (windows.collect::<Result<_, _>>()?, levies.collect::<Result<_, GenesisFileError>>()?);
    Tariff::new(entry.utc_offset_minutes, windows, levies, tax).map_err(|error| value(key, error))
}

fn write_tariff(from_ms: Option<i64>, tariff: &Tariff) -> TariffToml {
    let windows = tariff.windows().iter().map(|window| WindowToml {
        days: write_days(window.days),
        from: write_clock(window.from_minute),
        to: write_clock(window.to_minute),
        retail: window.retail.to_string(),
        feed_in: window.feed_in.to_string(),
    });
    let levies = tariff.levies().iter().map(|levy| LevyToml {
        name: levy.name.clone(),
        price: levy.price.to_string(),
        on: match levy.base {
            LevyBase::Supplied => "supplied".to_owned(),
            LevyBase::Imported => "imported".to_owned(),
        },
    });
    TariffToml {
        from_ms,
        utc_offset_minutes: tariff.utc_offset_minutes(),
        tax: millionths(tariff.tax_millionths()),
        windows: windows.collect(),
        levies: levies.collect(),
    }
}

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Names of several days at once.
const DAY_GROUPS: [(&str, Days); 3] =
    [("all", Days::ALL), ("weekdays", Days::WEEKDAYS), ("weekend", Days::WEEKEND)];

fn read_days(text: &str) -> Option<Days> {
    if let Some((_, days)) = DAY_GROUPS.iter().find(|(name, _)| *name == text) {
        return Some(*days);
    }
    let mut bits = 0_u8;
    for name in text.split(',') {
        let day = DAY_NAMES.iter().position(|day| *day == name.trim())?;
        bits |= 1_u8.checked_shl(u32::try_from(day).ok()?)?;
    }
    Days::from_bits(bits)
}

fn write_days(days: Days) -> String {
    if let Some((name, _)) = DAY_GROUPS.iter().find(|(_, group)| *group == days) {
        return (*name).to_owned();
    }
    let named = (0_u32..)
        .zip(DAY_NAMES)
        .filter(|(day, _)| 1_u8.checked_shl(*day).is_some_and(|bit| days.bits() & bit != 0));
    named.map(|(_, name)| name).collect::<Vec<_>>().join(",")
}

/// Reads a time of the day as `HH:MM`, up to 24:00.
fn read_clock(key: &str, text: &str) -> Result<u16, GenesisFileError> {
    let minute = text.split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
        let minute = hours.checked_mul(60)?.checked_add(minutes)?;
        (minutes < 60 && minute <= 1_440).then_some(minute)
    });
    let problem = || format!("expected a time from 00:00 to 24:00, but found {text:?}");
    minute.ok_or_else(|| value(key, problem()))
}

fn write_clock(minute: u16) -> String {
    let part = |value: Option<u16>| value.unwrap_or_default();
    format!("{:02}:{:02}", part(minute.checked_div(60)), part(minute.checked_rem(60)))
}

fn millionths(value: u32) -> String {
    Fixed::millionths(i64::from(value)).to_string()
}
