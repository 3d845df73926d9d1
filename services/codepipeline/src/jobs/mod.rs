//! Jobs: actions that somebody outside carries out. docs/job-workers.md describes them from a worker's side.
//!
//! - [`types`]: action types that accounts made: custom ones, and those of partners.
//! - [`row`]: a job as it is stored, and the states that it goes through.
//! - [`carry`]: a run of such an action opens its job, and is ended by the job's result.
//! - [`openings`]: jobs that nobody was offered yet.
//! - [`data`]: what a worker is given, credentials for exactly the artifacts among it.
//! - [`offers`]: polling and acknowledging. [`results`]: what workers answer.
//!
//! Nothing here runs on a timer: a job that is to be offered later says since when it may be.
mod carry;
mod data;
mod offers;
mod openings;
mod results;
mod row;
mod templates;
mod types;

pub use carry::{REVISION, WORKERS, Watch, begin, due, open, watch};
pub use data::{partner_data, worker_data};
pub use offers::{acknowledge, dispatch, find, offered, partner};
pub use openings::{Openings, stands};
pub use results::{Failure, Success, fail, succeed, withdraw};
pub use row::{BY_PIPELINE, JobRow, Standing, ended, key};
pub use templates::expand;
pub use types::{Executor, Partner, TypeRow, Types, custom, partners, type_arn, type_id, type_key};

use api::codepipeline as cp;

/// The owner of types that accounts make for themselves.
pub const CUSTOM: &str = "Custom";
/// The owner of types that partners make.
pub const THIRD_PARTY: &str = "ThirdParty";
/// Minutes that an action of a stored type may take: AWS's 24 hours.
pub const TIMEOUT: i64 = 24 * 60;

/// Whether actions of this type are carried out by job workers.
pub fn owner(id: &cp::ActionTypeId) -> bool {
    [CUSTOM, THIRD_PARTY].contains(&id.owner.as_str())
}

/// A type's id in messages, indexes and ARNs.
pub fn name(id: &cp::ActionTypeId) -> String {
    format!("{}/{}/{}/{}", id.owner, id.category, id.provider, id.version)
}
