//! Names, time, faults, shapes and operations: what every crate of Longshore stands on. No I/O.
//!
//! - [`Operation`], [`Handle`], [`Ops`], [`Cx`]: a typed call from one service to another and a decoded
//!   call from the network take one path, which authorizes both.
//! - [`schema`], [`shape`]: a shape is a plain struct and a `static` schema; protocols read and write it.
//! - [`Face`]: what is not an operation (registry, git, S3's streams, credentials).
//! - [`Fault`], [`Arn`], [`Clock`], [`Entropy`], [`ids`]: the words all of them use.

pub mod arn;
pub mod check;
pub mod clock;
pub mod cx;
pub mod face;
pub mod fault;
pub mod hosts;
pub mod ids;
pub mod images;
pub mod json;
pub mod metered;
pub mod ops;
pub mod schema;
pub mod shape;

pub use arn::Arn;
pub use clock::{Clock, Entropy, Timestamp};
pub use cx::{Access, Authority, Credentials, Cx, Grant, Key, Principal, PrincipalKind, ResourcePolicy};
pub use face::{Body, Door, Face, Stream};
pub use fault::Fault;
pub use ops::{Fut, Handle, Operation, Ops, Wired};
pub use shape::{Blob, Field, Reader, Shape, Writer};
