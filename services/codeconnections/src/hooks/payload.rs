//! What providers send, read into changes. What starts nothing (deletions, comments, labels, pings) is no change.
use http::HeaderMap;
use serde_json::Value;

use super::{Provider, Pull, Reference, Told};
use crate::limits;

/// The repository and what changed in it. Absent: not a delivery that we know of a change.
pub fn read(provider: Provider, headers: &HeaderMap, body: &Value) -> Option<(String, Vec<Told>)> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (repository, told) = match provider {
        Provider::GitHub => {
            let told = match header("x-github-event") {
                "push" => github_push(body),
                "pull_request" => github_pull(body),
                _ => None,
            };
            (&body["repository"]["full_name"], told.into_iter().collect())
        }
        Provider::GitLab => {
            let told = match header("x-gitlab-event") {
                "Push Hook" | "Tag Push Hook" => gitlab_push(body),
                "Merge Request Hook" => gitlab_merge(body),
                _ => None,
            };
            (&body["project"]["path_with_namespace"], told.into_iter().collect())
        }
        Provider::Bitbucket => {
            let told = match header("x-event-key") {
                "repo:push" => {
                    let changes = body["push"]["changes"].as_array().into_iter().flatten();
                    changes.take(limits::CHANGES).filter_map(bitbucket_push).collect()
                }
                "pullrequest:created" => bitbucket_pull(body, "OPEN").into_iter().collect(),
                "pullrequest:updated" => bitbucket_pull(body, "UPDATED").into_iter().collect(),
                // Declined ones are closed too, and AWS does not tell of them.
                "pullrequest:fulfilled" => bitbucket_pull(body, "CLOSED").into_iter().collect(),
                _ => Vec::new(),
            };
            (&body["repository"]["full_name"], told)
        }
    };
    Some((text(repository)?, told))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// An object id, whole or abbreviated; the id of nothing is none.
fn id(value: &Value) -> Option<String> {
    let some = |id: &String| {
        id.len() >= 7 && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0')
    };
    text(value).filter(some)
}

/// A number that stands in a ref.
fn number(value: &Value) -> Option<String> {
    value.as_u64().map(|number| number.to_string())
}

fn pushed(full: &str, before: Option<String>, after: String) -> Option<Told> {
    let (reference, name) = match full.strip_prefix("refs/heads/") {
        Some(branch) => (Reference::Branch, branch),
        None => (Reference::Tag, full.strip_prefix("refs/tags/")?),
    };
    Some(Told { reference, name: name.into(), before, after, pull: None })
}

fn github_push(body: &Value) -> Option<Told> {
    pushed(body["ref"].as_str()?, id(&body["before"]), id(&body["after"])?)
}

fn github_pull(body: &Value) -> Option<Told> {
    let event = match body["action"].as_str()? {
        "opened" | "reopened" => "OPEN",
        "synchronize" => "UPDATED",
        "closed" => "CLOSED",
        _ => return None,
    };
    let pull = &body["pull_request"];
    let number = number(&pull["number"])?;
    Some(Told {
        reference: Reference::PullRequest,
        name: text(&pull["base"]["ref"])?,
        before: None,
        after: id(&pull["head"]["sha"])?,
        pull: Some(Pull {
            event: event.into(),
            source: text(&pull["head"]["ref"])?,
            head: Some(format!("refs/pull/{number}/head")),
            number,
        }),
    })
}

fn gitlab_push(body: &Value) -> Option<Told> {
    pushed(body["ref"].as_str()?, id(&body["before"]), id(&body["after"])?)
}

fn gitlab_merge(body: &Value) -> Option<Told> {
    let merge = &body["object_attributes"];
    let event = match merge["action"].as_str()? {
        "open" | "reopen" => "OPEN",
        // Without new commits it is the title, the labels and the like.
        "update" if merge["oldrev"].is_string() => "UPDATED",
        "close" | "merge" => "CLOSED",
        _ => return None,
    };
    let number = number(&merge["iid"])?;
    Some(Told {
        reference: Reference::PullRequest,
        name: text(&merge["target_branch"])?,
        before: None,
        after: id(&merge["last_commit"]["id"])?,
        pull: Some(Pull {
            event: event.into(),
            source: text(&merge["source_branch"])?,
            head: Some(format!("refs/merge-requests/{number}/head")),
            number,
        }),
    })
}

fn bitbucket_push(change: &Value) -> Option<Told> {
    let new = &change["new"];
    let full = match new["type"].as_str()? {
        "branch" => format!("refs/heads/{}", new["name"].as_str()?),
        "tag" => format!("refs/tags/{}", new["name"].as_str()?),
        _ => return None,
    };
    pushed(&full, id(&change["old"]["target"]["hash"]), id(&new["target"]["hash"])?)
}

