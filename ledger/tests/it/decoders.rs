//! Everything that comes from outside is read by functions that end, do not panic, and read one
//! value from one spelling. Thousands of random and mutated inputs, the same on every run; the
//! fuzz targets in `fuzz/` go on where this stops.

use ledger::acts::Measure;
use ledger::block::Block;
use ledger::genesis;
use ledger::pruned::PrunedBlock;
use ledger::receipt::Receipt;
use ledger::results::{Cleared, ServedBlock};
use ledger::statement::StatementBundle;
use ledger::transaction::{NotATransaction, TRANSACTION_BYTES_MAX, Transaction};
use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::clearing::laws::BrokenLaw;
use market::clearing::{MechanismKind, clear, laws};
use market::hash::Digest;
use market::tariff::Tariff;

use crate::neighbourhood::{
    Chain, genesis as neighbourhood, minute, party, party_key, quarter, validators,
};
use crate::speaking::{by_operator, by_party, invite, join, place, replace_key};
use crate::street::{bundle, street};

/// xorshift64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).expect("64 bits");
        usize::try_from(self.next() % limit).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        // Edges are likelier than chance would have them: lengths, tags, signs.
        let edges = [0, 1, 2, 15, 0x7f, 0x80, 0xff];
        if self.below(2) == 0 {
            edges[self.below(edges.len())]
        } else {
            self.next().to_be_bytes()[0]
        }
    }

    fn noise(&mut self, length_max: usize) -> Vec<u8> {
        (0..self.below(length_max)).map(|_| self.byte()).collect()
    }

    /// One to four changes: flip, overwrite, cut out, put in, cut off, repeat.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let to = (at + self.below(40)).min(bytes.len());
            match self.below(7) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.byte(),
                2 => drop(bytes.drain(at..to)),
                3 => drop(bytes.splice(at..at, self.noise(20))),
                4 => bytes.truncate(at),
                5 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
                _ => {
                    // A lying length, or an extreme number.
                    let extreme = if self.below(2) == 0 { 0xff } else { 0x7f };
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill(extreme);
                }
            }
        }
        bytes
    }
}

/// Feeds noise and mutations of the seeds to a decoder; returns how many inputs it read.
fn feed(seeds: &[Vec<u8>], rounds: usize, decode: impl Fn(&[u8]) -> bool) -> usize {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for round in 0..rounds {
        let input = match round % 4 {
            0 => random.noise(300),
            _ => {
                let seed = random.below(seeds.len());
                random.mutate(&seeds[seed])
            }
        };
        read += usize::from(decode(&input));
    }
    assert!(seeds.iter().all(|seed| decode(seed)), "the seeds themselves are read");
    read
}

fn transactions() -> Vec<Vec<u8>> {
    let chain = Chain::of_one_traded_quarter();
    let said = chain.blocks.iter().flat_map(|executed| &executed.block.transactions);
    let acts = [
        join(0, &party_key(7)),
        by_party(0, 1, replace_key(party(0), &party_key(9))),
        by_operator(0, 1, invite(0, place(7), minute(60))),
        by_operator(0, 1, Measure::Validators { set: validators(&[1; 4]), endpoints: vec![] }),
        by_operator(0, 1, Measure::Tariff { from: quarter(99), tariff: tariff() }),
    ];
    said.chain(&acts).map(Transaction::to_bytes).collect()
}

fn tariff() -> Tariff {
    neighbourhood().rules.tariffs.during(quarter(99)).clone()
}

#[test]
fn transactions_are_read_from_one_spelling_or_refused() {
    let read = feed(&transactions(), 20_000, |bytes| {
        let Ok(read) = Transaction::from_bytes(bytes) else { return false };
        assert_eq!(read.to_bytes(), bytes, "one value, one spelling");
        true
    });
    assert!(read > 100, "some mutations are still transactions: {read}");
    let long = vec![1; TRANSACTION_BYTES_MAX + 1];
    assert_eq!(Transaction::from_bytes(&long), Err(NotATransaction(long.len())));
}

#[test]
fn a_mutated_transaction_never_counts_as_another_ones() {
    let chain = Chain::of_one_traded_quarter();
    let seeds = transactions();
    feed(&seeds, 4_000, |bytes| {
        let Ok(read) = Transaction::from_bytes(bytes) else { return false };
        let at = chain.state.time().plus_millis(1);
        // What was changed can only be refused: nobody signed it.
        let signed = seeds.iter().any(|seed| seed == bytes);
        assert!(signed || chain.state.admit(&read, at).is_err(), "{read:?}");
        true
    });
}

#[test]
fn blocks_are_read_from_one_spelling_or_refused() {
    let chain = Chain::of_one_traded_quarter();
    let seeds: Vec<_> = chain.blocks.iter().map(|executed| executed.block.to_bytes()).collect();
    feed(&seeds, 10_000, |bytes| {
        let Ok(read) = Block::from_bytes(bytes) else { return false };
        assert_eq!(read.to_bytes(), bytes);
        true
    });
}

