//! Sentences for people, in English and Japanese.

use ledger::posting::{Account, Cause, Posting};
use ledger::results::{ClearingSummary, CommunitySettled, ResultLeaf, Settled};
use market::answer::{Answer, Language};
use market::certificate::Certificate;
use market::energy::Energy;
use market::member::PartyId;
use market::order::Origin;
use market::reading::Quality;
use market::schedule::Schedule;
use market::settlement::CommunitySettlement;
use market::time::DeliveryPeriod;
use market::trade::Trade;
use market::zone::{ZoneId, ZoneTree};
use serde::Serialize;
use utoipa::ToSchema;

use crate::local_time::LocalZone;
use crate::status::{Facts, Going, Trouble};

/// One statement in each language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Sentences {
    /// English.
    pub(crate) en: String,
    /// Japanese.
    pub(crate) ja: String,
}

/// What people call a zone; its number if the grid does not have it.
pub(crate) fn zone_label(zones: &ZoneTree, zone: ZoneId) -> String {
    zones.zone(zone).map_or_else(|| zone.0.to_string(), |found| found.label.clone())
}

/// What became of an order; `zones` is the grid of its delivery period.
pub(crate) fn answer(answer: &Answer, zones: &ZoneTree) -> Sentences {
    let say = |language| answer.sentence_naming(language, |zone| zone_label(zones, zone));
    Sentences { en: say(Language::English), ja: say(Language::Japanese) }
}

/// What one result of a block says. Names parties by the first digits of their identifiers.
pub(crate) fn summary(leaf: &ResultLeaf, zone: &LocalZone, grid: &Schedule<ZoneTree>) -> Sentences {
    match leaf {
        ResultLeaf::Clearing(clearing) => of_clearing(clearing, zone),
        ResultLeaf::Trade(trade) => of_trade(trade, zone),
        ResultLeaf::Answer(given) => {
            let told = answer(given, grid.during(given.period));
            let to = short(&given.party);
            Sentences {
                en: format!("To party {to}: {}", told.en),
                ja: format!("参加者{to}へ:{}", told.ja),
            }
        }
        ResultLeaf::Settled(settled) => of_settled(settled, zone),
        ResultLeaf::CommunitySettled(settled) => of_community(settled, zone),
        ResultLeaf::Certificate(certificate) => of_certificate(certificate, zone),
        ResultLeaf::Posting(posting) => of_posting(posting, zone),
    }
}

fn of_clearing(clearing: &ClearingSummary, zone: &LocalZone) -> Sentences {
    let (at, volume) = (start(clearing.period, zone), clearing.volume);
    let mut prices = clearing.zones.iter().filter_map(|zone| zone.price);
    let first = prices.next();
    let several = prices.any(|price| Some(price) != first);
    match clearing.price {
        Some(price) if several => Sentences {
            en: format!(
                "The auction for {at} cleared {volume}; buyers pay {price} per kWh on average."
            ),
            ja: format!("{at}の入札は{volume}が約定し、買い手の平均は{price}/kWhです。"),
        },
        Some(price) => Sentences {
            en: format!("The auction for {at} cleared {volume} at {price} per kWh."),
            ja: format!("{at}の入札は{volume}が{price}/kWhで約定しました。"),
        },
        None => Sentences {
            en: format!("The auction for {at} cleared nothing: no bid reached any offer."),
            ja: format!("{at}の入札は約定なし:買いと売りの価格が折り合いませんでした。"),
        },
    }
}

fn of_trade(trade: &Trade, zone: &LocalZone) -> Sentences {
    let (at, energy, price) = (start(trade.period, zone), trade.energy, trade.buyer_price);
    let (seller, buyer) = (short(&trade.seller), short(&trade.buyer));
    let got = trade.seller_price;
    if got != price {
        return Sentences {
            en: format!(
                "Party {seller} sells {energy} to party {buyer} for {at}: the seller gets {got}, \
                 the buyer pays {price} per kWh."
            ),
            ja: format!(
                "{at}:参加者{seller}が参加者{buyer}に{energy}を売ります(売り手の受取り{got}/kWh、買い手の支払い{price}/kWh)。"
            ),
        };
    }
    Sentences {
        en: format!("Party {seller} sells {energy} to party {buyer} for {at} at {price} per kWh."),
        ja: format!("{at}:参加者{seller}が参加者{buyer}に{energy}を{price}/kWhで売ります。"),
    }
}

fn of_settled(settled: &Settled, zone: &LocalZone) -> Sentences {
    let (at, party) = (start(settled.period, zone), short(&settled.party));
    let metered = settled.settlement.metered;
    let (imported, exported) = (metered.imported, metered.exported);
    let estimated = metered.quality != Quality::Ok;
    let (en, ja) = if estimated { (" (estimated)", "(推定値)") } else { ("", "") };
    Sentences {
        en: format!("Party {party} imported {imported} and exported {exported} at {at}{en}."),
        ja: format!("{at}:参加者{party}の買電は{imported}、売電は{exported}でした{ja}。"),
    }
}

fn of_community(settled: &CommunitySettled, zone: &LocalZone) -> Sentences {
    let (at, sums) = (start(settled.period, zone), settled.settlement);
    let pooled = settled.pools.iter().fold(0_i64, |sum, pool| sum.saturating_add(pool.energy.wh()));
    let pooled = Energy::from_wh(pooled);
    let CommunitySettlement { trade_wheeling, pool_wheeling, congestion_rent, rounding, .. } = sums;
    let (supplier, levies, tax) = (sums.supplier, sums.levies, sums.tax);
    Sentences {
        en: format!(
            "At {at} neighbours covered {pooled} of each other's imbalances. Wheeling: \
             {trade_wheeling} for trades, {pool_wheeling} for pooled energy; congestion rent: \
             {congestion_rent}; rounding: {rounding}; supplier: {supplier}; levies: {levies}; \
             tax: {tax}."
        ),
        ja: format!(
            "{at}:ご近所どうしで{pooled}の過不足を補いました。託送料:取引{trade_wheeling}、融通{pool_wheeling}。混雑料:{congestion_rent}。端数:{rounding}。小売:{supplier}。賦課金:{levies}。税:{tax}。"
        ),
    }
}

