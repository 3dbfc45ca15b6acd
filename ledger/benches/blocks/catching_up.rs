//! A fresh follower that verifies and recomputes a chain from genesis, against the bare checks of
//! its certificates.

use ledger::block::CommittedBlock;
use ledger::follower::Follower;
use ledger::genesis::Genesis;
use ledger::transaction::Transaction;
use market::order::Side;

use crate::cpu_time::{ratio, spent};
use crate::street::{MINUTE_MS, Street};

/// How many blocks are followed at rest, unless the environment says otherwise.
const BLOCKS: usize = 10_000;

/// Blocks of a street are so many times fewer: each carries some 13 signatures besides.
const STREET_FEWER: usize = 10;

const HOUSEHOLDS: usize = 100;
/// How many blocks floor and measurement take in turn.
const TURN: usize = 100;

pub(crate) fn report(_: &mut [String]) {
    let blocks = std::env::var("HIDAMARI_BENCH_BLOCKS").ok().and_then(|text| text.parse().ok());
    let blocks = blocks.unwrap_or(BLOCKS);
    println!(
        "\n{:<28} {:>9} {:>9} {:>12} {:>12} {:>8}",
        "following a chain", "blocks", "said", "certificates", "blocks/s", "times"
    );
    follow("at rest", Street::of(HOUSEHOLDS), blocks, |_, _| Vec::new());
    follow("100 households", Street::of(HOUSEHOLDS), blocks / STREET_FEWER, said_in_minute);
}

/// What a street says in one minute: in each quarter every household orders for the one five hours
/// ahead, and tells what it metered in the one that is over.
fn said_in_minute(street: &Street, minute: usize) -> Vec<Transaction> {
    let (ahead, past) = (street.quarter(20), street.quarter(-1));
    let told = past.start() >= street.genesis.starts_at;
    let mut said = Vec::new();
    for n in (0..HOUSEHOLDS).filter(|n| n % 15 == minute % 15) {
        let side = if n % 3 == 0 { Side::Sell } else { Side::Buy };
        said.push(Transaction::Order(street.order(n, ahead, side).into_envelope()));
        if told {
            said.push(street.reading(n, past));
        }
    }
    said
}

/// Makes the chain a turn at a time, so that a long one needs no memory.
fn follow(
    name: &str,
    mut street: Street,
    blocks: usize,
    said: impl Fn(&Street, usize) -> Vec<Transaction>,
) {
    let genesis: Genesis = street.genesis.clone();
    let mut follower = Follower::at_genesis(&genesis);
    let (mut certificates_ns, mut following_ns, mut transactions) = (0, 0, 0);
    let mut made = 0;
    while made < blocks {
        let turn: Vec<CommittedBlock> = (0..TURN.min(blocks - made))
            .map(|at| {
                let said = said(&street, made + at);
                transactions += said.len();
                street.commit(street.state.time().plus_millis(MINUTE_MS), said)
            })
            .collect();
        made += turn.len();
        certificates_ns += spent(|| verify_certificates(&turn, &genesis));
        following_ns += spent(|| {
            for block in &turn {
                follower.follow(block).expect("it follows");
            }
        });
    }
    let per_second = ratio(u64::try_from(blocks).expect("a count") * 1_000_000_000, following_ns);
    let bare = ratio(u64::try_from(blocks).expect("a count") * 1_000_000_000, certificates_ns);
    let times = ratio(following_ns, certificates_ns);
    println!(
        "{name:<28} {blocks:>9} {transactions:>9} {bare:>10.0}/s {per_second:>12.0} {times:>8.2}"
    );
}

fn verify_certificates(turn: &[CommittedBlock], genesis: &Genesis) {
    for CommittedBlock { block, certificate } in turn {
        certificate.verify(&block.header.chain, &genesis.validators).expect("it holds");
    }
}
