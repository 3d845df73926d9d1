use super::Pattern;

/// Each line: a pattern, then messages that match, then messages that do not.
fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let parsed = Pattern::parse(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
    for message in yes {
        assert!(parsed.matches(message), "{pattern} should match {message}");
    }
    for message in no {
        assert!(!parsed.matches(message), "{pattern} should not match {message}");
    }
}

#[test]
fn terms() {
    check("", &["", "x"], &[]);
    check("ERROR", &["an ERROR here", "[ERROR 400]"], &["error"]);
    check("ERROR 400", &["400 is an ERROR"], &["ERROR", "400"]);
    check(r#""ERROR 400""#, &["[ERROR 400]"], &["400 ERROR"]);
    check(r#""say \"hi\"" -bye"#, &[r#"say "hi" now"#], &["say hi", r#"say "hi" bye"#]);
    check("?ERROR ?WARN", &["ERROR", "a WARN"], &["INFO"]);
    check("ERROR -EXIT", &["ERROR"], &["ERROR EXIT", "EXIT"]);
    check("-EXIT", &["x"], &["EXIT"]);
    check(r#"-"a b""#, &["ab"], &["a b"]);
    check("%4[0-9]{2}%", &["code 404"], &["code 504"]);
    check("%^ERR% ?x", &["ERR"], &["an ERR x"]);
}

#[test]
fn json() {
    let event = r#"{"level":"ERROR","n":3,"deep":{"a b":[{"id":"i-1"},{"id":"i-2"}]},"ok":true,"none":null,"s":"12"}"#;
    for yes in [
        "{ $.level = ERROR }",
        r#"{ $.level = "ERR*" }"#,
        "{ $.level != INFO }",
        "{$.n=3}",
        "{ $.n >= 3 && $.n < 4 }",
        "{ $.s > 11 }",
        "{ ($.level = x) || ($.n = 3 && $.ok IS TRUE) }",
        "{ $.deep['a b'][1].id = \"i-2\" }",
        "{ $.deep['a b'][*].id = %^i-[0-9]$% }",
        "{ $.none IS NULL }",
        "{ $.missing NOT EXISTS }",
    ] {
        check(yes, &[event], &["not json", "{}x"]);
    }
    for no in [
        "{ $.level = ERR }",
        "{ $.n != 3 }",
        "{ $.missing != 3 }",
        "{ $.missing IS NULL }",
        "{ $.none NOT EXISTS }",
        "{ $.ok IS FALSE }",
        "{ $.deep['a b'][2].id = * }",
        "{ $.level = ERROR && ($.n = 1 || $.n = 2) }",
    ] {
        check(no, &[], &[event]);
    }
}

#[test]
fn mistakes_are_told() {
    let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(40), ")".repeat(40));
    for (pattern, told) in [
        ("a.b", "Invalid character(s) in term 'a.b'"),
        ("\"open", "not closed"),
        ("? x", "Invalid character"),
        ("%a", "not closed"),
        ("%(a)%", "'(' is not supported"),
        ("[a, b]", "space-delimited"),
        ("{ $.a }", "an operator"),
        ("{ $.a = }", "a value is missing"),
        ("{ $.a > x }", "only numbers"),
        ("{ a = 1 }", "begins with $."),
        ("{ ($.a = 1 }", "a ( is not closed"),
        ("{ $.a = 1 ) }", "not expected"),
        ("{ $.a = 1", "a { is not closed"),
        ("{ $.a[x] = 1 }", "[x] is no index"),
        (&deep, "too deep"),
    ] {
        let error = Pattern::parse(pattern).expect_err(pattern).to_string();
        assert!(error.starts_with("Invalid filter pattern") && error.contains(told), "{pattern}: {error}");
    }
}
