//! Every socket that the edge listens on. One place, so that handing them all to a newer edge is an addition.
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcp, UdpSocket as StdUdp};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};
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

/// Sockets that are bound and do not serve yet.
#[derive(Debug, Default)]
pub struct Bound {
    fronts: Vec<(SocketAddr, StdTcp)>,
    dns: Vec<(SocketAddr, StdUdp, StdTcp)>,
    /// What could not be bound, for people.
    pub failed: Vec<String>,
}

/// The sockets that serve.
#[derive(Debug, Default)]
pub struct Listeners {
    fronts: HashMap<SocketAddr, Serving>,
    dns: HashMap<SocketAddr, (Who, [Task; 2])>,
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
    /// Binds what is wanted and not there yet. Nothing serves on it before [`Listeners::commit`].
    pub fn bind(&self, wanted: &Wanted) -> Bound {
        let mut bound = Bound::default();
        for (addr, door) in wanted.fronts.iter().filter(|(addr, _)| !self.fronts.contains_key(addr)) {
            match tcp(*addr) {
                Ok(listener) => bound.fronts.push((*addr, listener)),
                // Another program's port there costs the containers this listener, not everybody everything.
                Err(error) if door.admits.is_some() => {
                    tracing::error!(%addr, %error, "containers cannot reach a load balancer");
                }
                Err(error) => bound.failed.push(format!("cannot listen on {addr}: {error}")),
            }
        }
        for addr in wanted.dns.keys().filter(|addr| !self.dns.contains_key(addr)) {
            match udp(*addr).and_then(|udp| Ok((udp, tcp(*addr)?))) {
                Ok((udp, tcp)) => bound.dns.push((*addr, udp, tcp)),
                Err(error) => bound.failed.push(format!("cannot answer DNS on {addr}: {error}")),
            }
        }
        bound
    }

    /// Serves what is wanted on what was bound, and ends what is wanted no more: no new connections there, and those
    /// that are open end after what they are doing. Everything else goes on untouched.
    pub fn commit(&mut self, wanted: &Wanted, bound: Bound, workers: &Arc<Workers>, dns: &Arc<Dns>) {
        for (addr, door) in &wanted.fronts {
            if let Some(serving) = self.fronts.get(addr) {
                let turned = serving.open.load().turned(door);
                serving.open.store(Arc::new(turned));
            }
        }
        self.fronts.retain(|addr, _| wanted.fronts.contains_key(addr));
        for (addr, listener) in bound.fronts {
            let (Some(door), Ok(listener)) = (wanted.fronts.get(&addr), TcpListener::from_std(listener))
            else {
                continue;
            };
            let open = Arc::new(ArcSwap::from_pointee(Open::new(door)));
            let accept = Task(tokio::spawn(accept(listener, open.clone(), workers.clone())));
            self.fronts.insert(addr, Serving { open, _accept: accept });
        }
        self.dns.retain(|addr, (who, _)| wanted.dns.get(addr) == Some(who));
        for (addr, udp, tcp) in bound.dns {
            let (Some(who), Ok(udp), Ok(tcp)) =
                (wanted.dns.get(&addr), UdpSocket::from_std(udp), TcpListener::from_std(tcp))
            else {
                continue;
            };
            let udp = Task(tokio::spawn(dns::serve_udp(dns.clone(), udp, *who)));
            let tcp = Task(tokio::spawn(dns::serve_tcp(dns.clone(), tcp, *who)));
            self.dns.insert(addr, (*who, [udp, tcp]));
        }
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

fn udp(addr: SocketAddr) -> io::Result<StdUdp> {
    open(addr, SockType::Datagram).map(Into::into)
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
