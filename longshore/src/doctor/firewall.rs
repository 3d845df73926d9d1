//! The host's firewall: Docker's own rules let containers through, but a rule that drops elsewhere is not undone by them.
use serde_json::Value;

use super::{Wrong, output};

/// A chain of the host's that drops what it does not admit.
#[derive(Debug, PartialEq, Eq)]
struct Drops {
    /// Family, table and chain, as nft takes them.
    chain: String,
    hook: Hook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    Input,
    Forward,
}

pub fn check() -> Result<String, Wrong> {
    let by_hand = "see for yourself with `sudo nft list ruleset`: no chain with `hook input` or `hook forward` may drop or reject what comes in by `br-*` or `docker0`";
    let rules = output("nft", &["--json", "list", "ruleset"])
        .and_then(|text| serde_json::from_str(&text).map_err(|e| format!("nft: {e}")));
    match rules {
        Ok(rules) => judged(&drops(&rules)),
        Err(error) => {
            Err(Wrong::new(format!("could not look: {}", error.lines().next().unwrap_or_default()), by_hand))
        }
    }
}

fn judged(found: &[Drops]) -> Result<String, Wrong> {
    let Some(Drops { chain, hook }) = found.first() else {
        return Ok("nftables drops nothing by default that comes from containers".into());
    };
    let kept = match hook {
        Hook::Input => "may not reach Longshore on their gateway",
        Hook::Forward => "may not reach each other and the network",
    };
    Err(Wrong::new(
        format!(
            "the chain '{chain}' drops what it does not admit, and no rule there admits bridges: containers {kept}"
        ),
        format!(
            "admit them: `sudo nft insert rule {chain} iifname \"br-*\" accept` (or the like in your firewall)"
        ),
    ))
}

/// The chains that drop, where no rule of their table names the bridges of Docker. Input comes first.
fn drops(ruleset: &Value) -> Vec<Drops> {
    let items = || ruleset["nftables"].as_array().into_iter().flatten();
    let table = |item: &Value| (text(&item["family"]).to_owned(), text(&item["table"]).to_owned());
    let rules = || items().filter_map(|item| item.get("rule"));
    let mut found = Vec::new();
    for chain in items().filter_map(|item| item.get("chain")) {
        let hook = match text(&chain["hook"]) {
            "input" => Hook::Input,
            "forward" => Hook::Forward,
            _ => continue,
        };
        let (family, in_table) = table(chain);
        let name = text(&chain["name"]);
        // Docker keeps a chain of this name, which drops, and admits its bridges there by itself.
        let dockers = hook == Hook::Forward && in_table == "filter" && name == "FORWARD";
        if !matches!(family.as_str(), "ip" | "inet") || dockers {
            continue;
        }
        let here = || rules().filter(|rule| table(rule) == table(chain));
        let drops = chain["policy"] == "drop"
            || here().any(|rule| text(&rule["chain"]) == name && drops_all(&rule["expr"]));
        if drops && !here().any(|rule| admits_bridges(&rule["expr"])) {
            found.push(Drops { chain: format!("{family} {in_table} {name}"), hook });
        }
    }
    found.sort_by_key(|drops| drops.hook == Hook::Forward);
    found
}

/// Whether it drops whatever comes by: its statements are a verdict, and what only counts.
fn drops_all(rule: &Value) -> bool {
    let statements = || rule.as_array().into_iter().flatten();
    let is = |statement: &Value, names: &[&str]| names.iter().any(|name| statement.get(name).is_some());
    statements().any(|statement| is(statement, &["drop", "reject"]))
        && statements().all(|statement| is(statement, &["drop", "reject", "counter", "log"]))
}

/// Whether it has a way for what comes in by a bridge of Docker's: firewalld has a zone for them.
fn admits_bridges(rule: &Value) -> bool {
    let statements = || rule.as_array().into_iter().flatten();
    let bridge = |word: &str| word.starts_with("br-") || word.starts_with("docker");
    let verdict = |statement: &Value| {
        ["accept", "jump", "goto", "vmap"].iter().any(|name| statement.get(name).is_some())
    };
    statements().any(|part| has(part, &|word| word == "iifname") && has(part, &bridge))
        && statements().any(verdict)
}