fn bitbucket_pull(body: &Value, event: &str) -> Option<Told> {
    let pull = &body["pullrequest"];
    Some(Told {
        reference: Reference::PullRequest,
        name: text(&pull["destination"]["branch"]["name"])?,
        before: None,
        after: id(&pull["source"]["commit"]["hash"])?,
        pull: Some(Pull {
            event: event.into(),
            number: number(&pull["id"])?,
            source: text(&pull["source"]["branch"]["name"])?,
            head: None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const NONE: &str = "0000000000000000000000000000000000000000";

    fn read_as(
        provider: Provider,
        header: (&'static str, &'static str),
        body: Value,
    ) -> Option<(String, Vec<Told>)> {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(header.0),
            http::HeaderValue::from_static(header.1),
        )]);
        read(provider, &headers, &body)
    }

    fn push(reference: Reference, name: &str, before: Option<&str>, after: &str) -> Vec<Told> {
        let before = before.map(str::to_owned);
        vec![Told { reference, name: name.into(), before, after: after.into(), pull: None }]
    }

    fn pull(event: &str, after: &str, head: Option<&str>) -> Vec<Told> {
        let pull = Pull {
            event: event.into(),
            number: "7".into(),
            source: "mine".into(),
            head: head.map(str::to_owned),
        };
        let reference = Reference::PullRequest;
        vec![Told { reference, name: "main".into(), before: None, after: after.into(), pull: Some(pull) }]
    }

    #[test]
    fn github() {
        let check = |event: &'static str, mut body: Value, expected: Vec<Told>| {
            body["repository"] = json!({"full_name": "me/app"});
            let got = read_as(Provider::GitHub, ("x-github-event", event), body);
            assert_eq!(got, Some(("me/app".to_owned(), expected)), "{event}");
        };
        let branch = |before, after| json!({"ref": "refs/heads/a/b", "before": before, "after": after});
        check("push", branch(A, B), push(Reference::Branch, "a/b", Some(A), B));
        check("push", branch(NONE, B), push(Reference::Branch, "a/b", None, B));
        check("push", branch(A, NONE), vec![]);
        let tag = json!({"ref": "refs/tags/v1", "before": NONE, "after": B});
        check("push", tag, push(Reference::Tag, "v1", None, B));
        check("ping", json!({"zen": "x"}), vec![]);
        let request = |action| {
            json!({"action": action, "pull_request": {
                "number": 7, "head": {"ref": "mine", "sha": B}, "base": {"ref": "main"},
            }})
        };
        for (action, event) in
            [("opened", "OPEN"), ("reopened", "OPEN"), ("synchronize", "UPDATED"), ("closed", "CLOSED")]
        {
            check("pull_request", request(action), pull(event, B, Some("refs/pull/7/head")));
        }
        check("pull_request", request("labeled"), vec![]);
    }

    #[test]
    fn gitlab() {
        let check = |event: &'static str, mut body: Value, expected: Vec<Told>| {
            body["project"] = json!({"path_with_namespace": "group/sub/app"});
            let got = read_as(Provider::GitLab, ("x-gitlab-event", event), body);
            assert_eq!(got, Some(("group/sub/app".to_owned(), expected)), "{event}");
        };
        let branch = json!({"ref": "refs/heads/main", "before": A, "after": B});
        check("Push Hook", branch, push(Reference::Branch, "main", Some(A), B));
        let tag = json!({"ref": "refs/tags/v1", "before": NONE, "after": B});
        check("Tag Push Hook", tag, push(Reference::Tag, "v1", None, B));
        let merge = |action: &str| {
            json!({"object_attributes": {
                "action": action, "iid": 7, "target_branch": "main", "source_branch": "mine", "last_commit": {"id": B},
            }})
        };
        check("Merge Request Hook", merge("open"), pull("OPEN", B, Some("refs/merge-requests/7/head")));
        check("Merge Request Hook", merge("merge"), pull("CLOSED", B, Some("refs/merge-requests/7/head")));
        check("Merge Request Hook", merge("update"), vec![]);
        let mut pushed = merge("update");
        pushed["object_attributes"]["oldrev"] = json!(A);
        check("Merge Request Hook", pushed, pull("UPDATED", B, Some("refs/merge-requests/7/head")));
    }

    #[test]
    fn bitbucket() {
        let check = |event: &'static str, mut body: Value, expected: Vec<Told>| {
            body["repository"] = json!({"full_name": "me/app"});
            let got = read_as(Provider::Bitbucket, ("x-event-key", event), body);
            assert_eq!(got, Some(("me/app".to_owned(), expected)), "{event}");
        };
        let side = |kind: &str, name: &str, hash: &str| json!({"type": kind, "name": name, "target": {"hash": hash}});
        let changes = json!([
            {"old": side("branch", "main", A), "new": side("branch", "main", B)},
            {"old": null, "new": side("tag", "v1", B)},
            {"old": side("branch", "gone", A), "new": null},
        ]);
        let mut expected = push(Reference::Branch, "main", Some(A), B);
        expected.extend(push(Reference::Tag, "v1", None, B));
        check("repo:push", json!({"push": {"changes": changes}}), expected);
        let request = json!({"pullrequest": {
            "id": 7, "destination": {"branch": {"name": "main"}},
            "source": {"branch": {"name": "mine"}, "commit": {"hash": "bbbbbbbbbbbb"}},
        }});
        check("pullrequest:created", request.clone(), pull("OPEN", "bbbbbbbbbbbb", None));
        check("pullrequest:fulfilled", request.clone(), pull("CLOSED", "bbbbbbbbbbbb", None));
        check("pullrequest:rejected", request, vec![]);
    }

    #[test]
    fn what_is_no_payload_is_no_change() {
        for provider in [Provider::GitHub, Provider::GitLab, Provider::Bitbucket] {
            assert_eq!(read(provider, &HeaderMap::new(), &json!([1])), None);
        }
        let odd = json!({"ref": 7, "after": "../x", "repository": {"full_name": "me/app"}});
        let got = read_as(Provider::GitHub, ("x-github-event", "push"), odd);
        assert_eq!(got, Some(("me/app".into(), vec![])));
    }
}
