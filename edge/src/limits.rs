//! Every limit of the edge in one place. Those of ALB are AWS's published ones.
use std::time::Duration;

/// A request line, and one header with its name, in bytes.
pub const HEADER: usize = 16 << 10;
/// All headers of a request, in bytes.
pub const HEADERS: usize = 64 << 10;
/// What hyper may buffer of a request's head: above [`HEADERS`], so that the answer is ours.
pub const REQUEST_BUFFER: usize = 128 << 10;
/// All headers of a target's answer, in bytes; also what is read of its body at once.
pub const RESPONSE_BUFFER: usize = 32 << 10;
/// Addresses in X-Forwarded-For.
pub const FORWARDED_FOR: usize = 30;
/// Connecting to a target.
pub const CONNECT: Duration = Duration::from_secs(10);
/// A client's TLS handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// Client connections of one address of a load balancer's listener.
pub const CONNECTIONS: usize = 20_000;
/// Idle connections to one target, per worker.
pub const IDLE_PER_TARGET: usize = 256;
/// Streams of one HTTP/2 connection (as ALB).
pub const H2_STREAMS: u32 = 128;
/// Targets tried for one request before it fails.
pub const ATTEMPTS: usize = 3;
/// Between two looks whether a target has come up, and between the checks of one that has.
pub const LOOK: Duration = Duration::from_millis(50);
/// Looks in the time for which a target has been refusing: the longer it does, the rarer they are.
pub const LOOKS: u32 = 50;
/// A compiled regular expression of a rule, in bytes.
pub const REGEX: usize = 256 << 10;

/// DNS queries that wait for the host's resolvers at once.
pub const FORWARDS: usize = 1024;
/// DNS connections over TCP at once, per listener.
pub const DNS_CONNECTIONS: usize = 256;
/// An idle DNS connection over TCP.
pub const DNS_IDLE: Duration = Duration::from_secs(10);
/// One resolver's time for an answer.
pub const DNS_UPSTREAM: Duration = Duration::from_secs(3);
/// The largest UDP answer, whatever the client offers: what passes without fragments.
pub const DNS_UDP: u16 = 1232;
/// CNAMEs and aliases followed for one answer.
pub const DNS_CHAIN: usize = 8;

/// Control planes connected at once: one, and the one that replaces it.
pub const CONTROLLERS: usize = 4;
/// Reports that only traffic caused come no more often than this.
pub const REPORT_EVERY: Duration = Duration::from_secs(1);
