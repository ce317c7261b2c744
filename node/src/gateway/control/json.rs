//! JSON in and out.

use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;

use super::failure::Failure;

/// What a handler answers.
pub(super) type Answer<T> = Result<Json<T>, Failure>;

/// A body that does not fit is answered in the API's own form of errors.
pub(super) struct Json<T>(pub T);

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // Scripts forget the content type; nothing else than JSON can be meant.
        let body = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Failure::bad_request(rejection.body_text()))?;
        let value = serde_json::from_slice(&body);
        value.map(Self).map_err(|error| Failure::bad_request(format!("the body does not fit this request: {error}")))
    }
}
