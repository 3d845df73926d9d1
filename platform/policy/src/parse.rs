//! Reading policy documents, with errors that say where.
use serde_json::{Map, Value};

use super::condition::{Condition, Operator};
use super::pattern::Template;
use super::principal::{Named, Principals};
use super::{Clause, Document, Effect, Statement};

/// What a document is for: it decides which elements it must and must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Attached to users, groups and roles; boundaries and session policies too.
    Identity,
    /// Who may assume a role.
    Trust,
    /// A bucket's, a repository's.
    Resource,
}

/// The document is none: AWS's `MalformedPolicyDocument`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

type Result<T> = std::result::Result<T, Malformed>;

fn bad<T>(message: impl Into<String>) -> Result<T> {
    Err(Malformed(message.into()))
}

impl Document {
    /// Reads a document.
    pub fn parse(text: &str, purpose: Purpose) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|e| Malformed(format!("Syntax errors in policy: it is not valid JSON: {e}.")))?;
        let Value::Object(fields) = value else {
            return bad("Syntax errors in policy: it is not a JSON object.");
        };
        if let Some(name) =
            fields.keys().find(|name| !["Version", "Id", "Statement"].contains(&name.as_str()))
        {
            return bad(format!("Syntax errors in policy: it has an unknown field {name}."));
        }
        let variables = match fields.get("Version").map(Value::as_str) {
            Some(Some("2012-10-17")) => true,
            Some(Some("2008-10-17")) | None => false,
            Some(_) => return bad("Policy document must be version 2012-10-17 or greater."),
        };
        let statements = match fields.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.clone(),
            Some(one @ Value::Object(_)) => vec![one.clone()],
            _ => {
                return bad(
                    "Syntax errors in policy: Statement must be a statement or a list of statements.",
                );
            }
        };
        let mut sids = std::collections::BTreeSet::new();
        let mut read = Vec::with_capacity(statements.len());
        for (index, statement) in statements.iter().enumerate() {
            let at = Place { path: format!("Statement[{index}]"), purpose, variables };
            let Value::Object(fields) = statement else {
                return bad(format!("Syntax errors in policy: {} is not a JSON object.", at.path));
            };
            if let Some(sid) = fields.get("Sid") {
                at.sid(sid, &mut sids)?;
            }
            read.push(at.statement(fields)?);
        }
        Ok(Self { statements: read })
    }
}

struct Place {
    path: String,
    purpose: Purpose,
    variables: bool,
}

const FIELDS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

impl Place {
    fn bad<T>(&self, message: &str, field: &str) -> Result<T> {
        bad(format!("{message} (at {}{}{field})", self.path, if field.is_empty() { "" } else { "." }))
    }

