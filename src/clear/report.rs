//! The result in the names of the files: figures that add up, and one JSON object.

use std::fmt::Display;
use std::io::{self, Write};

use market::answer::{Answer, Language, Reason};
use market::clearing::{ClearingResult, EdgeResult, ZoneResult};
use market::decimal::Fixed;
use market::energy::Energy;
use market::money::Money;
use market::order::Side;
use market::price::Price;
use market::trade::Trade;
use market::zone::ZoneId;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::clear::error::ClearError;
use crate::clear::options::Clear;
use crate::clear::orders::{Listed, Listing};
use crate::clear::zones::Zones;

/// Everything that is told about a clearing.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Clear,
    pub(crate) zones: &'a Zones,
    pub(crate) listing: &'a Listing,
    pub(crate) result: &'a ClearingResult,
    pub(crate) totals: Totals,
    /// By order as in the file.
    orders: Vec<Tally>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy)]
struct Tally {
    /// Which answer of the result is its own.
    answer: usize,
    /// What its trades add up to.
    energy: Energy,
    /// What it pays or receives for them.
    amount: Money,
}

/// Sums over all trades; `paid = received + charges + rents`, to the micro-unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// By buyers.
    pub(crate) paid: Money,
    /// By sellers.
    pub(crate) received: Money,
    /// To the grid operator.
    pub(crate) charges: Money,
    /// To the community: congestion rent, and the surplus of a trade reduction.
    pub(crate) rents: Money,
}

/// An order of the file with what became of it.
#[derive(Clone, Copy)]
pub(crate) struct Outcome<'a> {
    pub(crate) order: Listed<'a>,
    pub(crate) answer: &'a Answer,
    pub(crate) amount: Money,
}

impl<'a> Report<'a> {
    /// Adds up what every order trades, and what it pays or receives.
    ///
    /// # Errors
    /// [`ClearError::Overflow`] if a sum leaves its range, [`ClearError::DoesNotAddUp`] for a
    /// result that is not sound.
    pub(crate) fn of(
        options: &'a Clear,
        zones: &'a Zones,
        listing: &'a Listing,
        result: &'a ClearingResult,
    ) -> Result<Self, ClearError> {
        let blank = Tally { answer: usize::MAX, energy: Energy::ZERO, amount: Money::ZERO };
        let mut orders = vec![blank; listing.len()];
        for (at, answer) in result.answers.iter().enumerate() {
            if let Some(tally) = listing.number(&answer.order).and_then(|n| orders.get_mut(n)) {
                tally.answer = at;
            }
        }
        let mut totals = Totals::default();
        for trade in &result.trades {
            for (id, amount) in
                [(&trade.bid, trade.buyer_amount), (&trade.offer, trade.seller_amount)]
            {
                if let Some(tally) = listing.number(id).and_then(|n| orders.get_mut(n)) {
                    tally.energy = tally.energy.plus(trade.energy)?;
                    tally.amount = tally.amount.plus(amount)?;
                }
            }
            totals.add(trade)?;
        }
        let report = Self { options, zones, listing, result, totals, orders };
        report.adds_up()?;
        Ok(report)
    }

    /// Whether every order is answered, trades what its answer says, and no money is lost.
    fn adds_up(&self) -> Result<(), ClearError> {
        for (number, tally) in self.orders.iter().enumerate() {
            let answer = self.result.answers.get(tally.answer);
            if answer.is_none_or(|answer| answer.filled != tally.energy) {
                let id = self.listing.get(number).map_or("", |order| order.id);
                let what = format!("the fill and the trades of order {id:?}");
                return Err(ClearError::DoesNotAddUp { what });
            }
        }
        let Totals { paid, received, charges, rents } = self.totals;
        if received.plus(charges)?.plus(rents)? != paid {
            let what = "what buyers pay, sellers receive and the grid and the community keep";
            return Err(ClearError::DoesNotAddUp { what: what.to_owned() });
        }
        Ok(())
    }

