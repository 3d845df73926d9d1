//! Rules: which one a request meets, and what it does.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use snapshot::{Action, Condition};

use super::answer::{Fixed, Redirect};
use super::group::Group;
use super::pattern::Pattern;
use crate::block::Block;
use crate::chance;

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    conditions: Vec<Matcher>,
    /// What it does.
    pub act: Act,
}

/// What a rule does.
#[derive(Debug)]
pub enum Act {
    /// To one of these groups.
    Forward(Forward),
    /// Elsewhere.
    Redirect(Redirect),
    /// An answer of its own.
    Fixed(Fixed),
}

/// Groups with weights.
#[derive(Debug)]
pub struct Forward {
    groups: Vec<(Arc<Group>, u64)>,
    total: u64,
}

impl Forward {
    /// A group by its weight; `None` when all weigh nothing.
    pub fn choose(&self) -> Option<&Arc<Group>> {
        if let [(only, 1..)] = &*self.groups {
            return Some(only);
        }
        let mut left = (self.total > 0).then(|| chance::below(self.total))?;
        self.groups.iter().find_map(|(group, weight)| {
            if left < *weight {
                return Some(group);
            }
            left -= weight;
            None
        })
    }
}

#[derive(Debug)]
enum Matcher {
    Path(Vec<Pattern>),
    Host(Vec<Pattern>),
    Header(HeaderName, Vec<Pattern>),
    Method(Vec<Method>),
    Query(Vec<(Option<Pattern>, Pattern)>),
    Source(Vec<Block>),
}

/// What of a request the conditions look at, beside its head.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The head.
    pub head: &'a Parts,
    /// Without its port.
    pub host: &'a str,
    /// Who connected.
    pub peer: IpAddr,
}

impl Rule {
    /// Compiles a rule; the error names what is wrong.
    pub fn compile(rule: &snapshot::Rule, groups: &HashMap<String, Arc<Group>>) -> Result<Self, String> {
        let conditions = rule.conditions.iter().map(Matcher::compile).collect::<Result<_, _>>();
        let act = match &rule.action {
            Action::Forward { groups: wanted } => Act::Forward(forward(wanted, groups)?),
            Action::Redirect { status, protocol, host, port, path, query } => Act::Redirect(Redirect {
                status: *status,
                protocol: protocol.clone(),
                host: host.clone(),
                port: port.clone(),
                path: path.clone(),
                query: query.clone(),
            }),
            Action::FixedResponse { status, content_type, body } => {
                Act::Fixed(Fixed::compile(*status, content_type.as_deref(), body)?)
            }
        };
        Ok(Self { conditions: conditions.map_err(|e: String| format!("rule {}: {e}", rule.arn))?, act })
    }

    /// Whether all conditions hold.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.matches(facts))
    }
}

fn forward(wanted: &[snapshot::Weighted], groups: &HashMap<String, Arc<Group>>) -> Result<Forward, String> {
    let known = |w: &snapshot::Weighted| {
        let group = groups.get(&w.group).ok_or_else(|| format!("no target group {}", w.group))?;
        Ok::<_, String>((group.clone(), u64::from(w.weight)))
    };
    let groups = wanted.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    let total = groups.iter().map(|(_, weight)| weight).sum();
    Ok(Forward { groups, total })
}

impl Matcher {
    fn compile(condition: &Condition) -> Result<Self, String> {
        Ok(match condition {
            Condition::PathPattern { values, regex } => Self::Path(patterns(values, regex, false)?),
            Condition::HostHeader { values, regex } => Self::Host(patterns(values, regex, true)?),
            Condition::HttpHeader { name, values, regex } => {
                let header = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no header name"))?;
                Self::Header(header, patterns(values, regex, true)?)
            }
            Condition::HttpRequestMethod { values } => {
                let method = |v: &String| Method::try_from(&**v).map_err(|_| format!("{v:?} is no method"));
                Self::Method(values.iter().map(method).collect::<Result<_, _>>()?)
            }
            Condition::QueryString { values } => {
                let lower = |text: &String| Pattern::wildcard(&text.to_lowercase());
                Self::Query(values.iter().map(|(k, v)| (k.as_ref().map(lower), lower(v))).collect())
            }
            Condition::SourceIp { values } => {
                Self::Source(values.iter().map(|v| Block::parse(v)).collect::<Result<_, _>>()?)
            }
        })
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        let any = |patterns: &[Pattern], text: &[u8]| patterns.iter().any(|p| p.matches(text));
        match self {
            Self::Path(patterns) => any(patterns, facts.head.uri.path().as_bytes()),
            Self::Host(patterns) => any(patterns, facts.host.to_ascii_lowercase().as_bytes()),
            Self::Header(name, patterns) => {
                let lower = |v: &HeaderValue| v.as_bytes().to_ascii_lowercase();
                facts.head.headers.get_all(name).iter().any(|value| any(patterns, &lower(value)))
            }
            Self::Method(methods) => methods.contains(&facts.head.method),
            Self::Query(pairs) => query(pairs, facts.head.uri.query().unwrap_or_default()),
            Self::Source(blocks) => blocks.iter().any(|block| block.holds(facts.peer)),
        }
    }
}