fn of_certificate(certificate: &Certificate, zone: &LocalZone) -> Sentences {
    let (at, energy) = (start(certificate.period, zone), certificate.energy);
    let (from, to) = (short(&certificate.producer), short(&certificate.consumer));
    let (en, ja) = match certificate.origin {
        Origin::Solar => ("solar", "太陽光"),
        Origin::Battery => ("battery", "蓄電池"),
    };
    if energy.is_negative() {
        return Sentences {
            en: format!(
                "Certified {en} energy of party {from} for party {to} at {at} is corrected by \
                 {energy}."
            ),
            ja: format!("{at}:参加者{from}から参加者{to}への{ja}の証書を{energy}訂正します。"),
        };
    }
    Sentences {
        en: format!(
            "{energy} of {en} energy from party {from} to party {to} at {at} is certified."
        ),
        ja: format!("{at}:参加者{from}から参加者{to}への{ja}の電気{energy}を証明します。"),
    }
}

fn of_posting(posting: &Posting, zone: &LocalZone) -> Sentences {
    let (at, amount) = (start(posting.period, zone), posting.amount);
    let (from, to) = (account(&posting.debit), account(&posting.credit));
    let (en, ja) = cause(posting.cause);
    Sentences {
        en: format!("{} pays {} {amount} for {en} at {at}.", from.en, to.en),
        ja: format!("{at}:{}が{}に{amount}を支払います({ja})。", from.ja, to.ja),
    }
}

fn cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Trade => ("a trade", "取引"),
        Cause::TradeWheeling => ("conveying a trade", "取引の託送料"),
        Cause::CongestionRent => ("a place on a full line", "混雑料"),
        Cause::PoolShort => ("energy that neighbours had left", "ご近所の余りで補った不足"),
        Cause::PoolLong => ("energy that neighbours were short of", "ご近所の不足に回った余り"),
        Cause::PoolWheeling => ("conveying pooled energy", "融通の託送料"),
        Cause::Supplied => ("energy from the supplier", "小売からの買電"),
        Cause::FedIn => ("energy to the supplier", "小売への売電"),
        Cause::Levies => ("levies", "賦課金"),
        Cause::Tax => ("tax", "税"),
        Cause::Payout => ("a payout", "精算の支払い"),
    }
}

fn account(account: &Account) -> Sentences {
    let (en, ja) = match account {
        Account::Party(party) => {
            let party = short(party);
            return Sentences { en: format!("Party {party}"), ja: format!("参加者{party}") };
        }
        Account::Supplier => ("the supplier", "小売電気事業者"),
        Account::GridOperator => ("the grid operator", "配電事業者"),
        Account::CongestionRent => {
            ("the community's account of congestion rents", "コミュニティの混雑料口座")
        }
        Account::Rounding => ("the community's pool", "コミュニティの融通口座"),
        Account::Bank => ("the bank", "銀行"),
    };
    Sentences { en: en.to_owned(), ja: ja.to_owned() }
}

fn start(period: DeliveryPeriod, zone: &LocalZone) -> String {
    zone.stamp(period.start())
}

fn short(party: &PartyId) -> String {
    party.to_string().chars().take(8).collect()
}

/// How it goes, and if it does not, what helps.
pub(crate) fn status(going: Going, facts: &Facts) -> Sentences {
    let height = facts.height;
    let (en, ja) = match (going, facts.trouble) {
        (_, Some(Trouble::Diverged { height })) => (
            format!(
                "Block {height} is certified, but does not follow from what this dashboard \
                 computed: delete read_model.sqlite in its data directory or update the program, and \
                 start it again."
            ),
            format!(
                "ブロック{height}は承認済みですが、このダッシュボードの計算結果と一致しません。データディレクトリのread_model.sqliteを削除するか、プログラムを更新して再起動してください。"
            ),
        ),
        (_, Some(Trouble::Store)) => (
            "The dashboard cannot write its data directory: check the disk; it goes on by itself."
                .to_owned(),
            "データディレクトリに書き込めません。ディスクを確認してください。自動的に再開します。"
                .to_owned(),
        ),
        (Going::Live, None) => (
            format!("Live: block {height} is verified."),
            format!("稼働中:ブロック{height}まで検証済みです。"),
        ),
        (Going::CatchingUp, None) => (
            format!("Catching up: verified {height} blocks, more are waiting."),
            format!("同期中:ブロック{height}まで検証済み、続きを取得しています。"),
        ),
        (Going::Waiting, None) => (
            "Waiting for the first block of the community.".to_owned(),
            "コミュニティの最初のブロックを待っています。".to_owned(),
        ),
        (Going::Halted, None) if facts.peers_count == 0 => (
            "This dashboard has lost contact with the community: no other node is connected. \
             Check its network."
                .to_owned(),
            "コミュニティとの接続が切れています。ネットワークを確認してください。".to_owned(),
        ),
        (Going::Halted, None) => (
            "Trading has stopped: fewer than two thirds of the validators answer. Orders are kept, \
             and trading goes on by itself when they return."
                .to_owned(),
            "取引が停止しています。応答する検証者が3分の2に達していません。注文は保持され、検証者が復帰すると自動的に再開します。"
                .to_owned(),
        ),
    };
    Sentences { en, ja }
}
