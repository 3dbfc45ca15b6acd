//! Reads profiles and explains mistakes in them.

mod quantities;
#[cfg(test)]
mod tests;
mod toml;

use ::toml::Spanned;
use std::path::Path;
use std::time::Duration;

use self::quantities::Reader;
use self::toml::{
    ConnectionToml, DirectionToml, FunctionToml, LineToml, ParityToml, ProfileToml, RequestToml,
    SunSpecToml, WhenToml,
};
use crate::profile::{
    Function, Map, Parity, Profile, SerialLine, Source, SunSpec, WORDS_MAX, WordRequest,
};
use crate::toml_text::{TomlError, TomlText};

/// The longest pause or time-out that a profile may ask for.
const WAIT_MAX_MS: u64 = 60_000;
/// Where the chain of models begins unless the profile says otherwise.
const BASES: [u16; 3] = [40_000, 0, 50_000];

/// Reads and checks a profile.
pub(super) fn read(text: &str, file: &Path) -> Result<Profile, TomlError> {
    let text = TomlText::new(file, text);
    let parsed: ProfileToml = text.parse()?;
    let source = match &parsed.sunspec {
        Some(sunspec) => read_sunspec(text, sunspec, &parsed).map(Source::SunSpec)?,
        None => read_map(text, &parsed).map(Source::Map)?,
    };
    let times = Times::read(text, &parsed.connection)?;
    let line = parsed.serial_line.as_ref();
    Ok(Profile {
        name: parsed.name,
        port: parsed.connection.port,
        line: line.map(|line| read_line(text, line)).transpose()?.unwrap_or_default(),
        connect_delay: times.connect_delay,
        min_gap: times.min_gap,
        unit_gap: times.unit_gap,
        timeout: times.timeout,
        sleeps: parsed.sleeps,
        source,
    })
}

struct Times {
    connect_delay: Duration,
    min_gap: Duration,
    unit_gap: Duration,
    timeout: Duration,
}

impl Times {
    fn read(text: TomlText<'_>, connection: &ConnectionToml) -> Result<Self, TomlError> {
        let wait = |key: &str, ms: &Spanned<u64>| {
            if *ms.get_ref() <= WAIT_MAX_MS {
                return Ok(Duration::from_millis(*ms.get_ref()));
            }
            let problem = format!("expected 0 to {WAIT_MAX_MS} ms, but found {}", ms.get_ref());
            Err(text.error(&format!("connection.{key}"), ms, problem))
        };
        let timeout = wait("timeout_ms", &connection.timeout_ms)?;
        if timeout.is_zero() {
            let problem = "expected at least 1 ms, but found 0";
            return Err(text.error("connection.timeout_ms", &connection.timeout_ms, problem));
        }
        let min_gap = wait("min_gap_ms", &connection.min_gap_ms)?;
        let unit_gap = connection.unit_gap_ms.as_ref().map(|ms| wait("unit_gap_ms", ms));
        Ok(Self {
            connect_delay: wait("connect_delay_ms", &connection.connect_delay_ms)?,
            min_gap,
            // Followers on a bus need longer to let the line go than one of them to go on.
            unit_gap: unit_gap.transpose()?.unwrap_or(min_gap.saturating_mul(2)),
            timeout,
        })
    }
}

fn read_line(text: TomlText<'_>, line: &LineToml) -> Result<SerialLine, TomlError> {
    let baud = *line.baud.get_ref();
    if baud == 0 {
        let problem = "expected a number of bits per second above 0, but found 0";
        return Err(text.error("serial_line.baud", &line.baud, problem));
    }
    let stop_bits = *line.stop_bits.get_ref();
    if !(1..=2).contains(&stop_bits) {
        let problem = format!("expected 1 or 2, but found {stop_bits}");
        return Err(text.error("serial_line.stop_bits", &line.stop_bits, problem));
    }
    let parity = match line.parity {
        ParityToml::None => Parity::None,
        ParityToml::Even => Parity::Even,
        ParityToml::Odd => Parity::Odd,
    };
    Ok(SerialLine { baud, parity, stop_bits })
}

