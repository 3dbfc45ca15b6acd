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
    /// The clearing price of the party's zone; `None` if nothing was traded there. Under a
    /// mechanism with several prices: what this order traded at per kWh, on average and rounded
    /// half to even; and if it traded nothing, the price of its side, where there is one.
    pub price: Option<Price>,
    /// Whether the order traded at several prices, of which `price` is the average.
    pub averaged: bool,
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
    /// Beyond a full edge, further up or down the grid, its limit would have met a better price, or
    /// orders that are left over.
    EdgeFull {
        /// The zone below that edge.
        zone: ZoneId,
        /// The best limit that was left over.
        limit: Price,
    },
    /// The party's own order stands on the other side and comes before this one: before delivery
    /// the newer one, after it that for more energy.
    OwnOrderOpposite,
    /// There was not enough for all who would trade, and it was shared out pro rata.
    Rationed,
    /// Nobody was left who would trade at the best limit that was left over.
    NobodyLeft {
        /// That limit.
        limit: Price,
    },
    /// Its limit stood at the margin, where it sets the price for the others and does not trade
    /// itself, so that nobody gains by misstating a limit.
    PriceSetting {
        /// That limit.
        limit: Price,
    },
    /// The community's sharing key allots no more.
    SharedByKey,
    /// The party's membership was revoked before the gate.
    NoLongerMember,
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
            Self::Rationed => "rationed",
            Self::NobodyLeft { .. } => "nobody_left",
            Self::PriceSetting { .. } => "price_setting",
            Self::SharedByKey => "shared_by_key",
            Self::NoLongerMember => "no_longer_member",
        }
    }
}

impl Answer {
    /// The answer in one sentence. Prices are per kWh in the community's currency.
    pub fn sentence(&self, language: Language) -> String {
        self.sentence_naming(language, |zone| zone.0.to_string())
    }

    /// The same, with zones under the names that people give them.
    pub fn sentence_naming(
        &self,
        language: Language,
        name: impl FnOnce(ZoneId) -> String,
    ) -> String {
        match language {
            Language::English => self.english(name),
            Language::Japanese => self.japanese(name),
        }
    }

