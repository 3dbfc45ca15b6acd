//! The laws, one check each, over a replayed chain.

use ledger::block::CommittedBlock;
use ledger::genesis::Genesis;
use ledger::posting::{Account, Cause};
use ledger::results::{BlockResults, Cleared, Settled};
use ledger::state::State;
use ledger::transaction::Transaction;
use market::book::BookedOrder;
use market::energy::Energy;
use market::gate::GateIndex;
use market::member::PartyId;
use market::money::Money;
use market::order::{Order, OrderId, Side, Step};
use market::price::Price;
use market::reading::Quality;
use market::rules::MarketRules;
use market::settlement::PartySettlement;
use market::standing::StandingCurve;
use market::time::{DeliveryPeriod, Timestamp};
use market::trade::Trade;
use market::zone::ZoneId;
use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Audit, Law, replay};

/// What the audit remembers while it reads the chain.
pub(crate) struct Ledger<'a> {
    genesis: &'a Genesis,
    orders: BTreeMap<OrderId, Order>,
    /// The newest order of each party, period and side: the one that must be answered.
    live: BTreeMap<(DeliveryPeriod, Side, PartyId), OrderId>,
    answered: BTreeMap<OrderId, BTreeSet<GateIndex>>,
    filled: BTreeMap<(OrderId, DeliveryPeriod), Energy>,
    /// The standing curves of each party and side with the time of their block, oldest first.
    curves: BTreeMap<(Side, PartyId), Vec<(Timestamp, StandingCurve)>>,
    trades: BTreeMap<DeliveryPeriod, Vec<Trade>>,
    settled: BTreeMap<(DeliveryPeriod, PartyId), PartySettlement>,
    /// Net of every account by postings alone, in 128 bits.
    nets: BTreeMap<Account, i128>,
    readings: BTreeMap<(DeliveryPeriod, PartyId), (u64, Energy, Energy)>,
    postings_count: u64,
    paid_for_trades: i128,
    broken: BTreeMap<&'static str, String>,
}

const LAWS: [&str; 12] = [
    "one_block_per_height_with_one_certificate",
    "replay_gives_the_same_roots",
    "sold_is_bought",
    "metered_is_traded_plus_imbalance",
    "debits_equal_credits",
    "buyers_pay_what_sellers_and_charges_get",
    "cleared_within_limits",
    "no_unmatched_pair_left",
    "nothing_after_gate",
    "every_committed_order_is_answered",
    "statements_sum_to_zero",
    "nobody_is_worse_off_after_delivery",
];

impl<'a> Ledger<'a> {
    pub(crate) fn new(genesis: &'a Genesis) -> Self {
        Self {
            genesis,
            orders: BTreeMap::new(),
            live: BTreeMap::new(),
            answered: BTreeMap::new(),
            filled: BTreeMap::new(),
            curves: BTreeMap::new(),
            trades: BTreeMap::new(),
            settled: BTreeMap::new(),
            nets: BTreeMap::new(),
            readings: BTreeMap::new(),
            postings_count: 0,
            paid_for_trades: 0,
            broken: BTreeMap::new(),
        }
    }

    /// Reads one block; returns the state after it, or the same state if it does not follow.
    pub(crate) fn block(
        &mut self,
        state: State,
        committed: &CommittedBlock,
        audit: &mut Audit,
    ) -> State {
        let executed = match replay(&state, committed) {
            Ok(executed) => executed,
            Err(words) => {
                self.breaks("replay_gives_the_same_roots", words);
                return state;
            }
        };
        // Gates close before the block's own orders count.
        for cleared in &executed.results.clearings {
            self.clearing(cleared, audit);
        }
        self.transactions(committed, audit);
        self.settlements(&executed.results, audit);
        executed.state
    }

    fn clearing(&mut self, cleared: &Cleared, audit: &mut Audit) {
        let result = &cleared.result;
        let entry = audit.cleared.entry(result.period).or_insert((None, Energy::ZERO));
        entry.0 = cleared.summary.price.or(entry.0);
        entry.1 = entry.1.plus(result.volume).unwrap_or(entry.1);
        for answer in &result.answers {
            self.answered.entry(answer.order).or_default().insert(result.gate);
        }
        let mut by_order: BTreeMap<OrderId, i128> = BTreeMap::new();
        for trade in &result.trades {
            *by_order.entry(trade.bid).or_default() += i128::from(trade.energy.wh());
            *by_order.entry(trade.offer).or_default() -= i128::from(trade.energy.wh());
            self.trade(trade, result.gate);
        }
        let place = || format!("{:?} gate {}", result.period, result.gate.0);
        let side_sum = |wanted: Side| {
            let answers = result.answers.iter().filter(|answer| answer.side == wanted);
            answers.map(|answer| i128::from(answer.filled.wh())).sum::<i128>()
        };
        let traded: i128 = result.trades.iter().map(|it| i128::from(it.energy.wh())).sum();
        let volume = i128::from(result.volume.wh());
        if [side_sum(Side::Buy), side_sum(Side::Sell), traded] != [volume; 3] {
            self.breaks("sold_is_bought", place());
        }
        // What is left over in one zone must not want each other: best bid left below best offer
        // left. Between zones, what applies is what the clearing itself has checked.
        for zone in &result.zones {
            let left = |orders: &[BookedOrder], sign| left(orders, zone.zone, sign, &by_order);
            let best_bid = left(cleared.book.bids(), 1).into_iter().max();
            let best_offer = left(cleared.book.offers(), -1).into_iter().min();
            if let (Some(bid), Some(offer)) = (best_bid, best_offer)
                && bid >= offer
            {
                self.breaks("no_unmatched_pair_left", place());
            }
        }
    }

