//! What a node has checked once it does not check again, and nothing else is taken for checked.

use ledger::received::Received;
use ledger::transaction::Transaction;
use market::order::Side;

use crate::neighbourhood::{Chain, minute, order, party, party_key, quarter};
use crate::speaking::{by_party, replace_key, resigned};

/// An order of household 0 and the same signed by somebody else.
fn order_and_forgery() -> (Transaction, Transaction) {
    let order = order(0, quarter(20), Side::Buy, &[(300_000, 10)], 1);
    let forgery = resigned(&order, &party_key(1));
    (order, forgery)
}

#[test]
fn what_is_checked_ahead_is_known_and_what_does_not_hold_is_not() {
    let chain = Chain::new();
    let (order, forgery) = order_and_forgery();
    for (said, holds) in [(order, true), (forgery, false)] {
        let mut received = Received::from(said.clone());
        assert!(!received.is_checked());
        received.verify(&chain.state);
        assert_eq!(received.is_checked(), holds);
        assert_eq!(Transaction::from(received.clone()), said, "it says the same as before");
        let judged = chain.state.receive(received, minute(1));
        assert_eq!(judged.is_ok(), holds);
        assert_eq!(judged.map(drop), chain.state.admit(&said, minute(1)));
    }
}

#[test]
fn what_held_by_a_key_that_was_replaced_is_checked_again() {
    let mut chain = Chain::new();
    let (order, _) = order_and_forgery();
    let received = chain.state.receive(order.into(), minute(1)).unwrap();
    assert!(received.is_checked());
    let replaced = by_party(0, 1, replace_key(party(0), &party_key(9)));
    chain.block(minute(2), vec![replaced]);
    let refused = chain.state.receive(received, minute(3)).unwrap_err();
    assert_eq!(refused.code(), "bad_signature");
}

#[test]
fn only_the_very_same_bytes_are_the_transaction_that_was_received() {
    let chain = Chain::new();
    let (order, forgery) = order_and_forgery();
    let received = chain.state.receive(order.clone().into(), minute(1)).unwrap();
    assert!(received.is(&order) && !received.is(&forgery));
    assert_eq!(received.subject(), order.subject());
    assert_eq!(received.bytes_count(), order.to_bytes().len());
}
