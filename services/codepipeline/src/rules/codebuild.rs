//! CodeBuild: a build of a project, which must succeed. What runs it is the CodeBuild action's.
use kernel::Fut;

use super::{Rule, RuleType, Verdict};
use crate::actions::{Failed, codebuild};
use crate::job::Job;

/// The type. Thirty-six hours, as the action.
pub static TYPE: RuleType = RuleType {
    provider: "CodeBuild",
    inputs: 1..=5,
    timeout: 36 * 60,
    skips: false,
    commands: false,
    properties: codebuild::PROPERTIES,
    check: codebuild::primary,
    rule: &CodeBuild,
};

/// Carries it out.
pub struct CodeBuild;

impl Rule for CodeBuild {
    fn check<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Verdict, Failed>> {
        Box::pin(async { Ok(Verdict::Met(codebuild::run(job).await?.progress)) })
    }
}
