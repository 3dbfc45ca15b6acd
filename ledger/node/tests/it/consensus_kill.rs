//! Four validator processes, killed without warning again and again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use borsh::BorshDeserialize as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::consensus::api::{ConsensusStatus, LOG_FILTER, run};
use super::consensus::toy::{Disk, Entry, Toy};
use super::consensus::{CHAIN, configs, free_ports, validators};

const SIZE: u8 = 4;
/// How often somebody is killed, and the seed of who and when; both can be set from outside to
/// repeat a run or to make it a long one.
const KILLS: (&str, u64) = ("CONSENSUS_KILLS", 16);
const SEED: (&str, u64) = ("CONSENSUS_KILL_SEED", 20_261_122);
const PATIENCE: Duration = Duration::from_secs(60);
/// Tells a process of this test binary which validator it is: `index port port ... directory`.
const ROLE: &str = "CONSENSUS_KILL_ROLE";

/// One validator, when this binary is started as such; nothing otherwise.
#[tokio::test]
#[ignore = "started by the test below"]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut words: Vec<&str> = role.split(' ').collect();
    let data = PathBuf::from(words.pop().unwrap());
    let index: usize = words.remove(0).parse().unwrap();
    let ports: Vec<u16> = words.iter().map(|port| port.parse().unwrap()).collect();
    let mut config = configs("kill", &ports, &data).remove(index);
    config.quorum_wait_ms = 2000;
    std::fs::create_dir_all(&config.data_dir).unwrap();
    tracing_subscriber::fmt().with_env_filter(std::env::var("RUST_LOG").unwrap()).init();

    let mut toy = Toy::new(validators(SIZE));
    toy.disk = Arc::new(Mutex::new(open_disk(&disk_file(&data, index))));
    toy.restless = true;
    // Another process builds other blocks, so proposing anew would be noticed.
    toy.nonce = u64::from(std::process::id()) << 32;
    let (publish, _status) = watch::channel(ConsensusStatus::default());
    run(config, toy, CancellationToken::new(), publish).await.unwrap();
}

fn number((name, default): (&str, u64)) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The chain on a disk, and the file behind its last whole entry.
fn open_disk(path: &Path) -> Disk {
    let (mut disk, whole) = read_disk(path);
    let mut file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
    file.set_len(whole.try_into().unwrap()).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    disk.file = Some(file);
    disk
}

/// The whole entries of a file, which somebody may be writing, and their length.
fn read_disk(path: &Path) -> (Disk, usize) {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let (mut disk, mut whole) = (Disk::default(), 0);
    while let Ok(entry) = Entry::deserialize(&mut rest) {
        whole = bytes.len() - rest.len();
        disk.note(entry);
    }
    (disk, whole)
}

fn disk_file(data: &Path, index: usize) -> PathBuf {
    data.join((index + 1).to_string()).join("disk")
}

struct House {
    data: TempDir,
    ports: String,
    children: Vec<Option<Child>>,
}

impl House {
    fn start(&mut self, index: usize) {
        let data = self.data.path();
        let log = data.join(format!("{index}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["consensus_kill::child", "--exact", "--ignored", "--nocapture"])
            .env(ROLE, format!("{index} {} {}", self.ports, data.display()))
            .env("RUST_LOG", format!("warn,ledger_node=info,{LOG_FILTER}"))
            .env("RUST_BACKTRACE", "0")
            .env("NO_COLOR", "1")
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.children[index] = Some(child);
    }

    /// SIGKILL; and whoever ended by itself before is a failure of the test.
    async fn kill(&mut self, index: usize) {
        let mut child = self.children[index].take().expect("it runs");
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "validator {index} ended by itself:\n{}", self.log(index));
        child.kill().await.unwrap();
    }

    fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.data.path().join(format!("{index}.log"))).unwrap_or_default()
    }

    /// The chain on the disk of a validator, whatever it is writing just now.
    fn disk(&self, index: usize) -> Disk {
        read_disk(&disk_file(self.data.path(), index)).0
    }

    fn height(&self, index: usize) -> usize {
        self.disk(index).blocks.len()
    }

    async fn all_reach(&self, height: usize) {
        let since = Instant::now();
        for index in 0..self.children.len() {
            while self.height(index) < height {
                let logs: String = (0..4).map(|at| format!("\n{at}:\n{}", self.log(at))).collect();
                assert!(since.elapsed() < PATIENCE, "{index} does not reach {height}: {logs}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A small generator is enough to choose victims and instants, the same ones for a seed.
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[tokio::test]
async fn killed_validators_never_fork_and_always_come_back() {
    let ports: Vec<_> = free_ports(SIZE).iter().map(ToString::to_string).collect();
    let children = (0..SIZE).map(|_| None).collect();
    let mut house = House { data: tempfile::tempdir().unwrap(), ports: ports.join(" "), children };
    let all = 0..usize::from(SIZE);
    all.clone().for_each(|index| house.start(index));
    house.all_reach(3).await;

    let mut state = number(SEED);
    for kill in 0..number(KILLS) {
        let wait_ms = 20 + random(&mut state, 400);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        // Every fifth time all of them at once, so that nobody remembers for the others.
        let victims = match kill % 5 {
            4 => all.clone().collect(),
            _ => vec![usize::try_from(random(&mut state, u64::from(SIZE))).unwrap()],
        };
        for index in &victims {
            house.kill(*index).await;
        }
        victims.iter().for_each(|index| house.start(*index));
    }
    let highest = all.clone().map(|index| house.height(index)).max().unwrap();
    house.all_reach(highest + 5).await;

    let mut decided = BTreeMap::new();
    for index in all {
        for (block, certificate) in house.disk(index).blocks {
            certificate.verify(&CHAIN, &validators(SIZE)).unwrap();
            assert_eq!((certificate.height, certificate.block), (block.height, block.hash()));
            let hash = decided.entry(block.height).or_insert(block.hash());
            assert_eq!(*hash, block.hash(), "a fork at height {}", block.height);
        }
        let log = house.log(index);
        for words in ["refused to sign", "two votes", "two proposals", "halted for safety"] {
            assert!(!log.contains(words), "validator {index}:\n{log}");
        }
        house.kill(index).await;
    }
}