    fn english(&self, name: impl FnOnce(ZoneId) -> String) -> String {
        let (filled, ordered) = (self.filled, self.ordered);
        let mut price = self.price.map(|price| price.to_string()).unwrap_or_default();
        if self.averaged {
            price.push_str(" on average");
        }
        let (relation, other) = match self.side {
            Side::Buy => ("below", "offer"),
            Side::Sell => ("above", "bid"),
        };
        match self.reason {
            Reason::Filled => format!("All {filled} traded at {price}."),
            Reason::SharedAtMargin if self.filled.is_zero() => format!(
                "Nothing traded: at the price of {price}, exactly your limit, nothing was left for \
                 you after better limits and the sharing pro rata."
            ),
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
                name(zone)
            ),
            Reason::EdgeFull { zone, limit } => format!(
                "{filled} of {ordered} traded at {price}; for the rest, at your limit {limit}, the \
                 line above zone {} was full.",
                name(zone)
            ),
            Reason::OwnOrderOpposite => {
                "Left out: your own order stands on the other side.".to_owned()
            }
            Reason::Rationed if self.filled.is_zero() => {
                "Nothing traded: there was not enough for all who would trade.".to_owned()
            }
            Reason::Rationed => format!(
                "{filled} of {ordered} traded at {price}: there was not enough for all who would \
                 trade, so it was shared out pro rata."
            ),
            Reason::NobodyLeft { limit } if self.filled.is_zero() => {
                format!("Nothing traded: no {other} was left that your limit {limit} reaches.")
            }
            Reason::NobodyLeft { limit } => format!(
                "{filled} of {ordered} traded at {price}; for the rest no {other} was left that your \
                 limit {limit} reaches."
            ),
            Reason::PriceSetting { limit } if self.price.is_none() => format!(
                "Nothing traded: your limit {limit} stood at the margin, which does not trade \
                 itself, so that nobody gains by misstating a limit; and nobody else was left to \
                 trade."
            ),
            Reason::PriceSetting { limit } if self.filled.is_zero() => format!(
                "Left out: your limit {limit} stood at the margin, which sets the price for the \
                 others and does not trade itself, so that nobody gains by misstating a limit."
            ),
            Reason::PriceSetting { limit } => format!(
                "{filled} of {ordered} traded at {price}; the rest, at your limit {limit}, stood at \
                 the margin, which sets the price and does not trade itself."
            ),
            Reason::SharedByKey if self.filled.is_zero() => {
                "The community's sharing key allotted nothing to you in this period.".to_owned()
            }
            Reason::SharedByKey => format!(
                "{filled} of {ordered} were allotted by the community's sharing key, at {price}."
            ),
            Reason::NoLongerMember => {
                "Left out: your membership ended before this gate closed.".to_owned()
            }
        }
    }

    fn japanese(&self, name: impl FnOnce(ZoneId) -> String) -> String {
        let (filled, ordered) = (self.filled, self.ordered);
        let average = if self.averaged { "平均" } else { "" };
        let price = self.price.map(|price| format!("{average}{price}")).unwrap_or_default();
        let (relation, other) = match self.side {
            Side::Buy => ("下回り", "売り注文"),
            Side::Sell => ("上回り", "買い注文"),
        };
        match self.reason {
            Reason::Filled => format!("{filled}すべてが{price}で約定しました。"),
            Reason::SharedAtMargin if self.filled.is_zero() => format!(
                "約定なし:約定価格{price}は指値どおりでしたが、より有利な指値と按分のあとに残りがありませんでした。"
            ),
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
                name(zone)
            ),
            Reason::EdgeFull { zone, limit } => format!(
                "{ordered}のうち{filled}が{price}で約定しました。残り(指値{limit})は、ゾーン{}の上位の線路が満杯でした。",
                name(zone)
            ),
            Reason::OwnOrderOpposite => "対象外:ご自身の反対注文があります。".to_owned(),
            Reason::Rationed if self.filled.is_zero() => {
                "約定なし:取引を望む全員分には足りませんでした。".to_owned()
            }
            Reason::Rationed => format!(
                "{ordered}のうち{filled}が{price}で約定しました。取引を望む全員分には足りないため、按分されました。"
            ),
            Reason::NobodyLeft { limit } if self.filled.is_zero() => {
                format!("約定なし:指値{limit}に応じる{other}は残っていませんでした。")
            }
            Reason::NobodyLeft { limit } => format!(
                "{ordered}のうち{filled}が{price}で約定しました。残り(指値{limit})に応じる{other}はありませんでした。"
            ),
            Reason::PriceSetting { limit } if self.price.is_none() => format!(
                "約定なし:指値{limit}は価格を決める境目にありました。指値を偽って得をする人が出ないよう、境目の注文は約定せず、ほかに取引する人もいませんでした。"
            ),
            Reason::PriceSetting { limit } if self.filled.is_zero() => format!(
                "対象外:指値{limit}は価格を決める境目にありました。指値を偽って得をする人が出ないよう、境目の注文は約定しません。"
            ),
            Reason::PriceSetting { limit } => format!(
                "{ordered}のうち{filled}が{price}で約定しました。残り(指値{limit})は価格を決める境目にあり、約定しません。"
            ),
            Reason::SharedByKey if self.filled.is_zero() => {
                "この時間帯は、共有の配分ルールによる割り当てがありませんでした。".to_owned()
            }
            Reason::SharedByKey => format!(
                "{ordered}のうち{filled}が、共有の配分ルールにより{price}で割り当てられました。"
            ),
            Reason::NoLongerMember => {
                "対象外:締め切り前に、コミュニティの会員資格が終了しました。".to_owned()
            }
        }
    }
}
