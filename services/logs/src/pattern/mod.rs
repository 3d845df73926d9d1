//! Filter patterns: terms, phrases, `?` and `-`, `%regular expressions%`, and `{ $.json = conditions }`.
mod json;
mod terms;
#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::limits;

/// A filter pattern, parsed.
#[derive(Debug)]
pub struct Pattern(Kind);

#[derive(Debug)]
enum Kind {
    All,
    Terms(terms::Terms),
    Json(json::Condition),
}

impl Pattern {
    /// Parses it; the empty pattern matches everything. Errors say what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > limits::PATTERN {
            return Err(invalid(format!("it is longer than {} characters", limits::PATTERN)));
        }
        let text = text.trim();
        let kind = match text.chars().next() {
            None => Kind::All,
            Some('{') => Kind::Json(json::parse(text)?),
            Some('[') => {
                let reason = "space-delimited patterns ([a, b, ...]) are not served by Longshore: use terms or a JSON pattern";
                return Err(invalid(reason));
            }
            Some(_) => Kind::Terms(terms::parse(text)?),
        };
        Ok(Self(kind))
    }

    /// Whether a message matches.
    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Terms(terms) => terms.match_(message),
            Kind::Json(condition) => serde_json::from_str(message).is_ok_and(|value| condition.holds(&value)),
        }
    }
}

fn invalid(reason: impl std::fmt::Display) -> Error {
    Error::invalid(format!("Invalid filter pattern: {reason}"))
}

/// A regular expression between percent signs, in the few operators that AWS allows.
fn regex(text: &str) -> Result<regex::Regex, Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || r#":_#=@/;,-^$?[]{}|\*+. "#.contains(c);
    if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
        return Err(invalid(format!("'{bad}' is not supported in the regular expression %{text}%")));
    }
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|_| invalid(format!("%{text}% is not a regular expression")))
}
