//! VariableCheck: an execution's variable against a value.
use kernel::Fut;
use regex::{Regex, RegexBuilder};

use super::{Rule, RuleType, Verdict};
use crate::actions::Failed;
use crate::catalog::{Form, Property, Settings, required};
use crate::engine::Progress;
use crate::job::Job;
use crate::limits;
use crate::variables::is_dynamic;

const PROPERTIES: &[Property] = &[
    required("Variable", Form::Text),
    required("Value", Form::Text),
    required("Operator", Form::OneOf(&["EQ", "NE", "CONTAINS", "MATCHES"])),
];

/// The type.
pub static TYPE: RuleType = RuleType {
    provider: "VariableCheck",
    inputs: 0..=0,
    timeout: 60,
    skips: true,
    commands: false,
    properties: PROPERTIES,
    check: pattern,
    rule: &VariableCheck,
};

/// A pattern that is known when the pipeline is declared is read then.
fn pattern(settings: &Settings<'_>) -> Result<(), String> {
    match (settings.get("Operator"), settings.get("Value")) {
        (Some("MATCHES"), Some(value)) if !is_dynamic(value) => regex(value).map(drop),
        _ => Ok(()),
    }
}

/// A regular expression that matches the whole of a text, as Java's `matches` does. It takes a time linear in the text:
/// what cannot be matched so (look-around, back-references) is refused.
fn regex(pattern: &str) -> Result<Regex, String> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(limits::REGEX).build();
    // Alone first: with its own parentheses it could end the group around it.
    build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z"))).map_err(|error| {
        let reason = match error {
            regex::Error::CompiledTooBig(limit) => format!("it compiles to more than {limit} bytes"),
            other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        };
        format!("configuration key 'Value' is no regular expression that Longshore can match: {reason}")
    })
}

/// Carries it out.
pub struct VariableCheck;

impl Rule for VariableCheck {
    fn check<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Verdict, Failed>> {
        Box::pin(async {
            // An empty value is one to compare with.
            let get = |key: &str| job.get(key).unwrap_or_default();
            let (variable, value, operator) = (get("Variable"), get("Value"), get("Operator"));
            Ok(match compare(variable, operator, value)? {
                true => Verdict::Met(Progress::default()),
                false => Verdict::Unmet(format!("'{variable}' {operator} '{value}' does not hold")),
            })
        })
    }
}

fn compare(variable: &str, operator: &str, value: &str) -> Result<bool, Failed> {
    Ok(match operator {
        "EQ" => variable == value,
        "NE" => variable != value,
        "CONTAINS" => variable.contains(value),
        "MATCHES" => {
            let regex = regex(value).map_err(|wrong| Failed::new("ConfigurationError", wrong))?;
            regex.is_match(variable)
        }
        other => {
            let message =
                format!("configuration key 'Operator': '{other}' is none of EQ, NE, CONTAINS, MATCHES");
            return Err(Failed::new("ConfigurationError", message));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variable: &str, operator: &str, value: &str, expected: Result<bool, &str>) {
        let got = compare(variable, operator, value).map_err(|failed| failed.message);
        match (&got, expected) {
            (Ok(got), Ok(expected)) if *got == expected => {}
            (Err(got), Err(expected)) if got.contains(expected) => {}
            _ => panic!("{variable} {operator} {value}: {got:?}, not {expected:?}"),
        }
    }

    #[test]
    fn compares() {
        check("main", "EQ", "main", Ok(true));
        check("main", "EQ", "Main", Ok(false));
        check("main", "NE", "dev", Ok(true));
        check("fix: update", "CONTAINS", "update", Ok(true));
        check("fix", "CONTAINS", "update", Ok(false));
        check("v1.2.3", "MATCHES", r"v\d+\.\d+\.\d+", Ok(true));
        check("xv1.2.3", "MATCHES", r"v\d+\.\d+\.\d+", Ok(false));
        check("b", "MATCHES", "a|b", Ok(true));
        check("ab", "MATCHES", "a|b", Ok(false));
        check("x", "LIKE", "x", Err("'LIKE' is none of"));
        check("x", "MATCHES", "(?=x)", Err("look-around"));
        check("x", "MATCHES", r"(x)\1", Err("backreferences"));
        check("x", "MATCHES", "((a{100}){100}){100}", Err("compiles to more than"));
        check("x", "MATCHES", "(", Err("unclosed group"));
        check("x", "MATCHES", "a)|(x", Err("unopened group"));
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        check(&"a".repeat(50_000), "MATCHES", "(a+)+b", Ok(false));
    }
}
