//! A job as it is stored. Its id is that of the action's run, whose token it is.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Key, Record};

use super::name;
use crate::actions::lambda;
use crate::engine::{Artifact, Kind, Millis};
use crate::error::Error;
use crate::limits;
use crate::records::{ActionRow, Place};

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobRow {
    /// The pipeline's name.
    pub pipeline: String,
    /// See [`Place::uid`].
    pub uid: String,
    /// How it stands.
    pub standing: Standing,
    /// What is to be done, until it is over.
    pub work: Option<Work>,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Nobody has it. It is offered from then on.
    Queued {
        /// Since when it may be offered.
        from: Millis,
    },
    /// Offered to somebody who has not acknowledged it; past the time it is offered to others again.
    Dispatched {
        /// Whoever knows it may acknowledge it.
        nonce: String,
        /// Until when it is kept for them.
        until: Millis,
    },
    /// Somebody works on it.
    InProgress {
        /// What it was acknowledged with; a function's job needs none.
        nonce: String,
        /// Since when.
        since: Millis,
    },
    /// Over, with this of AWS's job statuses.
    Ended(String),
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    /// The type of the action.
    #[serde(with = "kernel::json::stored")]
    pub kind: cp::ActionTypeId,
    /// The execution.
    pub execution: String,
    /// The stage.
    pub stage: String,
    /// The action.
    pub action: String,
    /// The role under which the action works.
    pub role: String,
    /// The pipeline's role, where the action's is another that it lets in.
    pub through: Option<String>,
    /// The configuration, variables replaced, secrets sealed.
    pub configuration: BTreeMap<String, String>,
    /// The value of the queryable property.
    pub query: Option<String>,
    /// Artifacts to read.
    pub inputs: Vec<Given>,
    /// Artifacts to write.
    pub outputs: Vec<Given>,
    /// What the worker left for whoever goes on.
    pub continuation: Option<String>,
    /// Jobs of this run before this one: a continuation is another.
    pub turn: u32,
    /// The type's template of a link to what the worker does.
    pub execution_url: Option<String>,
    /// The type's template of a link to what the worker took.
    #[serde(default)]
    pub revision_url: Option<String>,
}

/// An artifact that a worker is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Given {
    /// Its name in the pipeline.
    pub name: String,
    /// Where it lies, or is to.
    pub at: Artifact,
    /// The revision that it is made of.
    pub revision: Option<String>,
}

/// The index of jobs that may be offered, by type and queryable value.
pub const BY_OFFER: &str = "offer";
/// The index of jobs by the pipeline that they are of.
pub const BY_PIPELINE: &str = "pipeline";

impl Record for JobRow {
    const TABLE: &'static str = "codepipeline.job";
    const INDEXES: &'static [&'static str] = &[BY_OFFER, BY_PIPELINE];

    fn indexes(&self) -> Vec<(&'static str, String)> {
        let offered = matches!(self.standing, Standing::Queued { .. } | Standing::Dispatched { .. });
        let offer =
            self.work.as_ref().filter(|_| offered).map(|work| offer(&work.kind, work.query.as_deref()));
        offer.map(|offer| (BY_OFFER, offer)).into_iter().chain([(BY_PIPELINE, self.uid.clone())]).collect()
    }
}

/// What [`BY_OFFER`] finds.
pub fn offer(kind: &cp::ActionTypeId, query: Option<&str>) -> String {
    format!("{}/{}", name(kind), query.unwrap_or_default())
}

/// The key of a job.
pub fn key(account: &str, region: &str, id: &str) -> Key {
    Key::new(account, region).text(id)
}

/// The job of a run that an event ends, whoever ends it: a result that comes later finds it over.
pub fn ended(place: &Place, event: &Kind, row: &ActionRow) -> Option<JobRow> {
    let status = match event {
        Kind::ActionSucceeded { .. } => "Succeeded",
        // What a worker says is told with its name.
        Kind::ActionFailed { by: Some(_), .. } | Kind::ActionAbandoned { .. } => "Failed",
        Kind::ActionFailed { by: None, .. } => "TimedOut",
        _ => return None,
    };
    let kind = &row.action.action_type_id;
    let standing = Standing::Ended(status.into());
    let job = JobRow { pipeline: place.name.clone(), uid: place.uid.clone(), standing, work: None };
    (super::owner(kind) || lambda::TYPE.id() == *kind).then_some(job)
}

impl JobRow {
    /// AWS's word for how it stands.
    pub fn status(&self) -> &str {
        match &self.standing {
            Standing::Queued { .. } => "Queued",
            Standing::Dispatched { .. } => "Dispatched",
            Standing::InProgress { .. } => "InProgress",
            Standing::Ended(status) => status,
        }
    }

