//! Any bytes are an order in its one spelling, or none: what the fuzz target `order` looks for, on
//! thousands of random and damaged orders in every test run.

use market::book::{BookedOrder, sealed_from_orders};
use market::order::{Order, OrderId, Preferences, Side, Step};
use market::price::Price;
use market::signed::Envelope;
use market::zone::ZoneId;
use proptest::prelude::*;

use crate::bare::{order_id, party, period, salt};
use crate::community::Community;

fn decodes_in_one_spelling(bytes: &[u8]) {
    if let Ok(envelope) = borsh::from_slice::<Envelope<Order>>(bytes) {
        assert_eq!(borsh::to_vec(&envelope).expect("memory"), bytes);
    }
    let Ok(order) = borsh::from_slice::<Order>(bytes) else { return };
    assert_eq!(borsh::to_vec(&order).expect("memory"), bytes);
    if order.check_form().is_err() || order.is_withdrawal() {
        return;
    }
    let booked = BookedOrder {
        id: OrderId::from_bytes(*order_id(0).as_bytes()),
        party: order.party,
        zone: ZoneId(0),
        steps: order.steps,
        preferences: order.preferences,
    };
    let (bids, offers) = match order.side {
        Side::Buy => (vec![booked], Vec::new()),
        Side::Sell => (Vec::new(), vec![booked]),
    };
    let book = sealed_from_orders(period(), bids, offers, salt(0)).expect("of good form");
    assert!(book.demand().is_ok() && book.supply().is_ok(), "its energies add up");
}

fn an_order() -> Order {
    let community = Community::of(1);
    let mut order = community.order(0, Side::Buy, &[(300_000, 10), (200_000, 5)], 3);
    order.preferences = Preferences { partners: vec![party(4)], origin: None };
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decodes_in_one_spelling(&bytes);
    }

    #[test]
    fn damaged_orders(
        enveloped in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let order = an_order();
        let mut bytes = if enveloped {
            borsh::to_vec(&Community::of(1).sign(0, order)).unwrap()
        } else {
            borsh::to_vec(&order).unwrap()
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        decodes_in_one_spelling(&bytes);
    }

    /// Energies and limits of any size are a form or a refusal, never a wrap.
    #[test]
    fn any_numbers(
        steps in prop::collection::vec((any::<i64>(), any::<i64>()), 0..18),
        sells in any::<bool>(),
    ) {
        let step = |(limit, wh)| Step {
            limit: Price::from_micros_per_kwh(limit),
            energy: market::energy::Energy::from_wh(wh),
        };
        let side = if sells { Side::Sell } else { Side::Buy };
        let mut order = Order { side, ..an_order() };
        order.steps = steps.into_iter().map(step).collect();
        order.steps.sort_by_key(|step| step.limit);
        if !sells {
            order.steps.reverse();
        }
        decodes_in_one_spelling(&borsh::to_vec(&order).unwrap());
    }
}
