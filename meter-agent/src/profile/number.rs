//! Numbers and texts in words.

/// In which order a number's words are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordOrder {
    /// The high word first, as the protocol's authors meant it.
    HighFirst,
    /// The low word first.
    LowFirst,
}

impl WordOrder {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::HighFirst => Self::LowFirst,
            Self::LowFirst => Self::HighFirst,
        }
    }
}

/// Where a number stands in the answers, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Which answer: those of every poll first, then those at the start.
    pub(super) request: usize,
    pub(super) offset: usize,
    pub(super) kind: NumberKind,
    pub(super) order: WordOrder,
    /// Bit patterns that mean "no value".
    pub(super) not_available: Vec<u64>,
    /// Where in the same answer the device keeps the power of ten.
    pub(super) factor: Option<usize>,
}

/// Where a text stands in the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextPlace {
    pub(super) request: usize,
    pub(super) offset: usize,
    pub(super) count: usize,
    /// Whether the two bytes of each word are swapped.
    pub(super) bytes_swapped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// What a number's words say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    /// A float with half the distance to its upper neighbour.
    Float {
        value: f64,
        half_step: f64,
    },
}

/// A power of ten, -10 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale(i8);

/// The words are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WordsMissing;

/// Not implemented, as a scale factor.
const NO_FACTOR: u16 = 0x8000;
/// The powers of ten that a device may give.
const FACTORS: std::ops::RangeInclusive<i8> = -10..=10;

impl Scale {
    pub(super) const ONE: Self = Self(0);

    pub(super) fn of(self, value: f64) -> f64 {
        // Dividing by an exact power of ten rounds once; multiplying by its inverse twice.
        let power = 10_f64.powi(i32::from(self.0.unsigned_abs()));
        if self.0 < 0 { value / power } else { value * power }
    }

    /// The same for whole numbers, rounded down.
    pub(super) fn of_whole(self, value: i128) -> i128 {
        let power = 10_i128.saturating_pow(u32::from(self.0.unsigned_abs()));
        if self.0 < 0 { value.div_euclid(power) } else { value.saturating_mul(power) }
    }
}

impl Place {
    /// The number at this place and its scale; `None` where the device says that there is none.
    pub(super) fn number(
        &self,
        answers: &[Vec<u16>],
    ) -> Result<Option<(Number, Scale)>, WordsMissing> {
        let end = self.offset.saturating_add(self.kind.word_count());
        let answer = answers.get(self.request).ok_or(WordsMissing)?;
        let words = answer.get(self.offset..end).ok_or(WordsMissing)?;
        let shift_in = |bits: u64, word: &u16| bits << 16 | u64::from(*word);
        let bits = match self.order {
            WordOrder::HighFirst => words.iter().fold(0, shift_in),
            WordOrder::LowFirst => words.iter().rev().fold(0, shift_in),
        };
        let scale = match self.factor {
            None => Some(Scale::ONE),
            Some(at) => factor(*answer.get(at).ok_or(WordsMissing)?),
        };
        if self.not_available.contains(&bits) {
            return Ok(None);
        }
        Ok(self.kind.number(bits).zip(scale))
    }

    /// The number as it is, if it is whole.
    pub(super) fn whole(&self, answers: &[Vec<u16>]) -> Option<i64> {
        match self.number(answers) {
            Ok(Some((Number::Integer(value), _))) => i64::try_from(value).ok(),
            _ => None,
        }
    }
}

fn factor(word: u16) -> Option<Scale> {
    if word == NO_FACTOR {
        return None;
    }
    let power = i8::try_from(word.cast_signed()).ok()?;
    FACTORS.contains(&power).then_some(Scale(power))
}

impl TextPlace {
    /// The text without the blanks and zeros that fill it up; `None` if it is not there, empty, or
    /// no printable ASCII.
    pub(super) fn text(&self, answers: &[Vec<u16>]) -> Option<String> {
        let end = self.offset.checked_add(self.count)?;
        let words = answers.get(self.request)?.get(self.offset..end)?;
        let bytes = words.iter().flat_map(|word| {
            if self.bytes_swapped { word.to_le_bytes() } else { word.to_be_bytes() }
        });
        let text: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        let text = std::str::from_utf8(&text).ok()?.trim();
        let sound = !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        sound.then(|| text.to_owned())
    }
}

impl NumberKind {
    pub(super) fn word_count(self) -> usize {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// What the lowest bits of `bits` say; `None` for "not a number" and the infinities.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the same bits are read as the number they stand for"
    )]
    fn number(self, bits: u64) -> Option<Number> {
        match self {
            Self::U16 | Self::U32 | Self::U64 => Some(Number::Integer(i128::from(bits))),
            Self::I16 => Some(Number::Integer(i128::from(bits as u16 as i16))),
            Self::I32 => Some(Number::Integer(i128::from(bits as u32 as i32))),
            Self::I64 => Some(Number::Integer(i128::from(bits as i64))),
            Self::F32 => {
                let value = f32::from_bits(bits as u32);
                let half_step = f64::from(value.next_up()) - f64::from(value);
                float(f64::from(value), half_step / 2.0)
            }
            Self::F64 => {
                let value = f64::from_bits(bits);
                float(value, (value.next_up() - value) / 2.0)
            }
        }
    }
}

fn float(value: f64, half_step: f64) -> Option<Number> {
    value.is_finite().then_some(Number::Float { value, half_step })
}
