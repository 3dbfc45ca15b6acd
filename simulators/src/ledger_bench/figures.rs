//! What was measured, and the bounds that it is held against.

use market::keys::SigningKey;
use serde::Serialize;

use super::LedgerTurn;
use super::nodes::VALIDATORS;

/// The part of the floor's speed that the ledger reaches at least.
const SHARE_MIN: f64 = 0.7;

/// One turn of the ledger, and one of the floor.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// Orders that came into blocks.
    pub orders_count: u64,
    /// Orders that were sent and came into no block.
    pub lost_count: usize,
    /// Committed orders per second of real time; other load on the machine lowers it.
    pub orders_per_second: f64,
    /// Blocks that carried them.
    pub blocks_count: u64,
    /// The mean size of those blocks.
    pub block_bytes: u64,
    /// The largest of all blocks so far.
    pub largest_block_bytes: usize,
    /// Blocks that were not decided in their first round.
    pub late_blocks_count: u64,
    /// Processor time of the four validators for each order, in microseconds.
    pub ledger_us: f64,
    /// Processor time of the four bare engines for each order, in microseconds.
    pub engine_us: f64,
    /// One strict signature check, in microseconds.
    pub check_us: f64,
    /// The floor: the engine, and one check for each validator.
    pub floor_us: f64,
    /// The floor's time as a part of the ledger's: 1 would be the floor itself.
    pub share: f64,
    /// From one height of the bare engine to the next, in milliseconds of real time.
    pub bare_height_ms: f64,
    /// The bare engine's blocks that were not decided in their first round.
    pub bare_late_count: u64,
}

/// From the signature to the certified block, while the ledger had time.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// Orders per second that were sent.
    pub orders_per_second: f64,
    /// Orders that came into blocks.
    pub orders_count: usize,
    /// Half of them took no longer, in milliseconds.
    pub median_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// The median in heights of the bare engine.
    pub median_bare_heights: f64,
}

/// All figures of a run: of each round, and the medians.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// The rounds in their order.
    pub rounds: Vec<Round>,
    /// Medians of the rounds.
    pub orders_per_second: f64,
    /// See [`Round::ledger_us`].
    pub ledger_us: f64,
    /// See [`Round::floor_us`].
    pub floor_us: f64,
    /// See [`Round::share`].
    pub share: f64,
    /// The least that is wanted of it.
    pub share_min: f64,
    /// The largest block.
    pub largest_block_bytes: usize,
    /// Blocks that were not decided in their first round; none is wanted.
    pub late_blocks_count: u64,
    /// Latency.
    pub latency: Latency,
    /// Whether every bound holds.
    pub holds: bool,
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn of(
        ledger: &LedgerTurn,
        heights: u64,
        bare_cpu_ms: u64,
        bare_seconds: f64,
        bare_late_count: u64,
        check_us: f64,
    ) -> Self {
        let (orders, blocks) = (ledger.orders as f64, ledger.blocks as f64);
        let ledger_us = ledger.cpu_ms as f64 * 1_000.0 / orders;
        let engine_us = bare_cpu_ms as f64 * 1_000.0 / heights as f64 / (orders / blocks);
        let floor_us = engine_us + VALIDATORS as f64 * check_us;
        Self {
            orders_count: ledger.orders,
            lost_count: ledger.lost,
            orders_per_second: orders / ledger.seconds,
            blocks_count: ledger.blocks,
            block_bytes: ledger.bytes / ledger.blocks.max(1),
            largest_block_bytes: ledger.largest_bytes,
            late_blocks_count: ledger.late_count,
            ledger_us,
            engine_us,
            check_us,
            floor_us,
            share: floor_us / ledger_us,
            bare_height_ms: bare_seconds * 1_000.0 / heights as f64,
            bare_late_count,
        }
    }
}

