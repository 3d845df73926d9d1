use std::sync::Arc;

use kernel::{Principal, PrincipalKind};
use proptest::prelude::*;

use super::pattern::{Atom, Template, glob};
use super::*;

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";
const BUILD: &str = "arn:aws:sts::000000000000:assumed-role/build/b1";

fn who(arn: &str) -> Principal {
    let account = arn.split(':').nth(4).unwrap().to_owned();
    let kind = match arn.rsplit_once('/') {
        Some((role, session)) if arn.contains(":assumed-role/") => PrincipalKind::Role {
            arn: role.replace(":sts:", ":iam:").replace("assumed-role", "role"),
            session: session.into(),
        },
        Some((_, name)) => PrincipalKind::User(name.into()),
        None if arn.ends_with(":root") => PrincipalKind::Root,
        None => PrincipalKind::Service("ecs-tasks.amazonaws.com"),
    };
    Principal { arn: arn.into(), account, id: "ID".into(), kind, session_policies: Vec::new() }
}

fn document(text: &str, purpose: Purpose) -> Document {
    Document::parse(text, purpose).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A policy of these statements.
fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

/// Decides by one identity policy.
fn check(statements: &str, action: &str, resource: &str, context: &[(&str, &str)], expected: Decision) {
    let documents = [Arc::new(document(&policy(statements), Purpose::Identity))];
    let mut cx = Context::default();
    context.iter().for_each(|(key, value)| cx.add(key, *value));
    let principal = who(ALICE);
    let request = Request { who: &principal, action, resource, context: &cx };
    let decision = decide(&request, &Policies { identity: &documents, ..Policies::default() });
    assert_eq!(decision, expected, "{statements}\n{action} {resource} {context:?}");
}

use Decision::{Allowed, Denied, Missing};
use Layer::{Boundary, Identity, Resource, Session};

#[test]
fn actions_and_resources() {
    let key = "arn:aws:s3:::b/dir/key";
    for (statements, action, resource, expected) in [
        (r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, "s3:GetObject", key, Allowed),
        (r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}"#, "s3:GetObject", key, Allowed),
        (r#"{"Effect":"Allow","Action":"S3:getobject","Resource":"arn:aws:s3:::b/*"}"#, "s3:GetObject", key, Allowed),
        (r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::B/*"}"#, "s3:GetObject", key, Missing(Identity)),
        (r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b"}"#, "s3:GetObject", key, Missing(Identity)),
        (r#"{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}"#, "s3:GetObject", key, Missing(Identity)),
        (r#"{"Effect":"Allow","Action":["s3:Put*","s3:?etObject"],"Resource":["x*","arn:aws:s3:::?/*/key"]}"#.replace("x*", "arn:x*").leak(), "s3:GetObject", key, Allowed),
        (r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#, "s3:GetObject", key, Allowed),
        (r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#, "iam:GetUser", ALICE, Missing(Identity)),
        (r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}"#, "s3:GetObject", key, Missing(Identity)),
        (r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::c/*"}"#, "s3:GetObject", key, Allowed),
        (r#"{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"*"}"#, "s3:GetObject", key, Denied(Identity)),
        (r#"{"Effect":"Deny","NotAction":"s3:*","Resource":"*"},{"Effect":"Allow","Action":"*","Resource":"*"}"#, "s3:GetObject", key, Allowed),
    ] {
        check(statements, action, resource, &[], expected);
    }
}

#[test]
fn variables() {
    let home = r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"}"#;
    let alice = [("aws:username", "alice")];
    check(home, "s3:GetObject", "arn:aws:s3:::home/alice/x", &alice, Allowed);
    check(home, "s3:GetObject", "arn:aws:s3:::home/bob/x", &alice, Missing(Identity));
    check(home, "s3:GetObject", "arn:aws:s3:::home//x", &[], Missing(Identity));
    // A value is never a wildcard, and a default stands in for none.
    check(home, "s3:GetObject", "arn:aws:s3:::home/bob/x", &[("aws:username", "*")], Missing(Identity));
    let fallback =
        r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username, 'all'}/${*}"}"#;
    check(fallback, "s3:GetObject", "arn:aws:s3:::home/all/*", &[], Allowed);
    check(fallback, "s3:GetObject", "arn:aws:s3:::home/all/x", &[], Missing(Identity));
    // The older version knows no variables.
    let old = policy(home).replace("2012", "2008");
    let (principal, cx) = (who(ALICE), Context::default().with("aws:username", "alice"));
    let old = [Arc::new(document(&old, Purpose::Identity))];
    for (resource, expected) in
        [("arn:aws:s3:::home/alice/x", Missing(Identity)), ("arn:aws:s3:::home/${aws:username}/x", Allowed)]
    {
        let request = Request { who: &principal, action: "s3:GetObject", resource, context: &cx };
        assert_eq!(decide(&request, &Policies { identity: &old, ..Policies::default() }), expected);
    }
}

/// operator, key, the policy's values, the request's, whether it holds.
#[test]
fn conditions() {
    let cases: &[(&str, &str, &[&str], bool)] = &[
        ("StringEquals", r#"["a","b"]"#, &["b"], true),
        ("StringEquals", r#""a*""#, &["ab"], false),
        ("StringEquals", r#""a""#, &[], false),
        ("StringEqualsIfExists", r#""a""#, &[], true),
        ("StringEqualsIfExists", r#""a""#, &["b"], false),
        ("StringEquals", r#""${aws:username}""#, &["alice"], true),
        ("StringNotEquals", r#"["a","b"]"#, &["b"], false),
        ("StringNotEquals", r#"["a","b"]"#, &["c"], true),
        ("StringNotEquals", r#""a""#, &[], true),
        ("StringEqualsIgnoreCase", r#""aB""#, &["Ab"], true),
        ("StringNotEqualsIgnoreCase", r#""aB""#, &["Ab"], false),
        ("StringLike", r#""a*c?""#, &["abbcd"], true),
        ("StringLike", r#""A*""#, &["a"], false),
        ("StringNotLike", r#""a*""#, &["abc"], false),
        ("NumericEquals", "10", &["10.0"], true),
        ("NumericNotEquals", "10", &["11"], true),
        ("NumericLessThan", "10", &["9"], true),
        ("NumericLessThan", "10", &["nine"], false),
        ("NumericLessThanEquals", r#""10""#, &["10"], true),
        ("NumericGreaterThan", "10", &["10"], false),
        ("NumericGreaterThanEquals", "10", &["10"], true),
        ("DateLessThan", r#""2026-01-01T00:00:00Z""#, &["2025-12-31T23:59:59Z"], true),
        ("DateGreaterThan", r#""2026-01-01""#, &["2026-01-01T00:00:01Z"], true),
        ("DateEquals", r#""0""#, &["1970-01-01T00:00:00Z"], true),
        ("Bool", "true", &["true"], true),
        ("Bool", r#""false""#, &["true"], false),
        ("BoolIfExists", "true", &[], true),
        ("IpAddress", r#"["10.0.0.0/8","203.0.113.7"]"#, &["10.1.2.3"], true),
        ("IpAddress", r#""203.0.113.7""#, &["203.0.113.8"], false),
        ("IpAddress", r#""2001:db8::/32""#, &["2001:db8:1::1"], true),
        ("IpAddress", r#""0.0.0.0/0""#, &["2001:db8::1"], false),
        ("IpAddress", r#""127.0.0.0/8""#, &["::ffff:127.0.0.1"], true),
        ("NotIpAddress", r#""10.0.0.0/8""#, &["10.1.2.3"], false),
        ("ArnLike", r#""arn:aws:ecs:*:*:task/*""#, &["arn:aws:ecs:us-east-1:0:task/c/1"], true),
        ("ArnEquals", r#""arn:aws:*:task/*""#, &["arn:aws:ecs:us-east-1:0:task/c/1"], false),
        ("ArnNotLike", r#""arn:aws:ecs:*:*:task/*""#, &["arn:aws:ecs:us-east-1:0:task/c/1"], false),
        ("Null", "true", &[], true),
        ("Null", "true", &["x"], false),
        ("Null", "false", &["x"], true),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "b"], true),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "c"], false),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &[], true),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["c", "b"], true),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &[], false),
        ("ForAnyValue:StringNotEquals", r#""a""#, &["a", "b"], true),
        ("ForAllValues:StringNotLike", r#""a*""#, &["b", "ab"], false),
    ];
    for (operator, values, sent, holds) in cases {
        let statement = format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"{operator}":{{"x:Key":{values}}}}}}}"#
        );
        let mut context = vec![("aws:username", "alice")];
        context.extend(sent.iter().map(|value| ("X:KEY", *value)));
        check(&statement, "s3:GetObject", "*", &context, if *holds { Allowed } else { Missing(Identity) });
    }
    // All operators and all keys must hold.
    let both = r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"x:A":"1","x:B":"2"},"Bool":{"x:C":"true"}}}"#;
    check(both, "a:b", "*", &[("x:A", "1"), ("x:B", "2"), ("x:C", "true")], Allowed);
    check(both, "a:b", "*", &[("x:A", "1"), ("x:C", "true")], Missing(Identity));
}

/// Identity (I), boundary (B), session (S) and resource (R) policies together. `1` allows, `0` says nothing, `-`
/// is not there, `D` denies; a resource policy grants by account (a), role (r), everyone (e) or itself (i).
#[test]
fn policies_combine() {
    let identity = |c| match c {
        '1' => r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#,
        'D' => r#"{"Effect":"Deny","Action":"s3:*","Resource":"*"}"#,
        _ => r#"{"Effect":"Allow","Action":"iam:*","Resource":"*"}"#,
    };
    let resource = |c| match c {
        'a' => r#"{"AWS":"arn:aws:iam::000000000000:root"}"#,
        'r' => r#"{"AWS":"arn:aws:iam::000000000000:role/build"}"#,
        'i' => {
            r#"{"AWS":["arn:aws:sts::000000000000:assumed-role/build/b1","arn:aws:iam::000000000000:user/alice"]}"#
        }
        's' => r#"{"Service":"ecs-tasks.amazonaws.com"}"#,
        'x' => r#"{"AWS":"111111111111"}"#,
        _ => r#""*""#,
    };
    let (own, other, guarded) = (Owner::Same, Owner::Other, Owner::Guarded);
    for (arn, owner, ibsr, expected) in [
        (ALICE, own, "1---", Allowed),
        (ALICE, own, "0---", Missing(Identity)),
        (ALICE, own, "11--", Allowed),
        (ALICE, own, "10--", Missing(Boundary)),
        (ALICE, own, "1D--", Denied(Boundary)),
        (BUILD, own, "1-0-", Missing(Session)),
        (BUILD, own, "1-1-", Allowed),
        (BUILD, own, "0-1-", Missing(Identity)),
        (BUILD, own, "1-D-", Denied(Session)),
        // Resource policies of the same account.
        (ALICE, own, "0--i", Allowed),
        (ALICE, own, "00-i", Allowed),
        (ALICE, own, "00-e", Missing(Boundary)),
        (ALICE, own, "0--a", Missing(Identity)),
        (ALICE, own, "0--x", Missing(Identity)),
        (ALICE, own, "1--D", Denied(Resource)),
        (ALICE, own, "D--i", Denied(Identity)),
        (BUILD, own, "0--r", Allowed),
        (BUILD, own, "0-0r", Missing(Session)),
        (BUILD, own, "0-0i", Allowed),
        // Of another account.
        (ALICE, other, "1---", Missing(Resource)),
        (ALICE, other, "1--a", Allowed),
        (ALICE, other, "0--i", Missing(Identity)),
        (ALICE, other, "10-i", Missing(Boundary)),
        // A role's trust policy.
        (ALICE, guarded, "1--x", Missing(Resource)),
        (ALICE, guarded, "1--a", Allowed),
        (ALICE, guarded, "0--a", Missing(Identity)),
        (ALICE, guarded, "0--i", Allowed),
        // The root user and services.
        ("arn:aws:iam::000000000000:root", own, "0---", Allowed),
        ("arn:aws:iam::000000000000:root", own, "0--D", Denied(Resource)),
        ("arn:aws:iam::000000000000:root", other, "0---", Missing(Resource)),
        ("arn:aws:iam::000000000000:root", other, "0--a", Allowed),
        ("arn:aws:iam::000000000000:service", guarded, "0--s", Allowed),
        ("arn:aws:iam::000000000000:service", guarded, "0--a", Missing(Resource)),
    ] {
        let c: Vec<char> = ibsr.chars().collect();
        let read = |c: char| (c != '-').then(|| Arc::new(document(&policy(identity(c)), Purpose::Identity)));
        let (i, b, s) = (read(c[0]), read(c[1]), read(c[2]));
        let r = (c[3] != '-').then(|| {
            let effect = if c[3] == 'D' { "Deny" } else { "Allow" };
            let text = format!(
                r#"{{"Effect":"{effect}","Principal":{},"Action":"s3:*","Resource":"*"}}"#,
                resource(c[3])
            );
            document(&policy(&text), Purpose::Resource)
        });
        let (i, s): (Vec<_>, Vec<_>) = (i.into_iter().collect(), s.into_iter().collect());
        let policies =
            Policies { identity: &i, boundary: b.as_deref(), session: &s, resource: r.as_ref(), owner };
        let (principal, cx) = (who(arn), Context::default());
        let request =
            Request { who: &principal, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &cx };
        assert_eq!(decide(&request, &policies), expected, "{arn} {owner:?} {ibsr}");
    }
}

#[test]
fn not_principal_spares_whom_it_names() {
    let text = r#"{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::000000000000:user/alice"},"Action":"s3:*","Resource":"*"}"#;
    let deny = document(&policy(text), Purpose::Resource);
    let allow =
        [Arc::new(document(&policy(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#), Purpose::Identity))];
    for (arn, expected) in [(ALICE, Allowed), (BUILD, Denied(Resource))] {
        let (principal, cx) = (who(arn), Context::default());
        let request = Request { who: &principal, action: "s3:GetObject", resource: "*", context: &cx };
        let policies = Policies { identity: &allow, resource: Some(&deny), ..Policies::default() };
        assert_eq!(decide(&request, &policies), expected, "{arn}");
    }
}

#[test]
fn services_are_trusted_by_name_only() {
    let cx = Context::default().with("aws:SourceAccount", "000000000000");
    let service = who("arn:aws:iam::000000000000:service");
    for (principal, condition, expected) in [
        (r#"{"Service":"ecs-tasks.amazonaws.com"}"#, "", true),
        (r#"{"Service":["codebuild.amazonaws.com","ecs-tasks.amazonaws.com"]}"#, "", true),
        (r#"{"Service":"codebuild.amazonaws.com"}"#, "", false),
        (r#"{"AWS":"000000000000"}"#, "", false),
        (
            r#"{"Service":"ecs-tasks.amazonaws.com"}"#,
            r#","Condition":{"StringEquals":{"aws:SourceAccount":"000000000000"}}"#,
            true,
        ),
        (
            r#"{"Service":"ecs-tasks.amazonaws.com"}"#,
            r#","Condition":{"StringEquals":{"aws:SourceAccount":"111111111111"}}"#,
            false,
        ),
    ] {
        let text =
            format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"{condition}}}"#);
        let trust = document(&policy(&text), Purpose::Trust);
        let request = Request { who: &service, action: "sts:AssumeRole", resource: "*", context: &cx };
        assert_eq!(trusts(&trust, &request), expected, "{text}");
        let alice = who(ALICE);
        assert!(!trusts(&trust, &Request { who: &alice, ..request }), "{text}");
    }
}

#[test]
fn malformed_documents() {
    use Purpose::{Identity, Resource, Trust};
    let good = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let trust = r#"{"Effect":"Allow","Principal":{"Service":"a.b"},"Action":"sts:AssumeRole"}"#;
    for (purpose, text, words) in [
        (Identity, "{", "not valid JSON: EOF while parsing an object at line 1 column 1"),
        (Identity, "[]", "not a JSON object"),
        (Identity, r#"{"Version":"2012-10-17"}"#, "Statement must be"),
        (Identity, r#"{"Version":"2012-10-17","Statement":[]}"#, "Statement must be"),
        (Identity, &policy(good).replace("2012", "2015"), "must be version 2012-10-17 or greater."),
        (Identity, &policy(good).replace("Version", "Versions"), "unknown field Versions"),
        (Identity, &policy(&format!("{good},7")), "Statement[1] is not a JSON object"),
        (Identity, &policy(&good.replace("Action", "Actions")), "unknown field (at Statement[0].Actions)"),
        (Identity, &policy(&good.replace("Allow", "allow")), "(at Statement[0].Effect)"),
        (
            Identity,
            &policy(r#"{"Action":"s3:*","Resource":"*"}"#),
            "Missing required field Effect (at Statement[0])",
        ),
        (Identity, &policy(r#"{"Effect":"Allow","Resource":"*"}"#), "Policy statement must contain actions."),
        (Identity, &policy(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#), "must contain actions."),
        (
            Identity,
            &policy(r#"{"Effect":"Allow","Action":"s3:*"}"#),
            "Policy statement must contain resources.",
        ),
        (Identity, &policy(&good.replace("s3:*", "GetObject")), "must be prefaced by a vendor"),
        (Identity, &policy(&good.replace("s3:*", "s*:Get")), "Vendor s* is not valid"),
        (
            Identity,
            &policy(&good.replace(r#""Resource":"*""#, r#""Resource":"bucket""#)),
            "Resource bucket must be in ARN format or \"*\".",
        ),
        (
            Identity,
            &policy(&good.replace(r#""*"}"#, r#"["*",7]}"#)),
            "list of texts (at Statement[0].Resource)",
        ),
        (Identity, &policy(&good.replace(r#""Effect""#, r#""Sid":"a b","Effect""#)), "must be alpha-numeric"),
        (
            Identity,
            &policy(&format!("{0},{0}", good.replace(r#""Effect""#, r#""Sid":"a","Effect""#))),
            "must be unique. (at Statement[1].Sid)",
        ),
        (
            Identity,
            &policy(&good.replace(r#""Effect""#, r#""Principal":"*","Effect""#)),
            "should not specify a principal.",
        ),
        (
            Identity,
            &policy(&good.replace(r#""Effect""#, r#""NotAction":"a:*","Effect""#)),
            "only one of the two may stand",
        ),
        (
            Identity,
            &policy(&good.replace(r#""Effect""#, r#""Condition":{"StringIs":{}},"Effect""#)),
            "Invalid Condition type : StringIs.",
        ),
        (
            Identity,
            &policy(&good.replace(r#""Effect""#, r#""Condition":{"Bool":{"a:b":"yes"}},"Effect""#)),
            "'yes' is no value for this operator (at Statement[0].Condition.Bool.a:b)",
        ),
        (Identity, &policy(&good.replace("s3:*", "s3:Get${x")), "is not an action"),
        (
            Identity,
            &policy(&good.replace(r#":"*"}"#, r#":"arn:aws:s3:::${aws:username"}"#)),
            "without its '}'",
        ),
        (
            Trust,
            &policy(&trust.replace("sts:AssumeRole", "s3:GetObject")),
            "may only specify STS AssumeRole actions.",
        ),
        (
            Trust,
            &policy(&trust.replace(r#""Effect""#, r#""Resource":"*","Effect""#)),
            "Has prohibited field Resource",
        ),
        (
            Trust,
            &policy(&trust.replace(r#""Principal":{"Service":"a.b"},"#, "")),
            "Missing required field Principal",
        ),
        (
            Trust,
            &policy(&trust.replace(r#""Service":"a.b""#, r#""AWS":"alice""#)),
            r#"Invalid principal in policy: "AWS":"alice""#,
        ),
        (
            Trust,
            &policy(&trust.replace(r#""Service":"a.b""#, r#""Robot":"a.b""#)),
            r#"Invalid principal in policy: "Robot""#,
        ),
        (Resource, &policy(good), "Missing required field Principal"),
    ] {
        let error = Document::parse(text, purpose).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{text}\n{error}\nshould say: {words}");
    }
    document(&policy(trust), Trust);
}

/// The obvious matcher, exponential.
fn naive(pattern: &[Atom], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((Atom::Any, rest)) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
        Some((Atom::One, rest)) => !text.is_empty() && naive(rest, &text[1..]),
        Some((Atom::Char(c), rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn wildcards_match_as_the_obvious_matcher_does(pattern in "[ab*?é]{0,9}", text in "[abé]{0,12}") {
        let atoms = Template::parse(&pattern, false).unwrap().atoms(&Context::default()).unwrap();
        let chars: Vec<char> = text.chars().collect();
        prop_assert_eq!(glob(&atoms, &text, false), naive(&atoms, &chars));
    }

    #[test]
    fn statements_decide_whatever_their_order(
        statements in prop::collection::vec((any::<bool>(), any::<bool>(), "[abc*]", "[xyz*]"), 1..7),
        action in "[abc]", resource in "[xyz]",
    ) {
        // (deny, negated action, action, resource) by the book: a denial wins, then an allow, then nothing.
        let covers = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        let hits = |deny: bool| statements.iter().any(|(d, not, a, r)| {
            *d == deny && (covers(a, &action) != *not) && covers(r, &resource)
        });
        let expected = match (hits(true), hits(false)) {
            (true, _) => Denied(Identity),
            (_, true) => Allowed,
            _ => Missing(Identity),
        };
        let text: Vec<String> = statements.iter().map(|(d, not, a, r)| {
            let (effect, not) = (if *d { "Deny" } else { "Allow" }, if *not { "Not" } else { "" });
            format!(r#"{{"Effect":"{effect}","{not}Action":"t:{a}","Resource":"arn:aws:t:::{r}"}}"#)
        }).collect();
        check(&text.join(","), &format!("t:{action}"), &format!("arn:aws:t:::{resource}"), &[], expected);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = Document::parse(&text, Purpose::Identity);
        let _ = Document::parse(&policy(&format!(r#"{{"Effect":"Allow","Action":{text:?},"Resource":{text:?}}}"#)), Purpose::Resource);
    }
}
