//! The result as tables for people.

use std::io::{self, Write};

use market::answer::{Answer, Reason};
use market::decimal::Fixed;
use market::energy::Energy;
use market::money::Money;
use market::order::Side;
use market::price::Price;
use unicode_width::UnicodeWidthStr as _;

use crate::clear::report::{Outcome, Report, side};

/// Longer lists are cut: nobody reads them on a terminal.
const ROWS_MAX: usize = 40;

/// Prices and amounts have at least so many places.
const PLACES_MIN: usize = 2;

impl Report<'_> {
    /// Writes what was decided as aligned tables: zones, edges, orders, trades.
    ///
    /// # Errors
    /// What the system says if it cannot be written.
    pub(crate) fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.write_summary(to)?;
        self.zone_table().write(to, self.zones.len())?;
        self.edge_table().write(to, self.result.edges.len())?;
        self.order_table().write(to, self.listing.len())?;
        self.trade_table().write(to, self.result.trades.len())
    }

    fn write_summary(&self, to: &mut dyn Write) -> io::Result<()> {
        let (result, totals) = (self.result, &self.totals);
        let places = places([
            result.welfare.micros(),
            totals.paid.micros(),
            totals.received.micros(),
            totals.charges.micros(),
            totals.rents.micros(),
        ]);
        let money = |money: Money| fixed(money.micros(), places);
        writeln!(
            to,
            "{}, {} in {}: {} traded, welfare {}.",
            self.options.mechanism.title(),
            counted(self.listing.len(), "order"),
            counted(self.zones.len(), "zone"),
            result.volume,
            money(result.welfare)
        )?;
        writeln!(
            to,
            "Buyers pay {} = sellers receive {} + wheeling charges {} + rent {}.",
            money(totals.paid),
            money(totals.received),
            money(totals.charges),
            money(totals.rents)
        )
    }

    fn zone_table(&self) -> Table {
        let mut table = Table::new(["Zone", "Price", "Bought kWh", "Sold kWh"], 1..4);
        let shown: Vec<_> = self.zone_results().take(ROWS_MAX).collect();
        let prices = shown.iter().filter_map(|zone| zone.price);
        let places = places(prices.map(Price::micros_per_kwh));
        for zone in shown {
            let price = zone.price.map_or("-".to_owned(), |price| per_kwh(price, places));
            let name = self.zones.name(zone.zone).to_owned();
            table.rows.push([name, price, kwh(zone.bought), kwh(zone.sold)]);
        }
        table
    }

    fn edge_table(&self) -> Table {
        let heads = ["Edge above", "Flow up kWh", "Charge", "Rent"];
        let mut table = Table::new(heads, 1..4);
        let shown: Vec<_> = self.edge_results().take(ROWS_MAX).collect();
        let amounts = shown.iter().flat_map(|edge| [edge.charge, edge.rent]);
        let places = places(amounts.map(Money::micros));
        for edge in shown {
            table.rows.push([
                self.zones.name(edge.zone).to_owned(),
                kwh(edge.flow),
                fixed(edge.charge.micros(), places),
                fixed(edge.rent.micros(), places),
            ]);
        }
        table
    }

    fn order_table(&self) -> Table<8> {
        let heads =
            ["Order", "Party", "Zone", "Side", "Ordered kWh", "Filled kWh", "Amount", "Answer"];
        let mut table = Table::new(heads, 4..7);
        let shown: Vec<_> = self.outcomes().take(ROWS_MAX).collect();
        let places = places(shown.iter().map(|outcome| outcome.amount.micros()));
        for outcome in shown {
            let Outcome { order, answer, amount } = outcome;
            table.rows.push([
                order.id.to_owned(),
                order.party.to_owned(),
                self.zones.name(order.zone).to_owned(),
                side(order.side).to_owned(),
                kwh(answer.ordered),
                kwh(answer.filled),
                fixed(amount.micros(), places),
                self.short(answer),
            ]);
        }
        table
    }

    fn trade_table(&self) -> Table<7> {
        let heads = ["Seller", "Buyer", "kWh", "Seller price", "Buyer price", "Charge", "Rent"];
        let mut table = Table::new(heads, 2..7);
        let shown: Vec<_> = self.result.trades.iter().take(ROWS_MAX).collect();
        let prices = shown.iter().flat_map(|trade| [trade.seller_price, trade.buyer_price]);
        let price_places = places(prices.map(Price::micros_per_kwh));
        let amounts = shown.iter().flat_map(|trade| [trade.charge, trade.rent]);
        let places = places(amounts.map(Money::micros));
        for trade in shown {
            let Some((offer, bid)) = self.sides(trade) else { continue };
            table.rows.push([
                offer.party.to_owned(),
                bid.party.to_owned(),
                kwh(trade.energy),
                per_kwh(trade.seller_price, price_places),
                per_kwh(trade.buyer_price, price_places),
                fixed(trade.charge.micros(), places),
                fixed(trade.rent.micros(), places),
            ]);
        }
        table
    }

    /// An answer in a few words.
    fn short(&self, answer: &Answer) -> String {
        let plain = |price: Price| {
            let micros = price.micros_per_kwh();
            fixed(micros, places([micros]))
        };
        let at = answer.price.map(plain).unwrap_or_default();
        let rest = if answer.filled.is_zero() { "" } else { "rest: " };
        let (relation, other) = match answer.side {
            Side::Buy => ("below", "offer"),
            Side::Sell => ("above", "bid"),
        };
        match answer.reason {
            Reason::Filled => format!("filled at {at}"),
            Reason::SharedAtMargin if answer.filled.is_zero() => {
                format!("nothing is left at its limit {at}")
            }
            Reason::SharedAtMargin => format!("shared pro rata at its limit {at}"),
            Reason::LimitNotReached { limit } => {
                format!("{rest}{} is {relation} {at}", plain(limit))
            }
            Reason::NoTrade => "nobody within reach of its limit".to_owned(),
            Reason::EdgeFull { zone, limit } => {
                let name = self.zones.name(zone);
                format!("{rest}at {} the line above {name} is full", plain(limit))
            }
            Reason::OwnOrderOpposite => "left out: own order on the other side".to_owned(),
            Reason::Rationed if answer.filled.is_zero() => "not enough for all".to_owned(),
            Reason::Rationed => format!("{rest}not enough for all, shared pro rata"),
            Reason::NobodyLeft { limit } => {
                format!("{rest}no {other} is left for {}", plain(limit))
            }
            Reason::PriceSetting { limit } if answer.price.is_none() => {
                format!("{} is at the margin, which does not trade", plain(limit))
            }
            Reason::PriceSetting { limit } => {
                format!("{rest}{} sets the price and does not trade", plain(limit))
            }
            Reason::SharedByKey => "shared by key".to_owned(),
            Reason::NoLongerMember => "left out: no longer a member".to_owned(),
        }
    }
}

