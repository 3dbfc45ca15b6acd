//! Admission of standing curves.

use super::{AdmissionContext, Rejection, SEQUENCE_MAX, check_active};
use crate::member::Member;
use crate::order::OrderId;
use crate::signed::{MaybeSigned, Signed};
use crate::standing::StandingCurve;

/// A standing curve that counts. Its one door is [`admit_curve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedCurve(Signed<StandingCurve>);

impl AdmittedCurve {
    /// The curve.
    pub fn curve(&self) -> &StandingCurve {
        self.0.payload()
    }

    /// Its name.
    pub fn id(&self) -> OrderId {
        self.0.id()
    }

    /// What it was admitted from.
    pub fn into_signed(self) -> Signed<StandingCurve> {
        self.0
    }
}

/// Judges a standing curve: community, membership, form, limits, replay, signature.
///
/// `known_sequence` is that of the party's last curve for this side
/// ([`crate::standing::StandingCurves::sequence`]).
///
/// # Errors
/// [`Rejection`] names the first rule that is broken.
pub fn admit_curve(
    curve: impl Into<MaybeSigned<StandingCurve>>,
    context: &AdmissionContext<'_>,
    known_sequence: Option<u64>,
) -> Result<AdmittedCurve, Rejection> {
    let curve = curve.into();
    let member = check_curve(curve.unverified(), context, known_sequence)?;
    Ok(AdmittedCurve(curve.verify(context.chain, &member.key, context.keys)?))
}

/// Everything [`admit_curve`] asks but the signature. Returns whose curve it is.
///
/// # Errors
/// [`Rejection`] names the first rule that is broken.
pub fn check_curve<'a>(
    curve: &StandingCurve,
    context: &AdmissionContext<'a>,
    known_sequence: Option<u64>,
) -> Result<&'a Member, Rejection> {
    let member = context.party(&curve.community, curve.party, curve.metering_point)?;
    check_active(member)?;
    if context.rules.gates.ex_post_gate().is_none() {
        return Err(Rejection::NoGateAfterDelivery);
    }
    curve.check_form()?;
    context.check_limits(&curve.steps)?;
    let allowed = sequence_max(context);
    if curve.sequence > allowed {
        return Err(Rejection::ChangedTooOften { given: curve.sequence, allowed });
    }
    match known_sequence {
        Some(known) if curve.sequence <= known => {
            Err(Rejection::SequenceReplayed { given: curve.sequence, known })
        }
        _ => Ok(member),
    }
}

/// How often a party may have changed its curve by now: once per delivery period since the
/// community began, and [`SEQUENCE_MAX`] times more. Each change costs everybody a place in a block
/// for ever, so their number is bounded.
fn sequence_max(context: &AdmissionContext<'_>) -> u64 {
    let elapsed_ms = context.block_time.millis_since(context.starts_at).max(0);
    let periods = elapsed_ms.checked_div(context.rules.period_length.as_millis());
    SEQUENCE_MAX.saturating_add(periods.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}
