//! The proxy: front → rule → group → target, a file each.
//!
//! A connection belongs to one worker from its first byte to its last, with the target connections that serve it.
//! What changes at run time (routes, targets, who is eligible) is read through atomically swapped pointers, so that a
//! new snapshot waits for no request and no request for it.

pub mod activity;
pub mod answer;
pub mod connect;
pub mod forward;
pub mod front;
pub mod group;
pub mod headers;
pub mod pattern;
pub mod pool;
pub mod rule;
pub mod serve;
pub mod signal;
pub mod target;
pub mod tls;
pub mod upgrade;
