//! A community of real processes, from its founding to changes of its validators: everything that
//! people do to it, by the commands that they give.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mesh::key_file::{Form, Keychain, Passphrase};
use serde_json::Value;

use crate::scenario::stage::{free_port, program};

/// How long anything may take before the scenario gives up.
const PATIENCE: Duration = Duration::from_secs(100);

const PASSPHRASE: &str = "a canary sings at dawn";

/// A community in a directory, with its running nodes.
struct Community {
    scratch: tempfile::TempDir,
    nodes: BTreeMap<String, (Child, u16)>,
}

impl Drop for Community {
    fn drop(&mut self) {
        for (node, _) in self.nodes.values_mut() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

impl Community {
    /// Founds a community of four validators on free ports, and starts them.
    fn found() -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let passphrase = scratch.path().join("passphrase");
        std::fs::write(&passphrase, format!("{PASSPHRASE}\n")).expect("written");
        chmod_600(&passphrase);
        let mut community = Self { scratch, nodes: BTreeMap::new() };
        let lane = community.path("lane");
        let places: Vec<_> = (1..=4).map(|number| place(&format!("v{number}"))).collect();
        let mut arguments = vec!["community", "init", lane.to_str().expect("text")];
        arguments.extend(["--name", "Sunny Lane", "--country", "de", "--operator", "anna"]);
        arguments.extend(["--invite", "house-1", "--no-questions", "--json"]);
        for (text, _) in &places {
            arguments.extend(["--validator", text]);
        }
        let founded = community.json(&arguments);
        assert_eq!(founded["warnings"], serde_json::json!([]), "{founded}");
        for (number, (_, http)) in (1..).zip(places) {
            let name = format!("v{number}");
            community.start(&name, &lane.join("validators").join(&name), http);
        }
        community
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn operator(&self) -> String {
        self.path("lane/operators/anna/operator.toml").display().to_string()
    }

    fn start(&mut self, name: &str, folder: &Path, http: u16) {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).expect("a log");
        let node = program()
            .args(["node", "--exit-with-parent", "--log", "debug", "--config"])
            .arg(folder.join("node.toml"))
            .env("HIDAMARI_PASSPHRASE_FILE", self.path("passphrase"))
            .stdin(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a node");
        self.nodes.insert(name.to_owned(), (node, http));
    }

    /// Gives a command; its exit code, and what it says.
    fn give(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = program()
            .env("HIDAMARI_PASSPHRASE_FILE", self.path("passphrase"))
            .env("HIDAMARI_LOG", "debug")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("an answer");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The last JSON that a command answers.
    fn json(&self, arguments: &[&str]) -> Value {
        let (code, answer, errors) = self.give(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {answer}{errors}");
        assert_no_secrets(&format!("{arguments:?}"), &errors, &[]);
        let whole = serde_json::from_str(&answer);
        whole
            .or_else(|_| serde_json::from_str(answer.lines().last().unwrap_or_default()))
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {answer}"))
    }

    /// What an operator does; the answer.
    fn operate(&self, arguments: &[&str]) -> Value {
        let operator = self.operator();
        let mut all = vec!["operator"];
        all.extend(arguments);
        all.extend(["--config", &operator, "--yes", "--json"]);
        self.json(&all)
    }

    async fn status(&self, name: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/status", self.nodes[name].1);
        let Ok(answer) = reqwest::get(url).await else { return Value::Null };
        answer.json().await.unwrap_or_default()
    }

    /// Waits until a node's status is as wanted.
    async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let status = self.status(name).await;
            if holds(&status) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.path(&format!("{name}.log")));
                let log = log.unwrap_or_default();
                let lines: Vec<_> = log.lines().filter(|it| !it.contains("DEBUG")).collect();
                let last = lines.len().saturating_sub(40);
                panic!("{name} does not reach: {what}: {status}\n{}", lines[last..].join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn reaches(&self, name: &str, height: u64) {
        let holds = |status: &Value| status["height"].as_u64() >= Some(height);
        self.until(name, &format!("height {height}"), holds).await;
    }
}

/// A validator's place on this machine, and the port of its status page.
fn place(name: &str) -> (String, u16) {
    let (consensus, mesh, http) = (free_port(), free_port(), free_port());
    (format!("{name}=127.0.0.1,consensus={consensus},mesh={mesh},http={http}"), http)
}

fn chmod_600(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("chmod");
}

fn assert_no_secrets(whose: &str, text: &str, secrets: &[String]) {
    assert!(!text.contains(PASSPHRASE), "{whose} tells the passphrase");
    for secret in secrets {
        assert!(!text.to_lowercase().contains(secret.as_str()), "{whose} tells a key");
    }
}

/// The beginnings of all seeds, as hexadecimal digits and as a list of numbers.
fn secrets_under(dir: &Path) -> Vec<String> {
    let keys =
        Keychain::new(Form::Encrypted, |_| Ok(Passphrase::new(PASSPHRASE.to_owned().into())));
    let mut secrets = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            todo.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "key") {
            let seed = keys.read(&path).expect("a key");
            secrets.push(hex::encode(&seed[..8]));
            secrets.push(format!("{:?}", &seed[..4]).trim_matches(['[', ']']).to_owned());
        }
    }
    assert!(secrets.len() >= 20, "the keys are found");
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_is_founded_joined_and_governed_by_commands() {
    let mut community = Community::found();
    for name in ["v1", "v2", "v3", "v4"] {
        community.until(name, "a quorum", |status| status["has_quorum"] == true).await;
    }

    // A household joins; the operator takes in exactly the key whose digits it was told.
    let invitation = community.path("lane/invitations/house-1.toml").display().to_string();
    let home = community.path("home").display().to_string();
    let meter = ["--meter", "eastron-sdm630", "--meter-host", "127.0.0.1"];
    let join = ["agent", "join", &invitation, "--dir", &home, "--json", "--no-wait"];
    let join: Vec<_> = join.into_iter().chain(meter).collect();
    let asked = community.json(&join);
    assert_eq!(asked["step"], "asked", "{asked}");
    let fingerprint = asked["fingerprint"].as_str().expect("digits").to_owned();
    let again = community.json(&join);
    assert_eq!(again["fingerprint"].as_str(), Some(fingerprint.as_str()), "keys are kept");
    let operator = community.operator();
    let wrong = fingerprint.replace(['1', '2', '3'], "4").replace('5', "6");
    let enrol = ["operator", "enrol", "--config", &operator, "--yes", "--fingerprint", &wrong];
    let (code, _, told) = community.give(&enrol);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("nobody who has joined has the fingerprint"), "{told}");
    let enrolled = community.operate(&["enrol", "--fingerprint", &fingerprint]);
    assert!(enrolled["height"].as_u64() > Some(0), "{enrolled}");
    let member = community.json(&join);
    assert_eq!(member["step"], "member", "{member}");
    let party = member["party"].as_str().expect("a party").to_owned();

    // Its key is changed; the old one stays beside and signs nothing.
    let config = community.path("home/agent.toml").display().to_string();
    let (code, told, errors) = community.give(&["agent", "rotate-key", "--config", &config]);
    assert_eq!(code, Some(0), "{told}{errors}");
    assert!(community.path("home/party.key.old").exists());
    assert!(!community.path("home/party.key.new").exists());
    let status = community.operate(&["status"]);
    let membership = std::fs::read_to_string(community.path("home/membership.toml")).expect("text");
    let key = status["members"][0]["key"].as_str().expect("a key");
    assert_eq!(status["members"][0]["party"], party.as_str());
    assert!(membership.contains(key), "{membership}");

    governed(&mut community, &party).await;

    let secrets = secrets_under(community.scratch.path());
    for name in community.nodes.keys() {
        let log = std::fs::read_to_string(community.path(&format!("{name}.log"))).expect("a log");
        assert_no_secrets(name, &log, &secrets);
    }
}

/// A fifth validator follows before it votes; the first one stops voting when it is let go, and
/// goes on as a follower.
async fn governed(community: &mut Community, party: &str) {
    let folder = community.path("fifth").display().to_string();
    let (place, http) = place("v5");
    let status = community.operate(&["status"]);
    let genesis = community.path("lane/genesis.toml").display().to_string();
    let mesh = std::fs::read_to_string(community.path("lane/operators/anna/operator.toml"));
    let mesh: toml::Table = toml::from_str(&mesh.expect("text")).expect("a file");
    let bootstrap = mesh["mesh"]["bootstrap"][0].as_str().expect("an address").to_owned();
    let fifth = community.json(&[
        "community",
        "validator",
        &folder,
        "--genesis",
        &genesis,
        "--validator",
        &place,
        "--bootstrap",
        &bootstrap,
        "--json",
    ]);
    community.start("v5", &community.path("fifth"), http);
    let height = status["height"].as_u64().expect("a height");
    community.reaches("v5", height).await;
    assert_eq!(community.status("v5").await["phase"], "following");
    let (key, endpoint) = (fifth["key"].as_str(), fifth["endpoint"].as_str());
    let (key, endpoint) = (key.expect("a key"), endpoint.expect("an endpoint"));
    let added = community.operate(&["validators", "add", key, endpoint]);
    assert!(added["warning"].as_str().is_some_and(|told| told.contains("3f+1")), "{added}");
    for name in ["v1", "v5"] {
        let all =
            |status: &Value| status["validators_connected"] == 5 && status["phase"] != "following";
        community.until(name, "five validators together", all).await;
    }
    // Its votes count: with another one down four of five are needed.
    let (mut second, _) = community.nodes.remove("v2").expect("it runs");
    second.kill().expect("killed");
    second.wait().expect("ended");
    let revoked = community.operate(&["revoke", party]);
    community.reaches("v5", revoked["height"].as_u64().expect("a height")).await;

    let status = community.operate(&["status"]);
    let first = std::fs::read_to_string(community.path("v1.log")).unwrap_or_default();
    assert!(!first.contains("no validator any more"));
    let keys =
        Keychain::new(Form::Encrypted, |_| Ok(Passphrase::new(PASSPHRASE.to_owned().into())));
    let seed = keys.read(&community.path("lane/validators/v1/validator.key")).expect("a key");
    let first = market::keys::SigningKey::from_seed(&seed).public().to_string();
    let known = status["validators"].as_array().expect("a list");
    assert!(known.iter().any(|one| one["key"] == first.as_str()), "{status}");
    community.operate(&["validators", "remove", &first]);
    community.until("v1", "following", |status| status["phase"] == "following").await;
    let log = std::fs::read_to_string(community.path("v1.log")).unwrap_or_default();
    assert!(log.contains("no validator any more"), "it says so");
    let folder = community.path("lane/validators/v2");
    let http = ledger_node::config::NodeConfig::load(&folder.join("node.toml"), &keys);
    let http = http.expect("a configuration").http_listen;
    let port = http.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    community.start("v2", &folder, port);
    let invited = community.operate(&["invite", "--name", "house-2"]);
    let height = invited["height"].as_u64().expect("a height");
    for name in ["v1", "v2", "v3", "v4", "v5"] {
        community.reaches(name, height).await;
    }
    assert_eq!(community.status("v3").await["validators_count"], 4);
    assert_eq!(community.status("v1").await["phase"], "following");
}
