//! The figures of a bench, for people and for programs.

use std::fmt::Write as _;

use simulators::ledger_bench::Figures;

/// All of it as JSON.
pub(crate) fn json(figures: &Figures) -> String {
    serde_json::to_string_pretty(figures).unwrap_or_default() + "\n"
}

/// What it came to, in words and a table.
pub(crate) fn words(figures: &Figures) -> String {
    let mut text = String::from(
        "round    orders  orders/s  blocks  mean bytes  late   ledger    floor  = engine + 4 checks  \
         share\n",
    );
    for (at, round) in figures.rounds.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>5} {:>9} {:>9.0} {:>7} {:>11} {:>5} {:>5.0} us {:>5.0} us  {:>5.0} us + {:>5.1} us \
             {:>7.2}",
            at + 1,
            round.orders_count,
            round.orders_per_second,
            round.blocks_count,
            round.block_bytes,
            round.late_blocks_count,
            round.ledger_us,
            round.floor_us,
            round.engine_us,
            round.check_us,
            round.share,
        );
        if round.lost_count > 0 {
            let _ = writeln!(text, "      {} orders came into no block", round.lost_count);
        }
    }
    let latency = &figures.latency;
    let _ = write!(
        text,
        "\nprocessor time for each order, four validators: {:.0} us, the floor's is {:.0} us: {:.0} % \
         of its speed (wanted: {:.0} %)\n{:.0} committed orders per second of real time\nlatency at \
         {:.0} orders per second: median {:.0} ms ({:.1} heights of the bare engine), 99 of 100 \
         within {:.0} ms\nlargest block {} bytes; {} blocks not decided in their first round \
         (wanted: none)\n{}\n",
        figures.ledger_us,
        figures.floor_us,
        figures.share * 100.0,
        figures.share_min * 100.0,
        figures.orders_per_second,
        latency.orders_per_second,
        latency.median_ms,
        latency.median_bare_heights,
        latency.p99_ms,
        figures.largest_block_bytes,
        figures.late_blocks_count,
        if figures.holds { "every bound holds" } else { "a bound is left" },
    );
    text
}
