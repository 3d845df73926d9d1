//! IAM's policy language: reading documents, and deciding by them. Pure; knows nothing of how policies are kept.
//!
//! A crate of its own, since services whose resources have policies (S3, ECR) check them before they store them.

mod condition;
mod context;
mod evaluate;
mod parse;
mod pattern;
mod principal;
#[cfg(test)]
mod tests;

pub use context::Context;
pub use evaluate::{Decision, Layer, Owner, Policies, Request, decide, trusts};
pub use parse::{Malformed, Purpose};
pub use principal::Match;

use condition::Condition;
use pattern::Template;
use principal::Principals;

/// A policy document, read and checked.
#[derive(Debug)]
pub struct Document {
    statements: Vec<Statement>,
}

/// Whether a statement lets or forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug)]
struct Statement {
    effect: Effect,
    /// None in identity policies: they are about whom they are attached to.
    principals: Option<Principals>,
    actions: Clause,
    /// None where the policy is the resource's own and names none (trust policies, ECR).
    resources: Option<Clause>,
    conditions: Vec<Condition>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug)]
struct Clause {
    negated: bool,
    patterns: Vec<Template>,
}

impl Clause {
    fn covers(&self, matches: impl Fn(&Template) -> bool) -> bool {
        self.patterns.iter().any(matches) != self.negated
    }
}

impl Statement {
    /// Whether the statement is about this request, its principal aside.
    fn applies(&self, request: &Request<'_>) -> bool {
        let cx = request.context;
        self.actions.covers(|pattern| pattern.matches_folded(request.action, cx))
            && self
                .resources
                .as_ref()
                .is_none_or(|r| r.covers(|pattern| pattern.matches(request.resource, cx)))
            && self.conditions.iter().all(|condition| condition.holds(cx))
    }
}
