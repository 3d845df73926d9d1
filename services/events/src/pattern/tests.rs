use serde_json::{Value, json};

use super::Pattern;

/// A pattern on `detail`, events' details that match, and such that do not.
fn check(detail: Value, yes: &[Value], no: &[Value]) {
    let text = json!({ "detail": detail }).to_string();
    let pattern = Pattern::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    for (details, wanted) in [(yes, true), (no, false)] {
        for detail in details {
            let event = json!({"source": "aws.codecommit", "detail": detail});
            assert_eq!(pattern.matches(&event), wanted, "{text} on {detail}");
        }
    }
}

#[test]
fn values() {
    check(
        json!({"a": ["x", 3, null, true]}),
        &[
            json!({"a": "x"}),
            json!({"a": 3.0}),
            json!({"a": null}),
            json!({"a": true}),
            json!({"a": ["y", "x"]}),
        ],
        &[json!({"a": "X"}), json!({"a": "3"}), json!({}), json!({"a": {"x": 1}}), json!({"a": []})],
    );
    check(json!({"a": [""]}), &[json!({"a": ""})], &[json!({}), json!({"a": null})]);
    check(
        json!({"a": {"b": ["x"], "c": ["y"]}}),
        &[json!({"a": {"b": "x", "c": "y"}}), json!({"a": [{"b": "1"}, {"b": "x", "c": "y"}]})],
        &[json!({"a": {"b": "x"}}), json!({"a": [{"b": "x"}, {"c": "y"}]}), json!({"a": "x"})],
    );
}

#[test]
fn text_operators() {
    check(
        json!({"a": [{"prefix": "re"}]}),
        &[json!({"a": "refs"})],
        &[json!({"a": "Refs"}), json!({"a": 1})],
    );
    check(
        json!({"a": [{"prefix": {"equals-ignore-case": "RE"}}]}),
        &[json!({"a": "reFs"})],
        &[json!({"a": "x"})],
    );
    check(json!({"a": [{"suffix": ".png"}]}), &[json!({"a": "a.png"})], &[json!({"a": "a.PNG"})]);
    check(
        json!({"a": [{"suffix": {"equals-ignore-case": ".png"}}]}),
        &[json!({"a": "a.PNG"})],
        &[json!({"a": "png"})],
    );
    check(json!({"a": [{"equals-ignore-case": "Main"}]}), &[json!({"a": "mAIN"})], &[json!({"a": "main2"})]);
    check(
        json!({"a": [{"wildcard": "re*/he*s/*"}]}),
        &[json!({"a": "refs/heads/main"}), json!({"a": "re/hes/"})],
        &[json!({"a": "refs/tags/1"}), json!({"a": "refs/heads"})],
    );
    check(
        json!({"a": [{"wildcard": "a*ab"}]}),
        &[json!({"a": "aab"}), json!({"a": "aabab"})],
        &[json!({"a": "ab"})],
    );
    check(json!({"a": [{"wildcard": "1\\*2"}]}), &[json!({"a": "1*2"})], &[json!({"a": "112"})]);
}

#[test]
fn anything_but() {
    check(
        json!({"a": [{"anything-but": "x"}]}),
        &[json!({"a": "y"}), json!({"a": 1})],
        &[json!({"a": "x"}), json!({})],
    );
    check(
        json!({"a": [{"anything-but": ["x", 1]}]}),
        &[json!({"a": 2})],
        &[json!({"a": "x"}), json!({"a": 1})],
    );
    check(
        json!({"a": [{"anything-but": {"prefix": ["v", "w"]}}]}),
        &[json!({"a": "x1"})],
        &[json!({"a": "v1"}), json!({"a": "w"})],
    );
    check(json!({"a": [{"anything-but": {"suffix": "1"}}]}), &[json!({"a": "2"})], &[json!({"a": "v1"})]);
    check(
        json!({"a": [{"anything-but": {"equals-ignore-case": ["X"]}}]}),
        &[json!({"a": "y"})],
        &[json!({"a": "x"})],
    );
    check(
        json!({"a": [{"anything-but": {"wildcard": "*/lib/*"}}]}),
        &[json!({"a": "a/b"})],
        &[json!({"a": "a/lib/b"})],
    );
}

