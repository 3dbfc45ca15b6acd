//! One block: what it carries, what it decided, who signed it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::acts::Signer;
use ledger::block::{Block, CommittedBlock};
use ledger::results::ResultLeaf;
use ledger::transaction::{Subject, Transaction};
use ledger::validators::ValidatorSet;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Viewer;
use crate::api::input::{Named, WHOLE, no_such_block};
use crate::api::problem::Problem;
use crate::api::receipts::{is_shown, receipt_path};
use crate::site::Site;
use crate::words::{self, Sentences};

/// A block.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockDetail {
    /// Its height.
    height: u64,
    /// Its time, ms UTC.
    time_ms: i64,
    /// Its hash, hexadecimal.
    hash: String,
    /// How many transactions it carries.
    transactions_count: usize,
    /// How many results it has.
    results_count: usize,
    /// How many validators signed it.
    signatures_count: usize,
    /// How many validators there are.
    validators_count: usize,
    /// The round in which it was decided, from 0.
    round: u32,
    /// The hash of the block before; all zero at height 1.
    previous: String,
    /// Merkle root of the transactions.
    transactions_root: String,
    /// Root of the state after it.
    state_root: String,
    /// Merkle root of the results.
    results_root: String,
    /// What members said, in the order in which it applies.
    transactions: Vec<BlockTransaction>,
    /// What the block decided, without what names only households that the asker may not see.
    results: Vec<BlockResult>,
    /// Who signed it.
    signatures: Vec<BlockSignature>,
    /// The least voting power that commits a block.
    quorum_power: u64,
    /// The voting power of all validators.
    total_power: u64,
}

/// Something that was said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockTransaction {
    /// What it is.
    kind: TransactionKind,
    /// Which household said it; null if the asker may not see it, and if it was none.
    #[schema(required)]
    party: Option<String>,
    /// The start of the delivery period that it is about, ms UTC; null if it is about all to come.
    #[schema(required)]
    period_start_ms: Option<i64>,
    /// The SHA-256 of its bytes.
    hash: String,
}

/// What can be said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TransactionKind {
    /// What it would buy or sell.
    Order,
    /// What its meter counted.
    Reading,
    /// What it would pay or take for whatever its meter will count.
    Curve,
    /// A key that wants to join.
    Join,
    /// What a member says besides: a new key, a dispute.
    PartyAct,
    /// What an operator answers for.
    OperatorAct,
}

/// Something the block decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockResult {
    /// Its place among the block's results, from 0.
    index: u64,
    /// What it is.
    kind: ResultKind,
    /// In one sentence.
    summary: Sentences,
    /// Where its receipt is.
    receipt: String,
}

/// What a block can decide.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ResultKind {
    /// A gate's price and volume.
    Clearing,
    /// A trade.
    Trade,
    /// What became of an order.
    Answer,
    /// What was metered against what was traded.
    Settled,
    /// What of a period's settlement is no single party's.
    CommunitySettled,
    /// The origin of energy.
    Certificate,
    /// Money that moved.
    Posting,
}

/// A validator's signature on the block; it was checked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockSignature {
    /// The validator's address, hexadecimal.
    validator: String,
    /// Its voting power.
    power: u64,
}

/// One block.
#[utoipa::path(
    get,
    path = "/blocks/{height}",
    tag = "ledger",
    params(("height" = u64, Path, description = "The block's height, from 1")),
    responses(
        (status = OK, body = BlockDetail),
        (status = BAD_REQUEST, body = Problem, content_type = "application/problem+json"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn block(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Named(path): Named,
) -> Result<Json<BlockDetail>, Problem> {
    let height = path.required("height", WHOLE)?;
    let none = || no_such_block(&site, height);
    let found = site.model.block_with_results(height).await?;
    let (CommittedBlock { block, certificate }, results) = found.ok_or_else(none)?;
    let state = site.live.tip().state;
    let validators = state.validators();
    let total_power = validators.total_power();
    let header = &block.header;
    let mut shown = Vec::new();
    for (index, leaf) in (0_u64..).zip(&results) {
        if is_shown(leaf, &viewer) {
            shown.push(result(&site, height, index, leaf));
        }
    }
    Ok(Json(BlockDetail {
        height,
        time_ms: header.time.as_millis(),
        hash: block.hash().to_string(),
        transactions_count: block.transactions.len(),
        results_count: results.len(),
        signatures_count: certificate.signatures.len(),
        validators_count: validators.count(),
        round: certificate.round,
        previous: header.previous.to_string(),
        transactions_root: header.transactions_root.to_string(),
        state_root: header.state_root.to_string(),
        results_root: header.results_root.to_string(),
        transactions: transactions(&viewer, &block),
        results: shown,
        signatures: certificate
            .signatures
            .iter()
            .map(|(address, _)| BlockSignature {
                validator: address.to_string(),
                power: validators.get(address).map_or(0, |validator| validator.power),
            })
            .collect(),
        quorum_power: quorum_power(validators),
        total_power,
    }))
}

/// The least power that is more than two thirds of all.
fn quorum_power(validators: &ValidatorSet) -> u64 {
    let doubled = u128::from(validators.total_power()).saturating_mul(2);
    u64::try_from(doubled / 3 + 1).unwrap_or(u64::MAX)
}

fn transactions(viewer: &Viewer, block: &Block) -> Vec<BlockTransaction> {
    block.transactions.iter().map(|transaction| transaction_shown(viewer, transaction)).collect()
}

/// A transaction as blocks list it.
pub(crate) fn transaction_shown(viewer: &Viewer, transaction: &Transaction) -> BlockTransaction {
    let (subject, _) = transaction.subject();
    let kind = match subject {
        Subject::Order(..) => TransactionKind::Order,
        Subject::Reading(..) => TransactionKind::Reading,
        Subject::Curve(..) => TransactionKind::Curve,
        Subject::Join(_) => TransactionKind::Join,
        Subject::Act(Signer::Operator(_), _) => TransactionKind::OperatorAct,
        Subject::Act(..) => TransactionKind::PartyAct,
    };
    let party = match subject.signer() {
        Signer::Party(party) => viewer.sees(&party).then(|| party.to_string()),
        Signer::Operator(_) | Signer::Invitation(_) => None,
    };
    BlockTransaction {
        kind,
        party,
        period_start_ms: subject.period().map(|period| period.start().as_millis()),
        hash: transaction.hash().to_string(),
    }
}

fn result(site: &Site, height: u64, index: u64, leaf: &ResultLeaf) -> BlockResult {
    BlockResult {
        index,
        kind: match leaf {
            ResultLeaf::Clearing(_) => ResultKind::Clearing,
            ResultLeaf::Trade(_) => ResultKind::Trade,
            ResultLeaf::Answer(_) => ResultKind::Answer,
            ResultLeaf::Settled(_) => ResultKind::Settled,
            ResultLeaf::CommunitySettled(_) => ResultKind::CommunitySettled,
            ResultLeaf::Certificate(_) => ResultKind::Certificate,
            ResultLeaf::Posting(_) => ResultKind::Posting,
        },
        summary: words::summary(leaf, &site.zone, site.live.tip().state.zones()),
        receipt: receipt_path(height, index),
    }
}
