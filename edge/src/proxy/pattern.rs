//! Patterns of rules: `*` for any characters, `?` for exactly one.
use regex::bytes::{Regex, RegexBuilder};

use crate::limits;

/// A compiled pattern. Case is the caller's business: an insensitive one is compiled and asked in lower case.
#[derive(Debug)]
pub enum Pattern {
    /// Everything.
    Any,
    /// No wildcard.
    Exact(Box<[u8]>),
    /// One `*`, at the end.
    Prefix(Box<[u8]>),
    /// Wildcards anywhere.
    Glob(Box<[u8]>),
    /// A regular expression over the whole text.
    Regex(Box<Regex>),
}

impl Pattern {
    /// Compiles a wildcard pattern.
    pub fn wildcard(pattern: &str) -> Self {
        let bytes = pattern.as_bytes();
        match bytes.iter().position(|b| matches!(b, b'*' | b'?')) {
            None => Self::Exact(bytes.into()),
            Some(0) if bytes == b"*" => Self::Any,
            Some(at) if at + 1 == bytes.len() && bytes[at] == b'*' => Self::Prefix(bytes[..at].into()),
            Some(_) => Self::Glob(bytes.into()),
        }
    }

    /// Compiles a regular expression; the error names it.
    pub fn regex(pattern: &str, insensitive: bool) -> Result<Self, String> {
        let regex = RegexBuilder::new(&format!("^(?:{pattern})$"))
            .case_insensitive(insensitive)
            .size_limit(limits::REGEX)
            .build();
        regex
            .map(|r| Self::Regex(Box::new(r)))
            .map_err(|e| format!("the regular expression {pattern:?}: {e}"))
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Glob(glob) => wildcard(glob, text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Goes back to the last `*` alone, so the time is at most the product of the two lengths.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    (p, t) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let compiled = Pattern::wildcard(pattern);
            yes.iter().for_each(|t| assert!(compiled.matches(t.as_bytes()), "{pattern} should match {t}"));
            no.iter()
                .for_each(|t| assert!(!compiled.matches(t.as_bytes()), "{pattern} should not match {t}"));
        };
        check("*", &["", "/", "/a/b"], &[]);
        check("/img/*", &["/img/", "/img/a/b"], &["/img", "/Img/a", "/x/img/"]);
        check("/a?c", &["/abc", "/a?c"], &["/ac", "/abbc"]);
        check("*/v?/*.js", &["/v1/x.js", "/lib/v2/a/b.js"], &["/v10/x.js", "/v1/x.jsx", "v1/x.js"]);
        check("/**", &["/", "/x"], &["", "x"]);
        check("/exact", &["/exact"], &["/exact/", "/exac"]);
        let text = "a".repeat(4096);
        assert!(!Pattern::wildcard(&format!("{}b", "a*".repeat(60))).matches(text.as_bytes()), "and soon");
    }

    #[test]
    fn regular_expressions_match_the_whole_text() {
        let check = |pattern, insensitive, text: &str| {
            Pattern::regex(pattern, insensitive).unwrap().matches(text.as_bytes())
        };
        assert!(check("/v[0-9]+", false, "/v12"));
        assert!(!check("/v[0-9]+", false, "/v12/x"));
        assert!(check("a|b", true, "B"));
        assert!(Pattern::regex("(", false).unwrap_err().contains("\"(\""));
    }
}
