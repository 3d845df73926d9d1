//! The control plane's side: the edge is found by its socket, started where none answers, fed with what the
//! [`snapshot::Hub`] holds, and adopted by the next control plane.

mod link;
mod supervise;

pub use supervise::{Launch, shut_down, supervise};
