//! Reads profiles and explains mistakes in them.

use market::decimal::parse_millionths;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

use crate::profile::{
    COUNTER_MAX_WH, Counter, Function, Gauge, NumberKind, Place, Profile, WORDS_MAX, WordRequest,
};
use crate::toml_text::{TomlError, TomlText};

/// The longest pause or time-out that a profile may ask for.
const WAIT_MAX_MS: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileToml {
    name: String,
    connection: ConnectionToml,
    request: Vec<Spanned<RequestToml>>,
    import: Spanned<CounterToml>,
    export: Spanned<CounterToml>,
    power: Option<Spanned<PowerToml>>,
    frequency: Option<Spanned<FrequencyToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionToml {
    port: u16,
    connect_delay_ms: Spanned<u64>,
    min_gap_ms: Spanned<u64>,
    timeout_ms: Spanned<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestToml {
    function: FunctionToml,
    address: u16,
    count: u16,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum FunctionToml {
    Input,
    Holding,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CounterToml {
    address: u16,
    #[serde(rename = "type")]
    kind: NumberKindToml,
    word_order: WordOrderToml,
    scale: Spanned<f64>,
    unit: EnergyUnitToml,
    #[serde(default)]
    not_available: Vec<Spanned<String>>,
    rollover_wh: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PowerToml {
    address: u16,
    #[serde(rename = "type")]
    kind: NumberKindToml,
    word_order: WordOrderToml,
    scale: Spanned<f64>,
    unit: PowerUnitToml,
    positive: DirectionToml,
    #[serde(default)]
    not_available: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrequencyToml {
    address: u16,
    #[serde(rename = "type")]
    kind: NumberKindToml,
    word_order: WordOrderToml,
    scale: Spanned<f64>,
    #[serde(default)]
    not_available: Vec<Spanned<String>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum NumberKindToml {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum WordOrderToml {
    HighFirst,
    LowFirst,
}

#[derive(Deserialize, Clone, Copy)]
enum EnergyUnitToml {
    #[serde(rename = "Wh")]
    WattHour,
    #[serde(rename = "kWh")]
    KilowattHour,
}

#[derive(Deserialize, Clone, Copy)]
enum PowerUnitToml {
    #[serde(rename = "W")]
    Watt,
    #[serde(rename = "kW")]
    Kilowatt,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum DirectionToml {
    Import,
    Export,
}

/// Reads and checks a profile.
pub(super) fn read(text: &str, file: &Path) -> Result<Profile, TomlError> {
    let text = TomlText::new(file, text);
    let parsed: ProfileToml = text.parse()?;
    let reader = Reader { text, requests: read_requests(text, &parsed.request)? };
    let wait = |key: &str, ms: &Spanned<u64>| {
        if *ms.get_ref() <= WAIT_MAX_MS {
            return Ok(Duration::from_millis(*ms.get_ref()));
        }
        let problem = format!("expected 0 to {WAIT_MAX_MS} ms, but found {}", ms.get_ref());
        Err(text.error(&format!("connection.{key}"), ms, problem))
    };
    let connection = &parsed.connection;
    let timeout = wait("timeout_ms", &connection.timeout_ms)?;
    if timeout.is_zero() {
        let problem = "expected at least 1 ms, but found 0";
        return Err(text.error("connection.timeout_ms", &connection.timeout_ms, problem));
    }
    let power = parsed.power.as_ref().map(|power| reader.power(power)).transpose()?;
    let frequency = parsed.frequency.as_ref().map(|found| reader.frequency(found)).transpose()?;
    Ok(Profile {
        name: parsed.name,
        port: connection.port,
        connect_delay: wait("connect_delay_ms", &connection.connect_delay_ms)?,
        min_gap: wait("min_gap_ms", &connection.min_gap_ms)?,
        timeout,
        import: reader.counter("import", &parsed.import)?,
        export: reader.counter("export", &parsed.export)?,
        power,
        frequency,
        requests: reader.requests,
    })
}

fn read_requests(
    text: TomlText<'_>,
    requests: &[Spanned<RequestToml>],
) -> Result<Vec<WordRequest>, TomlError> {
    let mut read = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let RequestToml { function, address, count } = *request.get_ref();
        if !(1..=WORDS_MAX).contains(&count) || address.checked_add(count).is_none() {
            let problem = format!(
                "expected 1 to {WORDS_MAX} words that end before word 65536, but found {count} \
                 words from {address}"
            );
            return Err(text.error(&format!("request[{index}].count"), request, problem));
        }
        let function = match function {
            FunctionToml::Input => Function::Input,
            FunctionToml::Holding => Function::Holding,
        };
        read.push(WordRequest { function, address, count });
    }
    Ok(read)
}

/// What every quantity says about its number.
struct NumberToml<'a> {
    address: u16,
    kind: NumberKindToml,
    word_order: WordOrderToml,
    not_available: &'a [Spanned<String>],
}

struct Reader<'a> {
    text: TomlText<'a>,
    requests: Vec<WordRequest>,
}

impl Reader<'_> {
    fn counter(&self, key: &str, found: &Spanned<CounterToml>) -> Result<Counter, TomlError> {
        let counter = found.get_ref();
        let number = NumberToml {
            address: counter.address,
            kind: counter.kind,
            word_order: counter.word_order,
            not_available: &counter.not_available,
        };
        let place = self.place(key, found, &number)?;
        let unit_wh = match counter.unit {
            EnergyUnitToml::WattHour => 1,
            EnergyUnitToml::KilowattHour => 1000,
        };
        let scale = self.scale_millionths(key, &counter.scale)?;
        let count_micro_wh = scale.checked_mul(unit_wh).ok_or_else(|| {
            self.text.error(&format!("{key}.scale"), &counter.scale, "the scale is out of range")
        })?;
        let rollover_wh = match &counter.rollover_wh {
            Some(wh) if !(1..=COUNTER_MAX_WH).contains(wh.get_ref()) => {
                let problem = format!("expected 1 to {COUNTER_MAX_WH}, but found {}", wh.get_ref());
                return Err(self.text.error(&format!("{key}.rollover_wh"), wh, problem));
            }
            Some(wh) => Some(*wh.get_ref()),
            None => None,
        };
        Ok(Counter { place, count_micro_wh, rollover_wh })
    }

    fn power(&self, found: &Spanned<PowerToml>) -> Result<Gauge, TomlError> {
        let power = found.get_ref();
        let number = NumberToml {
            address: power.address,
            kind: power.kind,
            word_order: power.word_order,
            not_available: &power.not_available,
        };
        let place = self.place("power", found, &number)?;
        self.scale_millionths("power", &power.scale)?;
        let unit_w = match power.unit {
            PowerUnitToml::Watt => 1.0,
            PowerUnitToml::Kilowatt => 1000.0,
        };
        let sign = match power.positive {
            DirectionToml::Import => 1.0,
            DirectionToml::Export => -1.0,
        };
        Ok(Gauge { place, scale: sign * unit_w * power.scale.get_ref() })
    }

    fn frequency(&self, found: &Spanned<FrequencyToml>) -> Result<Gauge, TomlError> {
        let frequency = found.get_ref();
        let number = NumberToml {
            address: frequency.address,
            kind: frequency.kind,
            word_order: frequency.word_order,
            not_available: &frequency.not_available,
        };
        let place = self.place("frequency", found, &number)?;
        self.scale_millionths("frequency", &frequency.scale)?;
        Ok(Gauge { place, scale: *frequency.scale.get_ref() })
    }

    /// Finds the one request that brings all words of a number.
    fn place<T>(
        &self,
        key: &str,
        table: &Spanned<T>,
        number: &NumberToml<'_>,
    ) -> Result<Place, TomlError> {
        let kind = number.kind.kind();
        let holds = |request: &WordRequest| -> Option<usize> {
            let offset = usize::from(number.address.checked_sub(request.address)?);
            let end = offset.checked_add(kind.word_count())?;
            (end <= usize::from(request.count)).then_some(offset)
        };
        let mut places = self
            .requests
            .iter()
            .enumerate()
            .filter_map(|(index, request)| holds(request).map(|offset| (index, offset)));
        let (first, second) = (places.next(), places.next());
        let (Some((request, offset)), None) = (first, second) else {
            let how = if first.is_none() { "no [[request]] brings" } else { "several bring" };
            let problem = format!(
                "expected one [[request]] with all {} words from {}, but {how} them",
                kind.word_count(),
                number.address
            );
            return Err(self.text.error(&format!("{key}.address"), table, problem));
        };
        let mut not_available = Vec::new();
        for code in number.not_available {
            let digits = kind.word_count().saturating_mul(4);
            let bits = u64::from_str_radix(code.get_ref(), 16).ok();
            let bits = bits.filter(|_| code.get_ref().len() == digits).ok_or_else(|| {
                let problem =
                    format!("expected {digits} hexadecimal digits, but found {:?}", code.get_ref());
                self.text.error(&format!("{key}.not_available"), code, problem)
            })?;
            not_available.push(bits);
        }
        let low_word_first = number.word_order == WordOrderToml::LowFirst;
        Ok(Place { request, offset, kind, low_word_first, not_available })
    }

    /// The scale as a whole number of millionths, above zero.
    fn scale_millionths(&self, key: &str, scale: &Spanned<f64>) -> Result<i64, TomlError> {
        let millionths = parse_millionths(&scale.get_ref().to_string()).ok();
        millionths.filter(|millionths| *millionths > 0).ok_or_else(|| {
            let problem = format!(
                "expected a number above 0 with at most 6 places, but found {}",
                scale.get_ref()
            );
            self.text.error(&format!("{key}.scale"), scale, problem)
        })
    }
}

impl NumberKindToml {
    fn kind(self) -> NumberKind {
        match self {
            Self::U16 => NumberKind::U16,
            Self::I16 => NumberKind::I16,
            Self::U32 => NumberKind::U32,
            Self::I32 => NumberKind::I32,
            Self::U64 => NumberKind::U64,
            Self::I64 => NumberKind::I64,
            Self::F32 => NumberKind::F32,
            Self::F64 => NumberKind::F64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDM630: &str = include_str!("../../profiles/eastron-sdm630.toml");

    fn refused(text: &str) -> TomlError {
        Profile::from_toml(text, Path::new("meter.toml")).expect_err("it must not be taken")
    }

    #[test]
    fn every_built_in_profile_is_sound() {
        for name in Profile::names() {
            let profile = Profile::built_in(name).unwrap();
            assert!(profile.is_ok(), "{name}: {profile:?}");
        }
        assert!(Profile::built_in("abacus").is_none());
    }

    #[test]
    fn a_mistake_is_named_with_file_line_and_key() {
        let line_of =
            |needle: &str| SDM630.lines().position(|line| line.starts_with(needle)).unwrap() + 1;
        let cases = [
            ("timeout_ms = 1500", "timeout_ms = \"fast\"", "connection.timeout_ms", "invalid type"),
            ("timeout_ms = 1500", "timeout_ms = 0", "connection.timeout_ms", "at least 1 ms"),
            ("timeout_ms = 1500", "timeout_ms = 90000", "connection.timeout_ms", "0 to 60000"),
            ("min_gap_ms = 50", "gap = 50", "connection.gap", "unknown field"),
            ("count = 24", "count = 126", "request[0].count", "1 to 125"),
        ];
        for (right, wrong, key, problem) in cases {
            let error = refused(&SDM630.replacen(right, wrong, 1));
            assert_eq!(error.key, key, "{error}");
            assert!(error.problem.contains(problem), "{error}");
            assert!(error.to_string().starts_with("meter.toml, line "), "{error}");
        }
        assert_eq!(refused(&SDM630.replace("timeout_ms = 1500", "timeout_ms = 0")).line, {
            line_of("timeout_ms")
        });
    }

    #[test]
    fn a_number_outside_the_requests_or_with_a_wrong_code_is_refused() {
        let error = refused(&SDM630.replace("count = 24", "count = 20"));
        assert_eq!(error.key, "import.address");
        let error = refused(&SDM630.replacen("scale = 1", "scale = -1", 1));
        assert_eq!(error.key, "import.scale");
        let coded = "unit = \"kWh\"\nnot_available = [\"FFFF\"]";
        let error = refused(&SDM630.replacen("unit = \"kWh\"", coded, 1));
        assert_eq!(error.key, "import.not_available");
    }
}
