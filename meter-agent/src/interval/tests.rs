use super::*;
use proptest::prelude::*;

const QUARTER_MS: i64 = 900_000;

fn rules() -> IntervalRules {
    IntervalRules {
        period_length: PeriodLength::Minutes15,
        rated_power_w: 10_000,
        gap_max_ms: GAP_MAX_MS,
        rollovers_wh: (None, None),
    }
}

fn reading(at_ms: i64, import_wh: i64, export_wh: i64) -> RegisterReading {
    RegisterReading {
        at: Timestamp::from_millis(at_ms),
        import_wh,
        export_wh,
        step_wh: 1,
        power_w: None,
        quality: Quality::Ok,
    }
}

fn meter() -> IntervalMeter {
    IntervalMeter::resume(rules(), SeriesState::default())
}

/// Feeds `(at_ms, import, export)` and gives the closed intervals.
fn feed(meter: &mut IntervalMeter, reads: &[(i64, i64, i64)]) -> Vec<ClosedInterval> {
    let take =
        |(at, import, export): &(i64, i64, i64)| meter.take(&reading(*at, *import, *export)).closed;
    reads.iter().flat_map(take).collect()
}

/// One read a minute from `from` to `to`, importing 1000 Wh per hour from a base.
fn minutes(from: i64, to: i64) -> Vec<(i64, i64, i64)> {
    (from..to).map(|minute| (minute * 60_000, 5_000_000 + minute * 1_000 / 60, 700)).collect()
}

#[test]
fn a_quarter_of_an_hour_at_one_kilowatt_is_250_wh() {
    let closed = feed(&mut meter(), &minutes(10, 48));
    let figures: Vec<_> =
        closed.iter().map(|c| (c.period.start().as_millis(), c.imported.wh(), c.quality)).collect();
    let ok = Quality::Ok;
    assert_eq!(figures, [(QUARTER_MS, 250, ok), (2 * QUARTER_MS, 250, ok)]);
    assert!(closed.iter().all(|c| c.exported.is_zero()));
}

#[test]
fn the_period_in_which_counting_started_is_not_claimed() {
    assert!(feed(&mut meter(), &minutes(1, 25)).is_empty());
    let first = feed(&mut meter(), &minutes(0, 25));
    assert_eq!(first.len(), 1, "a first read exactly on the edge makes a whole period");
}

#[test]
fn a_silence_over_several_periods_is_spread_and_marked() {
    let mut reads = minutes(10, 20);
    reads.extend(minutes(65, 67));
    let closed = feed(&mut meter(), &reads);
    assert_eq!(closed.len(), 3);
    assert!(closed.iter().all(|c| c.quality == Quality::Estimated));
    assert!(closed.iter().all(|c| (249..=251).contains(&c.imported.wh())), "{closed:?}");
}

#[test]
fn a_gap_at_an_edge_marks_both_neighbours_and_no_others() {
    let reads: Vec<_> =
        minutes(0, 70).into_iter().filter(|(at, _, _)| *at != 30 * 60_000).collect();
    let quality: Vec<_> = feed(&mut meter(), &reads).iter().map(|c| c.quality).collect();
    let (ok, estimated) = (Quality::Ok, Quality::Estimated);
    assert_eq!(quality, [ok, estimated, estimated, ok]);
}

#[test]
fn zero_at_wake_up_is_refused_for_ever() {
    let mut meter = meter();
    feed(&mut meter, &minutes(0, 20));
    for minute in 20..200 {
        let verdict = meter.take(&reading(minute * 60_000, 0, 0)).verdict;
        assert_eq!(verdict, Verdict::ZeroRefused);
    }
    let closed = feed(&mut meter, &minutes(200, 202));
    let total: i64 = closed.iter().map(|c| c.imported.wh()).sum();
    assert_eq!(closed.len(), 12);
    assert!((2_998..=3_000).contains(&total), "the counter proves what flowed meanwhile: {total}");
}

#[test]
fn one_counter_at_zero_beside_a_sound_one_is_refused() {
    let mut meter = meter();
    feed(&mut meter, &minutes(0, 20));
    let verdict = meter.take(&reading(20 * 60_000, 5_000_333, 0)).verdict;
    assert_eq!(verdict, Verdict::ZeroRefused);
}

#[test]
fn a_single_plausible_spike_counts_nothing() {
    let clean = feed(&mut meter(), &minutes(0, 60));
    let mut spiked = minutes(0, 60);
    spiked[30].1 += 150;
    assert_eq!(
        feed(&mut meter(), &spiked).iter().map(|c| c.imported.wh()).sum::<i64>(),
        clean.iter().map(|c| c.imported.wh()).sum::<i64>()
    );
}

