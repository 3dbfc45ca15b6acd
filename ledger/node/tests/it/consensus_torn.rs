//! A validator that stood in the middle of a height when its disk was damaged: with a log or a
//! signer's record that was cut or garbled it goes on from what is whole, or says what to do.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::consensus::api::{
    ConsensusConfig, ConsensusError, ConsensusStatus, GuardError, Phase, run,
};
use super::consensus::toy::Toy;
use super::consensus::{configs, free_ports, validators};

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the validator and lets it work for a moment.
async fn work(
    config: &ConsensusConfig,
    toy: &Toy,
    enough: impl Fn() -> bool,
) -> Result<(), String> {
    let (publish, mut status) = watch::channel(ConsensusStatus::default());
    let shutdown = CancellationToken::new();
    let mut task = tokio::spawn(run(config.clone(), toy.clone(), shutdown.clone(), publish));
    let working = async {
        let _ = status.wait_for(|status| status.phase == Phase::Deciding).await;
        while !enough() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let result = tokio::select! {
        result = &mut task => result.unwrap(),
        worked = tokio::time::timeout(PATIENCE, working) => {
            assert!(worked.is_ok(), "it neither works nor ends");
            shutdown.cancel();
            task.await.unwrap()
        }
    };
    match result {
        Ok(()) => Ok(()),
        Err(
            error @ (ConsensusError::DamagedLog { .. }
            | ConsensusError::Guard(GuardError::Damaged { .. })),
        ) => Err(error.to_string()),
        Err(error) => panic!("it ends without saying what to do: {error}"),
    }
}

/// Cut at every 512 bytes and within the head, and single bytes flipped.
fn damaged(sound: &[u8]) -> Vec<Vec<u8>> {
    let cuts = [2, 8].into_iter().chain((512..sound.len()).step_by(512));
    let cuts = cuts.map(|at| sound[..at.min(sound.len())].to_vec());
    let flips = (0..sound.len()).step_by(sound.len() / 12 + 1).map(|at| {
        let mut flipped = sound.to_vec();
        flipped[at] ^= 0x20;
        flipped
    });
    cuts.chain(flips).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_log_or_record_is_cut_or_named() {
    let data = tempfile::tempdir().unwrap();
    let set = validators(4);
    let proposer = set.iter().nth(1).unwrap().key;
    let mut config = configs("torn", &free_ports(4), data.path())
        .into_iter()
        .find(|config| config.signing_key.public() == proposer)
        .unwrap();
    config.quorum_wait_ms = 50;
    let mut toy = Toy::new(set);
    toy.restless = true;
    let log = config.data_dir.join("wal").join("consensus.wal");
    let record = config.data_dir.join("last-signed");
    let length = |path: &Path| path.metadata().map_or(0, |file| file.len());
    // Alone of four it proposes and votes, and the height stays open.
    work(&config, &toy, || length(&log) > 300).await.unwrap();
    let sound = [std::fs::read(&log).unwrap(), std::fs::read(&record).unwrap()];

    let (mut worked, mut named) = (0, 0);
    for (which, path) in [&log, &record].into_iter().enumerate() {
        for bytes in damaged(&sound[which]) {
            std::fs::write(&log, &sound[0]).unwrap();
            std::fs::write(&record, &sound[1]).unwrap();
            std::fs::write(path, bytes).unwrap();
            match work(&config, &toy, || true).await {
                Ok(()) => worked += 1,
                Err(words) => {
                    assert!(words.contains(&path.display().to_string()), "{words}");
                    assert!(words.contains("start"), "{words}");
                    named += 1;
                }
            }
        }
    }
    assert!(worked >= 1 && named >= 10, "{worked} worked, {named} named");
}