#[test]
fn served_blocks_are_read_from_one_spelling_or_refused() {
    let chain = Chain::of_one_traded_quarter();
    let encode = |height| borsh::to_vec(&chain.served(height)).expect("in memory");
    let seeds: Vec<_> = (1..=6).map(encode).collect();
    let read = feed(&seeds, 10_000, |bytes| {
        let Ok(read) = borsh::from_slice::<ServedBlock>(bytes) else { return false };
        assert_eq!(borsh::to_vec(&read).expect("in memory"), bytes);
        true
    });
    assert!(read > 100, "{read}");
}

#[test]
fn pruned_blocks_are_read_from_one_spelling_or_refused() {
    let chain = Chain::of_one_traded_quarter();
    let pruned =
        |height| PrunedBlock::of(&chain.served(height).committed.block, &chain.leaves(height));
    let seeds: Vec<_> = (1..=6).map(|height| pruned(height).to_bytes()).collect();
    feed(&seeds, 10_000, |bytes| {
        let Ok(read) = PrunedBlock::from_bytes(bytes) else { return false };
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(read.verify(), Ok(()));
        true
    });
}

#[test]
fn receipt_files_are_read_from_one_spelling_and_proved_only_if_untouched() {
    let chain = Chain::of_one_traded_quarter();
    let genesis = neighbourhood();
    let committed = chain.served(2).committed;
    let receipt = Receipt::of_result(&committed, &chain.leaves(2), 1, &[]);
    let text = receipt.expect("a leaf").to_json();
    feed(&[text.clone().into_bytes()], 4_000, |bytes| {
        let Ok(changed) = std::str::from_utf8(bytes) else { return false };
        let Ok(read) = Receipt::from_json(changed) else { return false };
        assert_eq!(read.to_json(), changed);
        assert_eq!(read.verify(&genesis).is_ok(), changed == text);
        true
    });
}

#[test]
fn statement_files_are_read_from_one_spelling_and_proved_only_if_untouched() {
    let (genesis, chain) = street();
    let text = bundle(&genesis, &chain, 3, (10, 11)).to_json();
    feed(&[text.clone().into_bytes()], 1_000, |bytes| {
        let Ok(changed) = std::str::from_utf8(bytes) else { return false };
        let Ok(read) = StatementBundle::from_json(changed) else { return false };
        assert_eq!(read.to_json(), changed);
        assert_eq!(read.verify(&genesis).is_ok(), changed == text);
        true
    });
}

#[test]
fn genesis_files_are_read_to_something_sound_or_refused() {
    let text = genesis::write(&neighbourhood()).expect("sound");
    let read = feed(&[text.into_bytes()], 3_000, |bytes| {
        let Ok(changed) = std::str::from_utf8(bytes) else { return false };
        let Ok(read) = genesis::read(changed) else { return false };
        assert_eq!(read.check(), Ok(()));
        true
    });
    assert!(read > 10, "{read}");
}

/// Books that no gate could seal: whatever stands in them, clearing ends with a result or an
/// overflow, and the law check judges the result without a panic.
#[test]
fn hostile_books_are_cleared_to_an_end() {
    let cleared = |cleared: &Cleared| borsh::to_vec(&cleared.book).expect("in memory");
    let genesis = neighbourhood();
    let (mechanism, terms) = (MechanismKind::ZonalAuction, genesis.rules.terms(&genesis.zones));
    let read = feed(&of_each_clearing(cleared), 20_000, |bytes| {
        let Ok(book) = borsh::from_slice::<SealedBook>(bytes) else { return false };
        if let Ok(result) = clear(&book, &mechanism, &terms) {
            let _ = laws::check(&book, &mechanism, &terms, &result);
        }
        true
    });
    assert!(read > 1_000, "{read}");
}

/// Whatever orders do form a book are cleared by the laws, or are an overflow.
#[test]
fn any_orders_that_form_a_book_are_cleared_by_the_laws() {
    let orders = |cleared: &Cleared| {
        let (bids, offers) = (cleared.book.bids(), cleared.book.offers());
        borsh::to_vec(&(bids, offers)).expect("in memory")
    };
    let genesis = neighbourhood();
    let (mechanism, terms) = (MechanismKind::ZonalAuction, genesis.rules.terms(&genesis.zones));
    let read = feed(&of_each_clearing(orders), 20_000, |bytes| {
        type Orders = Vec<BookedOrder>;
        let Ok((bids, offers)) = borsh::from_slice::<(Orders, Orders)>(bytes) else {
            return false;
        };
        let Ok(book) = sealed_from_orders(quarter(20), bids, offers, Digest::default()) else {
            return false;
        };
        if let Ok(result) = clear(&book, &mechanism, &terms) {
            let judged = laws::check(&book, &mechanism, &terms, &result);
            assert!(matches!(judged, Ok(()) | Err(BrokenLaw::Overflow(_))), "{judged:?}");
        }
        true
    });
    assert!(read > 1_000, "{read}");
}

fn of_each_clearing(bytes: impl Fn(&Cleared) -> Vec<u8>) -> Vec<Vec<u8>> {
    let chain = Chain::of_one_traded_quarter();
    chain.blocks.iter().flat_map(|executed| &executed.results.clearings).map(bytes).collect()
}