fn read_map(text: TomlText<'_>, parsed: &ProfileToml) -> Result<Map, TomlError> {
    if parsed.import.is_none() && parsed.export.is_none() {
        let problem = "expected a table [import], [export] or [sunspec], but found none";
        return Err(text.error_at("", &(0..0), problem));
    }
    let requests = read_requests(text, &parsed.request, WhenToml::Poll)?;
    let start_requests = read_requests(text, &parsed.request, WhenToml::Start)?;
    check_lengths(text, &parsed.request)?;
    let all = requests.iter().chain(&start_requests).copied().collect();
    let reader = Reader { text, requests: all, poll_count: requests.len() };
    let map = Map { requests, start_requests, ..Map::default() };
    reader.fill(map, parsed)
}

fn read_requests(
    text: TomlText<'_>,
    requests: &[Spanned<RequestToml>],
    when: WhenToml,
) -> Result<Vec<WordRequest>, TomlError> {
    let mut read = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let RequestToml { function, address, count, when: found } = *request.get_ref();
        if found != when {
            continue;
        }
        if !(1..=WORDS_MAX).contains(&count) || address.checked_add(count).is_none() {
            let problem = format!(
                "expected 1 to {WORDS_MAX} words that end before word 65536, but found {count} \
                 words from {address}"
            );
            return Err(text.error(&format!("request[{index}].count"), request, problem));
        }
        read.push(WordRequest { function: function.function(), address, count });
    }
    Ok(read)
}

/// On a serial line nothing but the length tells a late answer from the one that is waited for.
fn check_lengths(text: TomlText<'_>, requests: &[Spanned<RequestToml>]) -> Result<(), TomlError> {
    let face = |request: &Spanned<RequestToml>| {
        (request.get_ref().function.function(), request.get_ref().count)
    };
    for (index, request) in requests.iter().enumerate() {
        let twin = requests.iter().take(index).any(|before| face(before) == face(request));
        if twin {
            let problem = format!(
                "expected another number of words than in the requests before, so that a late \
                 answer to one is not taken for another's, but found {} again",
                request.get_ref().count
            );
            return Err(text.error(&format!("request[{index}].count"), request, problem));
        }
    }
    Ok(())
}

fn read_sunspec(
    text: TomlText<'_>,
    found: &Spanned<SunSpecToml>,
    parsed: &ProfileToml,
) -> Result<SunSpec, TomlError> {
    let sunspec = found.get_ref();
    if parsed.import.is_some() || parsed.export.is_some() || !parsed.request.is_empty() {
        let problem = "expected no [[request]], [import] or [export] beside [sunspec]: the device \
                       says itself where its words are";
        return Err(text.error("sunspec", found, problem));
    }
    let models = sunspec.models.get_ref();
    let strange = models.iter().find(|model| !SunSpec::knows(**model));
    let meters = models.iter().filter(|model| SunSpec::is_meter(**model)).count();
    let mixed = meters > 0 && meters < models.len();
    if strange.is_some() || models.is_empty() || mixed {
        let problem = format!(
            "expected inverters (101-103, 111-113) or meters (201-204, 211-214), but not both, and \
             found {models:?}"
        );
        return Err(text.error("sunspec.models", &sunspec.models, problem));
    }
    let occurrence = match &sunspec.occurrence {
        Some(zero) if *zero.get_ref() == 0 => {
            return Err(text.error("sunspec.occurrence", zero, "expected 1 or more, but found 0"));
        }
        Some(occurrence) => *occurrence.get_ref(),
        None => 1,
    };
    let bases = sunspec.bases.as_ref().map_or(BASES.to_vec(), |bases| bases.get_ref().clone());
    if let Some(given) = sunspec.bases.as_ref().filter(|bases| bases.get_ref().is_empty()) {
        return Err(text.error("sunspec.bases", given, "expected an address, but found none"));
    }
    Ok(SunSpec {
        models: models.clone(),
        bases,
        occurrence,
        positive_export: sunspec.positive == DirectionToml::Export,
        reversed: false,
    })
}

impl FunctionToml {
    fn function(self) -> Function {
        match self {
            Self::Input => Function::Input,
            Self::Holding => Function::Holding,
        }
    }
}
