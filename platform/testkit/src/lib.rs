//! What tests stand on: a [`World`] with a state of its own, a clock that only moves when told, an authority that
//! remembers what it was asked.

mod authority;
mod time;
mod world;

pub use authority::Witness;
pub use time::{ManualClock, SeededEntropy};
pub use world::{ACCOUNT, REGION, World, fault};
