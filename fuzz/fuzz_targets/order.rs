//! Any bytes are an order in its one spelling, or none; and what has the form of an order can stand
//! in a book.
#![no_main]

use libfuzzer_sys::fuzz_target;
use market::book::{BookedOrder, sealed_from_orders};
use market::hash::Digest;
use market::order::{Order, OrderId, Side};
use market::signed::Envelope;
use market::zone::ZoneId;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = borsh::from_slice::<Envelope<Order>>(bytes) {
        assert_eq!(borsh::to_vec(&envelope).expect("it fits into memory"), bytes);
    }
    let Ok(order) = borsh::from_slice::<Order>(bytes) else { return };
    assert_eq!(borsh::to_vec(&order).expect("it fits into memory"), bytes);
    if order.check_form().is_err() || order.is_withdrawal() {
        return;
    }
    let booked = BookedOrder {
        id: OrderId::from_bytes(*Digest::of(&[bytes]).as_bytes()),
        party: order.party,
        zone: ZoneId(0),
        steps: order.steps,
        preferences: order.preferences,
    };
    let (bids, offers) = match order.side {
        Side::Buy => (vec![booked], Vec::new()),
        Side::Sell => (Vec::new(), vec![booked]),
    };
    let book = sealed_from_orders(order.period, bids, offers, Digest::default());
    let book = book.expect("an order of good form stands in a book");
    let levels = [book.demand(), book.supply()];
    assert!(levels.iter().all(|levels| levels.is_ok()), "its energies add up");
});
