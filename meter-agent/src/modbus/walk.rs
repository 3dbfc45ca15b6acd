//! The walk along a device's chain of `SunSpec` models.

use tokio_modbus::ExceptionCode;

use crate::modbus::poll::{Connection, PollError};
use crate::profile::{
    Block, END_MODEL, Function, MARKER, Map, NoReading, Profile, SunSpec, WordRequest,
};

/// Longer chains are not walked: no device has as many models.
const BLOCKS_MAX: usize = 128;

/// Finds the chain, walks it to its end, and makes the map of the wanted model.
pub(super) async fn walk(
    connection: &mut Connection,
    unit: u8,
    profile: &Profile,
    rules: &SunSpec,
) -> Result<Map, PollError> {
    for base in &rules.bases {
        if two_words(connection, unit, profile, *base).await? == Some(MARKER) {
            let chain = chain(connection, unit, profile, base.saturating_add(2)).await?;
            return Ok(rules.map(&chain)?);
        }
    }
    Err(NoReading::NoSunSpec { bases: rules.bases.clone() }.into())
}

async fn chain(
    connection: &mut Connection,
    unit: u8,
    profile: &Profile,
    first: u16,
) -> Result<Vec<Block>, PollError> {
    let (mut chain, mut address) = (Vec::new(), first);
    while chain.len() < BLOCKS_MAX {
        // Some devices end their chain by refusing to read on.
        let Some([id, length]) = two_words(connection, unit, profile, address).await? else {
            break;
        };
        if id == END_MODEL {
            break;
        }
        chain.push(Block { id, address, length });
        let Some(next) = address.checked_add(2).and_then(|at| at.checked_add(length)) else {
            break;
        };
        address = next;
    }
    Ok(chain)
}

/// Two words; `None` where the device has none.
async fn two_words(
    connection: &mut Connection,
    unit: u8,
    profile: &Profile,
    address: u16,
) -> Result<Option<[u16; 2]>, PollError> {
    let request = WordRequest { function: Function::Holding, address, count: 2 };
    match connection.ask(unit, request, profile).await {
        Ok(words) => Ok(words.first_chunk().copied()),
        Err(PollError::Refused(
            ExceptionCode::IllegalDataAddress | ExceptionCode::IllegalDataValue,
        )) => Ok(None),
        Err(error) => Err(error),
    }
}
