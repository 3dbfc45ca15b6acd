//! Figures in words, for logs and the status file.

use market::answer::{Answer, Language};
use market::order::Side;
use market::price::Price;
use market::time::DeliveryPeriod;

/// `14:15-14:30 UTC`.
pub(crate) fn period(period: DeliveryPeriod) -> String {
    let clock = |at: market::time::Timestamp| {
        let minutes = at.as_millis().rem_euclid(86_400_000).div_euclid(60_000);
        format!("{:02}:{:02}", minutes.div_euclid(60), minutes.rem_euclid(60))
    };
    format!("{}-{} UTC", clock(period.start()), clock(period.end()))
}

/// `0.21`: without the zeros that say nothing.
pub(crate) fn price(price: Price) -> String {
    let text = price.to_string();
    let short = text.trim_end_matches('0');
    let places = short.rsplit_once('.').map_or(0, |(_, places)| places.len());
    format!("{short}{}", "0".repeat(2_usize.saturating_sub(places)))
}

/// `Sold 0.412 kWh for 14:15-14:30 UTC at 0.21`, or why nothing was traded.
pub(crate) fn answer(answer: &Answer) -> String {
    let when = period(answer.period);
    let verb = if answer.side == Side::Sell { "Sold" } else { "Bought" };
    let average = if answer.averaged { " on average" } else { "" };
    match answer.price.filter(|_| answer.filled.is_positive()) {
        Some(at) if answer.filled == answer.ordered => {
            format!("{verb} {} for {when} at {}{average}", answer.filled, price(at))
        }
        Some(at) => {
            let (filled, ordered) = (answer.filled, answer.ordered);
            format!("{verb} {filled} of {ordered} for {when} at {}{average}", price(at))
        }
        None => format!("{when}: {}", answer.sentence(Language::English)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::answer::Reason;
    use market::energy::Energy;
    use market::gate::GateIndex;
    use market::member::PartyId;
    use market::order::OrderId;
    use market::time::{PeriodLength, Timestamp};

    #[test]
    fn an_answer_reads_like_a_sentence() {
        let start = Timestamp::from_millis((14 * 60 + 15) * 60_000);
        let full = Answer {
            order: OrderId::from_bytes([0; 32]),
            party: PartyId::from_bytes([0; 16]),
            side: Side::Sell,
            period: DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap(),
            gate: GateIndex(0),
            ordered: Energy::from_wh(412),
            filled: Energy::from_wh(412),
            price: "0.21".parse().ok(),
            averaged: false,
            reason: Reason::Filled,
        };
        assert_eq!(answer(&full), "Sold 0.412 kWh for 14:15-14:30 UTC at 0.21");
        let averaged = Answer { averaged: true, ..full.clone() };
        assert_eq!(answer(&averaged), "Sold 0.412 kWh for 14:15-14:30 UTC at 0.21 on average");
        let none = Answer { filled: Energy::ZERO, price: None, reason: Reason::NoTrade, ..full };
        assert_eq!(
            answer(&none),
            "14:15-14:30 UTC: Nothing traded: nobody within reach would trade at your limit."
        );
    }

    #[test]
    fn prices_keep_two_places_and_drop_idle_zeros() {
        let shown = |text: &str| price(text.parse().unwrap());
        assert_eq!(shown("0.2"), "0.20");
        assert_eq!(shown("31"), "31.00");
        assert_eq!(shown("-0.1255"), "-0.1255");
    }
}
