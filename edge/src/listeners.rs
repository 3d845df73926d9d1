//! Every socket that the edge listens on. One place, so that handing them all to a newer edge is an addition.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcp};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};
use snapshot::Unbound;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use crate::block::Block;
use crate::dns::{self, Dns, Who};
use crate::proxy::front::Front;
use crate::proxy::serve::serve;
use crate::proxy::signal::{Level, Signals};
use crate::workers::Workers;

/// An address at which a load balancer's listener is reached.
#[derive(Clone, Debug)]
pub struct Door {
    /// The listener.
    pub front: Arc<Front>,
    /// Whom it lets in: on the host anybody, in a container network whom the load balancer's security groups admit.
    pub admits: Option<Vec<Block>>,
}

impl Door {
    fn lets_in(&self, peer: IpAddr) -> bool {
        self.admits.as_ref().is_none_or(|blocks| blocks.iter().any(|block| block.holds(peer)))
    }
}

/// What should be listened on.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Load balancers' listeners.
    pub fronts: HashMap<SocketAddr, Door>,
    /// DNS, over UDP and TCP.
    pub dns: HashMap<SocketAddr, Who>,
}

/// The sockets that serve.
#[derive(Debug, Default)]
pub struct Listeners {
    wanted: Wanted,
    fronts: HashMap<SocketAddr, Serving>,
    dns: HashMap<SocketAddr, (Who, [Task; 2])>,
    unbound: Vec<Unbound>,
}

#[derive(Debug)]
struct Serving {
    open: Arc<ArcSwap<Open>>,
    _accept: Task,
}

/// A door, and who came in by it. A listener may have many doors, of which one may go while the others stay.
#[derive(Debug)]
struct Open {
    door: Door,
    signals: Arc<Signals>,
}

impl Open {
    fn new(door: &Door) -> Self {
        Self { door: door.clone(), signals: Arc::default() }
    }

    /// The same place with what is wanted now. Who came in by another listener's door ends after what it is doing.
    fn turned(&self, door: &Door) -> Self {
        if !Arc::ptr_eq(&self.door.front, &door.front) {
            self.signals.raise(Level::Graceful);
            return Self::new(door);
        }
        Self { door: door.clone(), signals: self.signals.clone() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.open.load().signals.raise(Level::Graceful);
    }
}

/// A task that ends with its handle.
#[derive(Debug)]
pub struct Task(pub JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listeners {
    /// Serves what is wanted, and ends what is wanted no more: no new connections there, and those that are open end
    /// after what they are doing. Everything else goes on untouched. What cannot be listened on costs its own clients
    /// alone, and is said in [`Listeners::unbound`].
    pub fn serve(&mut self, wanted: Wanted, workers: &Arc<Workers>, dns: &Arc<Dns>) {
        for (addr, door) in &wanted.fronts {
            if let Some(serving) = self.fronts.get(addr) {
                let turned = serving.open.load().turned(door);
                serving.open.store(Arc::new(turned));
            }
        }
        self.fronts.retain(|addr, _| wanted.fronts.contains_key(addr));
        self.dns.retain(|addr, (who, _)| wanted.dns.get(addr) == Some(who));
        self.wanted = wanted;
        self.bind(workers, dns);
    }

    /// Tries again where it could not listen; answers whether anything is different now.
    pub fn retry(&mut self, workers: &Arc<Workers>, dns: &Arc<Dns>) -> bool {
        !self.unbound.is_empty() && self.bind(workers, dns)
    }

    /// What is wanted and cannot be listened on.
    pub fn unbound(&self) -> &[Unbound] {
        &self.unbound
    }

    /// Binds what is wanted and not there yet; answers whether what cannot be bound changed.
    fn bind(&mut self, workers: &Arc<Workers>, dns: &Arc<Dns>) -> bool {
        let mut unbound = Vec::new();
        let mut failed = |address: SocketAddr, doing: &str, error: io::Error| {
            unbound.push(Unbound { address, reason: format!("cannot {doing} on {address}: {error}") });
        };
        for (&addr, door) in &self.wanted.fronts {
            let Entry::Vacant(place) = self.fronts.entry(addr) else { continue };
            match tcp(addr).and_then(TcpListener::from_std) {
                Ok(listener) => {
                    let open = Arc::new(ArcSwap::from_pointee(Open::new(door)));
                    let accept = Task(tokio::spawn(accept(listener, open.clone(), workers.clone())));
                    place.insert(Serving { open, _accept: accept });
                }
                Err(error) => failed(addr, "listen", error),
            }
        }
        for (&addr, &who) in &self.wanted.dns {
            let Entry::Vacant(place) = self.dns.entry(addr) else { continue };
            match both(addr) {
                Ok((udp, tcp)) => {
                    let udp = Task(tokio::spawn(dns::serve_udp(dns.clone(), udp, who)));
                    let tcp = Task(tokio::spawn(dns::serve_tcp(dns.clone(), tcp, who)));
                    place.insert((who, [udp, tcp]));
                }
                Err(error) => failed(addr, "answer DNS", error),
            }
        }
        unbound.sort();
        for news in unbound.iter().filter(|u| !self.unbound.contains(u)) {
            tracing::error!(
                reason = news.reason,
                "an address cannot be served; it is tried again every second"
            );
        }
        let changed = self.unbound != unbound;
        self.unbound = unbound;
        changed
    }
}

/// Accepts here and serves on the workers in turn: the kernel's own choice among accepting threads is uneven.
async fn accept(listener: TcpListener, open: Arc<ArcSwap<Open>>, workers: Arc<Workers>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Open { door, signals } = &*open.load_full();
                if !door.lets_in(peer.ip()) {
                    tracing::debug!(%peer, "security groups keep a client out");
                    continue;
                }
                match stream.into_std() {
                    Ok(stream) => workers.spawn(serve(door.front.clone(), signals.clone(), stream, peer)),
                    Err(error) => tracing::warn!(%error, "a connection was lost on its way to a worker"),
                }
            }
            Err(error) => {
                // Out of descriptors: nothing wakes us when one is free again.
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn tcp(addr: SocketAddr) -> io::Result<StdTcp> {
    let fd = open(addr, SockType::Stream)?;
    listen(&fd, Backlog::new(4096)?)?;
    Ok(fd.into())
}

/// DNS is asked over UDP and TCP.
fn both(addr: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::from_std(open(addr, SockType::Datagram)?.into())?;
    Ok((udp, TcpListener::from_std(tcp(addr)?)?))
}

fn open(addr: SocketAddr, kind: SockType) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    if kind == SockType::Stream {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    // A container network's gateway may not exist yet, or not any more: the socket waits for it.
    if matches!(addr.ip(), IpAddr::V4(ip) if !ip.is_loopback()) {
        setsockopt(&fd, sockopt::IpFreebind, &true)?;
    }
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &SockaddrStorage::from(addr))?;
    Ok(fd)
}
