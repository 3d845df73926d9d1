//! Asking the host's resolvers, with the client's own bytes.
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::limits;

/// The resolvers of the host, read again when its file changes.
#[derive(Debug)]
pub struct Upstreams {
    file: PathBuf,
    read: Mutex<(Option<SystemTime>, Vec<SocketAddr>)>,
}

impl Upstreams {
    /// Those that a file in the form of `/etc/resolv.conf` names.
    pub fn of(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), read: Mutex::default() }
    }

    /// Asks them in turn. A truncated answer is handed on: the client asks again over TCP.
    pub async fn ask(&self, query: &[u8], udp: bool, own: impl Fn(IpAddr) -> bool) -> io::Result<Vec<u8>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host names no resolver");
        for server in self.servers().into_iter().filter(|server| !own(server.ip())) {
            let asked =
                async { if udp { over_udp(server, query).await } else { over_tcp(server, query).await } };
            match timeout(limits::DNS_UPSTREAM, asked).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{server} gave no answer")),
            }
        }
        Err(last)
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let changed = fs::metadata(&self.file).and_then(|m| m.modified()).ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.is_none() || read.0 != changed {
            let text = fs::read_to_string(&self.file).unwrap_or_default();
            *read = (changed, parse(&text));
        }
        read.1.clone()
    }
}

/// `nameserver` lines; an address may carry a port, which the tests use. Without any, the resolver's own default.
fn parse(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let server = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        let plain = || server.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
        server.parse().ok().or_else(plain)
    });
    let servers: Vec<_> = servers.collect();
    if servers.is_empty() { vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))] } else { servers }
}

/// Each query has a socket of its own: its random port, and the kernel's check of the sender, keep forgeries out.
async fn over_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut answer).await?;
        if answers(&answer[..length], query) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    if answers(&answer, query) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The same id, and a response.
fn answers(answer: &[u8], query: &[u8]) -> bool {
    answer.len() >= 12 && answer[..2] == query[..2] && answer[2] & 0x80 != 0
}
