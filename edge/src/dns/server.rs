//! The loops that answer queries over UDP and TCP.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::forward::Upstreams;
use super::lookup::{Found, View, Who};
use crate::limits;

/// What the listeners answer from.
#[derive(Debug)]
pub struct Dns {
    /// Swapped with every snapshot.
    pub view: ArcSwap<View>,
    /// The host's resolvers.
    pub upstreams: Upstreams,
}

enum Reply {
    Ready(Vec<u8>),
    /// The world's: ask the host's resolvers.
    Forward,
}

impl Dns {
    /// Answers one query; `None` for what is no query at all.
    fn reply(&self, query: &[u8], who: Who, udp: bool) -> Option<Reply> {
        let query = match Message::from_vec(query) {
            Ok(message) => message,
            Err(_) => return format_error(query).map(Reply::Ready),
        };
        if query.metadata.message_type == MessageType::Response {
            return None;
        }
        let refuse = |code| encode(&query, Found { code, ..Found::default() }, who, udp).map(Reply::Ready);
        if query.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        if query.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return refuse(ResponseCode::BADVERS);
        }
        let [question] = &*query.queries else { return refuse(ResponseCode::FormErr) };
        let found = match question.query_class() {
            DNSClass::IN | DNSClass::ANY => {
                self.view.load().find(question.name(), question.query_type(), who)
            }
            _ => None,
        };
        match found {
            Some(found) => encode(&query, found, who, udp).map(Reply::Ready),
            None if who == Who::Host => refuse(ResponseCode::Refused),
            None => Some(Reply::Forward),
        }
    }

    async fn forward(&self, query: &[u8], who: Who, udp: bool) -> Option<Vec<u8>> {
        let gateways = self.view.load().gateways.clone();
        match self.upstreams.ask(query, udp, |ip: IpAddr| gateways.contains(&ip)).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!(%error, "the host's resolvers did not answer");
                let query = Message::from_vec(query).ok()?;
                encode(&query, Found { code: ResponseCode::ServFail, ..Found::default() }, who, udp)
            }
        }
    }
}

fn encode(query: &Message, found: Found, who: Who, udp: bool) -> Option<Vec<u8>> {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = who != Who::Host;
    answer.metadata.authoritative = found.authoritative;
    answer.metadata.response_code = found.code;
    answer.add_queries(query.queries.iter().cloned());
    answer.insert_answers(found.answers);
    answer.insert_authorities(found.authority);
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(limits::DNS_UDP).set_version(0);
        answer.set_edns(edns);
    }
    let bytes = answer.to_vec().ok()?;
    let most = query.max_payload().min(limits::DNS_UDP);
    if udp && bytes.len() > usize::from(most) {
        return answer.truncate().to_vec().ok();
    }
    Some(bytes)
}

/// What can be said to bytes that are no message: their own id, and that they are none.
fn format_error(query: &[u8]) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes([*query.first()?, *query.get(1)?]);
    let is_response = query.get(2)? & 0x80 != 0;
    let answer = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    if is_response { None } else { answer.to_vec().ok() }
}

/// Answers queries on a UDP socket until the task is aborted.
pub async fn serve_udp(dns: Arc<Dns>, socket: UdpSocket, who: Who) {
    let socket = Arc::new(socket);
    let forwards = Arc::new(Semaphore::new(limits::FORWARDS));
    let mut buffer = vec![0; 4096];
    loop {
        // Errors here are those of earlier answers to clients that went away.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        match dns.reply(&buffer[..length], who, true) {
            None => {}
            Some(Reply::Ready(answer)) => drop(socket.send_to(&answer, peer).await),
            Some(Reply::Forward) => {
                // Over the limit queries are dropped, as a congested network would.
                let Ok(permit) = forwards.clone().try_acquire_owned() else { continue };
                let (dns, socket, query) = (dns.clone(), socket.clone(), buffer[..length].to_vec());
                tokio::spawn(async move {
                    let _permit = permit;
                    if let Some(answer) = dns.forward(&query, who, true).await {
                        let _ = socket.send_to(&answer, peer).await;
                    }
                });
            }
        }
    }
}

/// Answers queries on a TCP listener until the task is aborted.
pub async fn serve_tcp(dns: Arc<Dns>, listener: TcpListener, who: Who) {
    let slots = Arc::new(Semaphore::new(limits::DNS_CONNECTIONS));
    loop {
        // A closed semaphore is impossible: it lives here.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let dns = dns.clone();
        tokio::spawn(async move {
            let _slot = slot;
            converse(&dns, stream, peer, who).await;
        });
    }
}

async fn converse(dns: &Dns, mut stream: TcpStream, peer: SocketAddr, who: Who) {
    let exchange = async |stream: &mut TcpStream| -> std::io::Result<()> {
        let length = stream.read_u16().await?;
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await?;
        let answer = match dns.reply(&query, who, false) {
            None => None,
            Some(Reply::Ready(answer)) => Some(answer),
            Some(Reply::Forward) => dns.forward(&query, who, false).await,
        };
        let answer = answer.ok_or(std::io::ErrorKind::InvalidData)?;
        let length = u16::try_from(answer.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await
    };
    while let Ok(Ok(())) = timeout(limits::DNS_IDLE, exchange(&mut stream)).await {}
    tracing::trace!(%peer, "a DNS connection ended");
}
