//! What tests stand on: a [`World`] with a state of its own, a clock that only moves when told, an authority that
//! remembers what it was asked, an engine that runs nothing, and address ranges that no other test has.

mod authority;
mod crash;
mod engine;
mod ranges;
mod time;
mod world;

pub use authority::Witness;
pub use crash::killed_after_each_commit;
pub use engine::FakeEngine;
pub use ranges::RangeLease;
pub use time::{ManualClock, SeededEntropy};
pub use world::{ACCOUNT, REGION, World, fault};
