//! Answers: every committed order is told what became of it, and why.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::energy::Energy;
use crate::gate::GateIndex;
use crate::member::PartyId;
use crate::order::{OrderId, Side};
use crate::price::Price;
use crate::time::DeliveryPeriod;
use crate::zone::ZoneId;

/// What one gate did with one order.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Answer {
    /// The order.
    pub order: OrderId,
    /// Whose it is.
    pub party: PartyId,
    /// Bid or offer.
    pub side: Side,
    /// The delivery period.
    pub period: DeliveryPeriod,
    /// The gate.
    pub gate: GateIndex,
    /// How much stood in the book.
    pub ordered: Energy,
    /// How much was filled.
    pub filled: Energy,
    /// The clearing price of the party's zone; `None` if nothing was traded there.
    pub price: Option<Price>,
    /// What happened to the part that was not filled.
    pub reason: Reason,
}

/// Why an order was not filled further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Reason {
    /// There is no such part: all of it was filled.
    Filled,
    /// Its limit was the clearing price, where there was more on this side than on the other; the
    /// rest was shared out pro rata.
    SharedAtMargin,
    /// The best limit that was left over did not reach the clearing price.
    LimitNotReached {
        /// That limit.
        limit: Price,
    },
    /// Nobody within reach would trade at its limit.
    NoTrade,
    /// There were prices beyond a full edge that its limit would have met.
    EdgeFull {
        /// The zone below that edge.
        zone: ZoneId,
        /// The best limit that was left over.
        limit: Price,
    },
    /// The party's own newer order stands on the other side.
    OwnOrderOpposite,
}

/// The languages that answers are given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

impl Reason {
    /// A short name without figures.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Filled => "filled",
            Self::SharedAtMargin => "shared_at_margin",
            Self::LimitNotReached { .. } => "limit_not_reached",
            Self::NoTrade => "no_trade",
            Self::EdgeFull { .. } => "edge_full",
            Self::OwnOrderOpposite => "own_order_opposite",
        }
    }
}

impl Answer {
    /// The answer in one sentence. Prices are per kWh in the community's currency.
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::English => self.english(),
            Language::Japanese => self.japanese(),
        }
    }

    fn english(&self) -> String {
        let (filled, ordered) = (self.filled, self.ordered);
        let price = self.price.map(|price| price.to_string()).unwrap_or_default();
        let relation = if self.side == Side::Buy { "below" } else { "above" };
        match self.reason {
            Reason::Filled => format!("All {filled} traded at {price}."),
            Reason::SharedAtMargin => format!(
                "{filled} of {ordered} traded at {price}, exactly your limit: there was not enough \
                 for all at this price, so it was shared out pro rata."
            ),
            Reason::LimitNotReached { limit } if self.filled.is_zero() => {
                format!(
                    "Nothing traded: your limit {limit} was {relation} the clearing price {price}."
                )
            }
            Reason::LimitNotReached { limit } => format!(
                "{filled} of {ordered} traded at {price}; your next limit {limit} was {relation} it."
            ),
            Reason::NoTrade => {
                "Nothing traded: nobody within reach would trade at your limit.".to_owned()
            }
            Reason::EdgeFull { zone, limit } if self.filled.is_zero() => format!(
                "Nothing traded at your limit {limit}: the line above zone {} was full.",
                zone.0
            ),
            Reason::EdgeFull { zone, limit } => format!(
                "{filled} of {ordered} traded at {price}; for the rest, at your limit {limit}, the \
                 line above zone {} was full.",
                zone.0
            ),
            Reason::OwnOrderOpposite => {
                "Left out: your own newer order stands on the other side.".to_owned()
            }
        }
    }

    fn japanese(&self) -> String {
        let (filled, ordered) = (self.filled, self.ordered);
        let price = self.price.map(|price| price.to_string()).unwrap_or_default();
        let relation = if self.side == Side::Buy { "下回り" } else { "上回り" };
        match self.reason {
            Reason::Filled => format!("{filled}すべてが{price}で約定しました。"),
            Reason::SharedAtMargin => format!(
                "{ordered}のうち{filled}が指値どおりの{price}で約定しました。この価格では全員分に足りないため、按分されました。"
            ),
            Reason::LimitNotReached { limit } if self.filled.is_zero() => {
                format!("約定なし:指値{limit}が約定価格{price}を{relation}ました。")
            }
            Reason::LimitNotReached { limit } => format!(
                "{ordered}のうち{filled}が{price}で約定しました。次の指値{limit}は約定価格を{relation}ました。"
            ),
            Reason::NoTrade => {
                "約定なし:届く範囲に、この指値で取引する相手がいませんでした。".to_owned()
            }
            Reason::EdgeFull { zone, limit } if self.filled.is_zero() => format!(
                "約定なし:ゾーン{}の上位の線路が満杯のため、指値{limit}では約定できませんでした。",
                zone.0
            ),
            Reason::EdgeFull { zone, limit } => format!(
                "{ordered}のうち{filled}が{price}で約定しました。残り(指値{limit})は、ゾーン{}の上位の線路が満杯でした。",
                zone.0
            ),
            Reason::OwnOrderOpposite => "対象外:ご自身の新しい反対注文があります。".to_owned(),
        }
    }
}