    /// All orders as they first come in the file.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = Outcome<'_>> {
        self.listing.iter().zip(&self.orders).filter_map(|(order, tally)| {
            let answer = self.result.answers.get(tally.answer)?;
            Some(Outcome { order, answer, amount: tally.amount })
        })
    }

    /// All zones as they come in the file.
    pub(crate) fn zone_results(&self) -> impl Iterator<Item = &ZoneResult> {
        let results = &self.result.zones;
        self.zones.listed().filter_map(|id| {
            results.get(results.binary_search_by_key(&id, |result| result.zone).ok()?)
        })
    }

    /// The edges above all zones as they come in the file.
    pub(crate) fn edge_results(&self) -> impl Iterator<Item = &EdgeResult> {
        let results = &self.result.edges;
        self.zones.listed().filter_map(|id| {
            results.get(results.binary_search_by_key(&id, |result| result.zone).ok()?)
        })
    }

    /// Both orders of a trade, the offer first.
    pub(crate) fn sides(&self, trade: &Trade) -> Option<(Listed<'_>, Listed<'_>)> {
        let find = |id| self.listing.get(self.listing.number(id)?);
        Some((find(&trade.offer)?, find(&trade.bid)?))
    }

    /// Writes one JSON object and a line end.
    ///
    /// # Errors
    /// What the system says if it cannot be written.
    pub(crate) fn write_json(&self, to: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *to, self)?;
        to.write_all(b"\n")
    }
}

impl Totals {
    fn add(&mut self, trade: &Trade) -> Result<(), ClearError> {
        self.paid = self.paid.plus(trade.buyer_amount)?;
        self.received = self.received.plus(trade.seller_amount)?;
        self.charges = self.charges.plus(trade.charge)?;
        self.rents = self.rents.plus(trade.rent)?;
        Ok(())
    }
}

/// A figure or a hash as a string.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A list that is written entry by entry and never held in memory.
struct List<F>(F);

impl<F, I> Serialize for List<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { options, result, totals, .. } = self;
        let mut object = serializer.serialize_struct("Report", 14)?;
        object.serialize_field("mechanism", options.mechanism.code())?;
        object.serialize_field("k", &Text(Fixed::millionths(i64::from(options.k))))?;
        let tick = Price::from_micros_per_kwh(i64::from(options.tick.micros_per_kwh()));
        object.serialize_field("tick", &Text(tick))?;
        object.serialize_field("seed", &Text(options.seed))?;
        object.serialize_field("welfare", &Text(result.welfare))?;
        object.serialize_field("volume_wh", &result.volume.wh())?;
        object.serialize_field("paid", &Text(totals.paid))?;
        object.serialize_field("received", &Text(totals.received))?;
        object.serialize_field("charges", &Text(totals.charges))?;
        object.serialize_field("rents", &Text(totals.rents))?;
        let zones = || self.zone_results().map(|zone| ZoneJson::of(self, zone));
        object.serialize_field("zones", &List(zones))?;
        let edges = || self.edge_results().map(|edge| EdgeJson::of(self, edge));
        object.serialize_field("edges", &List(edges))?;
        let orders = || self.outcomes().map(|outcome| OrderJson::of(self, &outcome));
        object.serialize_field("orders", &List(orders))?;
        let trades = || self.result.trades.iter().filter_map(|trade| TradeJson::of(self, trade));
        object.serialize_field("trades", &List(trades))?;
        object.end()
    }
}

#[derive(serde::Serialize)]
struct ZoneJson<'a> {
    zone: &'a str,
    price: Option<Text<Price>>,
    bought_wh: i64,
    sold_wh: i64,
}

impl<'a> ZoneJson<'a> {
    fn of(report: &'a Report<'_>, zone: &ZoneResult) -> Self {
        Self {
            zone: report.zones.name(zone.zone),
            price: zone.price.map(Text),
            bought_wh: zone.bought.wh(),
            sold_wh: zone.sold.wh(),
        }
    }
}