    /// What is waited for with it, in the words of a sentence's end.
    pub fn waits(&self, now: Millis) -> String {
        let time = |at: Millis| Timestamp::from_millisecond(at).unwrap_or_default();
        match &self.standing {
            Standing::Queued { from } if *from > now => format!("its job goes on from {}", time(*from)),
            Standing::Queued { .. } => "its job is to go on, and nobody has taken it up".into(),
            Standing::Dispatched { until, .. } if *until > now => {
                format!("a worker was offered its job and may acknowledge it until {}", time(*until))
            }
            Standing::Dispatched { .. } => {
                "a worker was offered its job and did not acknowledge it; the next to poll is offered it"
                    .into()
            }
            Standing::InProgress { nonce, since } if nonce.is_empty() => {
                format!("its function has had its job since {}", time(*since))
            }
            Standing::InProgress { since, .. } => format!("a worker has had its job since {}", time(*since)),
            Standing::Ended(status) => format!("its job has ended: {status}"),
        }
    }

    /// What acknowledges it.
    pub fn nonce(&self) -> Option<&str> {
        match &self.standing {
            Standing::Dispatched { nonce, .. } | Standing::InProgress { nonce, .. } => Some(nonce),
            Standing::Queued { .. } | Standing::Ended(_) => None,
        }
    }

    /// Whether it may be offered now.
    pub fn offered(&self, now: Millis) -> bool {
        match self.standing {
            Standing::Queued { from } => from <= now,
            Standing::Dispatched { until, .. } => until <= now,
            Standing::InProgress { .. } | Standing::Ended(_) => false,
        }
    }

    /// Offers it to somebody, for a time.
    pub fn dispatch(&mut self, nonce: String, now: Millis) {
        self.standing = Standing::Dispatched { nonce, until: now.saturating_add(limits::ACKNOWLEDGE) };
    }

    /// Somebody takes it; whether that is news.
    ///
    /// # Errors
    /// The nonce is of an earlier offer, or of none.
    pub fn acknowledge(&mut self, given: &str, now: Millis) -> Result<bool, Error> {
        match &self.standing {
            Standing::Dispatched { nonce, .. } if nonce == given => {
                self.standing = Standing::InProgress { nonce: given.into(), since: now };
                Ok(true)
            }
            // A client that did not hear the answer asks again.
            Standing::InProgress { nonce, .. } if nonce == given => Ok(false),
            Standing::Ended(_) => Ok(false),
            _ => Err(Error::InvalidNonce),
        }
    }

    /// The work that somebody says is done.
    ///
    /// # Errors
    /// Nobody works on it.
    pub fn under_way(&self, id: &str) -> Result<&Work, Error> {
        let over = || Error::InvalidJobState { id: id.into(), status: self.status().into() };
        let working = matches!(self.standing, Standing::InProgress { .. });
        self.work.as_ref().filter(|_| working).ok_or_else(over)
    }

    /// It is to go on later, with this token.
    pub fn go_on(&mut self, token: String, now: Millis) {
        self.standing = Standing::Queued { from: now.saturating_add(limits::CONTINUATION) };
        if let Some(work) = &mut self.work {
            work.continuation = Some(token);
            work.turn += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_taken_once() {
        let row = |standing| JobRow { pipeline: "p".into(), uid: "u".into(), standing, work: None };
        let mut job = row(Standing::Queued { from: 10 });
        assert!(!job.offered(9) && job.offered(10));
        assert!(matches!(job.acknowledge("", 10), Err(Error::InvalidNonce)));
        job.dispatch("a".into(), 10);
        let again = 10 + limits::ACKNOWLEDGE;
        assert!(!job.offered(again - 1) && job.offered(again));
        job.dispatch("b".into(), again);
        // Who was too late learns it.
        assert!(matches!(job.acknowledge("a", again), Err(Error::InvalidNonce)));
        assert!(job.acknowledge("b", again).unwrap());
        assert!(!job.acknowledge("b", again).unwrap());
        assert!(matches!(job.acknowledge("a", again), Err(Error::InvalidNonce)));
        assert!(!job.offered(Millis::MAX));
        job.go_on("t".into(), again);
        assert!(matches!(job.under_way("id"), Err(Error::InvalidJobState { .. })));
        assert!(!job.offered(again) && job.offered(again + limits::CONTINUATION));
        let mut over = row(Standing::Ended("TimedOut".into()));
        assert!(!over.acknowledge("b", 0).unwrap() && over.status() == "TimedOut");
    }
}