    fn trade(&mut self, trade: &Trade, gate: GateIndex) {
        let place = || format!("{:?}: bid {}, offer {}", trade.period, trade.bid, trade.offer);
        let money = trade.seller_amount.plus(trade.charge).and_then(|paid| paid.plus(trade.rent));
        let priced = trade.seller_price.amount_for(trade.energy);
        if money != Ok(trade.buyer_amount) || priced != Ok(trade.seller_amount) {
            self.breaks("buyers_pay_what_sellers_and_charges_get", place());
        }
        let by_curves = self.genesis.rules.gates.is_ex_post(gate);
        for (id, side) in [(trade.bid, Side::Buy), (trade.offer, Side::Sell)] {
            let filled = self.filled.entry((id, trade.period)).or_default();
            *filled = filled.plus(trade.energy).unwrap_or(*filled);
            let filled = *filled;
            let willing = match (by_curves, self.orders.get(&id)) {
                (true, _) => self.willing_by_curve(side, trade),
                (false, Some(order)) => willing(&order.steps, side, trade),
                (false, None) => Energy::ZERO,
            };
            if filled > willing {
                self.breaks("cleared_within_limits", place());
            }
        }
        self.trades.entry(trade.period).or_default().push(trade.clone());
    }

    /// How much a party's standing curve, or its tariff, allows it at the price of a trade.
    fn willing_by_curve(&self, side: Side, trade: &Trade) -> Energy {
        let (rates, period) = (self.genesis.rules.rates(trade.period), trade.period);
        let (party, limit) = match side {
            Side::Buy => (trade.buyer, rates.avoidable()),
            Side::Sell => (trade.seller, rates.feed_in),
        };
        let said = self.curves.get(&(side, party)).map_or(&[][..], Vec::as_slice);
        let before = said.iter().rev().find(|(stood_at, _)| *stood_at < period.start());
        let steps = before.map_or(&[][..], |(_, curve)| curve.steps.as_slice());
        // Nobody trades on worse terms than the supplier's, and the last step goes on for ever.
        let supplier = Step { limit, energy: trade.energy };
        let beyond = steps.last().copied().unwrap_or(supplier);
        let accepted = |step: Step| !willing(&[step], side, trade).is_zero();
        match (accepted(supplier), accepted(beyond)) {
            (false, _) => Energy::ZERO,
            (true, true) => Energy::from_wh(i64::MAX),
            (true, false) => willing(steps, side, trade),
        }
    }

    fn transactions(&mut self, committed: &CommittedBlock, audit: &mut Audit) {
        let (rules, time) = (&self.genesis.rules, committed.block.header.time);
        let mut late = Vec::new();
        for transaction in &committed.block.transactions {
            match transaction {
                Transaction::Order(envelope) => {
                    audit.orders_count += 1;
                    let order = envelope.unverified().clone();
                    let id = envelope.id(&self.genesis.chain_id());
                    if time >= last_gate(rules, order.period) {
                        late.push(format!("order {id} in block {}", committed.block.header.height));
                    }
                    self.live.insert((order.period, order.side, order.party), id);
                    self.orders.insert(id, order);
                }
                Transaction::Reading(envelope) => {
                    let reading = envelope.unverified();
                    audit.readings.push(reading.clone());
                    let figures = (reading.sequence, reading.imported, reading.exported);
                    self.readings.insert((reading.period, reading.party), figures);
                }
                Transaction::Curve(envelope) => {
                    let curve = envelope.unverified().clone();
                    let said = self.curves.entry((curve.side, curve.party)).or_default();
                    said.push((time, curve));
                }
                // They name no order and no reading; what follows is recomputed with all others.
                Transaction::Join(_) | Transaction::PartyAct(_) | Transaction::OperatorAct(_) => {}
            }
        }
        late.into_iter().for_each(|words| self.breaks("nothing_after_gate", words));
    }

