//! The operations, a file per family.
mod actions;
mod builds;
mod images;
mod projects;
mod start;
pub(crate) mod validate;

use kernel::{Access, Arn, Cx};
use store::Key;

pub(crate) use start::retry;

/// Every key begins so.
pub(crate) fn scope(cx: &Cx) -> Key {
    Key::new(cx.account(), &cx.region)
}

pub(crate) fn arn(cx: &Cx, resource: &str) -> String {
    Arn::new("codebuild", &cx.region, cx.account(), resource).to_string()
}

/// Permission for an action on a project: what all of CodeBuild's actions on builds are checked against, too.
fn on_project(cx: &Cx, action: &'static str, name: &str) -> Vec<Access> {
    vec![Access::new(action, arn(cx, &format!("project/{}", bare(name))))]
}

fn on_projects<'a>(cx: &Cx, action: &'static str, names: impl Iterator<Item = &'a str>) -> Vec<Access> {
    let mut names: Vec<&str> = names.map(bare).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().flat_map(|name| on_project(cx, action, name)).collect()
}

/// A project's name, which callers may give as an ARN.
pub(crate) fn bare(name: &str) -> &str {
    name.split_once(":project/").map_or(name, |(_, name)| name)
}