#[test]
fn a_meter_exchange_starts_a_new_series_and_counts_nothing_between() {
    let mut meter = meter();
    let before = feed(&mut meter, &minutes(0, 20));
    let exchanged: Vec<_> = (22..80).map(|m| (m * 60_000, 3 + m * 1_000 / 60, 0)).collect();
    let mut seen = Vec::new();
    let mut closed = Vec::new();
    for (at, import, export) in exchanged {
        let taken = meter.take(&reading(at, import, export));
        seen.push(taken.verdict);
        closed.extend(taken.closed);
    }
    assert_eq!(seen.iter().filter(|v| **v == Verdict::NewSeries).count(), 1);
    assert_eq!(before.len(), 1);
    let figures: Vec<_> = closed.iter().map(|c| (c.imported.wh(), c.quality)).collect();
    let starts: Vec<_> = closed.iter().map(|c| c.period.start().as_millis()).collect();
    assert_eq!(starts, [QUARTER_MS, 2 * QUARTER_MS, 3 * QUARTER_MS, 4 * QUARTER_MS]);
    assert!(figures[0].0 <= 250 && figures[0].1 == Quality::Estimated, "{figures:?}");
    assert!(figures.iter().all(|(wh, _)| (0..=251).contains(wh)), "{figures:?}");
}

#[test]
fn another_serial_number_is_another_meter_at_once() {
    let mut meter = meter();
    assert!(!meter.identify("A"), "the first is no exchange");
    let before = feed(&mut meter, &minutes(0, 20));
    assert_eq!(before.len(), 1);
    assert!(!meter.identify("A"), "the same is none either");
    assert!(meter.identify("B"));
    // Higher, and within rated power: without its number it would have been believed.
    let exchanged = (20..64).map(|m| (m * 60_000, 5_000_400 + (m - 20) * 1_000 / 60, 700));
    let exchanged: Vec<_> = exchanged.collect();
    let first = meter.take(&reading(exchanged[0].0, exchanged[0].1, exchanged[0].2));
    assert_eq!(first.verdict, Verdict::NewSeries);
    let closed = feed(&mut meter, &exchanged[1..]);
    let imported: i64 = closed.iter().map(|c| c.imported.wh()).sum();
    assert_eq!((closed.len(), closed[0].quality), (3, Quality::Estimated));
    assert!((700..=735).contains(&imported), "nothing between the two counts: {imported}");
}

#[test]
fn a_counter_that_moves_in_large_steps_counts() {
    // A 32-bit float of kWh beyond 65,536 kWh: one step is 8 Wh, more than 10 kW in a second.
    let mut meter = meter();
    for second in 0..7_200_i64 {
        let import_wh = 80_000_000 + second * 3 / 8 * 8;
        let shown = RegisterReading { step_wh: 8, ..reading(second * 1_000, import_wh, 0) };
        let verdict = meter.take(&shown).verdict;
        assert!(matches!(verdict, Verdict::First | Verdict::Counted), "{second}: {verdict:?}");
    }
}

#[test]
fn a_lost_hour_of_counts_waits_for_the_high_water_mark() {
    let mut meter = meter();
    feed(&mut meter, &minutes(0, 20));
    let verdict = meter.take(&reading(20 * 60_000, 5_000_100, 700)).verdict;
    assert!(matches!(verdict, Verdict::BelowHighWater { .. }), "{verdict:?}");
    // A value above all that came before ends the wait.
    let verdict = meter.take(&reading(21 * 60_000, 5_000_320, 700)).verdict;
    assert_eq!(verdict, Verdict::Counted);
}

#[test]
fn a_rollover_is_counted_across_and_a_reset_is_not() {
    let rolling = IntervalRules { rollovers_wh: (Some(1_000_000), None), ..rules() };
    let mut meter = IntervalMeter::resume(rolling, SeriesState::default());
    let reads: Vec<_> = (0..40)
        .map(|m: i64| (m * 60_000, (999_700 + m * 1_000 / 60).rem_euclid(1_000_000), 0))
        .collect();
    let closed = feed(&mut meter, &reads);
    assert!(closed.iter().all(|c| c.imported.wh() == 250), "{closed:?}");
    let mut meter = IntervalMeter::resume(rolling, SeriesState::default());
    feed(&mut meter, &[(0, 500_000, 0), (60_000, 500_010, 0), (120_000, 500_020, 0)]);
    assert_eq!(meter.take(&reading(180_000, 7, 0)).verdict, Verdict::Suspect { reads: 1 });
}

#[test]
fn a_clock_that_jumps_back_repeats_nothing() {
    let mut meter = meter();
    let first = feed(&mut meter, &minutes(0, 40));
    assert_eq!(first.len(), 2);
    assert!(feed(&mut meter, &minutes(5, 40)).is_empty());
    assert_eq!(feed(&mut meter, &minutes(40, 48)).len(), 1);
}

#[test]
fn a_restart_goes_on_without_gap_or_double() {
    let all = feed(&mut meter(), &minutes(0, 100));
    let mut restarted = Vec::new();
    let mut kept = SeriesState::default();
    for reads in minutes(0, 100).chunks(7) {
        let mut meter = IntervalMeter::resume(rules(), kept);
        restarted.extend(feed(&mut meter, reads));
        let bytes = borsh::to_vec(meter.state()).unwrap();
        kept = borsh::from_slice(&bytes).unwrap();
    }
    assert_eq!(all, restarted);
}

