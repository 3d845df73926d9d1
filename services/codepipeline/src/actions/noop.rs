//! Actions that do nothing, for benchmarks of the engine alone: behind the feature `bench`, which no server is built
//! with.
use std::collections::BTreeMap;

use kernel::Fut;

use super::{Action, Failed};
use crate::catalog::{ActionType, Carrier, anything};
use crate::engine::{Output, Revision};
use crate::job::Job;

struct Noop;

const fn kind(category: &'static str, least: usize, inputs: usize) -> ActionType {
    ActionType {
        category,
        provider: "Noop",
        inputs: least..=inputs,
        outputs: 0..=1,
        timeout: 60,
        timeout_key: None,
        properties: &[],
        check: anything,
        carrier: Carrier::Provider(&Noop),
    }
}

/// A source.
pub static SOURCE: ActionType = kind("Source", 0, 0);
/// Anything else.
pub static BUILD: ActionType = kind("Build", 0, 1);

impl Action for Noop {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(async {
            let artifacts: BTreeMap<_, _> = job.outputs.iter().cloned().collect();
            let revision = Revision { id: job.id().to_owned(), ..Revision::default() };
            Ok(Output { artifacts, revision: Some(revision), ..Output::default() })
        })
    }
}
