//! A profile as it is written. Unknown keys are mistakes.

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileToml {
    pub(super) name: String,
    #[serde(default)]
    pub(super) sleeps: bool,
    pub(super) connection: ConnectionToml,
    pub(super) serial_line: Option<LineToml>,
    #[serde(default)]
    pub(super) request: Vec<Spanned<RequestToml>>,
    pub(super) import: Option<Spanned<NumberToml>>,
    pub(super) export: Option<Spanned<NumberToml>>,
    pub(super) power: Option<Spanned<NumberToml>>,
    pub(super) power_export: Option<Spanned<NumberToml>>,
    pub(super) frequency: Option<Spanned<NumberToml>>,
    #[serde(default)]
    pub(super) voltage: Vec<Spanned<NumberToml>>,
    pub(super) serial: Option<Spanned<SerialToml>>,
    pub(super) model: Option<Spanned<CodeToml>>,
    pub(super) state: Option<Spanned<CodeToml>>,
    pub(super) clock: Option<Spanned<NumberToml>>,
    pub(super) sunspec: Option<Spanned<SunSpecToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionToml {
    pub(super) port: u16,
    pub(super) connect_delay_ms: Spanned<u64>,
    pub(super) min_gap_ms: Spanned<u64>,
    pub(super) unit_gap_ms: Option<Spanned<u64>>,
    pub(super) timeout_ms: Spanned<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineToml {
    pub(super) baud: Spanned<u32>,
    pub(super) parity: ParityToml,
    pub(super) stop_bits: Spanned<u8>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum ParityToml {
    None,
    Even,
    Odd,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestToml {
    pub(super) function: FunctionToml,
    pub(super) address: u16,
    pub(super) count: u16,
    #[serde(default)]
    pub(super) when: WhenToml,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Default)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhenToml {
    #[default]
    Poll,
    Start,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum FunctionToml {
    Input,
    Holding,
}

/// Every quantity that is a number; which keys it may have depends on the quantity.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberToml {
    pub(super) function: Option<FunctionToml>,
    pub(super) address: u16,
    #[serde(rename = "type")]
    pub(super) kind: NumberKindToml,
    pub(super) word_order: WordOrderToml,
    pub(super) scale: Option<Spanned<f64>>,
    pub(super) factor_address: Option<Spanned<u16>>,
    pub(super) unit: Option<Spanned<UnitToml>>,
    pub(super) positive: Option<Spanned<DirectionToml>>,
    #[serde(default)]
    pub(super) not_available: Vec<Spanned<String>>,
    pub(super) rollover_wh: Option<Spanned<i64>>,
    pub(super) absolute: Option<Spanned<bool>>,
}

/// A word that is compared with a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeToml {
    pub(super) function: Option<FunctionToml>,
    pub(super) address: u16,
    #[serde(rename = "type")]
    pub(super) kind: NumberKindToml,
    pub(super) word_order: WordOrderToml,
    pub(super) values: Spanned<Vec<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SerialToml {
    pub(super) function: Option<FunctionToml>,
    pub(super) address: u16,
    #[serde(rename = "type")]
    pub(super) kind: SerialKindToml,
    pub(super) word_order: Option<WordOrderToml>,
    pub(super) count: Option<u16>,
    #[serde(default)]
    pub(super) bytes_swapped: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum SerialKindToml {
    U16,
    U32,
    Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SunSpecToml {
    pub(super) models: Spanned<Vec<u16>>,
    pub(super) bases: Option<Spanned<Vec<u16>>>,
    pub(super) occurrence: Option<Spanned<usize>>,
    pub(super) positive: DirectionToml,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum NumberKindToml {
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
pub(super) enum WordOrderToml {
    HighFirst,
    LowFirst,
}

#[derive(Debug, Deserialize, Clone, Copy, PartialEq)]
pub(super) enum UnitToml {
    Wh,
    #[serde(rename = "kWh")]
    KWh,
    W,
    #[serde(rename = "kW")]
    KW,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum DirectionToml {
    Import,
    Export,
}
