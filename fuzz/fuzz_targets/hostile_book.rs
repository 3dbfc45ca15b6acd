//! Clearing ends, whatever stands in the book; and whatever a book may hold is cleared by the laws
//! or is an overflow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::clearing::laws::{BrokenLaw, check};
use market::clearing::{MechanismKind, clear};
use market::gate::GateSchedule;
use market::hash::Digest;
use market::price::{Price, Tick};
use market::rules::MarketRules;
use market::tariff::Tariffs;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    let rules = rules();
    if let Ok(book) = borsh::from_slice::<SealedBook>(bytes)
        && let Ok(result) = clear(&book, &rules)
    {
        let _ = check(&book, &result);
    }
    let Ok((bids, offers)) = borsh::from_slice::<(Vec<BookedOrder>, Vec<BookedOrder>)>(bytes)
    else {
        return;
    };
    let period = DeliveryPeriod::starting_at(Timestamp::from_millis(0), PeriodLength::Minutes15);
    let period = period.expect("the first quarter of 1970");
    let Ok(book) = sealed_from_orders(period, bids, offers, Digest::default()) else { return };
    if let Ok(result) = clear(&book, &rules) {
        let judged = check(&book, &result);
        assert!(matches!(judged, Ok(()) | Err(BrokenLaw::Overflow(_))), "{judged:?}");
    }
});

fn rules() -> MarketRules {
    let price = Price::from_micros_per_kwh;
    MarketRules {
        period_length: PeriodLength::Minutes15,
        gates: GateSchedule::new(vec![900_000]).expect("one gate"),
        horizon_ms: 86_400_000,
        mechanism: MechanismKind::Auction,
        k_millionths: 500_000,
        tick: Tick::from_micros_per_kwh(1).expect("a tick"),
        price_min: price(-1_000_000),
        price_max: price(5_000_000),
        tariffs: Tariffs { retail: price(320_000), feed_in: price(80_000) },
        settlement_delay_ms: 3_600_000,
        finality_delay_ms: 86_400_000,
    }
}
