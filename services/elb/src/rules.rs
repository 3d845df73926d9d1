//! Conditions and actions: what a caller writes, what is stored and served, and what is read back.
use api::elb as e;
use snapshot::{Action, Condition, Weighted};

use crate::error::{Error, Result};
use crate::limits;

/// Reads the conditions of a rule.
pub fn conditions(given: &[e::RuleCondition]) -> Result<Vec<Condition>> {
    let conditions = given.iter().map(condition).collect::<Result<Vec<_>>>()?;
    if conditions.is_empty() {
        return Err(Error::validation("A condition must be specified"));
    }
    let texts: Vec<&str> = conditions.iter().flat_map(texts).collect();
    if texts.len() > limits::CONDITION_VALUES {
        let what = "condition values on the rule";
        return Err(Error::TooMany {
            code: "TooManyRuleConditionValues",
            what,
            most: limits::CONDITION_VALUES,
        });
    }
    if let Some(long) = texts.iter().find(|text| text.is_empty() || text.len() > limits::VALUE) {
        return Err(Error::validation(format!("Condition value '{long}' must have 1 to 128 characters")));
    }
    let wildcards = texts.iter().flat_map(|text| text.bytes()).filter(|b| matches!(b, b'*' | b'?')).count();
    if wildcards > limits::WILDCARDS {
        return Err(Error::validation("A rule can have at most 5 wildcards in its condition values"));
    }
    Ok(conditions)
}

fn condition(given: &e::RuleCondition) -> Result<Condition> {
    let field = given.field.as_deref().unwrap_or_default();
    let plain = || given.values.clone().unwrap_or_default();
    let or_plain = |values: Option<&Vec<String>>| values.cloned().unwrap_or_else(plain);
    let regex = |own: Option<&Vec<String>>| own.or(given.regex_values.as_ref()).cloned().unwrap_or_default();
    let condition = match field {
        "path-pattern" => {
            let config = given.path_pattern_config.as_ref();
            let values = or_plain(config.and_then(|c| c.values.as_ref()));
            if let Some(wrong) = values.iter().find(|v| !v.starts_with(['/', '*', '?'])) {
                return Err(Error::validation(format!("Path pattern '{wrong}' must begin with '/'")));
            }
            Condition::PathPattern { values, regex: regex(config.and_then(|c| c.regex_values.as_ref())) }
        }
        "host-header" => {
            let config = given.host_header_config.as_ref();
            let values = or_plain(config.and_then(|c| c.values.as_ref()));
            Condition::HostHeader { values, regex: regex(config.and_then(|c| c.regex_values.as_ref())) }
        }
        "http-header" => {
            let config = given.http_header_config.as_ref();
            let name = config.and_then(|c| c.http_header_name.clone()).unwrap_or_default();
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            if name.is_empty() || name.len() > 40 || !plain || name.eq_ignore_ascii_case("host") {
                return Err(Error::validation(format!("'{name}' is not a valid HttpHeaderName")));
            }
            let values = config.and_then(|c| c.values.clone()).unwrap_or_default();
            Condition::HttpHeader { name, values, regex: regex(config.and_then(|c| c.regex_values.as_ref())) }
        }
        "http-request-method" => {
            let config = given.http_request_method_config.as_ref();
            let values = config.and_then(|c| c.values.clone()).unwrap_or_default();
            let plain = |v: &&String| v.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'));
            if let Some(wrong) = values.iter().find(|v| !plain(v)) {
                return Err(Error::validation(format!("'{wrong}' is not a valid HTTP request method")));
            }
            Condition::HttpRequestMethod { values }
        }
        "query-string" => {
            let pairs = given.query_string_config.as_ref().and_then(|c| c.values.clone()).unwrap_or_default();
            let pair = |p: e::QueryStringKeyValuePair| (p.key, p.value.unwrap_or_default());
            Condition::QueryString { values: pairs.into_iter().map(pair).collect() }
        }
        "source-ip" => {
            let config = given.source_ip_config.as_ref();
            let values = config.and_then(|c| c.values.clone()).unwrap_or_default();
            if let Some(wrong) = values.iter().find(|v| !is_cidr(v)) {
                return Err(Error::validation(format!("'{wrong}' is not a valid CIDR block")));
            }
            Condition::SourceIp { values }
        }
        other => {
            return Err(Error::validation(format!(
                "Condition field '{other}' must be one of '[http-header, http-request-method, host-header, query-string, source-ip, path-pattern]'"
            )));
        }
    };
    let regexes = match &condition {
        Condition::PathPattern { regex, .. }
        | Condition::HostHeader { regex, .. }
        | Condition::HttpHeader { regex, .. } => regex.as_slice(),
        _ => &[],
    };
    if let Some(wrong) = regexes.iter().find(|r| regex::Regex::new(r).is_err()) {
        return Err(Error::validation(format!("'{wrong}' is not a valid regular expression")));
    }
    match texts(&condition).is_empty() {
        true => Err(Error::validation(format!("A condition value must be specified for '{field}'"))),
        false => Ok(condition),
    }
}

