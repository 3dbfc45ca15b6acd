//! A small community whose members sign what they say.

use market::admission::{AdmissionContext, Rejection, admit_order};
use market::book::{PeriodBook, SealedBook};
use market::clearing::{ClearingResult, clear, laws};
use market::energy::Energy;
use market::keys::{ChainId, SigningKey, SoundKeys};
use market::member::{Member, Membership, MeteringPointId};
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::reading::{IntervalReading, Quality};
use market::rules::MarketRules;
use market::signed::{Envelope, Signable, Signed};
use market::time::Timestamp;
use market::zone::{Edge, Zone, ZoneId, ZoneTree};

use crate::bare::{party, period, rules};

/// What every metering point is registered for, both ways.
pub(crate) const REGISTERED_WH: i64 = 1_000;

pub(crate) struct Community {
    pub(crate) chain: ChainId,
    pub(crate) rules: MarketRules,
    pub(crate) zones: ZoneTree,
    pub(crate) members: Membership,
    keys: Vec<SigningKey>,
    sound_keys: SoundKeys,
}

impl Community {
    pub(crate) fn of(count: usize) -> Self {
        let key = |n: usize| SigningKey::from_seed(&[u8::try_from(n).expect("few") + 1; 32]);
        let keys: Vec<_> = (0..count).map(key).collect();
        let member = |(n, key): (usize, &SigningKey)| {
            let limit = Energy::from_wh(REGISTERED_WH);
            let member = Member {
                key: key.public(),
                metering_point: metering_point(n),
                zone: ZoneId(0),
                import_max: limit,
                export_max: limit,
                joined_at: None,
                revoked_at: None,
            };
            (party(n), member)
        };
        let members = keys.iter().enumerate().map(member).collect();
        let chain = ChainId::from_bytes([7; 32]);
        Self {
            chain,
            rules: rules(500_000, 10),
            zones: ZoneTree::one("all"),
            members,
            keys,
            sound_keys: SoundKeys::default(),
        }
    }

    /// The same members, the n-th in zone n modulo 3: zones 1 and 2 are feeders below zone 0, with
    /// a wheeling charge each, and zone 2 has little room.
    pub(crate) fn on_two_feeders(count: usize) -> Self {
        let mut community = Self::of(count);
        let edge = |capacity: Option<i64>| Edge {
            parent: ZoneId(0),
            charge: Price::from_micros_per_kwh(5_000),
            capacity_up: capacity.map(Energy::from_wh),
            capacity_down: capacity.map(Energy::from_wh),
        };
        let zone = |n: u16, edge| (ZoneId(n), Zone { label: format!("zone {n}"), edge });
        let zones = [zone(0, None), zone(1, Some(edge(None))), zone(2, Some(edge(Some(150))))];
        community.zones = ZoneTree::new(zones.into()).expect("a tree");
        for n in 0..count {
            let member = community.members.get_mut(&party(n)).expect("a member");
            member.zone = ZoneId(u16::try_from(n % 3).expect("below 3"));
        }
        community
    }

    /// Clears a book by the community's rules, and checks the laws.
    pub(crate) fn clear(&self, book: &SealedBook) -> ClearingResult {
        let terms = self.rules.terms(&self.zones);
        let mechanism = self.rules.mechanism.during(book.period());
        let result = clear(book, mechanism, &terms).expect("small numbers");
        laws::check(book, mechanism, &terms, &result).expect("every law holds");
        result
    }

    pub(crate) fn context(&self, block_time: Timestamp) -> AdmissionContext<'_> {
        AdmissionContext {
            starts_at: Timestamp::from_millis(0),
            chain: &self.chain,
            rules: &self.rules,
            membership: &self.members,
            block_time,
            keys: &self.sound_keys,
        }
    }

    pub(crate) fn sign<T: Signable>(&self, n: usize, payload: T) -> Envelope<T> {
        Signed::sign(payload, &self.chain, &self.keys[n]).into_envelope()
    }

    /// An order of the n-th party: limits in micro-units with energies in Wh, best limit first.
    pub(crate) fn order(&self, n: usize, side: Side, steps: &[(i64, i64)], sequence: u64) -> Order {
        let step = |(limit, wh): &(i64, i64)| Step {
            limit: Price::from_micros_per_kwh(*limit),
            energy: Energy::from_wh(*wh),
        };
        Order {
            community: self.chain,
            party: party(n),
            metering_point: metering_point(n),
            period: period(),
            side,
            steps: steps.iter().map(step).collect(),
            sequence,
            preferences: Preferences::default(),
        }
    }

    /// A plausible reading of the n-th party.
    pub(crate) fn reading(&self, n: usize) -> IntervalReading {
        IntervalReading {
            community: self.chain,
            party: party(n),
            metering_point: metering_point(n),
            period: period(),
            imported: Energy::from_wh(300),
            exported: Energy::from_wh(20),
            quality: Quality::Ok,
            sequence: 1,
        }
    }

    /// Admits an order at an instant and, if it counts, places it.
    pub(crate) fn place(
        &self,
        book: &mut PeriodBook,
        signed: &Envelope<Order>,
        at: Timestamp,
    ) -> Result<(), Rejection> {
        let admitted = admit_order(signed.clone(), &self.context(at), Some(book))?;
        book.place(&admitted);
        Ok(())
    }

    /// An instant at which the first gate is still open.
    pub(crate) fn early(&self) -> Timestamp {
        period().start().plus_millis(-4 * 3_600_000)
    }
}

pub(crate) fn metering_point(n: usize) -> MeteringPointId {
    MeteringPointId::from_bytes(party(n).as_bytes().map(|byte| !byte))
}
