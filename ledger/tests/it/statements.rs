//! Statements: every line follows from what the household can prove, and nothing is missing.

use ledger::acts::Purpose;
use ledger::merkle::multi_path;
use ledger::posting::{Account, Cause};
use ledger::results::ResultLeaf;
use ledger::salt::Tree;
use ledger::statement::{
    BundleError, LeafProofs, ProvenLeaf, Statement, StatementBundle, StatementError,
};
use ledger::transaction::Transaction;
use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::order::Side;
use market::reading::Quality;

use crate::neighbourhood::{
    Chain, certify, genesis, minute, order, party, party_key, quarter, reading,
};
use crate::speaking::{
    by_operator, by_party, by_party_with, enrol, invite, join, replace_key, resigned,
};
use crate::street::{bundle, state_at, street};

fn micros(statement: &Statement) -> i64 {
    let sums = statement.totals.by_cause.values();
    sums.map(|sum| sum.micros()).sum()
}

#[test]
fn every_household_recomputes_its_bill_from_the_genesis_alone() {
    let (genesis, chain) = street();
    let end = chain.blocks.len();
    let mut causes = std::collections::BTreeSet::new();
    for n in 0..4 {
        let bundle = bundle(&genesis, &chain, n, (0, end));
        let statement = bundle.verify(&genesis).unwrap();
        assert_eq!(statement.party, party(n));
        assert_eq!((statement.opening, statement.opening_height), (Money::ZERO, 0));
        assert_eq!(statement.closing.micros(), chain.net(n), "to the micro-unit");
        assert_eq!(micros(&statement), chain.net(n));
        assert_eq!(statement.lines.len(), 5);
        assert_eq!(statement.unsettled, []);
        let net: i64 =
            statement.lines.iter().map(|line| line.settlement.net_income().unwrap().micros()).sum();
        assert_eq!(net, chain.net(n), "the figures that hold come to what was posted");
        assert_eq!(statement.totals.estimated_count, 0, "the late reading has come");
        causes.extend(statement.totals.by_cause.keys().copied());
    }
    for cause in [
        Cause::Trade,
        Cause::TradeWheeling,
        Cause::PoolShort,
        Cause::PoolLong,
        Cause::PoolWheeling,
        Cause::Supplied,
        Cause::FedIn,
        Cause::Levies,
        Cause::Tax,
    ] {
        assert!(causes.contains(&cause), "{cause:?}");
    }
}

#[test]
fn statements_follow_one_another_wherever_they_are_cut() {
    let (genesis, chain) = street();
    let end = chain.blocks.len();
    let (mut corrections, mut estimated) = (0, 0);
    for n in 0..4 {
        let whole = bundle(&genesis, &chain, n, (0, end)).verify(&genesis).unwrap();
        for cut in 1..end {
            let before = bundle(&genesis, &chain, n, (0, cut)).verify(&genesis).unwrap();
            let after = bundle(&genesis, &chain, n, (cut, end)).verify(&genesis).unwrap();
            assert_eq!(before.closing, after.opening);
            assert_eq!(after.closing, whole.closing);
            let posted = |of: &Statement| of.lines.iter().map(|line| line.postings.len()).sum();
            let counts: [usize; 3] = [posted(&before), posted(&after), posted(&whole)];
            assert_eq!(counts[0] + counts[1], counts[2], "each posting counts once");
            corrections += after.lines.iter().filter(|line| line.corrects).count();
            estimated += before.totals.estimated_count;
        }
    }
    assert!(corrections > 3 && estimated > 0, "{corrections} corrections, {estimated} estimated");
}

