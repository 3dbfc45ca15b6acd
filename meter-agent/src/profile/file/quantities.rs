//! Reads the quantities of a profile with fixed addresses.

use ::toml::Spanned;
use market::decimal::parse_millionths;

use super::toml::{
    CodeToml, DirectionToml, FunctionToml, NumberKindToml, NumberToml, ProfileToml, SerialKindToml,
    SerialToml, UnitToml, WordOrderToml,
};
use crate::profile::number::{NumberKind, Place, TextPlace, WordOrder};
use crate::profile::{
    COUNTER_MAX_WH, Counter, Gauge, Map, Model, SerialNumber, State, WordRequest,
};
use crate::toml_text::{TomlError, TomlText};

/// Reads quantities and finds the requests that bring them.
pub(super) struct Reader<'a> {
    pub(super) text: TomlText<'a>,
    /// Those of every poll first, then those at the start.
    pub(super) requests: Vec<WordRequest>,
    pub(super) poll_count: usize,
}

type Found<T> = Option<Spanned<T>>;

impl Reader<'_> {
    /// Fills all quantities into a map that has its requests.
    pub(super) fn fill(&self, map: Map, parsed: &ProfileToml) -> Result<Map, TomlError> {
        let counter = |key, found: &Found<NumberToml>| {
            found.as_ref().map(|found| self.counter(key, found)).transpose()
        };
        let power = |key, found: &Found<NumberToml>| {
            found.as_ref().map(|found| self.power(key, found)).transpose()
        };
        if let (Some(extra), None) = (&parsed.power_export, &parsed.power) {
            let problem = "expected a table [power], from which this one is taken off";
            return Err(self.text.error("power_export", extra, problem));
        }
        let frequency = parsed.frequency.as_ref();
        let voltages = parsed.voltage.iter().enumerate();
        let code = |key, found: &Found<CodeToml>| {
            found.as_ref().map(|found| self.code(key, found)).transpose()
        };
        let model = code("model", &parsed.model)?;
        let state = code("state", &parsed.state)?;
        Ok(Map {
            import: counter("import", &parsed.import)?,
            export: counter("export", &parsed.export)?,
            power: power("power", &parsed.power)?,
            power_export: power("power_export", &parsed.power_export)?,
            frequency: frequency.map(|found| self.gauge("frequency", found)).transpose()?,
            voltages: voltages
                .map(|(index, found)| self.gauge(&format!("voltage[{index}]"), found))
                .collect::<Result<_, _>>()?,
            serial: parsed.serial.as_ref().map(|found| self.serial(found)).transpose()?,
            model: model.map(|(place, values)| Model { place, values }),
            state: state.map(|(place, asleep)| State { place, asleep }),
            clock: parsed.clock.as_ref().map(|found| self.clock(found)).transpose()?,
            ..map
        })
    }

    fn counter(&self, key: &str, found: &Spanned<NumberToml>) -> Result<Counter, TomlError> {
        let counter = found.get_ref();
        self.refuse(key, "positive", &counter.positive)?;
        let place = self.number_place(key, found)?;
        if place.request >= self.poll_count {
            let problem = "expected a request of every poll, but found one of the start";
            return Err(self.text.error(&format!("{key}.address"), found, problem));
        }
        let unit_wh = match self.unit(key, found)? {
            UnitToml::Wh => 1,
            UnitToml::KWh => 1_000,
            UnitToml::W | UnitToml::KW => {
                return Err(self.wrong_unit(key, found, "\"Wh\" or \"kWh\""));
            }
        };
        let (millionths, scale) = self.scale_millionths(key, found)?;
        let count_micro_wh = millionths.checked_mul(unit_wh).ok_or_else(|| {
            self.text.error(&format!("{key}.scale"), scale, "the scale is out of range")
        })?;
        let rollover_wh = match &counter.rollover_wh {
            Some(wh) if !(1..=COUNTER_MAX_WH).contains(wh.get_ref()) => {
                let problem = format!("expected 1 to {COUNTER_MAX_WH}, but found {}", wh.get_ref());
                return Err(self.text.error(&format!("{key}.rollover_wh"), wh, problem));
            }
            Some(wh) => Some(*wh.get_ref()),
            None => None,
        };
        let absolute = counter.absolute.as_ref().is_some_and(|absolute| *absolute.get_ref());
        Ok(Counter { place, count_micro_wh, rollover_wh, absolute })
    }

    fn power(&self, key: &str, found: &Spanned<NumberToml>) -> Result<Gauge, TomlError> {
        let power = found.get_ref();
        self.refuse(key, "rollover_wh", &power.rollover_wh)?;
        self.refuse(key, "absolute", &power.absolute)?;
        let place = self.number_place(key, found)?;
        let unit_w = match self.unit(key, found)? {
            UnitToml::W => 1.0,
            UnitToml::KW => 1_000.0,
            UnitToml::Wh | UnitToml::KWh => {
                return Err(self.wrong_unit(key, found, "\"W\" or \"kW\""));
            }
        };
        let positive = power.positive.as_ref().ok_or_else(|| {
            let problem = "expected `positive = \"import\"` or \"export\", but found neither";
            self.text.error(&format!("{key}.positive"), found, problem)
        })?;
        // The second of two unsigned words has its direction in its name.
        let sign = match (key, positive.get_ref()) {
            ("power_export", DirectionToml::Import) => {
                let problem = "expected \"export\", which is what this word counts";
                return Err(self.text.error("power_export.positive", positive, problem));
            }
            ("power_export", _) | (_, DirectionToml::Import) => 1.0,
            (_, DirectionToml::Export) => -1.0,
        };
        let (_, scale) = self.scale_millionths(key, found)?;
        Ok(Gauge { place, scale: sign * unit_w * scale.get_ref() })
    }

    /// A quantity that has one unit alone.
    fn gauge(&self, key: &str, found: &Spanned<NumberToml>) -> Result<Gauge, TomlError> {
        let gauge = found.get_ref();
        self.refuse(key, "unit", &gauge.unit)?;
        self.refuse(key, "positive", &gauge.positive)?;
        self.refuse(key, "rollover_wh", &gauge.rollover_wh)?;
        self.refuse(key, "absolute", &gauge.absolute)?;
        let place = self.number_place(key, found)?;
        let (_, scale) = self.scale_millionths(key, found)?;
        Ok(Gauge { place, scale: *scale.get_ref() })
    }

    /// Seconds since 1970 in UTC.
    fn clock(&self, found: &Spanned<NumberToml>) -> Result<Place, TomlError> {
        let clock = found.get_ref();
        self.refuse("clock", "scale", &clock.scale)?;
        self.refuse("clock", "unit", &clock.unit)?;
        self.refuse("clock", "positive", &clock.positive)?;
        self.number_place("clock", found)
    }

    fn code(&self, key: &str, found: &Spanned<CodeToml>) -> Result<(Place, Vec<i64>), TomlError> {
        let code = found.get_ref();
        let values = code.values.get_ref();
        if values.is_empty() {
            let problem = "expected the numbers to compare with, but found none";
            return Err(self.text.error(&format!("{key}.values"), &code.values, problem));
        }
        let kind = code.kind.kind();
        let (request, offset) =
            self.find(key, found, code.function, code.address, kind.word_count())?;
        let order = code.word_order.order();
        let place = Place { request, offset, kind, order, not_available: Vec::new(), factor: None };
        Ok((place, values.clone()))
    }

    fn serial(&self, found: &Spanned<SerialToml>) -> Result<SerialNumber, TomlError> {
        let serial = found.get_ref();
        let kind = match serial.kind {
            SerialKindToml::U16 => NumberKind::U16,
            SerialKindToml::U32 => NumberKind::U32,
            SerialKindToml::Text => {
                let count = serial.count.filter(|count| *count > 0).ok_or_else(|| {
                    let problem = "expected the number of words of the text, but found none";
                    self.text.error("serial.count", found, problem)
                })?;
                let count = usize::from(count);
                let (request, offset) =
                    self.find("serial", found, serial.function, serial.address, count)?;
                let bytes_swapped = serial.bytes_swapped;
                return Ok(SerialNumber::Text(TextPlace { request, offset, count, bytes_swapped }));
            }
        };
        let count = kind.word_count();
        let (request, offset) =
            self.find("serial", found, serial.function, serial.address, count)?;
        let order = serial.word_order.map_or(WordOrder::HighFirst, WordOrderToml::order);
        let not_available = Vec::new();
        Ok(SerialNumber::Number(Place {
            request,
            offset,
            kind,
            order,
            not_available,
            factor: None,
        }))
    }

    fn number_place(&self, key: &str, found: &Spanned<NumberToml>) -> Result<Place, TomlError> {
        let number = found.get_ref();
        let kind = number.kind.kind();
        let (request, offset) =
            self.find(key, found, number.function, number.address, kind.word_count())?;
        let mut not_available = Vec::new();
        for code in &number.not_available {
            let digits = kind.word_count().saturating_mul(4);
            let bits = u64::from_str_radix(code.get_ref(), 16).ok();
            let bits = bits.filter(|_| code.get_ref().len() == digits).ok_or_else(|| {
                let problem =
                    format!("expected {digits} hexadecimal digits, but found {:?}", code.get_ref());
                self.text.error(&format!("{key}.not_available"), code, problem)
            })?;
            not_available.push(bits);
        }
        let factor = match &number.factor_address {
            None => None,
            Some(address) => {
                let asked = self.requests.get(request);
                let inside = asked.and_then(|asked| {
                    let offset = address.get_ref().checked_sub(asked.address)?;
                    (offset < asked.count).then_some(usize::from(offset))
                });
                Some(inside.ok_or_else(|| {
                    let problem = "expected an address in the same [[request]] as the number, so \
                                   that both belong together";
                    self.text.error(&format!("{key}.factor_address"), address, problem)
                })?)
            }
        };
        let order = number.word_order.order();
        Ok(Place { request, offset, kind, order, not_available, factor })
    }

    /// The one request that brings all these words, and where in it they stand.
    fn find<T>(
        &self,
        key: &str,
        table: &Spanned<T>,
        function: Option<FunctionToml>,
        address: u16,
        count: usize,
    ) -> Result<(usize, usize), TomlError> {
        let function = function.map(FunctionToml::function);
        let holds = |request: &WordRequest| -> Option<usize> {
            if function.is_some_and(|function| function != request.function) {
                return None;
            }
            let offset = usize::from(address.checked_sub(request.address)?);
            let end = offset.checked_add(count)?;
            (end <= usize::from(request.count)).then_some(offset)
        };
        let mut places = self
            .requests
            .iter()
            .enumerate()
            .filter_map(|(index, request)| holds(request).map(|offset| (index, offset)));
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (first, _) => {
                let how = if first.is_none() { "no [[request]] brings" } else { "several bring" };
                let problem = format!(
                    "expected one [[request]] with all {count} words from {address}, but {how} them"
                );
                Err(self.text.error(&format!("{key}.address"), table, problem))
            }
        }
    }

    fn unit(&self, key: &str, found: &Spanned<NumberToml>) -> Result<UnitToml, TomlError> {
        let unit = found.get_ref().unit.as_ref().map(|unit| *unit.get_ref());
        unit.ok_or_else(|| {
            self.text.error(&format!("{key}.unit"), found, "expected a unit, but found none")
        })
    }

    fn wrong_unit(&self, key: &str, found: &Spanned<NumberToml>, expected: &str) -> TomlError {
        let unit = found.get_ref().unit.as_ref();
        let named = unit.map_or(String::new(), |unit| format!("{:?}", unit.get_ref()));
        let problem = format!("expected {expected}, but found {named}");
        match unit {
            Some(unit) => self.text.error(&format!("{key}.unit"), unit, problem),
            None => self.text.error(&format!("{key}.unit"), found, problem),
        }
    }

    /// A key that other quantities have.
    fn refuse<T>(&self, table: &str, key: &str, found: &Found<T>) -> Result<(), TomlError> {
        let Some(found) = found else { return Ok(()) };
        let problem = format!("expected no `{key}` here: it means nothing for {table}");
        Err(self.text.error(&format!("{table}.{key}"), found, problem))
    }

    /// The scale as a whole number of millionths, above zero.
    fn scale_millionths<'t>(
        &self,
        key: &str,
        found: &'t Spanned<NumberToml>,
    ) -> Result<(i64, &'t Spanned<f64>), TomlError> {
        let scale = found.get_ref().scale.as_ref().ok_or_else(|| {
            let problem = "expected a number above 0, but found none";
            self.text.error(&format!("{key}.scale"), found, problem)
        })?;
        let millionths = parse_millionths(&scale.get_ref().to_string()).ok();
        let millionths = millionths.filter(|millionths| *millionths > 0).ok_or_else(|| {
            let problem = format!(
                "expected a number above 0 with at most 6 places, but found {}",
                scale.get_ref()
            );
            self.text.error(&format!("{key}.scale"), scale, problem)
        })?;
        Ok((millionths, scale))
    }
}

impl WordOrderToml {
    fn order(self) -> WordOrder {
        match self {
            Self::HighFirst => WordOrder::HighFirst,
            Self::LowFirst => WordOrder::LowFirst,
        }
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
