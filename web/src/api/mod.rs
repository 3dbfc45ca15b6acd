//! The API, version 1: one file per resource, errors as problem documents (RFC 9457). [`routes`] is
//! the table of all routes and of who may call them.
//!
//! `openapi.json` beside this crate's manifest is its reviewed public description.

mod auctions;
mod blocks;
mod body;
mod community;
pub(crate) mod events;
mod genesis;
mod health;
mod households;
pub(crate) mod input;
mod now;
mod operator;
mod prices;
pub(crate) mod problem;
mod receipts;
mod routes;
mod search;
mod session;
mod sessions;
mod status;
mod tariff;
mod transactions;
mod validators;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};

use crate::access::Access;
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

/// What every route under `/api/v1` begins with.
const PREFIX: &str = "/api/v1";

/// Everything that is served.
pub(crate) fn router(site: &Arc<Site>) -> Router {
    let mut version_1 = OpenApiRouter::new();
    for row in routes::rows() {
        let guarded = |methods| routes::guarded(site, row.access, methods);
        version_1 = version_1.routes(row.routes.map(guarded));
    }
    let (described, _) = OpenApiRouter::new().nest(PREFIX, version_1).split_for_parts();
    let mut router = Router::new().merge(described);
    for (path, methods) in routes::others(site, openapi_json()) {
        router = router.route(path, methods);
    }
    router
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            Problem::method_not_allowed(&method, uri.path())
        })
        .fallback(assets::page)
        .layer(from_fn_with_state(Arc::clone(site), guard::guard))
        .with_state(Arc::clone(site))
}

/// All routes of the API: method, path and who may call it.
pub fn access_table() -> Vec<(String, String, Access)> {
    let mut table = Vec::new();
    for mut row in routes::rows() {
        for (path, item) in &mut row.routes.1.paths {
            for (method, _) in operations(item) {
                table.push((method.to_owned(), format!("{PREFIX}{path}"), row.access));
            }
        }
    }
    table
}

/// The API's OpenAPI document, as it is served and as it stands in `openapi.json`.
pub fn openapi_json() -> String {
    let mut version_1 = OpenApiRouter::new();
    for mut row in routes::rows() {
        for item in row.routes.1.paths.values_mut() {
            for (method, operation) in operations(item) {
                add_common_answers(operation, method, row.access);
            }
        }
        version_1 = version_1.routes(row.routes);
    }
    let router = OpenApiRouter::with_openapi(Document::openapi()).nest(PREFIX, version_1);
    let document: OpenApi = router.into_openapi();
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// The operations of a path with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// What a route answers besides its own answers, by its method and by who may call it.
fn add_common_answers(operation: &mut Operation, method: &str, access: Access) {
    let operators = matches!(access, Access::Operator | Access::OperatorConfirmed);
    let (changes, takes_body) = (method != "GET", operation.request_body.is_some());
    let common = [
        (true, 421, "The request is not for this dashboard: its Host is unknown here"),
        (true, 429, "Too many requests; Retry-After says how long to wait"),
        (access != Access::Public, 401, "Nobody has signed in who may see this"),
        (operators, 403, "Only an operator may, and for some only after a confirmation"),
        (changes, 403, "The request does not come from this dashboard's own page"),
        (changes, 413, "The body is too long"),
        (takes_body, 400, "The body is not what is expected"),
        (takes_body, 415, "The body is not JSON"),
        (takes_body, 503, "Too many people sign in at once; try again"),
    ];
    for (_, status, description) in common.into_iter().filter(|(applies, ..)| *applies) {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let answer = ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", content)
            .build();
        let answers = &mut operation.responses.responses;
        answers.entry(status.to_string()).or_insert(answer.into());
    }
}

fn openapi_response(document: &str) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], document.to_owned()).into_response()
}
