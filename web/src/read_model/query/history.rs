//! A household over many delivery periods: sums by stretches of local time.

use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::time::Timestamp;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use crate::read_model::{ReadModel, StoreError, count, energy, money};

/// A stretch of time: half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Its first instant.
    pub(crate) start: Timestamp,
    /// The first instant behind it.
    pub(crate) end: Timestamp,
}

/// The settled periods of a stretch together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    /// How many periods are settled.
    pub(crate) periods_count: u64,
    /// How many of them rest on estimates.
    pub(crate) estimated_count: u64,
    /// Drawn from the grid.
    pub(crate) imported: Energy,
    /// Fed into the grid.
    pub(crate) exported: Energy,
    /// Of what was drawn, what the supplier delivered.
    pub(crate) supplied: Energy,
    /// Of what was given, what the supplier took.
    pub(crate) fed_in: Energy,
    /// What was received from neighbours and the supplier.
    pub(crate) earned: Money,
    /// What was received minus what was paid.
    pub(crate) net: Money,
    /// What that would have been with the supplier alone.
    pub(crate) net_grid_only: Money,
}

impl ReadModel {
    /// A party's sums by stretch, in their order; the stretches must not overlap.
    pub(crate) async fn sums_of(
        &self,
        party: &PartyId,
        stretches: &[Stretch],
    ) -> Result<Vec<Sums>, StoreError> {
        let mut sums = vec![Sums::default(); stretches.len()];
        if stretches.is_empty() {
            return Ok(sums);
        }
        self.asked(async {
            let mut query = QueryBuilder::<Sqlite>::new("WITH stretches (place, from_ms, to_ms) AS (");
            query.push_values((0_i64..).zip(stretches), |mut row, (place, stretch)| {
                row.push_bind(place);
                row.push_bind(stretch.start.as_millis());
                row.push_bind(stretch.end.as_millis());
            });
            query.push(
                ") SELECT place, COUNT(*) AS periods_count, \
                 CAST(SUM(CASE WHEN quality = 'ok' THEN 0 ELSE 1 END) AS BIGINT) AS estimated_count, \
                 CAST(SUM(imported_wh) AS BIGINT) AS imported_wh, \
                 CAST(SUM(exported_wh) AS BIGINT) AS exported_wh, \
                 CAST(SUM(supplied_wh) AS BIGINT) AS supplied_wh, \
                 CAST(SUM(fed_in_wh) AS BIGINT) AS fed_in_wh, \
                 CAST(SUM(trade_income + pool_income + supplier_income) AS BIGINT) AS earned, \
                 CAST(SUM(net) AS BIGINT) AS net, \
                 CAST(SUM(net_grid_only) AS BIGINT) AS net_grid_only \
                 FROM stretches JOIN settlements ON period_start_ms >= from_ms \
                 AND period_start_ms < to_ms WHERE party = ",
            );
            query.push_bind(party.to_string());
            query.push(" GROUP BY place ORDER BY place");
            for row in query.build().fetch_all(&self.pool).await? {
                let place = usize::try_from(count(&row, "place")?).unwrap_or(usize::MAX);
                if let Some(found) = sums.get_mut(place) {
                    *found = Sums {
                        periods_count: count(&row, "periods_count")?,
                        estimated_count: count(&row, "estimated_count")?,
                        imported: energy(&row, "imported_wh")?,
                        exported: energy(&row, "exported_wh")?,
                        supplied: energy(&row, "supplied_wh")?,
                        fed_in: energy(&row, "fed_in_wh")?,
                        earned: money(&row, "earned")?,
                        net: money(&row, "net")?,
                        net_grid_only: money(&row, "net_grid_only")?,
                    };
                }
            }
            Ok(sums)
        })
        .await
    }

    /// The start of the last period for which a party's own meter gave a reading; `None` if there
    /// is none.
    pub(crate) async fn last_metered(
        &self,
        party: &PartyId,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.asked(async {
            let row = sqlx::query(
                "SELECT MAX(period_start_ms) AS last_ms FROM readings \
                 WHERE party = $1 AND quality = 'ok'",
            )
            .bind(party.to_string())
            .fetch_one(&self.pool)
            .await?;
            let last_ms: Option<i64> = row.try_get("last_ms")?;
            Ok(last_ms.map(Timestamp::from_millis))
        })
        .await
    }
}