fn patterns(values: &[String], regex: &[String], insensitive: bool) -> Result<Vec<Pattern>, String> {
    let wild = |v: &String| {
        Ok(if insensitive { Pattern::wildcard(&v.to_lowercase()) } else { Pattern::wildcard(v) })
    };
    let regex = regex.iter().map(|r| Pattern::regex(r, insensitive));
    values.iter().map(wild).chain(regex).collect()
}

fn query(pairs: &[(Option<Pattern>, Pattern)], query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    let mut given = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    given.any(|(key, value)| {
        pairs
            .iter()
            .any(|(k, v)| k.as_ref().is_none_or(|k| k.matches(key.as_bytes())) && v.matches(value.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use snapshot::Condition as C;

    fn check(conditions: Vec<C>, yes: &[&str], no: &[&str]) {
        let matchers: Vec<_> = conditions.iter().map(|c| Matcher::compile(c).unwrap()).collect();
        let ask = |line: &str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default();
            let (method, host, uri, header, peer) = (word(), word(), word(), word(), word());
            let request = Request::builder().method(method).uri(uri).header("x-version", header).body(());
            let (head, ()) = request.unwrap().into_parts();
            let peer = peer.parse().unwrap_or(IpAddr::from([127, 0, 0, 1]));
            matchers.iter().all(|m| m.matches(&Facts { head: &head, host, peer }))
        };
        yes.iter().for_each(|line| assert!(ask(line), "{conditions:?} should match {line}"));
        no.iter().for_each(|line| assert!(!ask(line), "{conditions:?} should not match {line}"));
    }

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|v| (*v).to_owned()).collect()
    }

    #[test]
    fn conditions() {
        let path = C::PathPattern { values: strings(&["/api/*", "/x"]), regex: vec![] };
        check(vec![path.clone()], &["GET h /api/a?q=1", "GET h /x"], &["GET h /API/a", "GET h /y?/api/"]);
        let host = C::HostHeader { values: strings(&["*.Example.com"]), regex: strings(&["b[0-9]"]) };
        check(vec![host.clone()], &["GET a.example.COM /", "GET B7 /"], &["GET example.com /", "GET b77 /"]);
        check(vec![path, host], &["GET a.example.com /x"], &["GET a.example.com /y", "GET c /x"]);
        let header = C::HttpHeader { name: "X-Version".into(), values: strings(&["v?"]), regex: vec![] };
        check(vec![header], &["GET h / V2"], &["GET h / v10", "GET h / "]);
        let method = C::HttpRequestMethod { values: strings(&["PUT", "POST"]) };
        check(vec![method], &["POST h /"], &["GET h /"]);
        let query = C::QueryString { values: vec![(Some("v".into()), "1*".into()), (None, "any".into())] };
        check(vec![query], &["GET h /?a=b&V=12", "GET h /?x=ANY"], &["GET h /?v=21", "GET h /"]);
        let source = C::SourceIp { values: strings(&["10.1.0.0/16", "::1/128"]) };
        check(
            vec![source],
            &["GET h / v 10.1.2.3", "GET h / v ::1"],
            &["GET h / v 10.2.0.1", "GET h / v ::2"],
        );
        let everyone = C::SourceIp { values: strings(&["0.0.0.0/0"]) };
        check(vec![everyone], &["GET h / v 8.8.8.8"], &["GET h / v ::1"]);
        for wrong in ["10.0.0.0", "10.0.0.0/33", "x/8"] {
            assert!(Matcher::compile(&C::SourceIp { values: strings(&[wrong]) }).is_err(), "{wrong}");
        }
    }
}
