//! Receipts: one fact of a block, provable offline with nothing but the genesis.

use market::hash::Digest;
use market::order::Side;
use serde::{Deserialize, Serialize};

use crate::block::{CommittedBlock, Header, transaction_hashes};
use crate::certificate::CommitCertificate;
use crate::genesis::Genesis;
use crate::handover::{Handover, HandoverError, Succession};
use crate::merkle;
use crate::posting::{Account, Balance};
use crate::proof_json::{
    CertificateJson, HandoverJson, from_hex, hashes_from_text, hashes_to_text, to_hex,
};
use crate::results::{ResultLeaf, result_hashes};
use crate::salt::{LeafSalt, Tree};
use crate::state::State;
use crate::state_proof::{balance_bytes, read_balance};
use crate::transaction::Transaction;

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// That a block decided this.
    Result {
        /// The leaf.
        leaf: ResultLeaf,
        /// Its salt.
        salt: LeafSalt,
    },
    /// That a block carries this transaction, so that it counted.
    Transaction {
        /// The leaf.
        transaction: Transaction,
        /// Its salt.
        salt: LeafSalt,
    },
    /// That an account holds this after a block.
    Balance {
        /// The account.
        account: Account,
        /// What it holds.
        balance: Balance,
    },
}

/// A leaf, its way to a root, the header that carries the root, the certificate of the header, and
/// how those who signed it came to vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What is proved.
    pub evidence: Evidence,
    /// Its place in its tree, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The hashes beside the way to the root, from the bottom up.
    pub path: Vec<Digest>,
    /// The header.
    pub header: Header,
    /// Who committed the header.
    pub certificate: CommitCertificate,
    /// Every change of validators before the header's height.
    pub handovers: Vec<Handover>,
}

/// A receipt that was checked against a genesis. Its one door is [`Receipt::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    evidence: Evidence,
    header: Header,
    signatures: usize,
    validators: usize,
    changes: usize,
}

/// Which step of a receipt does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The file is not written as receipts are.
    #[error("step 1, file: {0}")]
    File(String),
    /// The leaf's bytes or its salt cannot be read.
    #[error("step 2, leaf: {0}")]
    Leaf(&'static str),
    /// The path does not lead from the leaf to the header's root.
    #[error("step 3, path: it does not lead from the leaf to the header's {0} root")]
    Path(&'static str),
    /// The header is of another community or not of its own hash.
    #[error("step 4, header: {0}")]
    Header(String),
    /// The handovers do not lead from the genesis to those who vote at this height.
    #[error("step 5, handovers: {0}")]
    Handovers(String),
    /// The certificate is for another block, or does not hold.
    #[error("step 6, certificate: {0}")]
    Certificate(String),
}

impl From<HandoverError> for ReceiptError {
    fn from(error: HandoverError) -> Self {
        Self::Handovers(error.to_string())
    }
}

impl Evidence {
    /// Its hash in its tree.
    fn hash(&self) -> Digest {
        match self {
            Self::Result { leaf, salt } => leaf.hash(salt),
            Self::Transaction { transaction, salt } => salt.leaf(&transaction.to_bytes()),
            Self::Balance { account, balance } => merkle::leaf(&balance_bytes(account, balance)),
        }
    }

    /// Under which root of a header it stands.
    fn root<'a>(&self, header: &'a Header) -> (&'a Digest, &'static str) {
        match self {
            Self::Result { .. } => (&header.results_root, "results"),
            Self::Transaction { .. } => (&header.transactions_root, "transactions"),
            Self::Balance { .. } => (&header.state_root, "state"),
        }
    }

    /// What it is, in a few words.
    fn words(&self) -> String {
        match self {
            Self::Result { leaf, .. } => result_words(leaf),
            Self::Transaction { transaction, .. } => transaction_words(transaction),
            Self::Balance { account, balance } => {
                let Balance { debits, credits } = balance;
                format!("that {} has paid {debits} and received {credits}", account_words(account))
            }
        }
    }
}

impl Receipt {
    /// The receipt of one of a block's results; `None` if there is no such leaf. `handovers` are
    /// all changes of validators before the block.
    pub fn of_result(
        committed: &CommittedBlock,
        results: &[ResultLeaf],
        index: usize,
        handovers: &[Handover],
    ) -> Option<Self> {
        let leaf = results.get(index)?.clone();
        let block = &committed.block;
        let salt = block.salt.leaf_salt(Tree::Results, u64::try_from(index).ok()?);
        let hashes: Vec<_> = result_hashes(results, &block.salt).collect();
        Self::over(Evidence::Result { leaf, salt }, &hashes, index, committed, handovers)
    }

    /// The receipt of one of a block's transactions; `None` if there is no such leaf.
    pub fn of_transaction(
        committed: &CommittedBlock,
        index: usize,
        handovers: &[Handover],
    ) -> Option<Self> {
        let block = &committed.block;
        let transaction = block.transactions.get(index)?.clone();
        let salt = block.salt.leaf_salt(Tree::Transactions, u64::try_from(index).ok()?);
        let hashes: Vec<_> = transaction_hashes(&block.transactions, &block.salt).collect();
        let evidence = Evidence::Transaction { transaction, salt };
        Self::over(evidence, &hashes, index, committed, handovers)
    }

