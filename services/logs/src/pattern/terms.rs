//! Patterns of terms: all the plain ones, or any of those with `?`, and none of those with `-`.
use regex::Regex;

use super::{invalid, regex};
use crate::error::Error;

/// A pattern of terms.
#[derive(Debug, Default)]
pub(super) struct Terms {
    all: Vec<Term>,
    any: Vec<Term>,
    none: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(message),
        }
    }
}

impl Terms {
    pub(super) fn match_(&self, message: &str) -> bool {
        // As on AWS, optional terms beside required ones change nothing.
        let wanted = match self.all.is_empty() {
            true => self.any.is_empty() || self.any.iter().any(|term| term.is_in(message)),
            false => self.all.iter().all(|term| term.is_in(message)),
        };
        wanted && !self.none.iter().any(|term| term.is_in(message))
    }
}

pub(super) fn parse(text: &str) -> Result<Terms, Error> {
    let mut terms = Terms::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (list, body) = match rest.as_bytes()[0] {
            b'?' => (&mut terms.any, &rest[1..]),
            b'-' => (&mut terms.none, &rest[1..]),
            _ => (&mut terms.all, rest),
        };
        let (term, after) = term(body)?;
        list.push(term);
        rest = after.trim_start();
    }
    Ok(terms)
}

fn term(text: &str) -> Result<(Term, &str), Error> {
    match text.chars().next() {
        Some('"') => {
            let (phrase, after) = quoted(text)?;
            Ok((Term::Text(phrase), after))
        }
        Some('%') => {
            let (body, after) = text[1..].split_once('%').ok_or_else(|| invalid("a % is not closed"))?;
            Ok((Term::Regex(regex(body)?), after))
        }
        _ => {
            let end = text.find(char::is_whitespace).unwrap_or(text.len());
            let (word, after) = text.split_at(end);
            if word.is_empty() || !word.chars().all(|c| c.is_alphanumeric() || c == '_') {
                let reason = format!("Invalid character(s) in term '{word}': put it in double quotes");
                return Err(invalid(reason));
            }
            Ok((Term::Text(word.to_owned()), after))
        }
    }
}

/// The text between double quotes, where `\"` and `\\` are escapes, and what follows.
pub(super) fn quoted(text: &str) -> Result<(String, &str), Error> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => out.push(c),
                Some((_, c)) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err(invalid("a double quote is not closed"))
}
