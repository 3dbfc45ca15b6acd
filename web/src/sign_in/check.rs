//! From what was sent to who it is.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use market::hash::Digest;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::accounts::{Accounts, AccountsError, Action, OperatorName, Role};
use crate::origin::WebOrigin;
use crate::sign_in::link::{self, CheckedLink, LinkRefused};
use crate::sign_in::password::PasswordHash;
use crate::sign_in::throttle::{By, Throttle};
use crate::sign_in::totp::TotpSecret;
use crate::site::Site;

/// How many passwords are hashed at once: each takes 19 MiB and a core.
const HASHED_AT_ONCE: usize = 2;

/// How long an attempt waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// What keeps guessing expensive.
pub(crate) struct SignIn {
    throttle: Throttle,
    hashing: Arc<Semaphore>,
}

/// What an operator sent.
pub(crate) struct Credentials {
    pub(crate) name: String,
    pub(crate) password: Zeroizing<String>,
    pub(crate) code: String,
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Too many failures.
    #[error("too many attempts")]
    Wait(Duration),
    /// Too many at once.
    #[error("too many people sign in at once")]
    Busy,
    /// Name, password or code; which one is not told.
    #[error("name, password or code is wrong")]
    Wrong,
    /// The link does not hold.
    #[error(transparent)]
    Link(#[from] LinkRefused),
    /// The database fails.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// No memory to hash in.
    #[error("a password cannot be hashed here")]
    Hashing,
}

impl SignIn {
    /// Nobody has tried yet.
    pub(crate) fn new() -> Self {
        Self { throttle: Throttle::default(), hashing: Arc::new(Semaphore::new(HASHED_AT_ONCE)) }
    }

    /// Whose name, password and code these are. A name that nobody has takes as long.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn operator(
        &self,
        site: &Site,
        sent: Credentials,
        address: IpAddr,
    ) -> Result<OperatorName, Refused> {
        let keys = [By::Name(name_digest(&sent.name)), By::Address(address_digest(address))];
        self.throttle.begin(&keys, Instant::now()).map_err(Refused::Wait)?;
        let name: Option<OperatorName> = sent.name.parse().ok();
        let checked = self.check(site, name.as_ref(), sent).await?;
        match (name, checked) {
            (Some(name), true) => {
                self.throttle.succeed(&keys);
                Ok(name)
            }
            (name, _) => {
                note_failure(site, name.as_ref()).await?;
                Err(Refused::Wrong)
            }
        }
    }

    async fn check(
        &self,
        site: &Site,
        name: Option<&OperatorName>,
        sent: Credentials,
    ) -> Result<bool, Refused> {
        let secrets = match name {
            Some(name) => site.accounts.operator_secrets(name).await?,
            None => None,
        };
        let (hash, totp, last) = match secrets {
            Some(secrets) => (secrets.password, secrets.totp, secrets.totp_step),
            None => (PasswordHash::of_nobody(), TotpSecret::from_bytes([0; 20]), i64::MAX),
        };
        let turn = Arc::clone(&self.hashing).acquire_owned();
        let turn = tokio::time::timeout(PATIENCE, turn).await.map_err(|_| Refused::Busy)?;
        let hashing = tokio::task::spawn_blocking(move || {
            let fits = hash.fits(&sent.password);
            drop((turn, sent.password));
            fits
        });
        let fits = hashing.await.ok().and_then(Result::ok).ok_or(Refused::Hashing)?;
        let step = totp.matching_step(&sent.code, site.real_now(), last);
        match (name, step, fits) {
            (Some(name), Some(step), true) => Ok(site.accounts.use_code(name, step).await?),
            _ => Ok(false),
        }
    }
}

/// A guess at an operator's account is worth knowing of; one at no account is not.
async fn note_failure(site: &Site, name: Option<&OperatorName>) -> Result<(), AccountsError> {
    let Some(name) = name else { return Ok(()) };
    let accounts: &Accounts = &site.accounts;
    if accounts.operators().await?.iter().any(|operator| operator.name == *name) {
        let (subject, now) = (name.to_string(), site.real_now());
        accounts.note(("public", ""), Action::SignInFailed, &subject, now).await?;
    }
    Ok(())
}

/// The household whose agent made a link for this dashboard. The link is not used up yet.
///
/// # Errors
/// [`LinkRefused`].
pub(crate) fn household(
    site: &Site,
    link: &str,
    origin: &WebOrigin,
) -> Result<(Role, CheckedLink), LinkRefused> {
    let state = site.live.tip().state;
    let key_of = |party: &market::member::PartyId| {
        state.members().get(party).filter(|member| member.is_active()).map(|member| member.key)
    };
    let link = link::check(link, state.chain(), origin, site.real_now(), key_of)?;
    let key = key_of(&link.party).ok_or(LinkRefused::NotAMember)?;
    Ok((Role::Household(link.party, key), link))
}

fn name_digest(name: &str) -> Digest {
    Digest::of(&[name.trim().to_lowercase().as_bytes()])
}

/// An IPv6 network counts as one address: whoever has one has all of it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

fn address_digest(address: IpAddr) -> Digest {
    Digest::of(&[network(address).to_string().as_bytes()])
}
