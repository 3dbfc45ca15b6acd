//! `hidamari verify chain`.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use ledger::chain_file::{ChainFile, ChainFileError};
use ledger::genesis::Genesis;
use serde_json::json;

use crate::clear::progress::Progress;
use crate::verify::Verdict;

/// Judges a chain file; the other way out is why the file never was one.
pub(super) fn judge(path: &Path, genesis: &Genesis) -> Result<Verdict, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let read = Rc::new(Cell::new(0));
    let counted = Counted { from: BufReader::new(file), read: Rc::clone(&read) };
    let mut chain = match ChainFile::open(counted, genesis) {
        Err(error @ ChainFileError::OtherCommunity { .. }) => {
            return Ok(Verdict::not_proved(&error));
        }
        opened => opened.map_err(|error| error.to_string())?,
    };
    let mut progress = Progress::start();
    for header in chain.by_ref() {
        let header = match header {
            Ok(header) => header,
            Err(ChainFileError::Io(error)) => return Err(error.to_string()),
            Err(error) => return Ok(Verdict::not_proved(&error)),
        };
        let percent = read.get().saturating_mul(100).checked_div(length).unwrap_or(100);
        progress.say(&format!("checked height {}: {percent} %", header.height));
    }
    progress.end();
    let state = chain.follower().state();
    let (height, tip, root) = (state.height(), state.tip(), state.root());
    let sentence = format!(
        "Proved: {height} blocks of community {} follow from the genesis; the last one is {tip}, \
         after it the state has root {root}.",
        state.chain()
    );
    let details = json!({
        "height": height,
        "tip": tip.to_string(),
        "state_root": root.to_string(),
    });
    Ok(Verdict { details, ..Verdict::proved(sentence) })
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        let more = u64::try_from(count).unwrap_or(u64::MAX);
        self.read.set(self.read.get().saturating_add(more));
        Ok(count)
    }
}