    /// The receipt of what an account holds after a block, of whose `state` it is; `None` if it was
    /// never opened.
    pub fn of_balance(
        committed: &CommittedBlock,
        state: &State,
        account: &Account,
        handovers: &[Handover],
    ) -> Option<Self> {
        if !state.accounts().is_open(account) {
            return None;
        }
        let balance = state.accounts().balance(account);
        let evidence = Evidence::Balance { account: *account, balance };
        let hashes: Vec<_> = state.hashes().collect();
        let hash = evidence.hash();
        let index = hashes.iter().position(|one| *one == hash)?;
        Self::over(evidence, &hashes, index, committed, handovers)
    }

    fn over(
        evidence: Evidence,
        hashes: &[Digest],
        index: usize,
        committed: &CommittedBlock,
        handovers: &[Handover],
    ) -> Option<Self> {
        Some(Self {
            evidence,
            index: u64::try_from(index).ok()?,
            size: u64::try_from(hashes.len()).ok()?,
            path: merkle::path(hashes, index)?,
            header: committed.block.header.clone(),
            certificate: committed.certificate.clone(),
            handovers: handovers.to_vec(),
        })
    }

    /// Checks leaf, path, header, handovers and certificate against a genesis.
    ///
    /// # Errors
    /// [`ReceiptError`] names the first step that does not hold.
    pub fn verify(self, genesis: &Genesis) -> Result<Proven, ReceiptError> {
        let root = merkle::root_from_path(self.evidence.hash(), self.index, self.size, &self.path);
        let (expected, name) = self.evidence.root(&self.header);
        if root.map(|root| merkle::head(self.size, &root)) != Some(*expected) {
            return Err(ReceiptError::Path(name));
        }
        let chain = genesis.chain_id();
        if self.header.chain != chain {
            let found = self.header.chain;
            let problem = format!("it belongs to community {found}, the genesis is of {chain}");
            return Err(ReceiptError::Header(problem));
        }
        let height = self.header.height;
        let succession = Succession::verify_up_to(genesis, &self.handovers, height)?;
        let failed =
            |error: crate::follower::NotFollowed| ReceiptError::Certificate(error.to_string());
        succession.check(&self.header, &self.certificate).map_err(failed)?;
        Ok(Proven {
            signatures: self.certificate.signatures.len(),
            validators: succession.at(height).map_or(0, crate::validators::ValidatorSet::count),
            changes: succession.changes(),
            evidence: self.evidence,
            header: self.header,
        })
    }
}

impl Proven {
    /// What is proved.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The result that is proved, if it is one.
    pub fn result(&self) -> Option<&ResultLeaf> {
        match &self.evidence {
            Evidence::Result { leaf, .. } => Some(leaf),
            _ => None,
        }
    }

    /// The header under which it stands.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was proved, in one sentence.
    pub fn sentence(&self) -> String {
        let (what, Header { height, chain, .. }) = (self.evidence.words(), &self.header);
        let place = match self.evidence {
            Evidence::Balance { .. } => "holds after",
            _ => "stands in",
        };
        let origin = match self.changes {
            0 => "the genesis names".to_owned(),
            1 => "one certified change of the genesis's leads to".to_owned(),
            many => format!("{many} certified changes of the genesis's lead to"),
        };
        format!(
            "Proved: {what} {place} block {height} of community {chain}, signed by {} of the {} \
             validators that {origin}.",
            self.signatures, self.validators
        )
    }
}

fn result_words(leaf: &ResultLeaf) -> String {
    match leaf {
        ResultLeaf::Clearing(clearing) => {
            format!("a clearing of {} for {:?}", clearing.volume, clearing.period)
        }
        ResultLeaf::Trade(trade) => format!(
            "a trade of {} from party {} to party {} at {} per kWh, {} in all",
            trade.energy, trade.seller, trade.buyer, trade.seller_price, trade.buyer_amount
        ),
        ResultLeaf::Answer(answer) => format!(
            "the answer to order {}: {} of {} filled",
            answer.order, answer.filled, answer.ordered
        ),
        ResultLeaf::Settled(settled) => format!(
            "a settlement of party {}: {} imported and {} exported",
            settled.party, settled.settlement.metered.imported, settled.settlement.metered.exported
        ),
        ResultLeaf::Posting(posting) => {
            format!("posting {} of {}", posting.number, posting.amount)
        }
        ResultLeaf::CommunitySettled(settled) => {
            format!("what the community's accounts got for {:?}", settled.period)
        }
        ResultLeaf::Certificate(origin) => format!(
            "a certificate for {} from party {} to party {}",
            origin.energy, origin.producer, origin.consumer
        ),
    }
}