/// Household 0 changes its key twice in one month, and then loses it; household 1 keeps its own.
fn changed_keys() -> Chain {
    let (mut chain, period) = (Chain::new(), quarter(20));
    let keys = [party_key(9), party_key(10), party_key(11)];
    let buy = |n, sequence| order(0, quarter(n), Side::Buy, &[(300_000, 100)], sequence);
    let sell = |n| order(1, quarter(n), Side::Sell, &[(100_000, 60)], 1);
    chain.block(minute(1), vec![buy(20, 1), sell(20), sell(21), sell(22), sell(23)]);
    let first = by_party(0, 1, replace_key(party(0), &keys[0]));
    let within = resigned(&buy(21, 1), &keys[0]);
    chain.block(minute(2), vec![buy(23, 1), first, within]);
    chain.block(minute(180), vec![]);
    let second = by_party_with(&keys[0], 0, 2, replace_key(party(0), &keys[1]));
    chain.block(minute(190), vec![resigned(&buy(22, 1), &keys[0]), second]);
    let purpose = Purpose::NewKey { party: party(0) };
    chain.block(minute(240), vec![by_operator(0, 1, invite(0, purpose, minute(400)))]);
    let met = |who, n| reading(who, quarter(n), if who == 0 { (90, 0) } else { (0, 70) }, 1);
    chain.block(minute(316), vec![resigned(&met(0, 20), &keys[1]), met(1, 20)]);
    chain.block(minute(317), vec![join(0, &keys[2])]);
    chain.block(minute(318), vec![by_operator(0, 2, enrol(0, &keys[2]))]);
    for n in 21..24 {
        let said = vec![resigned(&met(0, n), &keys[2]), met(1, n)];
        chain.block(minute(15 * (n + 1) + 5), said);
    }
    chain.block(minute(500), vec![]);
    assert!(chain.state.party_settlement(period, &party(0)).is_some());
    chain
}