#[test]
fn numbers_presence_and_addresses() {
    check(
        json!({"a": [{"numeric": [">", 0, "<=", 5]}]}),
        &[json!({"a": 5}), json!({"a": 0.1})],
        &[json!({"a": 0}), json!({"a": "3"})],
    );
    check(json!({"a": [{"numeric": ["=", 3.018e2]}]}), &[json!({"a": 301.8})], &[json!({"a": 301})]);
    check(
        json!({"a": [{"exists": true}]}),
        &[json!({"a": null}), json!({"a": "x"})],
        &[json!({}), json!({"a": {"b": 1}})],
    );
    check(json!({"a": [{"exists": false}]}), &[json!({}), json!({"b": 1})], &[json!({"a": null})]);
    check(
        json!({"a": {"b": [{"exists": false}]}}),
        &[json!({}), json!({"a": {}})],
        &[json!({"a": {"b": 1}})],
    );
    check(json!({"a": ["x", {"exists": false}]}), &[json!({}), json!({"a": "x"})], &[json!({"a": "y"})]);
    check(
        json!({"a": [{"cidr": "10.0.0.0/24"}]}),
        &[json!({"a": "10.0.0.255"})],
        &[json!({"a": "10.0.1.0"}), json!({"a": "::1"})],
    );
    check(json!({"a": [{"cidr": "0.0.0.0/0"}]}), &[json!({"a": "1.2.3.4"})], &[json!({"a": "x"})]);
    check(json!({"a": [{"cidr": "fd00::/8"}]}), &[json!({"a": "fd12::1"})], &[json!({"a": "fe80::1"})]);
}

#[test]
fn either_of_several_fields() {
    check(
        json!({"$or": [{"a": ["x"]}, {"b": [{"numeric": [">", 1]}]}], "c": ["z"]}),
        &[json!({"a": "x", "c": "z"}), json!({"b": 2, "c": "z"})],
        &[json!({"c": "z"}), json!({"a": "x"}), json!({"b": 1, "c": "z"})],
    );
}

#[test]
fn the_tutorials_pattern_for_a_push() {
    let pattern = Pattern::parse(
        r#"{"source":["aws.codecommit"],"detail-type":["CodeCommit Repository State Change"],
        "resources":["arn:aws:codecommit:us-east-1:000000000000:web"],
        "detail":{"event":["referenceCreated","referenceUpdated"],"referenceType":["branch"],"referenceName":["main"]}}"#,
    );
    let event = |branch: &str| {
        json!({
            "source": "aws.codecommit", "detail-type": "CodeCommit Repository State Change",
            "resources": ["arn:aws:codecommit:us-east-1:000000000000:web"],
            "detail": {"event": "referenceUpdated", "referenceType": "branch", "referenceName": branch, "commitId": "c"},
        })
    };
    let pattern = pattern.unwrap();
    assert!(pattern.matches(&event("main")) && !pattern.matches(&event("other")));
}

#[test]
fn mistakes_are_told() {
    let deep = format!("{}[1]{}", r#"{"a":"#.repeat(40), "}".repeat(40));
    for (text, told) in [
        ("{", "not JSON"),
        ("[]", "Filter is not an object"),
        ("{}", "Empty objects"),
        (r#"{"a": "x"}"#, "\"a\" must be an object or an array"),
        (r#"{"a": []}"#, "Empty arrays"),
        (r#"{"a": [[1]]}"#, "Match value must be"),
        (r#"{"a": [{"like": "x"}]}"#, "Unrecognized match type like"),
        (r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#, "Only one key"),
        (r#"{"a": [{"prefix": 1}]}"#, "must be a string"),
        (r#"{"a": [{"exists": "yes"}]}"#, "true or false"),
        (r#"{"a": [{"numeric": ["~", 1]}]}"#, "Unrecognized numeric"),
        (r#"{"a": [{"numeric": [">", "1"]}]}"#, "must be numeric"),
        (r#"{"a": [{"numeric": [">", 5, "<", 1]}]}"#, "Bottom must be"),
        (r#"{"a": [{"cidr": "10.0.0.0/33"}]}"#, "Malformed CIDR"),
        (r#"{"a": [{"wildcard": "a**"}]}"#, "Consecutive wildcard"),
        (r#"{"a": [{"anything-but": []}]}"#, "Empty arrays"),
        (r#"{"a": [{"anything-but": null}]}"#, "not supported"),
        (r#"{"$or": [{"a": [1]}]}"#, "at least 2"),
        (&deep, "too deep"),
    ] {
        let error = Pattern::parse(text).expect_err(text).to_string();
        assert!(
            error.starts_with("Event pattern is not valid. Reason: ") && error.contains(told),
            "{text}: {error}"
        );
    }
}
