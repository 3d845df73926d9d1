//! `docs/pipeline-states.md` says which states follow which, by which events: all that the schedules saw, and no more.
use std::collections::BTreeSet;
use std::path::Path;

use super::seen::Seen;

/// The transitions of a document's diagrams, by the heading that each stands under.
fn documented(text: &str) -> BTreeSet<String> {
    let mut of = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            of = heading;
        }
        let Some((states, events)) = line.trim().split_once(" : ") else { continue };
        let Some((from, to)) = states.split_once(" --> ") else { continue };
        for event in events.split(", ") {
            found.insert(format!("{of}: {from} --> {to} : {event}"));
        }
    }
    found
}

#[track_caller]
pub(super) fn check(seen: &Seen) {
    // As cargo says it when it runs this: what was built may be of another checkout.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = Path::new(&package).join("../../docs/pipeline-states.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let line = |(of, from, to, event): &(&str, &str, &str, &str)| format!("{of}: {from} --> {to} : {event}");
    let seen: BTreeSet<String> = seen.iter().map(line).collect();
    let documented = documented(&text);
    let missing: Vec<_> = seen.difference(&documented).collect();
    let never: Vec<_> = documented.difference(&seen).collect();
    assert!(missing.is_empty() && never.is_empty(), "not documented: {missing:#?}\nnever seen: {never:#?}");
}
