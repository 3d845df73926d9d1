//! Whether a trigger's filters let a change start the pipeline: one of its filters must, and all criteria of that one.
use api::codepipeline as cp;

use super::glob::Glob;
use super::{Change, Reference};
use crate::limits;

/// Whether one of the filters lets the change pass.
pub fn pass(trigger: &cp::GitConfiguration, change: &Change) -> bool {
    match change.reference_type {
        Reference::PullRequest => {
            trigger.pull_request.iter().flatten().any(|filter| pull_request(filter, change))
        }
        Reference::Branch | Reference::Tag => {
            trigger.push.iter().flatten().any(|filter| push(filter, change))
        }
    }
}

fn push(filter: &cp::GitPushFilter, change: &Change) -> bool {
    let name = &change.reference_name;
    if change.reference_type == Reference::Tag {
        return filter.tags.as_ref().is_some_and(|tags| chosen(&tags.includes, &tags.excludes, name));
    }
    let Some(branches) = &filter.branches else { return false };
    chosen(&branches.includes, &branches.excludes, name)
        // A new branch has no earlier commit that its files could be compared with.
        && filter.file_paths.as_ref().is_none_or(|paths| !change.created && files(paths, change))
}

fn pull_request(filter: &cp::GitPullRequestFilter, change: &Change) -> bool {
    let event = change.event.as_ref();
    filter.events.as_ref().is_none_or(|events| event.is_some_and(|event| events.contains(event)))
        && filter
            .branches
            .as_ref()
            .is_none_or(|branches| chosen(&branches.includes, &branches.excludes, &change.reference_name))
        && filter.file_paths.as_ref().is_none_or(|paths| files(paths, change))
}

/// One file that is included and not excluded is enough; of a large change the first files are looked at.
fn files(paths: &cp::GitFilePathFilterCriteria, change: &Change) -> bool {
    let files = change.files.iter().flatten().take(limits::CHANGED_FILES);
    let (includes, excludes) = (globs(&paths.includes), globs(&paths.excludes));
    let mut files = files.filter(|file| included(&includes, &excludes, file));
    files.next().is_some()
}

fn chosen(includes: &Option<Vec<String>>, excludes: &Option<Vec<String>>, name: &str) -> bool {
    included(&globs(includes), &globs(excludes), name)
}

/// Without includes everything is included; excludes win.
fn included(includes: &[Glob], excludes: &[Glob], name: &str) -> bool {
    let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name));
    (includes.is_empty() || any(includes)) && !any(excludes)
}

/// Declared patterns were checked.
fn globs(patterns: &Option<Vec<String>>) -> Vec<Glob> {
    patterns.iter().flatten().filter_map(|pattern| Glob::new(pattern).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// `filters`: the members beside `sourceActionName`; `starts` and `not` are changes.
    #[track_caller]
    fn check(filters: Value, starts: &[Change], not: &[Change]) {
        let mut trigger = json!({"sourceActionName": "Src"});
        trigger.as_object_mut().unwrap().extend(filters.as_object().unwrap().clone());
        let read: cp::GitConfiguration = kernel::json::from_value(&trigger).expect("the shape");
        for change in starts {
            assert!(pass(&read, change), "{filters} should let pass {change:?}");
        }
        for change in not {
            assert!(!pass(&read, change), "{filters} should not let pass {change:?}");
        }
    }

    fn push(branch: &str, files: &[&str]) -> Change {
        Change {
            reference_name: branch.into(),
            files: Some(files.iter().map(|file| (*file).to_owned()).collect()),
            ..Change::default()
        }
    }

    fn tag(name: &str) -> Change {
        Change { reference_type: Reference::Tag, created: true, ..push(name, &[]) }
    }

    fn pull(event: &str, target: &str, files: &[&str]) -> Change {
        Change {
            reference_type: Reference::PullRequest,
            event: Some(event.into()),
            source_branch: Some("mine".into()),
            ..push(target, files)
        }
    }

    #[test]
    fn branches() {
        let filter = json!({"push": [{"branches": {"includes": ["main", "release/*"], "excludes": ["release/old*"]}}]});
        check(
            filter,
            &[push("main", &[]), push("release/2", &[])],
            &[push("release/old1", &[]), push("x", &[]), tag("main"), pull("OPEN", "main", &[])],
        );
        check(
            json!({"push": [{"branches": {"excludes": ["main"]}}]}),
            &[push("x", &[])],
            &[push("main", &[])],
        );
    }

    #[test]
    fn tags() {
        let filter = json!({"push": [{"tags": {"includes": ["v*"], "excludes": ["v*-rc?"]}}]});
        check(filter, &[tag("v1.0")], &[tag("v1.0-rc1"), tag("x"), push("v1.0", &[])]);
    }

    #[test]
    fn filters_are_alternatives_and_criteria_are_not() {
        let filter = json!({"push": [
            {"branches": {"includes": ["main"]}, "filePaths": {"includes": ["src/**"]}},
            {"branches": {"includes": ["hotfix/*"]}},
            {"tags": {"includes": ["*"]}},
        ]});
        check(
            filter,
            &[push("main", &["src/a/b.c"]), push("hotfix/1", &["docs/x"]), tag("any")],
            &[push("main", &["docs/x"]), push("other", &["src/a"])],
        );
        let both = json!({
            "push": [{"branches": {"includes": ["main"]}}],
            "pullRequest": [{"events": ["OPEN"], "branches": {"includes": ["main"]}}],
        });
        check(both, &[push("main", &[]), pull("OPEN", "main", &[])], &[pull("CLOSED", "main", &[])]);
    }

    #[test]
    fn files_are_judged_one_by_one() {
        let filter = json!({"push": [{
            "branches": {"includes": ["**"]},
            "filePaths": {"includes": ["src/**"], "excludes": ["src/**.md", "src/gen/**"]},
        }]});
        check(
            filter.clone(),
            &[
                push("b", &["src/a.rs"]),
                push("b", &["src/README.md", "src/a.rs"]),
                push("b", &["x", "src/a"]),
            ],
            &[push("b", &["src/README.md"]), push("b", &["src/gen/a.rs", "docs/x"]), push("b", &[])],
        );
        // A new branch never starts by its files; nor does a change whose files nobody could tell.
        check(
            filter.clone(),
            &[],
            &[Change { created: true, ..push("b", &["src/a.rs"]) }, Change { files: None, ..push("b", &[]) }],
        );
        let many: Vec<String> = (0..150).map(|n| format!("docs/{n}")).chain(["src/a.rs".into()]).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(filter, &[push("b", &many[51..])], &[push("b", &many)]);
    }

    #[test]
    fn pull_requests() {
        let filter = json!({"pullRequest": [{
            "events": ["OPEN", "UPDATED"],
            "branches": {"includes": ["main"]},
            "filePaths": {"includes": ["src/**"]},
        }]});
        check(
            filter,
            &[pull("OPEN", "main", &["src/a"]), pull("UPDATED", "main", &["src/a"])],
            &[
                pull("CLOSED", "main", &["src/a"]),
                pull("OPEN", "mine", &["src/a"]),
                pull("OPEN", "main", &["x"]),
                push("main", &["src/a"]),
            ],
        );
        check(json!({"pullRequest": [{}]}), &[pull("CLOSED", "x", &[])], &[push("x", &[])]);
    }
}
