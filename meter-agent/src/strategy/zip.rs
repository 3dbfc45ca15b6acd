//! ZIP, "zero intelligence plus": Cliff 1997, "Minimal-intelligence agents for bargaining behaviors
//! in market-based environments", Hewlett-Packard Laboratories, HPL-97-91.
//!
//! A trader has a limit price `l` and shouts `p = l (1 + m)`. The margin `m` is not negative for a
//! seller and lies in -1..=0 for a buyer. After each shout at price `q`, whoever made it:
//!
//! ```text
//! seller  raises   if the shout was accepted and p <= q
//!         lowers   if active, p >= q, and the shout was an accepted bid or a refused offer
//! buyer   raises   if the shout was accepted and p >= q
//!         lowers   if active, p <= q, and the shout was an accepted offer or a refused bid
//!
//! target    t = R q + A          R and A drawn anew: above 1 and 0 to move the price up, below to
//!                                move it down, by at most 0.05
//! step      d = b (t - p)        Widrow-Hoff with learning rate b, drawn once from 0.1..0.5
//! momentum  g' = c g + (1 - c) d                     momentum c, drawn once from 0..0.1
//! margin    m' = (p + g') / l - 1
//! ```
//!
//! The first margin is drawn from 0.05..0.35, with the other sign for a buyer.

use borsh::{BorshDeserialize, BorshSerialize};
use market::order::Side;
use rand::{Rng, RngExt as _};

/// How far R lies from 1 and A from 0 at most.
const PERTURBATION: f64 = 0.05;

/// One side of one trader.
#[derive(Debug, Clone, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct ZipTrader {
    side: Side,
    margin: f64,
    learning_rate: f64,
    momentum: f64,
    change: f64,
}

/// A bid or an offer that everybody heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shout {
    /// Who shouted: a buyer or a seller.
    pub from: Side,
    /// At which price.
    pub price: f64,
    /// Whether somebody took it.
    pub accepted: bool,
}

impl ZipTrader {
    /// A trader who has not heard anything yet.
    pub fn draw(side: Side, rng: &mut impl Rng) -> Self {
        let size = rng.random_range(0.05..0.35);
        Self {
            side,
            margin: if side == Side::Sell { size } else { -size },
            learning_rate: rng.random_range(0.1..0.5),
            momentum: rng.random_range(0.0..0.1),
            change: 0.0,
        }
    }

    /// What it shouts, given its limit price (above zero).
    pub fn price(&self, limit: f64) -> f64 {
        limit * (1.0 + self.margin)
    }

    /// Hears a shout. `active` tells whether it still has something to trade.
    pub fn hear(&mut self, shout: Shout, limit: f64, active: bool, rng: &mut impl Rng) {
        let Shout { from, price: heard, accepted } = shout;
        let price = self.price(limit);
        let (could_have, too_dear) = match self.side {
            Side::Sell => (price <= heard, price >= heard),
            Side::Buy => (price >= heard, price <= heard),
        };
        // The other side took or made a deal, or one of its own kind was refused.
        let lost = if accepted { from != self.side } else { from == self.side };
        if accepted && could_have {
            self.move_towards(heard, self.side == Side::Sell, limit, rng);
        } else if active && lost && too_dear {
            self.move_towards(heard, self.side == Side::Buy, limit, rng);
        }
    }

    fn move_towards(&mut self, heard: f64, up: bool, limit: f64, rng: &mut impl Rng) {
        let sign = if up { 1.0 } else { -1.0 };
        let relative = 1.0 + sign * rng.random_range(0.0..PERTURBATION);
        let absolute = sign * rng.random_range(0.0..PERTURBATION);
        let (price, target) = (self.price(limit), relative * heard + absolute);
        let step = self.learning_rate * (target - price);
        self.change = self.momentum * self.change + (1.0 - self.momentum) * step;
        let margin = (price + self.change) / limit - 1.0;
        self.margin = match self.side {
            Side::Sell => margin.max(0.0),
            Side::Buy => margin.clamp(-1.0, 0.0),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha12Rng;

    fn seeded(seed: u64) -> ChaCha12Rng {
        ChaCha12Rng::seed_from_u64(seed)
    }

    #[test]
    fn the_formulas_are_those_of_the_paper() {
        let mut rng = seeded(1);
        let mut seller = ZipTrader {
            side: Side::Sell,
            margin: 0.2,
            learning_rate: 0.3,
            momentum: 0.05,
            change: 0.01,
        };
        assert!((seller.price(2.0) - 2.4).abs() < 1e-12);
        seller.hear(Shout { from: Side::Buy, price: 3.0, accepted: true }, 2.0, false, &mut rng);
        // Between R = 1, A = 0 and R = 1.05, A = 0.05.
        let after = |target: f64| 2.4 + 0.05 * 0.01 + 0.95 * 0.3 * (target - 2.4);
        assert!((after(3.0)..=after(3.2)).contains(&seller.price(2.0)), "{seller:?}");
    }

    #[test]
    fn who_raises_and_who_lowers() {
        // (side, its price, heard price, from, accepted, active) -> how its price moves
        let (buy, sell) = (Side::Buy, Side::Sell);
        let cases = [
            (sell, 2.0, 2.5, buy, true, false, 1),
            (sell, 2.0, 2.5, sell, true, false, 1),
            (sell, 3.0, 2.5, buy, true, true, -1),
            (sell, 3.0, 2.5, buy, true, false, 0),
            (sell, 3.0, 2.5, sell, true, true, 0),
            (sell, 3.0, 2.5, sell, false, true, -1),
            (sell, 3.0, 2.5, buy, false, true, 0),
            (buy, 2.5, 2.0, sell, true, false, -1),
            (buy, 2.0, 2.5, sell, true, true, 1),
            (buy, 2.0, 2.5, buy, true, true, 0),
            (buy, 2.0, 2.5, buy, false, true, 1),
            (buy, 2.0, 2.5, sell, false, true, 0),
        ];
        for (side, own, heard, from, accepted, active, moves) in cases {
            let limit = if side == Side::Sell { 1.0 } else { 4.0 };
            let mut trader = ZipTrader {
                side,
                margin: own / limit - 1.0,
                learning_rate: 0.3,
                momentum: 0.0,
                change: 0.0,
            };
            trader.hear(Shout { from, price: heard, accepted }, limit, active, &mut seeded(2));
            let moved = trader.price(limit) - own;
            let expected = f64::from(moves);
            assert!(
                if moves == 0 { moved.abs() < 1e-12 } else { moved * expected > 0.0 },
                "{side:?} {own} {heard} {from:?} {accepted} {active}: {moved}"
            );
        }
    }

    proptest! {
        #[test]
        fn nobody_ever_trades_at_a_loss(
            seed: u64,
            limit in 0.01_f64..10.0,
            sells: bool,
            heard in prop::collection::vec((0.0_f64..10.0, any::<bool>(), any::<bool>()), 0..100),
        ) {
            let mut rng = seeded(seed);
            let side = if sells { Side::Sell } else { Side::Buy };
            let mut trader = ZipTrader::draw(side, &mut rng);
            for (price, by_seller, accepted) in heard {
                let from = if by_seller { Side::Sell } else { Side::Buy };
                trader.hear(Shout { from, price, accepted }, limit, true, &mut rng);
                let own = trader.price(limit);
                prop_assert!(own.is_finite());
                let gain = if sells { own - limit } else { limit - own };
                prop_assert!(gain >= -1e-9);
            }
        }
    }
}
