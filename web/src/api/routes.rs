//! The table of all routes: each with who may call it. The router and the API's description are
//! made from it, so that there is no route without a row.

use std::sync::Arc;

use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get};
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use crate::access::Access::{
    self, Aggregates, Household, Member, Operator, OperatorConfirmed, Public, SignedIn,
};
use crate::access::admit;
use crate::api::{
    auctions, blocks, community, events, genesis, health, households, now, operator, prices,
    receipts, search, session, sessions, status, tariff, transactions, validators,
};
use crate::site::Site;

/// A route of the API.
pub(crate) struct Row {
    pub(crate) access: Access,
    pub(crate) routes: UtoipaMethodRouter<Arc<Site>>,
}

/// All routes under `/api/v1`.
pub(crate) fn rows() -> Vec<Row> {
    let row = |access, routes| Row { access, routes };
    vec![
        row(Public, routes!(community::community)),
        row(Public, routes!(status::status)),
        row(Public, routes!(tariff::tariff)),
        row(Public, routes!(validators::validators)),
        row(Aggregates, routes!(now::now)),
        row(Aggregates, routes!(prices::prices)),
        row(Aggregates, routes!(auctions::latest)),
        row(Aggregates, routes!(auctions::of_period)),
        row(Aggregates, routes!(blocks::list)),
        row(Aggregates, routes!(blocks::detail::block)),
        row(Aggregates, routes!(transactions::transaction)),
        row(Aggregates, routes!(search::search)),
        row(Aggregates, routes!(events::events)),
        row(Member, routes!(households::list)),
        row(Member, routes!(receipts::receipt)),
        row(Member, routes!(transactions::receipt)),
        row(Member, routes!(genesis::genesis)),
        row(Household, routes!(households::day::day)),
        row(Household, routes!(households::history::history)),
        row(Household, routes!(households::trades::trades)),
        row(Household, routes!(households::orders::orders)),
        row(Public, routes!(session::who_am_i)),
        row(Public, routes!(session::by_link)),
        row(Public, routes!(session::by_password)),
        row(Operator, routes!(session::confirm)),
        row(SignedIn, routes!(session::sign_out)),
        row(SignedIn, routes!(sessions::list)),
        row(SignedIn, routes!(sessions::end_others)),
        row(SignedIn, routes!(sessions::end)),
        row(Operator, routes!(operator::audit::list)),
        row(Operator, routes!(operator::members::list)),
        row(OperatorConfirmed, routes!(operator::members::sign_out)),
        row(Operator, routes!(operator::validators::list)),
    ]
}

/// What is served beside the API: path, who may call it, and what answers.
pub(crate) fn others(
    site: &Arc<Site>,
    openapi: String,
) -> Vec<(&'static str, MethodRouter<Arc<Site>>)> {
    let document: Arc<str> = openapi.into();
    let openapi = move || async move { super::openapi_response(&document) };
    vec![
        ("/api/openapi.json", guarded_get(site, Public, openapi)),
        ("/healthz", guarded_get(site, Public, health::healthz)),
        ("/metrics", guarded_get(site, Public, health::metrics)),
    ]
}

fn guarded_get<H, T>(site: &Arc<Site>, access: Access, handler: H) -> MethodRouter<Arc<Site>>
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    guarded(site, access, get(handler))
}

/// Puts the door in front of a route.
pub(crate) fn guarded(
    site: &Arc<Site>,
    access: Access,
    routes: MethodRouter<Arc<Site>>,
) -> MethodRouter<Arc<Site>> {
    routes.route_layer(from_fn_with_state((Arc::clone(site), access), admit))
}