/// What a hostile line makes of one true value.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Silent,
    Zero,
    OneZero,
    Fall(i64),
    Leap(i64),
    Spike(i64),
    Late(i64),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Silent),
        1 => Just(Fault::Zero),
        1 => Just(Fault::OneZero),
        1 => (1_i64..1_000_000).prop_map(Fault::Fall),
        1 => (200_000_i64..1_000_000_000).prop_map(Fault::Leap),
        1 => (1_i64..180).prop_map(Fault::Spike),
        1 => (1_i64..100_000).prop_map(Fault::Late),
    ]
}

/// Power in W of each minute, positive = import, and what goes wrong with its read. An in-range
/// spike is followed by a sound read: two lies in a row within rated power are the stated limit.
fn course() -> impl Strategy<Value = Vec<(i64, Fault)>> {
    let step = (-10_000_i64..10_000, fault());
    prop::collection::vec(step, 1..400).prop_map(|mut course| {
        for index in 1..course.len() {
            if matches!(course[index - 1].1, Fault::Spike(_)) {
                course[index].1 = Fault::None;
            }
        }
        course
    })
}

/// The true counters at minute `m`, in mWh.
fn truth(course: &[(i64, Fault)]) -> Vec<(i64, i64)> {
    let mut totals = vec![(3_000_000_000, 2_000_000_000)];
    for (power_w, _) in course {
        let (import, export) = totals[totals.len() - 1];
        let mwh = power_w.abs() * 1_000 / 60;
        totals.push(if *power_w > 0 { (import + mwh, export) } else { (import, export + mwh) });
    }
    totals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No run of signed intervals claims more than the meter counted around it.
    #[test]
    fn signed_energy_never_exceeds_true_energy(course in course()) {
        let truth = truth(&course);
        let mut meter = meter();
        let mut signed: Vec<ClosedInterval> = Vec::new();
        for (minute, (_, fault)) in course.iter().enumerate() {
            let (import, export) = (truth[minute].0 / 1_000, truth[minute].1 / 1_000);
            let at = i64::try_from(minute).unwrap() * 60_000 + 7_000;
            let shown = match *fault {
                Fault::None => reading(at, import, export),
                Fault::Silent => continue,
                Fault::Zero => reading(at, 0, 0),
                Fault::OneZero => reading(at, import, 0),
                Fault::Fall(by) => reading(at, import - by, export),
                Fault::Leap(by) => reading(at, import, export + by),
                Fault::Spike(by) => reading(at, import + by, export),
                Fault::Late(by) => reading(at - by, import, export),
            };
            signed.extend(meter.take(&shown).closed);
        }
        for window in signed.windows(2) {
            prop_assert!(window[0].period.end() <= window[1].period.start());
        }
        let mut from = 0;
        while from < signed.len() {
            // A run without a missing period.
            let mut to = from;
            while to + 1 < signed.len()
                && signed[to].period.end() == signed[to + 1].period.start()
            {
                to += 1;
            }
            let run = &signed[from..=to];
            let imported: i64 = run.iter().map(|c| c.imported.wh()).sum();
            let exported: i64 = run.iter().map(|c| c.exported.wh()).sum();
            let sound = |c: &ClosedInterval| !c.imported.is_negative() && !c.exported.is_negative();
            prop_assert!(run.iter().all(sound));
            // The counters from the beginning to the last read at all: whatever was interpolated,
            // no more can have been counted up to the reads around the run's edges.
            let first = usize::try_from(run[0].period.start().as_millis() / 60_000).unwrap();
            let (begin, end) = (truth[0], truth[truth.len() - 1]);
            let total = (end.0 - begin.0, end.1 - begin.1);
            prop_assert!(imported <= total.0 / 1_000 + 1 && exported <= total.1 / 1_000 + 1);
            if course.iter().all(|(_, fault)| matches!(fault, Fault::None)) {
                let last = usize::try_from(run[run.len() - 1].period.end().as_millis() / 60_000);
                let last = last.unwrap();
                let around = (truth[last + 1].0 - truth[first.saturating_sub(1)].0) / 1_000 + 1;
                prop_assert!(imported <= around);
            }
            from = to + 1;
        }
        let sum: i64 = signed.iter().map(|c| c.imported.wh()).sum();
        prop_assert!(sum <= (truth[truth.len() - 1].0 - truth[0].0) / 1_000 + 1);
    }

    /// Any raw values at all: no panic, no negative energy, never above rated power (and two steps
    /// of the counter for each read).
    #[test]
    fn whatever_the_words_say_energy_stays_within_rated_power(
        reads in prop::collection::vec((any::<i32>(), any::<u32>(), any::<u32>()), 0..200),
    ) {
        let mut meter = meter();
        for (at, import, export) in reads {
            let at = i64::from(at).abs();
            let taken = meter.take(&reading(at, i64::from(import), i64::from(export)));
            for closed in taken.closed {
                for energy in [closed.imported, closed.exported] {
                    prop_assert!((0..=2_751 + 2 * 200).contains(&energy.wh()), "{energy:?}");
                }
            }
        }
    }
}
