//! The dashboard under TLS of its own.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use web::{HouseholdPages, TlsSection, WebOrigin};

use crate::community::{Community, member_key, party};
use crate::stage::Stage;

/// A request as a browser sends it that trusts the self-made certificate.
async fn ask(stage: &Stage, line: &str, headers: &str, body: &str) -> String {
    let certificate = std::fs::read(stage.data_dir().join("tls.crt")).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&certificate).expect("PEM")).expect("added");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = stage.base.trim_start_matches("http://");
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let mut stream = connecting.await.expect("a handshake");
    let port = address.split(':').next_back().expect("a port");
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: https://localhost:{port}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\
         {headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // The server may close without a farewell once it has said everything.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn under_tls_the_cookie_is_bound_to_this_host_and_never_goes_in_the_open() {
    let stage = Stage::play(Community::after_blocks(4), HouseholdPages::Closed, |config| {
        config.tls = Some(TlsSection::SelfMade);
    })
    .await;
    let port = stage.base.split(':').next_back().expect("a port").to_owned();
    let link = |scheme: &str| {
        let dashboard: WebOrigin = format!("{scheme}://localhost:{port}").parse().expect("one");
        json!({ "link": stage.link(party(1), &member_key(1), &dashboard) }).to_string()
    };
    let post = "POST /api/v1/session/link";
    let refused = ask(&stage, post, "", &link("http")).await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "a link for the open: {refused}");
    let answer = ask(&stage, post, "", &link("https")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let lower = answer.to_lowercase();
    assert!(lower.contains("strict-transport-security: max-age=31536000"), "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("one");
    assert!(cookie.starts_with("__Host-hidamari=") && cookie.contains("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair");
    let get = "GET /api/v1/households";
    let answer = ask(&stage, get, &format!("Cookie: {cookie}\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The same id under the name that any page in the open could set.
    let open = cookie.replace("__Host-", "");
    let answer = ask(&stage, get, &format!("Cookie: {open}\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    // Whoever does not speak TLS gets nothing, and holds up nobody.
    let mut silent =
        TcpStream::connect(stage.base.trim_start_matches("http://")).await.expect("up");
    silent.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    stage.stop().await;
}