#[test]
fn what_former_keys_have_signed_is_checked_by_the_key_of_its_time() {
    let (genesis, chain) = (genesis(), changed_keys());
    let end = chain.blocks.len();
    for cut in 0..end {
        let proved = bundle(&genesis, &chain, 0, (cut, end)).verify(&genesis);
        let statement = proved.unwrap_or_else(|error| panic!("from {cut}: {error}"));
        assert_eq!(statement.closing.micros(), chain.net(0));
        if cut > 0 {
            bundle(&genesis, &chain, 0, (0, cut)).verify(&genesis).unwrap();
        }
    }
    // Each key signs in its time alone, even if a quorum of validators should certify otherwise.
    let whole = bundle(&genesis, &chain, 0, (0, end));
    let changes = [minute(2), minute(190), minute(318)];
    let mut refused = 0;
    for key in [party_key(0), party_key(9), party_key(10), party_key(11)] {
        for (place, block) in whole.blocks.iter().enumerate() {
            for (at, one) in block.transactions.leaves.iter().enumerate() {
                let again = resigned(&one.leaf, &key);
                let by_party = !matches!(again, Transaction::OperatorAct(_));
                if !by_party || again == one.leaf || changes.contains(&block.header.time) {
                    continue;
                }
                let mut forged = whole.clone();
                let block = &mut forged.blocks[place];
                block.transactions.leaves[at].leaf = again;
                block.header.transactions_root = block.transactions.head().unwrap();
                block.certificate = certify(&block.header, &[0, 1, 2]);
                let error = forged.verify(&genesis).unwrap_err().to_string();
                assert!(error.contains("the party has not signed"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 12, "{refused}");
}

#[test]
fn a_bundle_is_written_in_one_way_and_read_back() {
    let (genesis, chain) = street();
    for (n, span) in [(0, (0, 13)), (1, (8, 12)), (3, (11, 12))] {
        let bundle = bundle(&genesis, &chain, n, span);
        let text = bundle.to_json();
        assert_eq!(StatementBundle::from_json(&text).as_ref(), Ok(&bundle));
        assert!(StatementBundle::from_json(&format!("{text} ")).is_err());
        for other in 0..4 {
            let names = text.contains(&party(other).to_string());
            let sold_to = bundle.blocks.iter().any(|block| {
                let traded = |leaf: &ResultLeaf| match leaf {
                    ResultLeaf::Trade(trade) => {
                        trade.seller == party(other) || trade.buyer == party(other)
                    }
                    _ => leaf.concerns(&party(other)),
                };
                block.results.leaves.iter().any(|one| traded(&one.leaf))
            });
            assert!(!names || other == n || sold_to, "only who traded is named");
        }
    }
}

/// One byte in 211 of a whole month's file, each time in another place of a line.
#[test]
fn no_byte_of_a_statement_file_can_change_unnoticed() {
    let (genesis, chain) = street();
    let text = bundle(&genesis, &chain, 0, (8, 13)).to_json();
    assert!(StatementBundle::from_json(&text).unwrap().verify(&genesis).is_ok());
    for at in (0..text.len()).step_by(211) {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let read = StatementBundle::from_json(&changed);
        assert!(read.and_then(|bundle| bundle.verify(&genesis)).is_err(), "byte {at}");
    }
}

/// Leaves a result out of a block, and proves the others anew.
fn without(
    chain: &Chain,
    bundle: &mut StatementBundle,
    left_out: impl Fn(&ResultLeaf) -> bool,
) -> usize {
    let mut count = 0;
    for block in &mut bundle.blocks {
        let height = usize::try_from(block.header.height).expect("few");
        let salt = chain.served(height).committed.block.salt;
        let all = chain.leaves(height);
        let hashes: Vec<_> = all
            .iter()
            .zip(salt.leaf_salts(Tree::Results))
            .map(|(leaf, salt)| leaf.hash(&salt))
            .collect();
        let before = block.results.leaves.len();
        block.results.leaves.retain(|one| !left_out(&one.leaf));
        count += before - block.results.leaves.len();
        let wanted: Vec<_> =
            block.results.leaves.iter().map(|one| usize::try_from(one.index).unwrap()).collect();
        if wanted.is_empty() {
            block.results = LeafProofs { size: 0, leaves: vec![], beside: vec![] };
        } else {
            block.results.beside = multi_path(&hashes, &wanted).expect("they are there");
        }
    }
    count
}

#[test]
fn whatever_is_left_out_is_noticed() {
    let (genesis, chain) = street();
    let good = bundle(&genesis, &chain, 0, (0, 13));
    let failing = |left_out: &dyn Fn(&ResultLeaf) -> bool| {
        let mut less = good.clone();
        assert!(without(&chain, &mut less, left_out) > 0, "something is left out");
        less.verify(&genesis).unwrap_err()
    };
    // Each single posting.
    let numbers = good.blocks.iter().flat_map(|block| &block.results.leaves);
    let numbers: Vec<_> = numbers
        .filter_map(|one| match &one.leaf {
            ResultLeaf::Posting(posting) => Some(posting.number),
            _ => None,
        })
        .collect();
    assert!(numbers.len() > 20);
    for number in numbers {
        let error = failing(&|leaf| matches!(leaf, ResultLeaf::Posting(p) if p.number == number));
        assert!(matches!(error, StatementError::Line { .. }), "{number}: {error}");
        assert!(error.to_string().contains("posting for "), "{error}");
    }
    // A whole period with all that belongs to it: the balances tell.
    let period = crate::neighbourhood::quarter(23);
    let error = failing(&|leaf| leaf.period() == period);
    assert!(matches!(error, StatementError::Balance { .. }), "{error}");
    for (kind, line) in [("trade", "answer, filled"), ("pools", "part in a pool")] {
        let error = failing(&|leaf| match leaf {
            ResultLeaf::Trade(_) => kind == "trade",
            ResultLeaf::CommunitySettled(_) => kind == "pools",
            _ => false,
        });
        assert!(error.to_string().contains(line), "{kind}: {error}");
    }
    let error = failing(&|leaf| matches!(leaf, ResultLeaf::Clearing(_)));
    assert!(error.to_string().contains("clearing of a trade"), "{error}");
    let error = failing(&|leaf| matches!(leaf, ResultLeaf::Settled(_)));
    assert!(error.to_string().contains("expected nothing"), "{error}");
}

#[test]
fn a_reading_or_an_order_that_is_left_out_is_noticed() {
    let (genesis, chain) = street();
    let good = bundle(&genesis, &chain, 0, (0, 13));
    for (height, line) in [(1, "signed by the party"), (5, "quality of the reading")] {
        let mut less = good.clone();
        let block = less.blocks.iter_mut().find(|block| block.header.height == height).unwrap();
        block.transactions = LeafProofs { size: 0, leaves: vec![], beside: vec![] };
        let error = less.verify(&genesis).unwrap_err();
        let StatementError::Line { expected, .. } = &error else { panic!("{error}") };
        assert!(error.to_string().contains(line), "{error}");
        assert!(expected == "Missing" || expected == line, "{error}");
    }
}

/// Validators who sign whatever they like: the whole results tree is made anew around a changed
/// leaf, and a quorum certifies it.
fn forged(
    chain: &Chain,
    good: &StatementBundle,
    change: impl Fn(&mut ResultLeaf),
) -> StatementBundle {
    let mut forged = good.clone();
    for block in &mut forged.blocks {
        let height = usize::try_from(block.header.height).expect("few");
        let salt = chain.served(height).committed.block.salt;
        let mut all = chain.leaves(height);
        all.iter_mut().for_each(&change);
        let salts: Vec<_> = salt.leaf_salts(Tree::Results).take(all.len()).collect();
        let hashes: Vec<_> = all.iter().zip(&salts).map(|(leaf, salt)| leaf.hash(salt)).collect();
        for one in &mut block.results.leaves {
            let at = usize::try_from(one.index).unwrap();
            *one = ProvenLeaf { leaf: all[at].clone(), ..one.clone() };
        }
        if !block.results.leaves.is_empty() {
            let at = |one: &ProvenLeaf<ResultLeaf>| usize::try_from(one.index).unwrap();
            let wanted: Vec<_> = block.results.leaves.iter().map(at).collect();
            block.results.beside = multi_path(&hashes, &wanted).unwrap();
        }
        block.header.results_root = ledger::results::results_root(&all, &salt);
        block.certificate = certify(&block.header, &[0, 1, 2]);
    }
    forged
}

#[test]
fn a_quorum_that_forges_a_figure_is_caught_and_the_line_is_named() {
    let (genesis, chain) = street();
    let good = bundle(&genesis, &chain, 0, (0, 13));
    assert!(forged(&chain, &good, |_| {}).verify(&genesis).is_ok(), "nothing is changed");
    let one = Money::from_micros(1);
    let me = party(0);
    let settled = |leaf: &mut ResultLeaf,
                   change: &dyn Fn(&mut market::settlement::PartySettlement)| {
        if let ResultLeaf::Settled(settled) = leaf
            && settled.party == me
        {
            change(&mut settled.settlement);
        }
    };
    type Change<'a> = (&'a str, &'a dyn Fn(&mut ResultLeaf));
    let changes: [Change<'_>; 10] = [
        ("supplied", &|leaf| settled(leaf, &|s| s.supplied = Energy::from_wh(1))),
        ("cost of the supplier", &|leaf| {
            settled(leaf, &|s| s.supplier_cost = s.supplier_cost.plus(one).unwrap());
        }),
        ("levies", &|leaf| settled(leaf, &|s| s.levies = s.levies.plus(one).unwrap())),
        ("tax", &|leaf| settled(leaf, &|s| s.tax = s.tax.plus(one).unwrap())),
        ("imported", &|leaf| {
            settled(leaf, &|s| {
                s.metered.imported = s.metered.imported.plus(Energy::from_wh(1)).unwrap()
            });
        }),
        ("quality of the reading", &|leaf| {
            settled(leaf, &|s| s.metered.quality = Quality::Estimated);
        }),
        ("trade, buyer's amount", &|leaf| {
            if let ResultLeaf::Trade(trade) = leaf {
                trade.buyer_amount = trade.buyer_amount.plus(one).unwrap();
            }
        }),
        ("trade, price of the zone", &|leaf| {
            if let ResultLeaf::Clearing(summary) = leaf {
                let raise = |price: market::price::Price| {
                    market::price::Price::from_micros_per_kwh(price.micros_per_kwh() + 100)
                };
                summary.zones.iter_mut().for_each(|zone| zone.price = zone.price.map(raise));
            }
        }),
        ("posting for Tax", &|leaf| {
            if let ResultLeaf::Posting(posting) = leaf
                && posting.cause == Cause::Tax
            {
                posting.amount = posting.amount.plus(one).unwrap();
            }
        }),
        ("posting for Levies", &|leaf| {
            if let ResultLeaf::Posting(posting) = leaf
                && posting.cause == Cause::Levies
            {
                posting.credit = Account::GridOperator;
            }
        }),
    ];
    for (line, change) in changes {
        let error = forged(&chain, &good, change).verify(&genesis).unwrap_err();
        assert!(matches!(error, StatementError::Line { .. }), "{error}");
        assert!(error.to_string().contains(line), "{line}: {error}");
    }
}

/// What concerns somebody else may not stand in the bundle, and somebody else's order is not one's
/// own.
#[test]
fn what_is_not_the_partys_is_refused() {
    let (genesis, chain) = street();
    let mut other = bundle(&genesis, &chain, 0, (0, 13));
    other.party = party(3);
    let error = other.verify(&genesis).unwrap_err();
    assert!(matches!(error, StatementError::Block { .. }), "{error}");
    let mut unsigned = bundle(&genesis, &chain, 0, (0, 13));
    let block = &mut unsigned.blocks[0];
    for one in &mut block.transactions.leaves {
        if let Transaction::Order(envelope) = &one.leaf {
            let mut bytes = borsh::to_vec(envelope).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            one.leaf = Transaction::Order(borsh::from_slice(&bytes).unwrap());
        }
    }
    let whole = chain.served(1).committed.block;
    let salts = whole.salt.leaf_salts(Tree::Transactions);
    let mut hashes: Vec<_> = whole
        .transactions
        .iter()
        .zip(salts)
        .map(|(transaction, salt)| salt.leaf(&transaction.to_bytes()))
        .collect();
    let mut wanted = Vec::new();
    for one in &block.transactions.leaves {
        let at = usize::try_from(one.index).unwrap();
        hashes[at] = one.salt.leaf(&one.leaf.to_bytes());
        wanted.push(at);
    }
    block.transactions.beside = multi_path(&hashes, &wanted).unwrap();
    block.header.transactions_root = ledger::merkle::head_over(hashes);
    block.certificate = certify(&block.header, &[0, 1, 2]);
    let error = unsigned.verify(&genesis).unwrap_err().to_string();
    assert!(error.contains("has not signed"), "{error}");
}

#[test]
fn a_bundle_that_cannot_be_made_says_what_is_missing() {
    let (genesis, chain) = street();
    let states = |from, to| (state_at(&genesis, &chain, from), state_at(&genesis, &chain, to));
    let served = |to: usize| (1..=to).map(|height| chain.served(height)).collect::<Vec<_>>();
    let collect = |(from, to): (usize, usize), who: PartyId, blocks: Vec<_>| {
        let (opening, closing) = states(from, to);
        StatementBundle::collect(who, (&opening, &closing), blocks, vec![]).unwrap_err()
    };
    let me = party(0);
    assert_eq!(collect((5, 5), me, served(5)), BundleError::NoSpan { opening: 5, closing: 5 });
    assert_eq!(collect((1, 5), me, served(4)), BundleError::NoBlock(5));
    let mut bare = served(5);
    bare[2].results = None;
    assert_eq!(collect((1, 5), me, bare), BundleError::NoResults(3));
    let stranger = PartyId::from_bytes([1; 16]);
    let unknown = BundleError::UnknownParty { party: stranger, height: 5 };
    assert_eq!(collect((0, 5), stranger, served(5)), unknown);
}
