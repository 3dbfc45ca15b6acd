//! Clearing ends, whatever stands in the book and whatever the grid; and what it decides keeps
//! every law of its mechanism.
#![no_main]

use libfuzzer_sys::fuzz_target;
use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::clearing::laws::{BrokenLaw, check};
use market::clearing::{MechanismKind, Terms, clear};
use market::hash::Digest;
use market::price::Tick;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::ZoneTree;

/// Zones, mechanism, k in millionths, tick, bids and offers.
type Case = (ZoneTree, MechanismKind, u32, Tick, Vec<BookedOrder>, Vec<BookedOrder>);

fuzz_target!(|bytes: &[u8]| {
    forged(bytes);
    let Ok((zones, mechanism, k, tick, bids, offers)) = borsh::from_slice::<Case>(bytes) else {
        return;
    };
    let period = DeliveryPeriod::starting_at(Timestamp::from_millis(0), PeriodLength::Minutes15);
    let period = period.expect("the first quarter of 1970");
    let Ok(book) = sealed_from_orders(period, bids, offers, Digest::default()) else { return };
    let terms = Terms { zones: &zones, k_millionths: k % 1_000_001, tick };
    if let Ok(result) = clear(&book, &mechanism, &terms) {
        let judged = check(&book, &mechanism, &terms, &result);
        assert!(matches!(judged, Ok(()) | Err(BrokenLaw::Overflow(_))), "{judged:?}");
    }
});

/// A book that nobody sealed may be cleared wrongly, which the laws notice; but it ends.
fn forged(bytes: &[u8]) {
    let Ok((zones, book)) = borsh::from_slice::<(ZoneTree, SealedBook)>(bytes) else { return };
    let tick = Tick::from_micros_per_kwh(1).expect("one");
    let terms = Terms { zones: &zones, k_millionths: 500_000, tick };
    if let Ok(result) = clear(&book, &MechanismKind::ZonalAuction, &terms) {
        let _ = check(&book, &MechanismKind::ZonalAuction, &terms, &result);
    }
}