#[derive(serde::Serialize)]
struct EdgeJson<'a> {
    zone: &'a str,
    flow_wh: i64,
    charge: Text<Money>,
    rent: Text<Money>,
}

impl<'a> EdgeJson<'a> {
    fn of(report: &'a Report<'_>, edge: &EdgeResult) -> Self {
        Self {
            zone: report.zones.name(edge.zone),
            flow_wh: edge.flow.wh(),
            charge: Text(edge.charge),
            rent: Text(edge.rent),
        }
    }
}

#[derive(serde::Serialize)]
struct OrderJson<'a> {
    id: &'a str,
    party: &'a str,
    zone: &'a str,
    side: &'static str,
    ordered_wh: i64,
    filled_wh: i64,
    amount: Text<Money>,
    answer: AnswerJson<'a>,
}

#[derive(serde::Serialize)]
struct AnswerJson<'a> {
    code: &'static str,
    price: Option<Text<Price>>,
    limit: Option<Text<Price>>,
    full_edge: Option<&'a str>,
    en: String,
    ja: String,
}

impl<'a> OrderJson<'a> {
    fn of(report: &'a Report<'_>, outcome: &Outcome<'a>) -> Self {
        let Outcome { order, answer, amount } = outcome;
        let name = |zone: ZoneId| report.zones.name(zone);
        let sentence = |language| answer.sentence_naming(language, |zone| name(zone).to_owned());
        Self {
            id: order.id,
            party: order.party,
            zone: name(order.zone),
            side: side(order.side),
            ordered_wh: answer.ordered.wh(),
            filled_wh: answer.filled.wh(),
            amount: Text(*amount),
            answer: AnswerJson {
                code: answer.reason.code(),
                price: answer.price.map(Text),
                limit: limit(answer.reason).map(Text),
                full_edge: match answer.reason {
                    Reason::EdgeFull { zone, .. } => Some(name(zone)),
                    _ => None,
                },
                en: sentence(Language::English),
                ja: sentence(Language::Japanese),
            },
        }
    }
}

#[derive(serde::Serialize)]
struct TradeJson<'a> {
    seller: &'a str,
    buyer: &'a str,
    offer: &'a str,
    bid: &'a str,
    energy_wh: i64,
    seller_price: Text<Price>,
    buyer_price: Text<Price>,
    seller_amount: Text<Money>,
    buyer_amount: Text<Money>,
    charge: Text<Money>,
    rent: Text<Money>,
    from: &'a str,
    over: &'a str,
    to: &'a str,
}

impl<'a> TradeJson<'a> {
    fn of(report: &'a Report<'_>, trade: &Trade) -> Option<Self> {
        let (offer, bid) = report.sides(trade)?;
        let name = |zone: ZoneId| report.zones.name(zone);
        Some(Self {
            seller: offer.party,
            buyer: bid.party,
            offer: offer.id,
            bid: bid.id,
            energy_wh: trade.energy.wh(),
            seller_price: Text(trade.seller_price),
            buyer_price: Text(trade.buyer_price),
            seller_amount: Text(trade.seller_amount),
            buyer_amount: Text(trade.buyer_amount),
            charge: Text(trade.charge),
            rent: Text(trade.rent),
            from: name(trade.path.from),
            over: name(trade.path.over),
            to: name(trade.path.to),
        })
    }
}

/// As in the file of orders.
pub(crate) fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "bid",
        Side::Sell => "offer",
    }
}

/// The limit that an answer names.
fn limit(reason: Reason) -> Option<Price> {
    match reason {
        Reason::LimitNotReached { limit }
        | Reason::EdgeFull { limit, .. }
        | Reason::NobodyLeft { limit }
        | Reason::PriceSetting { limit } => Some(limit),
        Reason::Filled
        | Reason::SharedAtMargin
        | Reason::NoTrade
        | Reason::OwnOrderOpposite
        | Reason::Rationed
        | Reason::SharedByKey
        | Reason::NoLongerMember => None,
    }
}
