//! Applying a block whose signatures are known, against hashing its transactions for their root.

use std::hint::black_box;

use ledger::apply::apply_received;
use ledger::block::Block;
use ledger::draft::{Draft, Executed};
use ledger::merkle;
use ledger::received::Received;
use ledger::salt::{BlockSalt, Tree};
use ledger::transaction::Transaction;
use market::order::Side;

use crate::check;
use crate::cpu_time::{each_us, median, ratio, spent};
use crate::street::Street;

/// Applying takes at most so many times as long as hashing.
const TIMES_MAX: f64 = 3.0;

const HOUSEHOLDS: usize = 1_000;
const ORDERS: usize = 10_000;
const ROUNDS: usize = 41;

pub(crate) fn report(broken: &mut Vec<String>) {
    let street = Street::of(HOUSEHOLDS);
    let received = received(&street, ORDERS);
    let block = block(&street, &received);
    let bytes: Vec<_> = block.transactions.iter().map(Transaction::to_bytes).collect();
    let (mut hashing, mut applying) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let known = received.clone();
        hashing.push(spent(|| root(&bytes, &block.salt)));
        applying.push(spent(|| applied(&street, &block, known)));
    }
    let (hashing, applying) = (median(hashing), median(applying));
    let times = ratio(applying, hashing);
    println!(
        "\n{:<28} {:>12} {:>12} {:>10}",
        "a block, signatures known", "hashing", "apply", "times"
    );
    println!(
        "{:<28} {:>9.2} us {:>9.2} us {times:>10.2}",
        format!("{ORDERS} orders, for each"),
        each_us(hashing, ORDERS),
        each_us(applying, ORDERS)
    );
    check(broken, "apply to hashing", times, times <= TIMES_MAX, "at most 3");
}

/// So many orders, for some periods and both sides, as a node keeps them that has checked them.
pub(crate) fn received(street: &Street, count: usize) -> Vec<Received> {
    let households = street.state.members().len();
    let at = street.state.time().plus_millis(1);
    let order = |n: usize| {
        let (house, rest) = (n % households, n / households);
        let side = if rest % 2 == 0 { Side::Buy } else { Side::Sell };
        let ahead = 12 + i64::try_from(rest / 2).expect("few periods");
        let envelope = street.order(house, street.quarter(ahead), side).into_envelope();
        let received = Received::from(Transaction::Order(envelope));
        street.state.receive(received, at).expect("it counts")
    };
    (0..count).map(order).collect()
}

/// The block that carries them.
pub(crate) fn block(street: &Street, received: &[Received]) -> Block {
    let at = street.state.time().plus_millis(1);
    let salt = BlockSalt::from_bytes([7; 32]);
    let mut draft = Draft::open(&street.state, at, salt).expect("the time rises");
    for one in received {
        draft.admit(one.clone()).expect("it counts");
    }
    draft.finish().expect("a block").block
}

pub(crate) fn applied(street: &Street, block: &Block, known: Vec<Received>) -> Executed {
    apply_received(&street.state, &block.header, block.salt, known).expect("it follows")
}

/// What the header says about these transactions.
fn root(bytes: &[Vec<u8>], salt: &BlockSalt) {
    let leaves = bytes.iter().zip(salt.leaf_salts(Tree::Transactions));
    black_box(merkle::head_over(leaves.map(|(bytes, salt)| salt.leaf(bytes))));
}
