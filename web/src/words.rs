//! Sentences for people, in the page's two languages.

use ledger::posting::{Account, Cause, Posting};
use ledger::results::{ClearingSummary, ResultLeaf, Settled};
use market::answer::{Answer, Language};
use market::member::PartyId;
use market::reading::Quality;
use market::time::DeliveryPeriod;
use market::trade::Trade;
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

/// What became of an order.
pub(crate) fn answer(answer: &Answer) -> Sentences {
    Sentences { en: answer.sentence(Language::English), ja: answer.sentence(Language::Japanese) }
}

/// What one result of a block says. Names parties by the first digits of their identifiers.
pub(crate) fn summary(leaf: &ResultLeaf, zone: &LocalZone) -> Sentences {
    match leaf {
        ResultLeaf::Clearing(clearing) => of_clearing(clearing, zone),
        ResultLeaf::Trade(trade) => of_trade(trade, zone),
        ResultLeaf::Answer(given) => {
            let (to, told) = (short(&given.party), answer(given));
            Sentences {
                en: format!("To party {to}: {}", told.en),
                ja: format!("参加者{to}へ:{}", told.ja),
            }
        }
        ResultLeaf::Settled(settled) => of_settled(settled, zone),
        ResultLeaf::Posting(posting) => of_posting(posting, zone),
    }
}

fn of_clearing(clearing: &ClearingSummary, zone: &LocalZone) -> Sentences {
    let (at, volume) = (start(clearing.period, zone), clearing.volume);
    match clearing.price {
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

fn of_posting(posting: &Posting, zone: &LocalZone) -> Sentences {
    let (at, amount) = (start(posting.period, zone), posting.amount);
    let (from, to) = (account(&posting.debit), account(&posting.credit));
    let cause = match posting.cause {
        Cause::Trade => Sentences { en: "a trade".to_owned(), ja: "取引".to_owned() },
        Cause::Shortfall => Sentences {
            en: "energy from the supplier".to_owned(),
            ja: "小売からの買電".to_owned(),
        },
        Cause::Surplus => Sentences {
            en: "energy to the supplier".to_owned(),
            ja: "小売への売電".to_owned(),
        },
    };
    Sentences {
        en: format!("{} pays {} {amount} for {} at {at}.", from.en, to.en, cause.en),
        ja: format!("{at}:{}が{}に{amount}を支払います({})。", from.ja, to.ja, cause.ja),
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
        Account::Community => ("the community", "コミュニティ"),
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
                 computed: delete its data directory or update the program, and start it again."
            ),
            format!(
                "ブロック{height}は承認済みですが、このダッシュボードの計算結果と一致しません。データディレクトリを削除するか、プログラムを更新して再起動してください。"
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