/// Rows under heads, some columns to the right.
struct Table<const N: usize = 4> {
    heads: [&'static str; N],
    figures: std::ops::Range<usize>,
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    fn new(heads: [&'static str; N], figures: std::ops::Range<usize>) -> Self {
        Self { heads, figures, rows: Vec::new() }
    }

    /// Writes the rows, and how many of `all` are not among them. An empty table is left out.
    fn write(&self, to: &mut dyn Write, all: usize) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut widths = self.heads.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        writeln!(to)?;
        self.write_row(to, &widths, &self.heads)?;
        for row in &self.rows {
            self.write_row(to, &widths, &row.each_ref().map(String::as_str))?;
        }
        match all.saturating_sub(self.rows.len()) {
            0 => Ok(()),
            more => writeln!(to, "... and {more} more; --json gives them all"),
        }
    }

    fn write_row(
        &self,
        to: &mut dyn Write,
        widths: &[usize; N],
        cells: &[&str; N],
    ) -> io::Result<()> {
        let mut line = String::new();
        for (column, (width, cell)) in widths.iter().zip(cells).enumerate() {
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            if column > 0 {
                line.push_str("  ");
            }
            if self.figures.contains(&column) {
                line.extend([blanks.as_str(), cell]);
            } else {
                line.extend([cell, blanks.as_str()]);
            }
        }
        writeln!(to, "{}", line.trim_end())
    }
}

/// How many places the longest of these millionths needs.
fn places(micros: impl IntoIterator<Item = i64>) -> usize {
    let needed = |micros: i64| {
        let text = Fixed::millionths(micros).to_string();
        let fraction = text.rsplit_once('.').map_or("", |(_, fraction)| fraction);
        fraction.trim_end_matches('0').len()
    };
    micros.into_iter().map(needed).max().unwrap_or_default().max(PLACES_MIN)
}

/// Millionths with so many places; none of those that are cut off is other than 0.
fn fixed(micros: i64, places: usize) -> String {
    let mut text = Fixed::millionths(micros).to_string();
    if let Some(point) = text.find('.') {
        text.truncate(point.saturating_add(places).saturating_add(1));
    }
    text
}

fn per_kwh(price: Price, places: usize) -> String {
    fixed(price.micros_per_kwh(), places)
}

fn kwh(energy: Energy) -> String {
    Fixed::thousandths(energy.wh()).to_string()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
