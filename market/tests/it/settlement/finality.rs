//! S4: after final settlement nothing but a signed dispute decision changes anything.

use market::settlement::{Change, Finality};
use market::time::Timestamp;
use proptest::prelude::*;

use crate::bare::{period, rules};

#[derive(Debug, Clone, Copy)]
enum Event {
    Time(i64),
    Settles,
    Asks(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => (0..30_000_000_i64).prop_map(Event::Time),
        1 => Just(Event::Settles),
        4 => (0..3_u8).prop_map(Event::Asks),
    ];
    prop::collection::vec(event, 0..40)
}

proptest! {
    #[test]
    fn s4_once_final_only_a_decision_changes_anything(events in events()) {
        let rules = rules(500_000, 1);
        let (mut now, mut settled, mut approved) = (period().end(), false, false);
        let (mut was_final, mut changes_since) = (false, Vec::new());
        for event in events {
            match event {
                Event::Time(ms) => now = now.plus_millis(ms),
                Event::Settles => settled = true,
                Event::Asks(which) => {
                    let change =
                        [Change::Reading, Change::Approval, Change::Decision][usize::from(which)];
                    let state = Finality::of(&rules, period(), now, settled, approved);
                    if state.admits(change) {
                        approved |= change == Change::Approval;
                        changes_since.extend(was_final.then_some(change));
                    }
                }
            }
            let state = Finality::of(&rules, period(), now, settled, approved);
            prop_assert!(state.is_final() || !was_final, "final stays final");
            was_final = state.is_final();
        }
        prop_assert!(changes_since.iter().all(|change| *change == Change::Decision));
    }
}

#[test]
fn each_state_admits_what_its_words_say() {
    let rules = rules(500_000, 1);
    let over = rules.final_at(period());
    let before = over.plus_millis(-1);
    let at = |now: Timestamp, settled, approved| {
        let state = Finality::of(&rules, period(), now, settled, approved);
        let admits = [Change::Reading, Change::Approval, Change::Decision]
            .map(|change| state.admits(change));
        (state, state.is_final(), admits)
    };
    assert_eq!(at(before, false, false), (Finality::Open, false, [true, false, false]));
    assert_eq!(at(before, false, true), (Finality::Open, false, [true, false, false]));
    assert_eq!(at(before, true, false), (Finality::Provisional, false, [true, true, true]));
    assert_eq!(at(before, true, true), (Finality::FinalByApproval, true, [false, false, true]));
    for (settled, approved) in [(false, false), (true, false), (true, true)] {
        let state = at(over, settled, approved);
        assert_eq!(state, (Finality::FinalByTime, true, [false, false, true]));
    }
}
