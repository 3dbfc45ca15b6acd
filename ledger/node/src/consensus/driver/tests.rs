//! The driver against an engine that the test plays: what must hold whatever the timing is.

#[path = "../../../tests/it/consensus_toy.rs"]
mod toy;

/// The names that the toy application is written against.
mod api {
    pub(super) use crate::consensus::*;
}

use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::host::SyncedValueOutcome;
use arc_malachitebft_app_channel::app::events::TxEvent;
use arc_malachitebft_app_channel::app::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, MisbehaviorEvidence};
use arc_malachitebft_core_types::{
    CommitCertificate, CommitSignature, NilOrVal, Round, SignedMessage, Validity, VoteExtensions,
    VoteType,
};
use ledger::block::{BLOCK_BYTES_MAX, BlockHash};
use ledger::certificate::{VoteKind, vote_bytes};
use ledger::validators::{Validator, ValidatorSet};
use market::keys::SigningKey;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::application::Undecided;
use super::super::context::{Part, Value, Vote};
use super::super::parts::cut;
use super::super::{Timeouts, peer_id};
use super::*;
use arc_malachitebft_app_channel::app::types::PeerId;
use toy::{Toy, ToyBlock, lock};

const CHAIN: ChainId = ChainId::from_bytes([42; 32]);
const NOW: Place = Place { height: 1, round: 0 };

/// One validator's driver, the others' keys, and the engine's ends of the channels.
struct Stage {
    questions: mpsc::Sender<AppMsg<Chain>>,
    published: mpsc::Receiver<NetworkMsg<Chain>>,
    events: TxEvent<Chain>,
    status: watch::Receiver<ConsensusStatus>,
    driver: JoinHandle<Result<(), ConsensusError>>,
    shutdown: CancellationToken,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn toy() -> Toy {
    let validators = (1..=4).map(|seed| Validator { key: key(seed).public(), power: 1 });
    Toy::new(ValidatorSet::new(validators.collect()).unwrap())
}

fn peer() -> PeerId {
    peer_id(&[9; 32]).unwrap().parse().unwrap()
}

impl Stage {
    /// Starts a driver whose application has this disk, and lets it begin its first height.
    async fn open(toy: &Toy) -> Self {
        let stage = Self::new(toy);
        let (reply, opened) = oneshot::channel();
        stage.ask(AppMsg::ConsensusReady { reply }).await;
        opened.await.unwrap();
        stage
    }

    fn new(toy: &Toy) -> Self {
        let config = ConsensusConfig {
            chain: CHAIN,
            moniker: "stage".to_owned(),
            data_dir: std::path::PathBuf::new(),
            signing_key: key(1),
            transport_key_seed: [1; 32].into(),
            listen: String::new(),
            peers: vec![format!("/ip4/127.0.0.1/tcp/1/p2p/{}", peer())],
            timeouts: Timeouts::default(),
            quorum_wait_ms: 0,
        };
        let (questions, asked) = mpsc::channel(16);
        let (network, published) = mpsc::channel(64);
        let (requests, _) = mpsc::channel(1);
        let (net_requests, mut looks) = mpsc::channel(1);
        // Nobody is connected.
        tokio::spawn(async move { while looks.recv().await.is_some() {} });
        let events = TxEvent::new();
        let channels =
            Channels { consensus: asked, network, events: events.clone(), requests, net_requests };
        let (publish, status) = watch::channel(ConsensusStatus::default());
        let allowed = AllowList::new(&config, Vec::new()).unwrap();
        let mut driver = Driver::new(&config, toy.clone(), allowed, &channels, publish).unwrap();
        driver.opening = None;
        let shutdown = CancellationToken::new();
        let asked = shutdown.clone();
        let driver = tokio::spawn(async move { driver.run(channels, &asked).await.1 });
        Self { questions, published, events, status, driver, shutdown }
    }

