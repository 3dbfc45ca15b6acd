//! The `[strategy]` table.

use market::decimal::NotADecimal;
use market::order::{Origin, PARTNERS_MAX};
use market::price::Price;
use serde::Deserialize;
use toml::Spanned;

use crate::config::StrategySettings;
use crate::strategy::{Concession, OwnerLimits, StrategyKind};
use crate::toml_text::{TomlError, TomlText};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct StrategyToml {
    kind: Option<KindToml>,
    sell_floor: Option<Spanned<String>>,
    buy_cap: Option<Spanned<String>>,
    sell_first: Option<Spanned<String>>,
    sell_last: Option<Spanned<String>>,
    buy_first: Option<Spanned<String>>,
    buy_last: Option<Spanned<String>>,
    #[serde(default)]
    partners: Vec<Spanned<String>>,
    offer_origin: Option<OriginToml>,
    bid_origin: Option<OriginToml>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum KindToml {
    Truthful,
    Concession,
    Adaptive,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum OriginToml {
    Solar,
    Battery,
}

/// Reads the table.
pub(super) fn read(
    text: TomlText<'_>,
    strategy: &StrategyToml,
) -> Result<StrategySettings, TomlError> {
    let price = |key: &str, found: &Option<Spanned<String>>| {
        found.as_ref().map(|found| read_price(text, key, found)).transpose()
    };
    let limits = OwnerLimits {
        sell_floor: price("strategy.sell_floor", &strategy.sell_floor)?,
        buy_cap: price("strategy.buy_cap", &strategy.buy_cap)?,
    };
    let concession = Concession {
        sell_first: price("strategy.sell_first", &strategy.sell_first)?,
        sell_last: price("strategy.sell_last", &strategy.sell_last)?,
        buy_first: price("strategy.buy_first", &strategy.buy_first)?,
        buy_last: price("strategy.buy_last", &strategy.buy_last)?,
    };
    check_course(text, strategy, limits, concession)?;
    if let Some(extra) = strategy.partners.get(PARTNERS_MAX) {
        let problem = format!("expected at most {PARTNERS_MAX} partners");
        return Err(text.error("strategy.partners", extra, problem));
    }
    let partner = |found: &Spanned<String>| {
        let parsed = found.get_ref().parse();
        parsed.map_err(|error| text.error("strategy.partners", found, error))
    };
    Ok(StrategySettings {
        kind: match strategy.kind {
            Some(KindToml::Truthful) => StrategyKind::Truthful,
            Some(KindToml::Concession) => StrategyKind::Concession(concession),
            Some(KindToml::Adaptive) => StrategyKind::Adaptive,
            None => StrategyKind::default(),
        },
        limits,
        partners: strategy.partners.iter().map(partner).collect::<Result<_, _>>()?,
        offer_origin: strategy.offer_origin.map(OriginToml::origin),
        bid_origin: strategy.bid_origin.map(OriginToml::origin),
    })
}

fn read_price(text: TomlText<'_>, key: &str, found: &Spanned<String>) -> Result<Price, TomlError> {
    let price: Result<Price, NotADecimal> = found.get_ref().parse();
    price.map_err(|error| text.error(key, found, error))
}

/// Whether first and last prices lead towards the other side, and stay within the owner's limits.
fn check_course(
    text: TomlText<'_>,
    strategy: &StrategyToml,
    limits: OwnerLimits,
    concession: Concession,
) -> Result<(), TomlError> {
    let StrategyToml { sell_first, sell_last, buy_first, buy_last, .. } = strategy;
    let keys = [
        ("strategy.sell_first", sell_first),
        ("strategy.sell_last", sell_last),
        ("strategy.buy_first", buy_first),
        ("strategy.buy_last", buy_last),
    ];
    let given = keys.into_iter().find_map(|(key, found)| Some((key, found.as_ref()?)));
    if let Some((key, found)) = given
        && !matches!(strategy.kind, Some(KindToml::Concession))
    {
        let problem = "expected `kind = \"concession\"` beside first and last prices; write it, or \
                       remove this line";
        return Err(text.error(key, found, problem));
    }
    let Concession { sell_first: s1, sell_last: s2, buy_first: b1, buy_last: b2 } = concession;
    let below = |a: Option<Price>, b: Option<Price>| a.zip(b).is_some_and(|(a, b)| a < b);
    let checks = [
        (below(s1, s2), 1, sell_last, "at most `sell_first`: an offer gets cheaper, never dearer"),
        (below(b2, b1), 3, buy_last, "at least `buy_first`: a bid rises, and never falls"),
        (below(s2, limits.sell_floor), 1, sell_last, "at least `sell_floor`, or no `sell_last`"),
        (below(limits.buy_cap, b2), 3, buy_last, "at most `buy_cap`, or no `buy_last`"),
    ];
    for (wrong, index, found, expected) in checks {
        if let (true, Some(found), Some((key, _))) = (wrong, found, keys.get(index)) {
            let problem = format!("expected {expected}, but found {:?}", found.get_ref());
            return Err(text.error(key, found, problem));
        }
    }
    Ok(())
}

impl OriginToml {
    fn origin(self) -> Origin {
        match self {
            Self::Solar => Origin::Solar,
            Self::Battery => Origin::Battery,
        }
    }
}
