//! What the control plane tells the edge, and what the edge reports.
//!
//! Whole [`Snapshot`]s go down, [`Report`]s of levels come up, never deltas: either side may be replaced at any
//! instant and is told everything again. [`Hub`] is the control plane's handle: each publisher gives its part
//! ([`Balancing`] from elb, [`Naming`] from route53, [`Platform`] from the composition root) and the whole is made of
//! them once all are there, so a control plane that starts never pushes half a world.
//!
//! No service opens a socket: the edge crate's `control` module carries what the hub holds.

mod balancing;
mod frame;
mod hub;
mod naming;
mod report;

pub use balancing::{
    Action, Algorithm, Balancing, Certificate, Condition, HealthCheck, Inside, LbAttributes, Listener,
    LoadBalancer, Protocol, Rule, Target, TargetGroup, TargetState, TlsVersion, Weighted, XffMode,
};
pub use frame::{Down, FrameError, MAX_FRAME, OLDEST, Up, VERSION, read_frame, write_frame};
pub use hub::{Hub, Part};
pub use naming::{Data, Gateway, Naming, Platform, Record, Served, Zone};
pub use report::{Health, HealthState, Refusal, Report, TargetId, TargetReport, Traffic, Unbound};

use serde::{Deserialize, Serialize};

/// Everything that an edge serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows with every change; an edge reports the one it applied.
    pub generation: u64,
    /// Load balancers and their targets.
    pub balancing: Balancing,
    /// Hosted zones.
    pub naming: Naming,
    /// Where DNS listens and which AWS names are Longshore's.
    pub platform: Platform,
}