    async fn ask(&self, question: AppMsg<Chain>) {
        self.questions.send(question).await.unwrap();
    }

    async fn start_round(&self, place: Place) -> Vec<(BlockHash, Validity)> {
        let (reply_value, values) = oneshot::channel();
        self.ask(AppMsg::StartedRound {
            height: Height(place.height),
            round: Round::new(place.round),
            proposer: Voter(Address::of(&key(1).public())),
            role: arc_malachitebft_app_channel::app::consensus::Role::Validator,
            reply_value,
        })
        .await;
        let values = values.await.unwrap();
        values.iter().map(|value| (value.value.0, value.validity)).collect()
    }

    async fn get_value(&self, place: Place) -> LocallyProposedValue<Chain> {
        let (reply, value) = oneshot::channel();
        self.ask(AppMsg::GetValue {
            height: Height(place.height),
            round: Round::new(place.round),
            timeout: Duration::from_secs(1),
            reply,
        })
        .await;
        value.await.unwrap()
    }

    async fn receive(&self, part: StreamMessage<Part>) -> Option<(BlockHash, Validity)> {
        let (reply, value) = oneshot::channel();
        let published_by = Some(peer());
        self.ask(AppMsg::ReceivedProposalPart { from: peer(), published_by, part, reply }).await;
        value.await.unwrap().map(|value| (value.value.0, value.validity))
    }

    async fn receive_body(&self, place: Place, body: &[u8]) -> Option<(BlockHash, Validity)> {
        let mut last = None;
        for part in cut(place, None, body) {
            assert_eq!(last, None, "a value before the last part");
            last = self.receive(part).await;
        }
        last
    }

    async fn sync(&self, height: u64, bytes: Vec<u8>) -> SyncedValueOutcome<Chain> {
        let (reply, outcome) = oneshot::channel();
        self.ask(AppMsg::ProcessSyncedValue {
            height: Height(height),
            round: Round::new(0),
            proposer: Voter(Address::of(&key(2).public())),
            value_bytes: bytes.into(),
            reply,
        })
        .await;
        outcome.await.unwrap()
    }