fn transaction_words(transaction: &Transaction) -> String {
    let side = |side| match side {
        Side::Buy => "bid",
        Side::Sell => "offer",
    };
    match transaction {
        Transaction::Order(envelope) => {
            let order = envelope.unverified();
            format!("the {} of party {} for {:?}", side(order.side), order.party, order.period)
        }
        Transaction::Reading(envelope) => {
            let reading = envelope.unverified();
            format!(
                "the reading of party {} for {:?}: {} imported and {} exported",
                reading.party, reading.period, reading.imported, reading.exported
            )
        }
        Transaction::Curve(envelope) => {
            let curve = envelope.unverified();
            format!("the standing {} curve of party {}", side(curve.side), curve.party)
        }
    }
}

pub(crate) fn account_words(account: &Account) -> String {
    match account {
        Account::Party(party) => format!("party {party}"),
        Account::Supplier => "the supplier".to_owned(),
        Account::GridOperator => "the grid operator".to_owned(),
        Account::Community => "the community".to_owned(),
    }
}

const FORMAT: &str = "hidamari/receipt/2";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptJson {
    format: String,
    kind: Kind,
    leaf: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    index: u64,
    size: u64,
    path: Vec<String>,
    header: String,
    certificate: CertificateJson,
    handovers: Vec<HandoverJson>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Result,
    Transaction,
    Balance,
}

impl Evidence {
    fn to_text(&self) -> (Kind, String, Option<String>) {
        match self {
            Self::Result { leaf, salt } => (Kind::Result, to_hex(leaf), Some(salt.to_string())),
            Self::Transaction { transaction, salt } => {
                (Kind::Transaction, to_hex(transaction), Some(salt.to_string()))
            }
            Self::Balance { account, balance } => {
                (Kind::Balance, hex::encode(balance_bytes(account, balance)), None)
            }
        }
    }

    fn from_text(kind: Kind, leaf: &str, salt: Option<&str>) -> Result<Self, ReceiptError> {
        let salt = || {
            let salt = salt.and_then(|salt| salt.parse().ok());
            salt.ok_or(ReceiptError::Leaf("its salt is not 16 bytes"))
        };
        let none = |what| move || ReceiptError::Leaf(what);
        match kind {
            Kind::Result => {
                let leaf = from_hex(leaf).ok_or_else(none("its bytes are no result of a block"))?;
                Ok(Self::Result { leaf, salt: salt()? })
            }
            Kind::Transaction => {
                let read = from_hex(leaf).ok_or_else(none("its bytes are no transaction"))?;
                Ok(Self::Transaction { transaction: read, salt: salt()? })
            }
            Kind::Balance => {
                let bytes = hex::decode(leaf).ok();
                let read = bytes.and_then(|bytes| read_balance(&bytes));
                let (account, balance) = read.ok_or_else(none("its bytes are no account"))?;
                Ok(Self::Balance { account, balance })
            }
        }
    }
}

impl Receipt {
    /// The receipt as the JSON text of a receipt file.
    pub fn to_json(&self) -> String {
        let (kind, leaf, salt) = self.evidence.to_text();
        let file = ReceiptJson {
            format: FORMAT.to_owned(),
            kind,
            leaf,
            salt,
            index: self.index,
            size: self.size,
            path: hashes_to_text(&self.path),
            header: to_hex(&self.header),
            certificate: CertificateJson::of(&self.certificate),
            handovers: self.handovers.iter().map(HandoverJson::of).collect(),
        };
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a receipt file. There is exactly one way to write a receipt: any other byte, even a
    /// space, is refused, so that no change of a file goes unnoticed.
    ///
    /// # Errors
    /// [`ReceiptError`] names the step that cannot be read.
    pub fn from_json(text: &str) -> Result<Self, ReceiptError> {
        let file: ReceiptJson =
            serde_json::from_str(text).map_err(|error| ReceiptError::File(error.to_string()))?;
        if file.format != FORMAT {
            let found = file.format;
            return Err(ReceiptError::File(format!("expected format {FORMAT}, found {found:?}")));
        }
        let evidence = Evidence::from_text(file.kind, &file.leaf, file.salt.as_deref())?;
        let path = hashes_from_text(&file.path);
        let receipt = Self {
            index: file.index,
            size: file.size,
            header: from_hex(&file.header)
                .ok_or_else(|| ReceiptError::Header("its bytes are no header".to_owned()))?,
            path: path.map_err(|_| ReceiptError::Path(file.kind.tree()))?,
            evidence,
            certificate: file
                .certificate
                .read()
                .map_err(|error| ReceiptError::Certificate(error.to_string()))?,
            handovers: file
                .handovers
                .iter()
                .map(HandoverJson::read)
                .collect::<Result<_, _>>()
                .map_err(ReceiptError::Handovers)?,
        };
        if receipt.to_json() != text {
            let problem = "it is not written byte for byte as receipts are written";
            return Err(ReceiptError::File(problem.to_owned()));
        }
        Ok(receipt)
    }
}

impl Kind {
    fn tree(self) -> &'static str {
        match self {
            Self::Result => "results",
            Self::Transaction => "transactions",
            Self::Balance => "state",
        }
    }
}
