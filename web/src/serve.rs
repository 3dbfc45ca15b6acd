//! The accept loop. It is our own because axum's sets no timer, and then hyper's time-out for
//! slow request heads does nothing (tokio-rs/axum#2741).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client_address::PeerAddress;
use crate::hosts::LocalAddress;
use crate::site::Site;

/// Open connections in all.
const CONNECTIONS_MAX: usize = 512;

/// Open connections from one address. Generous: a whole community may sit behind one proxy.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;

/// How long a request's head may take, and a connection may stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes; the least that hyper allows is 8192.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long open requests may go on after the shutdown began.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves until shutdown, then lets open requests finish for a moment.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    site: Arc<Site>,
    shutdown: CancellationToken,
) {
    let tls = tls.map(TlsAcceptor::from);
    let seats = Arc::new(Seats::default());
    let connections = TaskTracker::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the peer is gone already.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(seat) = Seat::take(&seats, from.ip()) else {
            site.metrics.connections_refused.inc();
            continue;
        };
        let connection = welcome(stream, tls.clone(), router.clone(), shutdown.clone());
        connections.spawn(async move {
            connection.await;
            drop(seat);
        });
    }
    site.events.close();
    connections.close();
    if tokio::time::timeout(FAREWELL, connections.wait()).await.is_err() {
        tracing::info!(open = connections.len(), "connections are cut off by the shutdown");
    }
}

async fn welcome(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: CancellationToken,
) {
    // Events are small, and they are wanted at once.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().map(|address| LocalAddress(address.ip())).ok();
    let peer = stream.peer_addr().map(|address| PeerAddress(address.ip())).ok();
    let Some(tls) = tls else {
        return converse(stream, local, peer, router, shutdown).await;
    };
    match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, local, peer, router, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    local: Option<LocalAddress>,
    peer: Option<PeerAddress>,
    router: Router,
    shutdown: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Who holds how many connections.
#[derive(Debug, Default)]
struct Seats {
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seat {
    fn take(seats: &Arc<Seats>, address: IpAddr) -> Option<Self> {
        let mut taken = seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = taken.values().sum();
        let own = taken.entry(address).or_default();
        if total >= CONNECTIONS_MAX || *own >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *own += 1;
        Some(Self { seats: Arc::clone(seats), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_seats_and_seats_come_back() {
        let seats = Arc::new(Seats::default());
        let greedy: IpAddr = [192, 0, 2, 1].into();
        let held: Vec<_> = std::iter::from_fn(|| Seat::take(&seats, greedy)).collect();
        assert_eq!(held.len(), CONNECTIONS_PER_ADDRESS_MAX);
        assert!(Seat::take(&seats, [192, 0, 2, 2].into()).is_some());
        drop(held);
        assert!(seats.taken.lock().unwrap().is_empty());
        assert!(Seat::take(&seats, greedy).is_some());
    }
}
