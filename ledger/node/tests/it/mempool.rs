//! What waits for a block, offered by several judges at once.

use std::thread;

use ledger::transaction::Transaction;
use ledger_node::mempool::Mempool;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};

use crate::street::Street;

fn street() -> (Street, DeliveryPeriod, Timestamp) {
    let street = Street::new(4);
    let now = street.state.time().plus_millis(1);
    let ahead = now.plus_millis(5 * 3_600_000);
    let period = DeliveryPeriod::containing(ahead, PeriodLength::Minutes15).unwrap();
    (street, period, now)
}

#[test]
fn of_one_subject_the_newest_waits_whoever_was_judged_first() {
    let (street, period, now) = street();
    let orders: Vec<_> = (1..=8).map(|sequence| street.order(0, period, sequence)).collect();
    for _ in 0..50 {
        let mempool = Mempool::default();
        thread::scope(|scope| {
            for order in &orders {
                scope.spawn(|| drop(mempool.offer(order.clone(), &street.state, now)));
            }
        });
        let waiting = mempool.waiting();
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].subject().1, 8);
    }
}

#[test]
fn a_block_is_recognised_by_its_very_bytes_alone() {
    let (street, period, now) = street();
    let mempool = Mempool::default();
    let waits = street.order(0, period, 1);
    mempool.offer(waits.clone(), &street.state, now).unwrap();
    let block = vec![waits, street.order(0, period, 2), street.order(1, period, 1)];
    let received = mempool.recognise(block.clone());
    let checked: Vec<_> = received.iter().map(ledger::received::Received::is_checked).collect();
    assert_eq!(checked, [true, false, false]);
    let said: Vec<Transaction> = received.into_iter().map(Transaction::from).collect();
    assert_eq!(said, block, "nothing is exchanged");
}
