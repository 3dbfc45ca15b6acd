//! How much disk a community takes.
//!
//! ```sh
//! cargo nextest run -p ledger-node --run-ignored all --no-capture -E 'test(a_day_of_a_hundred)'
//! ```

use ledger_node::store::Store;
use market::time::{DeliveryPeriod, PeriodLength};
use sqlx::Row as _;
use sqlx::sqlite::SqlitePoolOptions;

use crate::street::Street;

const MINUTE_MS: i64 = 60_000;
const PERIODS_A_YEAR: f64 = 365.25 * 96.0;

/// What a day took, in bytes.
#[derive(Debug)]
struct Growth {
    periods: u32,
    blocks: u64,
    file: u64,
    bodies: i64,
    results: i64,
    headers: i64,
    leaves: i64,
}

/// A block a minute; in each quarter of an hour every household orders once for a quarter ahead and
/// tells the reading of the last one. `periods` quarters.
async fn grow(households: u16, periods: u32) -> Growth {
    let dir = tempfile::tempdir().unwrap();
    let mut street = Street::new(households);
    let (store, _) = Store::open(dir.path(), &street.genesis).await.unwrap();
    let mut leaves = 0;
    for minute in 0..i64::from(periods) * 15 {
        let now = street.genesis.starts_at.plus_millis((minute + 1) * MINUTE_MS);
        let quarter = |at| DeliveryPeriod::containing(at, PeriodLength::Minutes15).unwrap();
        let ahead = quarter(now.plus_millis(240 * MINUTE_MS));
        let past = quarter(now.plus_millis(-15 * MINUTE_MS));
        let mut said = Vec::new();
        for n in (0..households).filter(|n| i64::from(*n % 15) == minute % 15) {
            said.push(street.order(n, ahead, 1));
            if past.start() >= street.genesis.starts_at {
                said.push(street.reading(n, past, 1));
            }
        }
        let count = said.len();
        let executed = street.commit(&store, now, said).await;
        leaves += count + executed.results.leaves().len();
    }
    store.close().await;
    let path = dir.path().join("ledger.sqlite");
    let file = std::fs::metadata(&path).unwrap().len();
    let url = format!("sqlite:{}?mode=ro", path.display());
    let pool = SqlitePoolOptions::new().connect(&url).await.unwrap();
    let query = "SELECT sum(length(block)), sum(length(results)), \
                 sum(2 * length(header) + length(certificate) + 64) FROM blocks";
    let row = sqlx::query(query).fetch_one(&pool).await.unwrap();
    let column = |at: usize| row.try_get::<i64, _>(at).unwrap();
    let (bodies, results, headers) = (column(0), column(1), column(2));
    pool.close().await;
    let leaves = i64::try_from(leaves).unwrap();
    Growth { periods, blocks: street.state.height(), file, bodies, results, headers, leaves }
}

/// The figure of `docs/benchmarks.md`, and its bound.
#[tokio::test]
#[ignore = "half a minute; prints figures"]
#[expect(clippy::print_stdout, reason = "figures for docs/benchmarks.md")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn a_day_of_a_hundred_households() {
    let growth = grow(100, 96).await;
    let a_year = |bytes: f64| bytes / f64::from(growth.periods) * PERIODS_A_YEAR / 1e6;
    let of = |bytes: i64| a_year(bytes as f64);
    println!("{growth:?}");
    println!("bytes per block: {}", growth.file / growth.blocks);
    println!("MB a year: {:.0}", a_year(growth.file as f64));
    println!("  bodies {:.0}, results {:.0}", of(growth.bodies), of(growth.results));
    println!("  headers, certificates, hashes {:.0}", of(growth.headers));
    println!("MB a year, pruned to leaf hashes: {:.0}", of(growth.headers + 32 * growth.leaves));
}

/// Growth stays what it is: per household and quarter of an hour, in bytes of the file.
#[tokio::test]
async fn a_household_takes_no_more_than_four_kilobytes_a_quarter() {
    let growth = grow(20, 24).await;
    let each = growth.file / u64::from(growth.periods) / 20;
    assert!(each < 4_000, "{each} bytes per household and period: {growth:?}");
}
