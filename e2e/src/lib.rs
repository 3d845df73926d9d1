//! The real binary driven by unmodified clients: what the suite's tests share.
//!
//! A [`Server`] is `longshore up` on a folder, ports and a load-balancer range of its own, so that any number run side
//! by side; dropping it ends it and all it started. [`Client`]s are the `aws` CLIs, git, docker and curl with the
//! environment that `longshore env` prints. The suite expects what `scripts/setup --for test` installs.

mod boto3;
pub mod client;
pub mod release;
mod server;
mod wait;

pub use client::{Client, Outcome};
pub use server::Server;
pub use wait::{eventually, moment, within};
