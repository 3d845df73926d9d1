//! Patterns of trigger filters: globs over `/`-separated names.
//!
//! `*` stands for any characters of one segment, `**` for any at all, `?` for one character of a segment, `[ab-d]` and
//! `[!ab]` for one of, or none of, a set, `{a,b}` for either (not nested); `\` takes the meaning of what follows.
use regex::{Regex, RegexBuilder};

/// Bytes of a compiled pattern at most: 255 characters need far less.
const COMPILED: usize = 1 << 20;

/// A pattern, ready to match. Matching takes time linear in the text.
#[derive(Debug)]
pub struct Glob(Regex);

impl Glob {
    /// Reads a pattern. Errors: what is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let text = translate(pattern)?;
        let regex = RegexBuilder::new(&text).dot_matches_new_line(true).size_limit(COMPILED).build();
        regex.map(Self).map_err(|_| "it is too large, or a range in brackets runs backwards".to_owned())
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The same as a regular expression.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::from("^(?:");
    let mut group = false;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => set(&mut rest, &mut out)?,
            '{' if group => return Err("groups in { } cannot be nested".into()),
            '{' => {
                group = true;
                out.push_str("(?:");
            }
            '}' if group => {
                group = false;
                out.push(')');
            }
            ',' if group => out.push('|'),
            '\\' => literal(rest.next().ok_or("nothing follows its last \\")?, &mut out),
            other => literal(other, &mut out),
        }
    }
    if group {
        return Err("its { has no }".into());
    }
    out.push_str(")$");
    Ok(out)
}

/// A set in brackets: within it only `!` at its start and `-` between two characters mean more than themselves.
fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), String> {
    // A set stands for a character of a segment, so that no set holds the separator.
    out.push_str("[[^/]&&[");
    if rest.next_if_eq(&'!').is_some() {
        out.push('^');
    }
    let mut members: Vec<char> = Vec::new();
    loop {
        match rest.next().ok_or("its [ has no ]")? {
            ']' if !members.is_empty() => break,
            ']' => return Err("its [ ] are empty".into()),
            '/' => return Err("a set in [ ] cannot hold /".into()),
            other => members.push(other),
        }
    }
    let last = members.len() - 1;
    for (index, member) in members.into_iter().enumerate() {
        match member {
            '-' if index != 0 && index != last => out.push('-'),
            other => literal(other, out),
        }
    }
    out.push_str("]]");
    Ok(())
}

fn literal(c: char, out: &mut String) {
    out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(pattern).unwrap_or_else(|wrong| panic!("{pattern}: {wrong}"));
        for text in yes {
            assert!(glob.matches(text), "{pattern} should match {text:?}");
        }
        for text in no {
            assert!(!glob.matches(text), "{pattern} should not match {text:?}");
        }
    }

    #[test]
    fn matches_whole_names() {
        check("main", &["main"], &["mains", "amain", "Main", "main/x", "main\n"]);
        check("*", &["main", ""], &["a/b"]);
        check("feature/*", &["feature/a", "feature/"], &["feature/a/b", "feature"]);
        check("feature/**", &["feature/a", "feature/a/b"], &["feature", "features/a"]);
        check("**", &["a", "a/b/c", "a\nb"], &[]);
        check("**.js", &["a.js", "src/a/b.js"], &["a.json", "js"]);
        check("src/**/test", &["src/a/test", "src/a/b/test"], &["src/test", "test"]);
        check("v?.?", &["v1.2"], &["v1.23", "v1", "v/.2"]);
        check("v[0-9].[!0]", &["v1.1", "v9.x"], &["v1.0", "va.1", "v1./"]);
        check("[-a]x", &["-x", "ax"], &["bx"]);
        check("[&~^]", &["&", "~", "^"], &["a"]);
        check("[*?\\]", &["*", "?", "\\"], &["a"]);
        check("{main,release/*}", &["main", "release/1"], &["release", "release/1/2"]);
        check("a{,b}c", &["ac", "abc"], &["a,bc"]);
        check("a,b}", &["a,b}"], &["a"]);
        check("\\*\\{\\\\", &["*{\\"], &["a{\\"]);
        check("a.b+(c)", &["a.b+(c)"], &["aXb+(c)"]);
        check("größe/?", &["größe/ß"], &["grosse/s"]);
    }

    #[test]
    fn refuses_what_means_nothing() {
        let check = |pattern: &str, what: &str| {
            let wrong = Glob::new(pattern).expect_err(pattern);
            assert!(wrong.contains(what), "{pattern}: {wrong}");
        };
        check("[ab", "no ]");
        check("[]", "empty");
        check("[!]", "empty");
        check("[a/b]", "hold /");
        check("[z-a]", "backwards");
        check("{a,{b}}", "nested");
        check("{a", "no }");
        check("a\\", "follows");
    }

    #[test]
    fn takes_no_time_to_speak_of() {
        // What would keep a matcher that tries every way busy until the end of days.
        let glob = Glob::new(&"*a".repeat(127)).unwrap();
        assert!(!glob.matches(&"a".repeat(100_000).replace("aaaa", "aaab")));
    }
}
