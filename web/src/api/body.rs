//! What requests carry in their bodies: JSON, small, and of exactly the expected shape.

use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use crate::api::problem::Problem;
use crate::guard::BODY_BYTES_MAX;

/// Something that is told in a body.
pub(crate) trait Telling: DeserializeOwned {
    /// What the body must be, in words.
    const EXPECTED: &'static str;
}

/// The body of a request. What it holds may be secret, so that no answer repeats it.
pub(crate) struct Told<T>(pub(crate) T);

impl<T: Telling, S: Send + Sync> FromRequest<S> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::not_json(kind));
        }
        let bytes_max = usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX);
        let body = axum::body::to_bytes(request.into_body(), bytes_max).await;
        let body = body.map_err(|_| Problem::body_too_long("unknown", BODY_BYTES_MAX))?;
        let misfit = || Problem::bad_request(format!("The body must be {}.", T::EXPECTED));
        serde_json::from_slice(&body).map(Self).map_err(|_| misfit())
    }
}