    fn settlements(&mut self, results: &BlockResults, audit: &mut Audit) {
        for Settled { party, period, settlement, .. } in &results.settlements {
            let traded = |of: fn(&Trade) -> PartyId| {
                let trades = self.trades.get(period).into_iter().flatten();
                trades.filter(|trade| of(trade) == *party).map(|trade| trade.energy.wh()).sum()
            };
            let (sold, bought): (i64, i64) = (traded(|t| t.seller), traded(|t| t.buyer));
            let (metered, s) = (settlement.metered, settlement);
            let exports = sold + s.surplus.wh() - s.missing.wh() == metered.exported.wh();
            let imports = bought + s.extra.wh() - s.not_taken.wh() == metered.imported.wh();
            // What is settled as metered is what the newest reading says.
            let said = self.readings.get(&(*period, *party)).map(|(_, i, e)| (*i, *e));
            let as_said = match metered.quality {
                Quality::Missing => said.is_none(),
                _ => said == Some((metered.imported, metered.exported)),
            };
            if !exports || !imports || !as_said {
                let words = format!("party {party} in {period:?}");
                self.breaks("metered_is_traded_plus_imbalance", words);
            }
            self.settled.insert((*period, *party), *settlement);
        }
        for posting in &results.postings {
            let amount = i128::from(posting.amount.micros());
            self.postings_count += 1;
            if amount <= 0 || posting.number != self.postings_count {
                self.breaks("debits_equal_credits", format!("posting {}", posting.number));
            }
            if !posting.is_posted() {
                continue;
            }
            *self.nets.entry(posting.debit).or_default() -= amount;
            *self.nets.entry(posting.credit).or_default() += amount;
            if posting.cause == Cause::Trade {
                self.paid_for_trades += amount;
            }
        }
        audit.settled_count = u64::try_from(
            self.settled
                .keys()
                .map(|(period, _)| period)
                .collect::<BTreeSet<_>>()
                .intersection(&audit.cleared.keys().collect())
                .count(),
        )
        .unwrap_or(u64::MAX);
    }

    /// Judges what can only be judged at the end, and writes every law down.
    pub(crate) fn finish(mut self, findings: &[String], tip: &State, audit: &mut Audit) {
        if let Some(finding) = findings.first() {
            self.breaks("one_block_per_height_with_one_certificate", finding.clone());
        }
        self.accounts_follow_from_postings(tip);
        self.trades_are_paid();
        self.nobody_is_worse_off();
        let mut unanswered = Vec::new();
        for ((period, _, party), id) in &self.live {
            let withdrawn = self.orders.get(id).is_none_or(Order::is_withdrawal);
            let due = last_gate(&self.genesis.rules, *period) <= tip.time();
            if due && !withdrawn && !self.answered.contains_key(id) {
                unanswered.push(format!("order {id} of party {party} for {period:?}"));
            }
        }
        for words in unanswered {
            self.breaks("every_committed_order_is_answered", words);
        }
        let mut net: i128 = 0;
        let mut saved = Money::ZERO;
        for ((period, _), settlement) in &self.settled {
            let income = settlement.net_income();
            let rates = self.genesis.rules.rates(*period);
            let alone = settlement.net_income_without_market(&rates);
            if let (Ok(income), Ok(alone)) = (income, alone) {
                net += i128::from(income.micros());
                saved = income.minus(alone).and_then(|gain| saved.plus(gain)).unwrap_or(saved);
            }
        }
        audit.saved = saved;
        self.others_have_what_is_settled();
        // Settled statements + all other accounts = 0: these are the mirror of the parties'.
        let others = self.nets.iter().filter(|(account, _)| !matches!(account, Account::Party(_)));
        let others: i128 = others.map(|(_, net)| net).sum();
        if net + others != 0 {
            let words = format!("statements sum to {net}, all other accounts to {others}");
            self.breaks("statements_sum_to_zero", words);
        }
        audit.laws = LAWS
            .iter()
            .map(|name| {
                let detail = self.broken.get(name).cloned();
                Law { name, held: detail.is_none(), detail: detail.unwrap_or_default() }
            })
            .collect();
    }

    /// The balances that the state keeps are what the postings alone come to.
    fn accounts_follow_from_postings(&mut self, tip: &State) {
        let kept = tip.accounts().iter().map(|(account, balance)| {
            let (debits, credits) = (balance.debits_posted, balance.credits_posted);
            (*account, i128::from(credits.micros()) - i128::from(debits.micros()))
        });
        let kept: BTreeMap<_, _> = kept.collect();
        // What is only pending has no net yet.
        let net = |account: &Account| self.nets.get(account).copied().unwrap_or_default();
        let follow = kept.iter().all(|(account, of)| *of == net(account));
        if !follow || kept.values().sum::<i128>() != 0 {
            let words = "the balances do not follow from the postings".to_owned();
            self.breaks("debits_equal_credits", words);
        }
    }

