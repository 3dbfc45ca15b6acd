//! Statements made from a node's ledger.

use ledger::statement::StatementBundle;
use ledger_node::statement::{NoStatement, Span, write_statement};
use ledger_node::store::Store;
use market::money::Money;

use crate::store::Stored;
use crate::street::party;

const HOUR_MS: i64 = 3_600_000;

/// So many blocks of ten minutes each, in which everybody trades and is settled.
async fn trading() -> (Stored, Store) {
    let mut stored = Stored::new().await;
    let (store, _) = stored.open().await.unwrap();
    for _ in 0..80 {
        stored.street.commit_next(&store).await;
    }
    (stored, store)
}

async fn statement(stored: &Stored, store: &Store, n: u16, span: Span) -> StatementBundle {
    let to = stored.dir.path().join(format!("{n}-{}.json", span.from.as_millis()));
    let genesis = &stored.street.genesis;
    write_statement(store, genesis, party(n), span, &to, |_| {}).await.unwrap();
    StatementBundle::from_json(&std::fs::read_to_string(to).unwrap()).unwrap()
}

#[tokio::test]
async fn what_a_node_writes_is_proved_from_the_genesis_and_spans_follow_one_another() {
    let (stored, store) = trading().await;
    let genesis = &stored.street.genesis;
    let (start, end) = (genesis.starts_at, stored.street.state.time().plus_millis(1));
    let middle = end.plus_millis(-5 * HOUR_MS);
    for n in 0..3 {
        let span = |from, until| Span { from, until };
        let whole = statement(&stored, &store, n, span(start, end)).await.verify(genesis).unwrap();
        let early = Span { from: start.plus_millis(-HOUR_MS), until: middle };
        let first = statement(&stored, &store, n, early).await.verify(genesis).unwrap();
        let second = statement(&stored, &store, n, span(middle, end)).await;
        let second = second.verify(genesis).unwrap();
        assert_eq!((first.opening, first.closing), (Money::ZERO, second.opening));
        assert_eq!(second.closing, whole.closing);
        assert!(!second.lines.is_empty() && second.closing != second.opening);
        assert_eq!(whole.closing_height, stored.street.state.height());
    }
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_made_says_why_and_leaves_no_file() {
    let (stored, store) = trading().await;
    let genesis = &stored.street.genesis;
    let (start, end) = (genesis.starts_at, stored.street.state.time().plus_millis(1));
    let all = Span { from: start, until: end };
    let to = stored.dir.path().join("statement.json");
    let make = async |who, span| {
        write_statement(&store, genesis, who, span, &to, |_| {}).await.unwrap_err()
    };
    let unknown = make(party(77), all).await;
    assert!(matches!(unknown, NoStatement::UnknownParty(_)), "{unknown}");
    let future = Span { from: end, until: end.plus_millis(HOUR_MS) };
    let nothing = make(party(0), future).await;
    assert!(matches!(nothing, NoStatement::NoBlocks { .. }), "{nothing}");
    assert!(!to.exists());
    std::fs::write(&to, "mine").unwrap();
    let there = make(party(0), all).await;
    assert!(matches!(there, NoStatement::Exists(_)), "{there}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "mine");
    std::fs::remove_file(&to).unwrap();
    store.close().await;
}
