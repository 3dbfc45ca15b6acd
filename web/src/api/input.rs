//! What requests carry: read strictly, and refused in words.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use jiff::civil::Date;
use market::member::{Member, PartyId};
use market::money::Money;
use market::price::Price;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::api::problem::Problem;
use crate::local_time::LocalDay;
use crate::site::Site;

/// The query of a request.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(asked)| Self(asked))
            .map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The path of a request.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(named)| Self(named)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// Which local day.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OnDate {
    /// A date of the community's time zone, YYYY-MM-DD; today by market time if it is left out.
    #[param(value_type = Option<String>, format = Date)]
    pub(crate) date: Option<String>,
}

impl OnDate {
    /// The day asked for.
    pub(crate) fn day(&self, site: &Site) -> Result<LocalDay, Problem> {
        let Some(text) = &self.date else { return today(site) };
        let date = text.parse::<Date>().ok().filter(|date| date.to_string() == *text);
        date.and_then(|date| site.zone.day(date)).ok_or_else(|| {
            Problem::bad_request(format!("date must be like 2026-06-15, but it is {text:?}."))
        })
    }
}

/// The community's local day by market time.
pub(crate) fn today(site: &Site) -> Result<LocalDay, Problem> {
    site.zone.day_of(site.now()).ok_or_else(|| {
        Problem::unavailable("The clock shows no date; correct this machine's time.")
    })
}

/// The member named in a path, if households are shown at all.
pub(crate) fn household(site: &Site, party: &str) -> Result<(PartyId, Member), Problem> {
    if !site.shows_households() {
        return Err(Problem::households_closed());
    }
    let unknown =
        || Problem::not_found("No household has this identifier; /api/v1/households lists all.");
    let party: PartyId = party.parse().map_err(|_| unknown())?;
    let state = site.live.tip().state;
    let member = state.members().get(&party).cloned().ok_or_else(unknown)?;
    Ok((party, member))
}

/// A price as the API writes it.
pub(crate) fn price(price: Price) -> String {
    price.to_string()
}

/// An amount as the API writes it.
pub(crate) fn money(money: Money) -> String {
    money.to_string()
}