    /// The supplier, the grid operator and the community's accounts have what the statements say
    /// of them, each by itself.
    fn others_have_what_is_settled(&mut self) {
        let mut owed: BTreeMap<Account, i128> = BTreeMap::new();
        for s in self.settled.values() {
            for (account, parts) in [
                (Account::Supplier, [s.supplier_cost, s.levies, s.tax].as_slice()),
                (Account::GridOperator, &[s.trade_wheeling, s.pool_wheeling]),
                (Account::CongestionRent, &[s.congestion_rent]),
                (Account::Rounding, &[s.pool_cost]),
            ] {
                let sum: i128 = parts.iter().map(|part| i128::from(part.micros())).sum();
                *owed.entry(account).or_default() += sum;
            }
            *owed.entry(Account::Supplier).or_default() -= i128::from(s.supplier_income.micros());
            *owed.entry(Account::Rounding).or_default() -= i128::from(s.pool_income.micros());
        }
        for (account, owed) in owed {
            let net = self.nets.get(&account).copied().unwrap_or_default();
            if net != owed {
                let words = format!("{account:?} has {net}, by the statements {owed}");
                self.breaks("statements_sum_to_zero", words);
            }
        }
    }

    /// Buyers have paid sellers for every trade of a settled period, and for nothing else.
    /// Where all gates close after delivery, nobody carries a forecast's risk: what was metered
    /// never brings less than the supplier alone would have. Each trade and each of the six lines
    /// of the bill may round by half a micro-unit.
    fn nobody_is_worse_off(&mut self) {
        if !self.genesis.rules.gates.leads_ms().is_empty() {
            return;
        }
        let mut worse = Vec::new();
        for ((period, party), settlement) in &self.settled {
            let trades = self.trades.get(period).into_iter().flatten();
            let own = trades.filter(|trade| trade.seller == *party || trade.buyer == *party);
            let rounding = own.count().saturating_add(7).div_euclid(2);
            let rounding = i64::try_from(rounding).unwrap_or(i64::MAX);
            let rates = self.genesis.rules.rates(*period);
            let gain = settlement
                .net_income()
                .and_then(|income| income.minus(settlement.net_income_without_market(&rates)?));
            let gains_enough = gain.is_ok_and(|gain| gain.micros() >= rounding.saturating_neg());
            if settlement.metered.quality != Quality::Missing && !gains_enough {
                worse.push(format!("party {party} in {period:?}: {gain:?}"));
            }
        }
        worse
            .into_iter()
            .for_each(|words| self.breaks("nobody_is_worse_off_after_delivery", words));
    }

    fn trades_are_paid(&mut self) {
        let periods: BTreeSet<_> = self.settled.keys().map(|(period, _)| *period).collect();
        let trades = periods.iter().filter_map(|period| self.trades.get(period)).flatten();
        let owed: i128 = trades.map(|trade| i128::from(trade.seller_amount.micros())).sum();
        if owed != self.paid_for_trades {
            let words = format!("trades come to {owed}, paid were {}", self.paid_for_trades);
            self.breaks("buyers_pay_what_sellers_and_charges_get", words);
        }
    }

    /// Remembers the first place where a law is broken.
    fn breaks(&mut self, law: &'static str, words: String) {
        self.broken.entry(law).or_insert(words);
    }
}

/// The limits in one zone that were not filled to the end; `sign` tells bids (1) from offers (-1).
fn left(
    orders: &[BookedOrder],
    zone: ZoneId,
    sign: i128,
    by_order: &BTreeMap<OrderId, i128>,
) -> Vec<Price> {
    let left = |order: &BookedOrder| {
        let mut taken = by_order.get(&order.id).map_or(0, |wh| wh * sign);
        order.steps.iter().find_map(|step| {
            let rest = i128::from(step.energy.wh()) - taken.max(0);
            taken -= i128::from(step.energy.wh());
            (rest > 0).then_some(step.limit)
        })
    };
    orders.iter().filter(|order| order.zone == zone).filter_map(left).collect()
}

/// How much of these steps their own limits allow at the price of a trade.
fn willing(steps: &[Step], side: Side, trade: &Trade) -> Energy {
    let steps = steps.iter().filter(|step| match side {
        Side::Buy => step.limit >= trade.buyer_price,
        Side::Sell => step.limit <= trade.seller_price,
    });
    Energy::sum(steps.map(|step| step.energy)).unwrap_or(Energy::ZERO)
}

fn last_gate(rules: &MarketRules, period: DeliveryPeriod) -> Timestamp {
    rules.gates.last_closes_at(period)
}
