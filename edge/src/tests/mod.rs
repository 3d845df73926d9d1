//! The edge in process, with real sockets on loopback addresses of each test's own.

mod backend;
mod balancing;
mod control;
mod dns;
mod health;
mod rig;
mod tls;
