//! `hidamari clear`: one auction over files, for whoever wants to study or check the market without
//! a network and a ledger.
//!
//! [`sheet`] reads CSV, [`zones`] and [`orders`] make a grid and a sealed book of it and note every
//! mistake, `market` clears, [`report`] puts the names back and adds up, and [`output`] writes.

mod error;
mod figures;
mod options;
mod orders;
mod output;
pub(crate) mod progress;
mod report;
mod sheet;
mod tables;
mod zones;

use std::process::ExitCode;

use market::book::SealedBook;
use market::clearing::{ClearingError, ClearingResult, Terms, clear};

pub(crate) use error::ClearError;
use error::Problems;
pub(crate) use options::{Clear, FILES_AND_EXIT_CODES, Mechanism};
use orders::{Grid, Orders};
use progress::Progress;
use report::Report;
use sheet::Sheet;
use zones::Zones;

/// Clears the orders of a file and writes prices, fills, trades and answers.
///
/// # Errors
/// [`ClearError`] says what is to be mended; nothing was written, but perhaps a beginning to what
/// is no file.
pub(crate) fn run(options: &Clear) -> Result<ExitCode, ClearError> {
    let out = options.out.as_deref().filter(|out| out.as_os_str() != "-");
    let mut inputs = [Some(&options.orders), options.zones.as_ref()].into_iter().flatten();
    if let Some(out) = out
        && inputs.any(|input| output::is_same_file(input, out))
    {
        return Err(ClearError::OutIsInput { file: out.display().to_string() });
    }
    let mut progress = Progress::start();
    let (zones, orders) = {
        let (zones, orders) = sheets(options)?;
        read(zones.as_ref(), &orders, &mut progress)?
    };
    let (book, listing) = orders.seal(options.seed)?;
    progress.say("clearing");
    let result = cleared(options, &zones, &book)?;
    drop(book);
    let report = Report::of(options, &zones, &listing, &result)?;
    progress.say("writing");
    let written = output::write(out, |to| {
        if options.json { report.write_json(to) } else { report.write_tables(to) }
    });
    progress.end();
    written?;
    Ok(ExitCode::SUCCESS)
}

/// The files of zones and orders as they are.
fn sheets(options: &Clear) -> Result<(Option<Sheet>, Sheet), ClearError> {
    if options.zones.as_ref() == Some(&options.orders) && options.orders.as_os_str() == "-" {
        return Err(ClearError::OneStandardInput);
    }
    let zones = options.zones.as_deref().map(Sheet::read).transpose()?;
    Ok((zones, Sheet::read(&options.orders)?))
}

/// The grid and the orders, or the mistakes of both files together.
fn read(
    zones: Option<&Sheet>,
    orders: &Sheet,
    progress: &mut Progress,
) -> Result<(Zones, Orders), ClearError> {
    let mut problems = Problems::default();
    let Some(sheet) = zones else {
        let orders = Orders::read(orders, Grid::One, &mut problems, progress);
        problems.none()?;
        return Ok((Zones::one(orders.only_zone()), orders));
    };
    let zones = Zones::read(sheet, &mut problems)?;
    let grid = zones.as_ref().map_or(Grid::Unknown, Grid::Zones);
    let orders = Orders::read(orders, grid, &mut problems, progress);
    match zones {
        Some(zones) if problems.is_empty() => Ok((zones, orders)),
        _ => Err(problems.into()),
    }
}

/// Clears the book.
fn cleared(
    options: &Clear,
    zones: &Zones,
    book: &SealedBook,
) -> Result<ClearingResult, ClearError> {
    let kind = options.mechanism.kind();
    let terms = Terms { zones: zones.tree(), k_millionths: options.k, tick: options.tick };
    let named = |error| match error {
        ClearingError::EdgeBinds { zone } => ClearError::EdgeBinds {
            mechanism: options.mechanism.code(),
            zone: zones.name(zone).to_owned(),
        },
        deep @ ClearingError::TooDeep { .. } => ClearError::TooDeep(deep),
        other => ClearError::Clearing(other),
    };
    clear(book, &kind, &terms).map_err(named)
}

#[cfg(test)]
mod tests;
