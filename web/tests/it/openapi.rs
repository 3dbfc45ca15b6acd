//! The API's description is reviewed: a change of a route changes a committed file.

use std::path::PathBuf;

#[test]
fn openapi_json_is_what_the_program_serves() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let served = web::openapi_json();
    if std::env::var_os("HIDAMARI_REWRITE").is_some() {
        std::fs::write(&path, &served).expect("openapi.json can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == served,
        "web/openapi.json is stale: review the change of the API and run \
         `HIDAMARI_UI=skip HIDAMARI_REWRITE=1 cargo test -p web openapi`"
    );
}