    fn sid<'a>(&self, sid: &'a Value, seen: &mut std::collections::BTreeSet<&'a str>) -> Result<()> {
        let text = sid.as_str().unwrap_or("?");
        // Resource policies allow spaces and more; identities do not.
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !sid.is_string() || !plain && self.purpose != Purpose::Resource {
            return self.bad("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*", "Sid");
        }
        if !text.is_empty() && !seen.insert(text) {
            return self.bad("Statement IDs (SID) in a single policy must be unique.", "Sid");
        }
        Ok(())
    }

    fn statement(&self, fields: &Map<String, Value>) -> Result<Statement> {
        if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return self.bad("Syntax errors in policy: unknown field", name);
        }
        let effect = match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(_) => return self.bad("Syntax errors in policy: Effect must be Allow or Deny", "Effect"),
            None => return self.bad("Missing required field Effect", ""),
        };
        let principals = self.principals(fields)?;
        let Some(actions) = self.clause(fields, "Action", "NotAction", Self::action)? else {
            return self.bad("Policy statement must contain actions.", "");
        };
        let resources = self.clause(fields, "Resource", "NotResource", Self::resource)?;
        match (self.purpose, &resources) {
            (Purpose::Identity, None) => return self.bad("Policy statement must contain resources.", ""),
            (Purpose::Trust, Some(_)) => return self.bad("Has prohibited field Resource", ""),
            _ => {}
        }
        Ok(Statement { effect, principals, actions, resources, conditions: self.conditions(fields)? })
    }

    /// `Action` or `NotAction`: one text or a list.
    fn clause(
        &self,
        fields: &Map<String, Value>,
        name: &str,
        not: &str,
        check: fn(&Self, &str, &str) -> Result<()>,
    ) -> Result<Option<Clause>> {
        let (field, value, negated) = match (fields.get(name), fields.get(not)) {
            (Some(_), Some(_)) => {
                return self.bad("Syntax errors in policy: only one of the two may stand", not);
            }
            (Some(value), None) => (name, value, false),
            (None, Some(value)) => (not, value, true),
            (None, None) => return Ok(None),
        };
        let mut patterns = Vec::new();
        for text in self.texts(value, field)? {
            check(self, &text, field)?;
            patterns.push(self.template(&text, field)?);
        }
        Ok((!patterns.is_empty()).then_some(Clause { negated, patterns }))
    }

    fn template(&self, text: &str, field: &str) -> Result<Template> {
        Template::parse(text, self.variables)
            .or_else(|why| self.bad(&format!("Syntax errors in policy: {why}"), field))
    }

    fn texts(&self, value: &Value, field: &str) -> Result<Vec<String>> {
        let list = match value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let texts: Option<Vec<String>> = list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        texts.map_or_else(|| self.bad("Syntax errors in policy: expected text or a list of texts", field), Ok)
    }

    fn action(&self, text: &str, field: &str) -> Result<()> {
        if text == "*" {
            return Ok(());
        }
        let Some((vendor, name)) = text.split_once(':') else {
            return self
                .bad("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", field);
        };
        let plain = |text: &str, extra: &[u8]| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        if !plain(vendor, b"-") {
            return self.bad(&format!("Vendor {vendor} is not valid"), field);
        }
        if !plain(name, b"*?-_") {
            return self.bad(&format!("Syntax errors in policy: '{text}' is not an action"), field);
        }
        if self.purpose == Purpose::Trust && !vendor.eq_ignore_ascii_case("sts") {
            return self.bad("AssumeRole policy may only specify STS AssumeRole actions.", field);
        }
        Ok(())
    }

    fn resource(&self, text: &str, field: &str) -> Result<()> {
        // A star may stand for all the parts that follow: `arn:aws:s3*` is an ARN to AWS.
        let whole = text.matches(':').count() >= 5 || text.contains('*');
        if text == "*" || text.starts_with("arn:") && whole {
            return Ok(());
        }
        self.bad(&format!("Resource {text} must be in ARN format or \"*\"."), field)
    }

    fn principals(&self, fields: &Map<String, Value>) -> Result<Option<Principals>> {
        let (field, value, negated) = match (fields.get("Principal"), fields.get("NotPrincipal")) {
            (Some(_), Some(_)) => {
                return self.bad("Syntax errors in policy: only one of the two may stand", "NotPrincipal");
            }
            (Some(value), None) => ("Principal", value, false),
            (None, Some(value)) => ("NotPrincipal", value, true),
            (None, None) if self.purpose == Purpose::Identity => return Ok(None),
            (None, None) => return self.bad("Missing required field Principal", ""),
        };
        if self.purpose == Purpose::Identity {
            return self.bad("Policy document should not specify a principal.", field);
        }
        if value.as_str() == Some("*") {
            return Ok(Some(Principals { negated, list: vec![Named::Everyone] }));
        }
        let Value::Object(kinds) = value else {
            return self.bad("Syntax errors in policy: expected \"*\" or an object", field);
        };
        let mut list = Vec::new();
        for (kind, value) in kinds {
            for text in self.texts(value, field)? {
                list.push(match kind.as_str() {
                    "AWS" => Named::aws(&text).or_else(|why| self.bad(&why, field))?,
                    "Service" if text.contains('.') => Named::Service(text),
                    "Federated" => Named::Federated(text),
                    "CanonicalUser" => Named::Canonical(text),
                    _ => {
                        return self
                            .bad(&format!("Invalid principal in policy: \"{kind}\":\"{text}\""), field);
                    }
                });
            }
        }
        if list.is_empty() {
            return self.bad("Missing required field Principal", "");
        }
        Ok(Some(Principals { negated, list }))
    }

    fn conditions(&self, fields: &Map<String, Value>) -> Result<Vec<Condition>> {
        let mut out = Vec::new();
        let operators = match fields.get("Condition") {
            Some(Value::Object(operators)) => operators,
            Some(_) => return self.bad("Syntax errors in policy: expected an object", "Condition"),
            None => return Ok(out),
        };
        for (name, keys) in operators {
            let field = format!("Condition.{name}");
            let Some(operator) = Operator::parse(name) else {
                return self
                    .bad(&format!("Syntax errors in policy: Invalid Condition type : {name}."), &field);
            };
            let Value::Object(keys) = keys else {
                return self.bad("Syntax errors in policy: expected an object", &field);
            };
            for (key, values) in keys {
                out.push(self.condition(operator, key, values, &field)?);
            }
        }
        Ok(out)
    }

    fn condition(&self, operator: Operator, key: &str, values: &Value, field: &str) -> Result<Condition> {
        let field = format!("{field}.{key}");
        if !key.contains(':') {
            return self
                .bad("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", &field);
        }
        let list = match values {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut templates = Vec::with_capacity(list.len());
        for value in list {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => {
                    return self.bad("Syntax errors in policy: expected text, a number or a boolean", &field);
                }
            };
            if !operator.accepts(&text) {
                return self.bad(
                    &format!("Syntax errors in policy: '{text}' is no value for this operator"),
                    &field,
                );
            }
            templates.push(self.template(&text, &field)?);
        }
        Ok(Condition::new(operator, key, templates))
    }
}