fn is_cidr(text: &str) -> bool {
    let parts = text
        .split_once('/')
        .and_then(|(ip, bits)| Some((ip.parse::<std::net::IpAddr>().ok()?, bits.parse::<u8>().ok()?)));
    parts.is_some_and(|(ip, bits)| bits <= if ip.is_ipv4() { 32 } else { 128 })
}

fn texts(condition: &Condition) -> Vec<&str> {
    match condition {
        Condition::PathPattern { values, regex }
        | Condition::HostHeader { values, regex }
        | Condition::HttpHeader { values, regex, .. } => {
            values.iter().chain(regex).map(String::as_str).collect()
        }
        Condition::HttpRequestMethod { values } | Condition::SourceIp { values } => {
            values.iter().map(String::as_str).collect()
        }
        Condition::QueryString { values } => values.iter().map(|(_, value)| value.as_str()).collect(),
    }
}

/// Reads the actions of a rule or listener: exactly one, since authentication is not served.
pub fn action(given: &[e::Action]) -> Result<Action> {
    let [action] = given else {
        if let Some(other) =
            given.iter().find(|a| a.r#type.starts_with("authenticate") || a.r#type.starts_with("jwt"))
        {
            return Err(Error::unserved(&format!("Action type '{}'", other.r#type), "leave it out"));
        }
        return Err(Error::validation(
            "Exactly one forward, redirect or fixed-response action must be specified",
        ));
    };
    match action.r#type.as_str() {
        "forward" => forward(action),
        "redirect" => redirect(action.redirect_config.as_ref()),
        "fixed-response" => fixed(action.fixed_response_config.as_ref()),
        other => {
            Err(Error::unserved(&format!("Action type '{other}'"), "use forward, redirect or fixed-response"))
        }
    }
}

fn forward(action: &e::Action) -> Result<Action> {
    let config = action.forward_config.as_ref();
    let sticky = config.and_then(|c| c.target_group_stickiness_config.as_ref());
    if sticky.and_then(|s| s.enabled) == Some(true) {
        return Err(Error::unserved("TargetGroupStickinessConfig.Enabled", "set it to false"));
    }
    let tuples = config.and_then(|c| c.target_groups.clone()).unwrap_or_default();
    let mut groups = Vec::with_capacity(tuples.len().max(1));
    for tuple in tuples {
        let weight = tuple.weight.unwrap_or(1);
        let weight = u16::try_from(weight).ok().filter(|w| *w <= 999);
        let weight = weight.ok_or_else(|| Error::validation("Target group weight must be from 0 to 999"))?;
        groups.push(Weighted { group: tuple.target_group_arn.unwrap_or_default(), weight });
    }
    match (&action.target_group_arn, &*groups) {
        (Some(arn), []) => groups.push(Weighted { group: arn.clone(), weight: 1 }),
        (Some(arn), [only]) if only.group == *arn => {}
        (None, [_, ..]) => {}
        (None, []) => return Err(Error::validation("A target group ARN must be specified")),
        (Some(_), _) => {
            return Err(Error::validation(
                "TargetGroupArn and ForwardConfig must name the same single target group: leave one out",
            ));
        }
    }
    if groups.len() > limits::FORWARD_GROUPS {
        let what = "target groups on the action";
        return Err(Error::TooMany { code: "TooManyTargetGroups", what, most: limits::FORWARD_GROUPS });
    }
    Ok(Action::Forward { groups })
}

fn redirect(config: Option<&e::RedirectActionConfig>) -> Result<Action> {
    let config = config.ok_or_else(|| Error::validation("A redirect configuration must be specified"))?;
    let status = match config.status_code.as_str() {
        "HTTP_301" => 301,
        "HTTP_302" => 302,
        other => {
            return Err(Error::validation(format!(
                "Redirect status code '{other}' must be HTTP_301 or HTTP_302"
            )));
        }
    };
    let or = |given: &Option<String>, own: &str| given.clone().unwrap_or_else(|| own.to_owned());
    let (protocol, host) = (or(&config.protocol, "#{protocol}"), or(&config.host, "#{host}"));
    let (port, path) = (or(&config.port, "#{port}"), or(&config.path, "/#{path}"));
    let same = (&*protocol, &*host, &*port, &*path) == ("#{protocol}", "#{host}", "#{port}", "/#{path}");
    if same {
        return Err(Error::validation(
            "A redirect must change the protocol, host, port or path, or it would loop",
        ));
    }
    if !matches!(&*protocol, "HTTP" | "HTTPS" | "#{protocol}") {
        return Err(Error::validation(format!(
            "Redirect protocol '{protocol}' must be HTTP, HTTPS or #{{protocol}}"
        )));
    }
    if !path.starts_with('/') {
        return Err(Error::validation(format!("Redirect path '{path}' must begin with '/'")));
    }
    if port != "#{port}" && !port.parse().is_ok_and(|p: u16| p > 0) {
        return Err(Error::validation(format!(
            "Redirect port '{port}' must be from 1 to 65535 or #{{port}}"
        )));
    }
    Ok(Action::Redirect { status, protocol, host, port, path, query: or(&config.query, "#{query}") })
}

fn fixed(config: Option<&e::FixedResponseActionConfig>) -> Result<Action> {
    let config =
        config.ok_or_else(|| Error::validation("A fixed response configuration must be specified"))?;
    let status: u16 = config.status_code.parse().unwrap_or(0);
    if !matches!(status, 200..=299 | 400..=599) || config.status_code.len() != 3 {
        return Err(Error::validation(format!(
            "Fixed response status code '{}' must be 2XX, 4XX or 5XX",
            config.status_code
        )));
    }
    let known = ["text/plain", "text/css", "text/html", "application/javascript", "application/json"];
    let content_type = config.content_type.clone();
    if content_type.as_deref().is_some_and(|t| !known.contains(&t)) {
        return Err(Error::validation(format!(
            "Fixed response content type must be one of {}",
            known.join(", ")
        )));
    }
    let body = config.message_body.clone().unwrap_or_default();
    if body.len() > limits::FIXED_BODY {
        return Err(Error::validation("Fixed response message body must have at most 1024 characters"));
    }
    Ok(Action::FixedResponse { status, content_type, body })
}

/// The groups that an action forwards to.
pub fn groups(action: &Action) -> &[Weighted] {
    match action {
        Action::Forward { groups } => groups,
        _ => &[],
    }
}

/// As it is read back.
pub fn shown_action(action: &Action) -> e::Action {
    match action {
        Action::Forward { groups } => {
            let tuple = |w: &Weighted| e::TargetGroupTuple {
                target_group_arn: Some(w.group.clone()),
                weight: Some(w.weight.into()),
            };
            let sticky = e::TargetGroupStickinessConfig { enabled: Some(false), ..Default::default() };
            let only = if let [only] = &**groups { Some(only.group.clone()) } else { None };
            e::Action {
                r#type: "forward".into(),
                target_group_arn: only,
                forward_config: Some(e::ForwardActionConfig {
                    target_groups: Some(groups.iter().map(tuple).collect()),
                    target_group_stickiness_config: Some(sticky),
                }),
                ..Default::default()
            }
        }
        Action::Redirect { status, protocol, host, port, path, query } => e::Action {
            r#type: "redirect".into(),
            redirect_config: Some(e::RedirectActionConfig {
                protocol: Some(protocol.clone()),
                port: Some(port.clone()),
                host: Some(host.clone()),
                path: Some(path.clone()),
                query: Some(query.clone()),
                status_code: format!("HTTP_{status}"),
            }),
            ..Default::default()
        },
        Action::FixedResponse { status, content_type, body } => e::Action {
            r#type: "fixed-response".into(),
            fixed_response_config: Some(e::FixedResponseActionConfig {
                message_body: (!body.is_empty()).then(|| body.clone()),
                status_code: status.to_string(),
                content_type: content_type.clone(),
            }),
            ..Default::default()
        },
    }
}

/// As it is read back: host and path also in the old member `Values`, which clients still read.
pub fn shown_condition(condition: &Condition) -> e::RuleCondition {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let field = |field: &str| e::RuleCondition { field: Some(field.to_owned()), ..Default::default() };
    match condition {
        Condition::PathPattern { values, regex } => e::RuleCondition {
            values: some(values),
            path_pattern_config: Some(e::PathPatternConditionConfig {
                values: some(values),
                regex_values: some(regex),
            }),
            ..field("path-pattern")
        },
        Condition::HostHeader { values, regex } => e::RuleCondition {
            values: some(values),
            host_header_config: Some(e::HostHeaderConditionConfig {
                values: some(values),
                regex_values: some(regex),
            }),
            ..field("host-header")
        },
        Condition::HttpHeader { name, values, regex } => e::RuleCondition {
            http_header_config: Some(e::HttpHeaderConditionConfig {
                http_header_name: Some(name.clone()),
                values: some(values),
                regex_values: some(regex),
            }),
            ..field("http-header")
        },
        Condition::HttpRequestMethod { values } => e::RuleCondition {
            http_request_method_config: Some(e::HttpRequestMethodConditionConfig { values: some(values) }),
            ..field("http-request-method")
        },
        Condition::QueryString { values } => {
            let pair = |(key, value): &(Option<String>, String)| e::QueryStringKeyValuePair {
                key: key.clone(),
                value: Some(value.clone()),
            };
            let values = Some(values.iter().map(pair).collect());
            let query_string_config = Some(e::QueryStringConditionConfig { values });
            e::RuleCondition { query_string_config, ..field("query-string") }
        }
        Condition::SourceIp { values } => e::RuleCondition {
            source_ip_config: Some(e::SourceIpConditionConfig {
                values: some(values),
                ip_address_type: None,
            }),
            ..field("source-ip")
        },
    }
}
