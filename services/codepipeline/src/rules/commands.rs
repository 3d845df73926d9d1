//! Commands: shell commands in a build of the rule's own, which must succeed. What runs them is the Commands action's.
use kernel::Fut;

use super::{Rule, RuleType, Verdict};
use crate::actions::{Failed, commands};
use crate::catalog::Settings;
use crate::job::Job;

/// The type.
pub static TYPE: RuleType = RuleType {
    provider: "Commands",
    inputs: 1..=10,
    timeout: 60,
    skips: false,
    commands: true,
    properties: commands::PROPERTIES,
    check: declared,
    rule: &Commands,
};

fn declared(settings: &Settings<'_>) -> Result<(), String> {
    commands::check(settings.action)?;
    commands::in_vpc(settings)
}

/// Carries it out.
pub struct Commands;

impl Rule for Commands {
    fn check<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Verdict, Failed>> {
        Box::pin(async { Ok(Verdict::Met(commands::run(job).await?.progress)) })
    }
}
