//! The API, version 1: one file per resource, GET only, errors as problem documents (RFC 9457).
//!
//! `openapi.json` beside this crate's manifest is its reviewed public description.

mod auctions;
mod blocks;
mod community;
pub(crate) mod events;
mod genesis;
mod health;
mod households;
mod input;
mod now;
mod prices;
pub(crate) mod problem;
mod receipts;
mod search;
mod status;
mod tariff;
mod transactions;
mod validators;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse as _;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, Response, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::events::{BlockEvent, ClearedEvent, SettledEvent};
use crate::api::problem::Problem;
use crate::site::Site;
use crate::status::Status;
use crate::{assets, guard};

/// What stands in the document beside the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Hidamari dashboard",
        version = "1",
        description = "What a community's ledger says, recomputed and checked by this dashboard. \
            Instants are integer milliseconds UTC of market time, energies integer Wh, prices and \
            money decimal strings with 6 places in the community's currency (prices per kWh).",
        license(name = "Apache-2.0")
    ),
    components(schemas(BlockEvent, ClearedEvent, SettledEvent, Status, Problem))
)]
struct Document;

fn described() -> OpenApiRouter<Arc<Site>> {
    let version_1 = OpenApiRouter::new()
        .routes(routes!(community::community))
        .routes(routes!(status::status))
        .routes(routes!(now::now))
        .routes(routes!(tariff::tariff))
        .routes(routes!(prices::prices))
        .routes(routes!(auctions::latest))
        .routes(routes!(auctions::of_period))
        .routes(routes!(households::list))
        .routes(routes!(households::day::day))
        .routes(routes!(households::history::history))
        .routes(routes!(households::trades::trades))
        .routes(routes!(households::orders::orders))
        .routes(routes!(blocks::list))
        .routes(routes!(blocks::detail::block))
        .routes(routes!(receipts::receipt))
        .routes(routes!(genesis::genesis))
        .routes(routes!(validators::validators))
        .routes(routes!(transactions::transaction))
        .routes(routes!(transactions::receipt))
        .routes(routes!(search::search))
        .routes(routes!(events::events));
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", version_1)
}

/// What every route answers to a request under a name that is not this dashboard's.
fn misdirected() -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description("The request is not for this dashboard: its Host is unknown here")
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}

/// Everything that is served.
pub(crate) fn router(site: &Arc<Site>) -> Router {
    let (routes, _) = described().split_for_parts();
    let document = Arc::<str>::from(openapi_json());
    let openapi = move || async move {
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind)], document.to_string()).into_response()
    };
    Router::new()
        .merge(routes)
        .route("/api/openapi.json", get(openapi))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            Problem::method_not_allowed(&method, uri.path())
        })
        .fallback(assets::page)
        .layer(from_fn_with_state(Arc::clone(site), guard::guard))
        .with_state(Arc::clone(site))
}

/// The API's OpenAPI document, as it is served and as it stands in `openapi.json`.
pub fn openapi_json() -> String {
    let mut document: OpenApi = described().into_openapi();
    let routes = document.paths.paths.values_mut();
    for operation in routes.filter_map(|route| route.get.as_mut()) {
        let status = StatusCode::MISDIRECTED_REQUEST.as_str().to_owned();
        operation.responses.responses.insert(status, misdirected().into());
    }
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