    /// Decides a block; gives the answer to `Finalized`.
    async fn decide(&self, height: u64, block: BlockHash) -> oneshot::Receiver<Next<Chain>> {
        let certificate = certificate(height, block);
        let (reply, committed) = oneshot::channel();
        let extensions = VoteExtensions::new(Vec::new());
        let decided = AppMsg::Decided {
            certificate: certificate.clone(),
            extensions: extensions.clone(),
            reply,
        };
        self.ask(decided).await;
        committed.await.unwrap();
        let (reply, next) = oneshot::channel();
        let evidence =
            MisbehaviorEvidence { proposals: Default::default(), votes: Default::default() };
        self.ask(AppMsg::Finalized { certificate, extensions, evidence, reply }).await;
        next
    }
}

fn certificate(height: u64, block: BlockHash) -> CommitCertificate<Chain> {
    let votes = (1..=3).map(|seed| {
        let voter = Address::of(&key(seed).public());
        let bytes = vote_bytes(&CHAIN, VoteKind::Precommit, height, 0, Some(&block), &voter);
        CommitSignature::new(Voter(voter), key(seed).sign(&bytes))
    });
    CommitCertificate {
        height: Height(height),
        round: Round::new(0),
        value_id: block,
        commit_signatures: votes.collect(),
    }
}

fn first_block(nonce: u64) -> ToyBlock {
    ToyBlock { height: 1, previous: BlockHash::default(), nonce, numbers: vec![] }
}

#[tokio::test]
async fn after_a_crash_the_same_block_is_proposed_for_the_same_round() {
    let toy = toy();
    let mut stage = Stage::open(&toy).await;
    stage.start_round(NOW).await;
    let first = stage.get_value(NOW).await;
    assert_eq!(stage.get_value(NOW).await, first);
    let next_round = Place { round: 1, ..NOW };
    stage.start_round(next_round).await;
    assert_ne!(stage.get_value(next_round).await.value, first.value, "the toy never builds alike");
    assert!(stage.published.try_recv().is_ok());
    stage.driver.abort();

    let mut stage = Stage::open(&toy).await;
    let offered = stage.start_round(NOW).await;
    assert_eq!(offered.len(), 2, "both stored bodies are offered again");
    assert_eq!(stage.get_value(NOW).await, first);
    let NetworkMsg::PublishProposalPart(part) = stage.published.recv().await.unwrap();
    assert!(part.is_first());
    assert_eq!(lock(&toy.disk).undecided.len(), 2, "nothing was built anew");
}

#[tokio::test]
async fn a_body_is_durable_before_it_is_a_value_and_a_decided_one_is_committed() {
    let toy = toy();
    let stage = Stage::open(&toy).await;
    assert_eq!(stage.start_round(NOW).await, []);
    let block = first_block(7);
    let value = stage.receive_body(NOW, &block.bytes()).await;
    assert_eq!(value, Some((block.hash(), Validity::Valid)));
    let stored =
        Undecided { height: 1, round: 0, hash: block.hash(), own: false, bytes: block.bytes() };
    assert_eq!(lock(&toy.disk).undecided, [stored]);
    let _next = stage.decide(1, block.hash()).await;
    assert_eq!(lock(&toy.disk).blocks[0].0, block);
    let certificate = lock(&toy.disk).blocks[0].1.clone();
    certificate.verify(&CHAIN, &toy.validators).unwrap();
    assert_eq!(stage.status.borrow().height, 1);
}

#[tokio::test]
async fn garbled_bodies_are_no_value_and_invalid_ones_an_invalid_value() {
    let toy = toy();
    let stage = Stage::open(&toy).await;
    stage.start_round(NOW).await;
    assert_eq!(stage.receive_body(NOW, b"no block").await, None);
    let stranger = ToyBlock { previous: BlockHash::from_bytes([1; 32]), ..first_block(1) };
    let round_1 = Place { round: 1, ..NOW };
    assert_eq!(stage.receive_body(round_1, &stranger.bytes()).await, None, "not its round yet");
    assert_eq!(stage.start_round(round_1).await, [(stranger.hash(), Validity::Invalid)]);
    assert!(lock(&toy.disk).undecided.is_empty());
}

#[tokio::test]
async fn synced_junk_is_the_peers_fault_and_a_synced_block_is_stored() {
    let toy = toy();
    let stage = Stage::open(&toy).await;
    stage.start_round(NOW).await;
    for junk in [b"junk".to_vec(), vec![0; BLOCK_BYTES_MAX + 1]] {
        assert!(matches!(stage.sync(1, junk).await, SyncedValueOutcome::PeerFault));
    }
    let block = first_block(3);
    let early = stage.sync(2, block.bytes()).await;
    assert!(matches!(early, SyncedValueOutcome::LocalTransientError));
    let SyncedValueOutcome::Verdict(value) = stage.sync(1, block.bytes()).await else {
        panic!("a good block is a verdict")
    };
    assert_eq!((value.value, value.validity), (Value(block.hash()), Validity::Valid));
    assert_eq!(lock(&toy.disk).undecided.len(), 1);
    let next = stage.decide(1, block.hash()).await;
    assert!(next.await.is_ok(), "a node that catches up does not wait for work");
}

#[tokio::test]
async fn a_height_waits_for_work_or_for_another_validator() {
    let toy = toy();
    let stage = Stage::open(&toy).await;
    for height in 1..=4 {
        let place = Place { height, round: 0 };
        stage.start_round(place).await;
        let value = stage.get_value(place).await;
        let mut next = stage.decide(height, value.value.0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(next.try_recv().is_err(), "height {} starts for no reason", height + 1);
        assert_eq!(stage.status.borrow().phase, Phase::Idle);
        match height {
            1 => toy.mempool.submit(5),
            2 => {
                stage.events.send(|| heard(height + 1, &key(7)));
                stage.events.send(|| heard(height, &key(2)));
                stage.events.send(|| heard(height + 2, &key(2)));
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert!(next.try_recv().is_err(), "a stranger or another height is no reason");
                stage.events.send(|| heard(height + 1, &key(2)));
            }
            3 => {
                let part = cut(Place { height: 4, round: 0 }, None, b"body").remove(0);
                assert_eq!(stage.receive(part).await, None);
            }
            _ => break,
        }
        let Next::Start(started, _) = next.await.unwrap() else { panic!("no restart") };
        assert_eq!(started.0, height + 1);
    }
    stage.shutdown.cancel();
    stage.driver.await.unwrap().unwrap();
}

/// A vote of a validator as the engine reports it.
fn heard(height: u64, voter: &SigningKey) -> Event<Chain> {
    let address = Address::of(&voter.public());
    let vote = Vote {
        kind: VoteType::Prevote,
        height: Height(height),
        round: Round::new(0),
        value: NilOrVal::Nil,
        voter: Voter(address),
    };
    let bytes = vote_bytes(&CHAIN, VoteKind::Prevote, height, 0, None, &address);
    let signed = SignedMessage::new(vote, voter.sign(&bytes));
    Event::Received(SignedConsensusMsg::Vote(signed))
}

#[tokio::test]
async fn a_decision_that_does_not_hold_stops_the_node() {
    for (height, block) in [(1, first_block(1).hash()), (2, first_block(1).hash())] {
        let toy = toy();
        let stage = Stage::open(&toy).await;
        stage.start_round(NOW).await;
        let (reply, _committed) = oneshot::channel();
        let (certificate, extensions) = (certificate(height, block), VoteExtensions::new(vec![]));
        stage.ask(AppMsg::Decided { certificate, extensions, reply }).await;
        let error = stage.driver.await.unwrap().unwrap_err();
        assert!(
            matches!(
                (height, &error),
                (1, ConsensusError::MissingBody { .. }) | (2, ConsensusError::OutOfStep { .. })
            ),
            "{error}"
        );
        assert!(lock(&toy.disk).blocks.is_empty());
    }

    let toy = toy();
    let stage = Stage::open(&toy).await;
    stage.start_round(NOW).await;
    let block = first_block(1);
    stage.receive_body(NOW, &block.bytes()).await;
    let (reply, _committed) = oneshot::channel();
    let mut certificate = certificate(1, block.hash());
    certificate.commit_signatures.pop();
    let extensions = VoteExtensions::new(vec![]);
    stage.ask(AppMsg::Decided { certificate, extensions, reply }).await;
    let error = stage.driver.await.unwrap().unwrap_err();
    assert!(matches!(error, ConsensusError::UnsoundCertificate { .. }), "{error}");
}

#[tokio::test]
async fn decided_blocks_are_served_without_a_gap() {
    let toy = toy();
    let stage = Stage::open(&toy).await;
    for height in 1..=3 {
        let place = Place { height, round: 0 };
        stage.start_round(place).await;
        let value = stage.get_value(place).await;
        toy.mempool.submit(height);
        stage.decide(height, value.value.0).await.await.unwrap();
    }
    for (range, expected) in [(1..=3, 3), (2..=9, 2), (4..=9, 0), (0..=u64::MAX, 0)] {
        let (reply, values) = oneshot::channel();
        let range = Height(*range.start())..=Height(*range.end());
        stage.ask(AppMsg::GetDecidedValues { range: range.clone(), reply }).await;
        let values = values.await.unwrap();
        assert_eq!(values.len(), expected, "{range:?}");
        for value in values {
            let block: ToyBlock = borsh::from_slice(&value.value_bytes).unwrap();
            assert_eq!(block.hash(), value.certificate.value_id);
        }
    }
}
