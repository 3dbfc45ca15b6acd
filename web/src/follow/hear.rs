//! Hearing the mesh. A block announcement carries its certificate, so it proves how far the chain
//! has come, whoever sends it. Orders and readings are nothing to the dashboard, but it stands
//! between members and passes on what holds.

use std::sync::Arc;

use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::follower::check_commit;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::time::Timestamp;
use mesh::{Mesh, MeshError, MeshEvent, MeshEvents, PeerId, Topic, Verdict};
use tokio::sync::watch;

use crate::site::Site;

/// The best announcement so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Announced {
    /// The height that its certificate proves.
    pub(crate) height: u64,
    /// The neighbour it came from, who is likely to have the block.
    pub(crate) from: Option<PeerId>,
}

/// Judges what comes from the mesh until the mesh stops.
///
/// # Errors
/// [`MeshError::Crashed`] if the mesh ended by a panic.
pub(crate) async fn hear(
    site: Arc<Site>,
    mesh: Mesh,
    mut events: MeshEvents,
    announced: watch::Sender<Announced>,
) -> Result<(), MeshError> {
    while let Some(event) = events.recv().await {
        match event {
            MeshEvent::Message { topic: Topic::Blocks, payload, from, ticket } => {
                let tip = site.live.tip().state;
                let (verdict, height) =
                    judge_announcement(&payload, &tip, site.live.proven_height());
                if let Some(height) = height {
                    site.live.prove_height(height);
                    announced.send_replace(Announced { height, from: Some(from) });
                }
                if verdict == Verdict::Reject {
                    site.metrics.junk_announcements.inc();
                    tracing::warn!(%from, "a block announcement does not hold");
                }
                mesh.judge(ticket, verdict);
            }
            MeshEvent::Message { topic, payload, ticket, .. } => {
                let tip = site.live.tip().state;
                mesh.judge(ticket, judge_transaction(topic, &payload, &tip, site.now()));
            }
            // The dashboard says that it serves no blocks; who asks all the same is told at once.
            MeshEvent::BlocksRequested { ticket, .. }
            | MeshEvent::SnapshotRequested { ticket, .. } => drop(ticket),
            MeshEvent::PeerJoined { .. }
            | MeshEvent::PeerLeft { .. }
            | MeshEvent::Listening { .. } => site.live.set_peers_count(mesh.peers().len()),
        }
    }
    events.stopped().await
}

/// The verdict on an announcement, and the height it proves if that is news.
fn judge_announcement(payload: &[u8], tip: &State, proven_height: u64) -> (Verdict, Option<u64>) {
    let decoded: Result<(Header, CommitCertificate), _> = borsh::from_slice(payload);
    let Ok((header, certificate)) = decoded else { return (Verdict::Reject, None) };
    if header.chain != *tip.chain() {
        return (Verdict::Reject, None);
    }
    if header.height <= tip.height().max(proven_height) {
        return (Verdict::Ignore, None);
    }
    match check_commit(&header, &certificate, tip.validators()) {
        Ok(()) => (Verdict::Accept, Some(header.height)),
        Err(_) => (Verdict::Reject, None),
    }
}

/// The verdict on an order, a reading or an act, as a block made now would judge it.
fn judge_transaction(topic: Topic, payload: &[u8], tip: &State, now: Timestamp) -> Verdict {
    let transaction = match (topic, Transaction::from_bytes(payload)) {
        (Topic::Orders, Ok(order @ (Transaction::Order(_) | Transaction::Curve(_)))) => order,
        (Topic::Readings, Ok(reading @ Transaction::Reading(_))) => reading,
        (
            Topic::Acts,
            Ok(
                act @ (Transaction::Join(_)
                | Transaction::PartyAct(_)
                | Transaction::OperatorAct(_)),
            ),
        ) => act,
        _ => return Verdict::Reject,
    };
    match tip.admit(&transaction, now) {
        Ok(()) => Verdict::Accept,
        Err(rejection) if rejection.is_everywhere() => Verdict::Reject,
        Err(_) => Verdict::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_community::{Community, member_key, party};
    use market::gate::GateSchedule;
    use market::member::MeteringPointId;
    use market::order::{Preferences, Side};
    use market::signed::Signed;
    use market::standing::StandingCurve;

    #[test]
    fn an_announcement_proves_its_height_or_costs_its_sender() {
        let community = Community::after_blocks(5);
        let tip = &community.executed[2].state;
        let announced = |index: usize, change: &dyn Fn(&mut Header, &mut CommitCertificate)| {
            let committed = community.blocks[index].clone();
            let (mut header, mut certificate) = (committed.block.header, committed.certificate);
            change(&mut header, &mut certificate);
            borsh::to_vec(&(header, certificate)).unwrap()
        };
        let judge = |payload: &[u8], proven| judge_announcement(payload, tip, proven);
        let as_made = |index| announced(index, &|_, _| {});
        assert_eq!(judge(&as_made(4), 0), (Verdict::Accept, Some(5)));
        assert_eq!(judge(&as_made(4), 5), (Verdict::Ignore, None), "heard before");
        assert_eq!(judge(&as_made(2), 0), (Verdict::Ignore, None), "followed before");
        let spoilt = [
            b"junk".to_vec(),
            as_made(4)[..100].to_vec(),
            announced(4, &|header, _| header.height = 9),
            announced(4, &|_, certificate| certificate.signatures.truncate(2)),
            announced(4, &|header, _| header.chain = market::keys::ChainId::from_bytes([1; 32])),
        ];
        for payload in spoilt {
            assert_eq!(judge(&payload, 0), (Verdict::Reject, None));
        }
    }

    #[test]
    fn orders_and_readings_are_passed_on_if_a_block_could_hold_them() {
        let community = Community::after_blocks(4);
        let order = community.blocks[3].block.transactions[0].clone();
        let bytes = order.to_bytes();
        let (before, after) = (&community.executed[2].state, &community.executed[3].state);
        let at = before.time();
        assert_eq!(judge_transaction(Topic::Orders, &bytes, before, at), Verdict::Accept);
        assert_eq!(judge_transaction(Topic::Orders, &bytes, after, at), Verdict::Ignore);
        assert_eq!(judge_transaction(Topic::Readings, &bytes, before, at), Verdict::Reject);
        let late = at.plus_millis(86_400_000);
        assert_eq!(judge_transaction(Topic::Orders, &bytes, before, late), Verdict::Ignore);
        let mut forged = bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(judge_transaction(Topic::Orders, &forged, before, at), Verdict::Reject);
        assert_eq!(judge_transaction(Topic::Orders, b"junk", before, at), Verdict::Reject);
    }
    #[test]
    fn a_standing_curve_is_passed_on_as_an_order_is() {
        let mut genesis = Community::founded("Sunny Village").genesis;
        genesis.rules.gates = GateSchedule::with_ex_post(vec![], Some(600_000)).unwrap();
        let (tip, chain) = (State::at_genesis(&genesis), genesis.chain_id());
        let curve = StandingCurve {
            community: chain,
            party: party(1),
            metering_point: MeteringPointId::from_bytes([1; 16]),
            side: Side::Buy,
            steps: Vec::new(),
            sequence: 1,
            preferences: Preferences::default(),
        };
        let envelope = Signed::sign(curve, &chain, &member_key(1)).into_envelope();
        let bytes = Transaction::Curve(envelope).to_bytes();
        let now = tip.time();
        assert_eq!(judge_transaction(Topic::Orders, &bytes, &tip, now), Verdict::Accept);
        assert_eq!(judge_transaction(Topic::Readings, &bytes, &tip, now), Verdict::Reject);
    }
}