/// Whether a word is anywhere in it.
fn has(value: &Value, word: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => word(text),
        Value::Array(parts) => parts.iter().any(|part| has(part, word)),
        Value::Object(members) => members.values().any(|part| has(part, word)),
        _ => false,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(table: &str, name: &str, hook: &str, policy: &str) -> Value {
        let (family, table) = table.split_once(' ').unwrap();
        json!({"chain": {"family": family, "table": table, "name": name, "type": "filter", "hook": hook, "prio": 0, "policy": policy}})
    }

    fn rule(table: &str, chain: &str, expr: Value) -> Value {
        let (family, table) = table.split_once(' ').unwrap();
        json!({"rule": {"family": family, "table": table, "chain": chain, "expr": expr}})
    }

    fn iifname(right: Value) -> Value {
        json!({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": right}})
    }

    #[track_caller]
    fn check(rules: &[Value], expected: &[&str]) {
        let found = drops(&json!({ "nftables": rules }));
        assert_eq!(found.iter().map(|drops| drops.chain.as_str()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn policies_that_drop() {
        let input = |policy| chain("inet filter", "input", "input", policy);
        check(&[input("accept")], &[]);
        check(&[input("drop")], &["inet filter input"]);
        check(&[chain("inet filter", "out", "output", "drop")], &[]);
        check(&[chain("ip6 filter", "INPUT", "input", "drop")], &[]);
        // ufw's, by iptables; and what Docker does to every host.
        check(
            &[chain("ip filter", "FORWARD", "forward", "drop"), chain("ip filter", "INPUT", "input", "drop")],
            &["ip filter INPUT"],
        );
        check(
            &[chain("inet filter", "forward", "forward", "drop"), input("drop")],
            &["inet filter input", "inet filter forward"],
        );
    }

    #[test]
    fn rules_that_drop_whatever_comes() {
        let table = "inet firewalld";
        let input = chain(table, "filter_INPUT", "input", "accept");
        let with = |expr| [input.clone(), rule(table, "filter_INPUT", expr)];
        let reject = json!({"reject": {"type": "icmpx", "expr": "admin-prohibited"}});
        check(&with(json!([reject])), &["inet firewalld filter_INPUT"]);
        check(
            &with(json!([{"counter": {"packets": 1, "bytes": 2}}, {"drop": null}])),
            &["inet firewalld filter_INPUT"],
        );
        check(&with(json!([iifname(json!("eth0")), {"drop": null}])), &[]);
        check(&with(json!([{"limit": {"rate": 1, "per": "second"}}, {"drop": null}])), &[]);
        check(&[input.clone(), rule(table, "another", json!([reject]))], &[]);
        check(&[input.clone(), rule("inet other", "filter_INPUT", json!([reject]))], &[]);
    }

    #[test]
    fn what_admits_bridges() {
        let input = chain("inet filter", "input", "input", "drop");
        let with = |expr| [input.clone(), rule("inet filter", "input", expr)];
        let still = ["inet filter input"];
        check(&with(json!([iifname(json!("br-*")), {"accept": null}])), &[]);
        check(&with(json!([iifname(json!({"set": ["docker0", "br-1"]})), {"accept": null}])), &[]);
        check(&with(json!([iifname(json!("br-*")), {"drop": null}])), &still);
        check(&with(json!([iifname(json!("lo")), {"accept": null}])), &still);
        // firewalld's zone for Docker, in a chain of the same table.
        let zones = json!([iifname(json!("docker0")), {"goto": {"target": "filter_IN_docker"}}]);
        check(&[input.clone(), rule("inet filter", "filter_INPUT_ZONES", zones)], &[]);
        let map = json!([{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["docker0", {"goto": {"target": "x"}}]]}}}]);
        check(&[input, rule("inet filter", "filter_INPUT_ZONES", map)], &[]);
    }
}