impl Figures {
    pub(super) fn of(rounds: Vec<Round>, mut latency: Latency) -> Self {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        let share = of(|round| round.share);
        let late_blocks_count = rounds.iter().map(|round| round.late_blocks_count).sum();
        latency.median_bare_heights = latency.median_ms / of(|round| round.bare_height_ms);
        Self {
            orders_per_second: of(|round| round.orders_per_second),
            ledger_us: of(|round| round.ledger_us),
            floor_us: of(|round| round.floor_us),
            share,
            share_min: SHARE_MIN,
            largest_block_bytes: rounds.iter().map(|it| it.largest_block_bytes).max().unwrap_or(0),
            late_blocks_count,
            latency,
            holds: share >= SHARE_MIN && late_blocks_count == 0,
            rounds,
        }
    }
}

/// The one in the middle; 0 of nothing.
pub(super) fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_unstable_by(f64::total_cmp);
    percentile(&all, 50)
}

/// Of sorted figures.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = sorted.len() * percent / 100;
    sorted.get(at).or(sorted.last()).copied().unwrap_or_default()
}

pub(super) fn latency(all_ms: &[f64], orders_per_second: f64) -> Latency {
    let mut sorted = all_ms.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Latency {
        orders_per_second,
        orders_count: sorted.len(),
        median_ms: percentile(&sorted, 50),
        p99_ms: percentile(&sorted, 99),
        median_bare_heights: 0.0,
    }
}

/// What one strict check of a signature costs this processor; `None` if the system does not tell.
pub(super) async fn check_us() -> Option<f64> {
    tokio::task::spawn_blocking(check_us_here).await.ok()?
}

fn check_us_here() -> Option<f64> {
    const CHECKS: u32 = 2_000;
    let key = SigningKey::from_seed(&[9; 32]);
    let sound = key.public().sound().ok()?;
    // As long as what an order's signature covers.
    let signed: Vec<_> = (0..64_u8).map(|n| vec![n; 180]).collect();
    let signed: Vec<_> = signed.into_iter().map(|bytes| (key.sign(&bytes), bytes)).collect();
    let before = thread_ns()?;
    let all = signed.iter().cycle().take(CHECKS as usize);
    let hold = all.filter(|(signature, bytes)| sound.verify(bytes, signature).is_ok()).count();
    let spent_ns = thread_ns()?.checked_sub(before)?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each_us = spent_ns as f64 / 1_000.0 / f64::from(CHECKS);
    (hold == CHECKS as usize).then_some(each_us)
}

/// How long this thread has run on a processor, in nanoseconds.
fn thread_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> LedgerTurn {
        LedgerTurn {
            orders: 10_000,
            blocks: 10,
            bytes: 2_500_000,
            largest_bytes: 260_000,
            late_count: 0,
            lost: 0,
            cpu_ms: 4_000,
            seconds: 2.0,
        }
    }

    fn latency_of(all: &[f64]) -> Latency {
        latency(all, 1.0)
    }

    #[test]
    fn a_round_weighs_the_ledger_against_the_engine_and_four_checks() {
        // 20 bare heights in 2,000 ms of processor time: 100 ms for 1,000 orders each.
        let round = Round::of(&turn(), 20, 2_000, 4.0, 0, 45.0);
        assert_eq!((round.ledger_us, round.engine_us, round.floor_us), (400.0, 100.0, 280.0));
        assert!((round.share - 0.7).abs() < 1e-9);
        assert_eq!((round.orders_per_second, round.bare_height_ms), (5_000.0, 200.0));
    }

    #[test]
    fn a_bound_that_is_left_shows() {
        let round = |check_us, late_count| {
            Round::of(&LedgerTurn { late_count, ..turn() }, 20, 2_000, 4.0, 0, check_us)
        };
        let holds = |rounds| Figures::of(rounds, latency_of(&[1.0])).holds;
        assert!(holds(vec![round(46.0, 0)]));
        assert!(!holds(vec![round(40.0, 0)]));
        assert!(!holds(vec![round(46.0, 1)]));
        assert!(holds(vec![round(46.0, 0), round(10.0, 0), round(46.0, 0)]), "the median counts");
    }

    #[test]
    fn percentiles_are_of_the_sorted_figures() {
        let all: Vec<f64> = (0..100).rev().map(f64::from).collect();
        let latency = latency_of(&all);
        assert_eq!((latency.median_ms, latency.p99_ms), (50.0, 99.0));
        assert_eq!(latency_of(&[]).median_ms, 0.0);
    }
}
