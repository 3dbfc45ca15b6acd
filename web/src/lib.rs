//! The dashboard: a verifying follower, its read model, the API and the page
