//! What requests carry: read strictly, and refused in words.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use jiff::civil::Date;
use market::member::{Member, PartyId};
use market::money::Money;
use market::price::Price;
use utoipa::IntoParams;

use crate::api::problem::Problem;
use crate::local_time::LocalDay;
use crate::site::Site;

/// A whole number that is never negative, as the API reads it.
pub(crate) const WHOLE: &str = "a whole number from 0 to 18446744073709551615";

/// An instant, as the API reads it.
pub(crate) const INSTANT: &str = "an instant in whole milliseconds since 1970 (UTC)";

/// Parameters as they were sent: decoded, but not understood.
pub(crate) struct Sent(Vec<(String, String)>);

impl Sent {
    /// The value of a parameter, if it was sent.
    ///
    /// # Errors
    /// [`Problem`] 400 if it was sent more than once, or is not what is expected.
    pub(crate) fn optional<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let mut values = self.0.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        if let Some(other) = values.next() {
            let found = format!("{value} and {other}");
            return Err(Problem::misfit(name, &format!("given once, as {expected}"), &found));
        }
        value.parse().map(Some).map_err(|_| Problem::misfit(name, expected, value))
    }

    /// The value of a parameter that is always there: a part of the path.
    ///
    /// # Errors
    /// [`Problem`] 400 if it is not what is expected.
    pub(crate) fn required<T: FromStr>(&self, name: &str, expected: &str) -> Result<T, Problem> {
        let missing = || Problem::bad_request(format!("{name} is missing; it must be {expected}."));
        self.optional(name, expected)?.ok_or_else(missing)
    }

    fn refuse_others(&self, known: &[&str]) -> Result<(), Problem> {
        let other = self.0.iter().find(|(sent, _)| !known.contains(&sent.as_str()));
        let Some((name, _)) = other else { return Ok(()) };
        Err(Problem::misfit("a parameter of this query", &known.join(" or "), name))
    }
}

/// What a query can carry.
pub(crate) trait Question: Sized {
    /// The names of all of its parameters.
    const NAMES: &'static [&'static str];

    /// Reads them.
    ///
    /// # Errors
    /// [`Problem`] 400 names the parameter, what was sent and what is expected.
    fn read(sent: &Sent) -> Result<Self, Problem>;
}

/// The query of a request.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: Question, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Ok(Query(sent)) = query else {
            let found = parts.uri.query().unwrap_or_default();
            return Err(Problem::misfit("the query", "name=value pairs joined by &", found));
        };
        let sent = Sent(sent);
        sent.refuse_others(T::NAMES)?;
        T::read(&sent).map(Self)
    }
}

/// The parameters in the path of a request.
pub(crate) struct Named(pub(crate) Sent);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        path.map(|Path(sent)| Self(Sent(sent))).map_err(|_| unreadable_path(parts.uri.path()))
    }
}

/// A path that is no text.
pub(crate) fn unreadable_path(path: &str) -> Problem {
    Problem::misfit("the path", "text in percent-encoded UTF-8", path)
}

/// Which local day.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OnDate {
    /// A date of the community's time zone, YYYY-MM-DD; today by market time if it is left out.
    #[param(value_type = Option<String>, format = Date)]
    pub(crate) date: Option<String>,
}

impl Question for OnDate {
    const NAMES: &'static [&'static str] = &["date"];

    fn read(sent: &Sent) -> Result<Self, Problem> {
        Ok(Self { date: sent.optional("date", DATE)? })
    }
}

/// A local day, as the API reads it.
const DATE: &str = "a day of the calendar written like 2026-06-15";

impl OnDate {
    /// The day asked for.
    pub(crate) fn day(&self, site: &Site) -> Result<LocalDay, Problem> {
        let Some(text) = &self.date else { return today(site) };
        let date = text.parse::<Date>().ok().filter(|date| date.to_string() == *text);
        date.and_then(|date| site.zone.day(date)).ok_or_else(|| Problem::misfit("date", DATE, text))
    }
}

/// The community's local day by market time.
pub(crate) fn today(site: &Site) -> Result<LocalDay, Problem> {
    site.zone.day_of(site.now()).ok_or_else(|| {
        Problem::unavailable("The clock shows no date; correct this machine's time.")
    })
}

/// The member named in a path. Whether it may be shown is the door's to judge
/// ([`crate::access::Access::Household`]).
pub(crate) fn household(site: &Site, path: &Sent) -> Result<(PartyId, Member), Problem> {
    let party: PartyId = path.required("party", "an identifier of 32 hexadecimal digits")?;
    let state = site.live.tip().state;
    let member = state.members().get(&party).cloned();
    Ok((party, member.ok_or_else(|| no_such_household(&party))?))
}

/// What to say of a household that does not exist, and of one that is none of the asker's business.
pub(crate) fn no_such_household(party: &PartyId) -> Problem {
    Problem::not_found(format!(
        "party must be one of the households that /api/v1/households lists, but it is {party}."
    ))
}

/// What to say when the block asked for is not there.
pub(crate) fn no_such_block(site: &Site, height: u64) -> Problem {
    let tip = site.live.tip().state.height();
    Problem::not_found(match tip {
        0 => format!(
            "height must be that of a block, but it is {height}, and no block has been verified \
             here yet; try again later."
        ),
        _ => format!(
            "height must be from 1 to {tip}, that of the last block verified here, but it is \
             {height}."
        ),
    })
}

/// A price as the API writes it.
pub(crate) fn price(price: Price) -> String {
    price.to_string()
}

/// An amount as the API writes it.
pub(crate) fn money(money: Money) -> String {
    money.to_string()
}
