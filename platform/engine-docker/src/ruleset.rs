//! A namespace's rules as one nftables table, replaced atomically.
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use engine::{Allow, Cidr, Protocol, Redirect, Rules};

use crate::names::INTERFACE;

/// A table's text, and the name of an empty chain in it by which it is recognised when read back: the table is put
/// into force as a whole or not at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ruleset {
    pub(crate) text: String,
    pub(crate) marker: String,
}

/// Renders the rules. What is decided about a connection is decided by its original destination, which a redirect
/// keeps; what does not come or go by the network's interface is between containers of the task, nested ones too.
pub(crate) fn render(rules: &Rules) -> Ruleset {
    let mut chains = String::new();
    chain(&mut chains, "reroute", rules.redirects.iter().map(redirect));
    chain(&mut chains, "let_in", rules.ingress.iter().filter_map(|allow| admit(allow, "ip saddr")));
    let always = rules.redirects.iter().filter(|redirect| !redirect.governed).map(admit_redirect);
    let egress = rules.egress.iter().filter_map(|allow| admit(allow, "ct original ip daddr"));
    chain(&mut chains, "let_out", always.chain(egress));
    chains.push_str(&hooks());
    let mut hasher = DefaultHasher::new();
    chains.hash(&mut hasher);
    let marker = format!("v{:016x}", hasher.finish());
    let text = format!(
        "table inet longshore\ndelete table inet longshore\ntable inet longshore {{\n\tchain {marker} {{\n\t}}\n{chains}}}\n"
    );
    Ruleset { text, marker }
}

fn hooks() -> String {
    let known = "ct state established,related accept";
    let mut text = String::new();
    // Before Docker's own (-100), so that a nested engine's rules see where the redirect leads.
    for (name, hook) in [("reroute_out", "output"), ("reroute_in", "prerouting")] {
        let first = format!("type nat hook {hook} priority -110; policy accept;");
        chain(&mut text, name, [first, "jump reroute".into()]);
    }
    let filter = |hook| format!("type filter hook {hook} priority 0; policy drop;");
    let (by, from) = (format!("oifname \"{INTERFACE}\""), format!("iifname \"{INTERFACE}\""));
    let other = |way: &str| format!("{way} != \"{INTERFACE}\" accept");
    chain(&mut text, "input", [filter("input"), other("iifname"), known.into(), "jump let_in".into()]);
    chain(&mut text, "output", [filter("output"), other("oifname"), known.into(), "jump let_out".into()]);
    let forward = [
        filter("forward"),
        known.into(),
        format!("{from} jump let_in"),
        format!("{by} jump let_out"),
        format!("iifname != \"{INTERFACE}\" oifname != \"{INTERFACE}\" accept"),
    ];
    chain(&mut text, "forward", forward);
    text
}

fn chain(text: &mut String, name: &str, rules: impl IntoIterator<Item = String>) {
    let _ = writeln!(text, "\tchain {name} {{");
    for rule in rules {
        let _ = writeln!(text, "\t\t{rule}");
    }
    text.push_str("\t}\n");
}

fn redirect(redirect: &Redirect) -> String {
    let Redirect { protocol, from, to, .. } = redirect;
    format!("ip daddr {} {} dport {} dnat ip to {to}", from.ip(), layer4(*protocol), from.port())
}

fn admit_redirect(redirect: &Redirect) -> String {
    let Redirect { protocol, from, .. } = redirect;
    let (ip, port) = (from.ip(), from.port());
    format!(
        "ct original ip daddr {ip} meta l4proto {} ct original proto-dst {port} accept",
        layer4(*protocol)
    )
}

/// None where nobody is allowed.
fn admit(allow: &Allow, peer: &str) -> Option<String> {
    let peers = widest(&allow.peers);
    let mut rule = match peers[..] {
        [] => return None,
        [any] if any == Cidr::ANY => "meta nfproto ipv4".to_owned(),
        _ => {
            let list: Vec<String> = peers.iter().map(Cidr::to_string).collect();
            format!("{peer} {{ {} }}", list.join(", "))
        }
    };
    if allow.protocol != Protocol::Any {
        let _ = write!(rule, " meta l4proto {}", layer4(allow.protocol));
    }
    if let (Some(ports), Protocol::Tcp | Protocol::Udp) = (&allow.ports, allow.protocol) {
        let _ = write!(rule, " ct original proto-dst {}", ports.start());
        if ports.start() != ports.end() {
            let _ = write!(rule, "-{}", ports.end());
        }
    }
    Some(rule + " accept")
}

/// Without those that another one holds: nftables refuses sets that overlap.
fn widest(peers: &[Cidr]) -> Vec<Cidr> {
    let mut sorted = peers.to_vec();
    sorted.sort_by_key(|peer| (peer.first(), peer.prefix()));
    let mut kept: Vec<Cidr> = Vec::with_capacity(sorted.len());
    for peer in sorted {
        if !kept.last().is_some_and(|wider| wider.contains(peer)) {
            kept.push(peer);
        }
    }
    kept
}

fn layer4(protocol: Protocol) -> String {
    match protocol {
        Protocol::Other(number) => number.to_string(),
        named => named.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(protocol: Protocol, ports: Option<(u16, u16)>, peers: &[&str]) -> Allow {
        let peers = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        Allow { protocol, ports: ports.map(|(from, to)| from..=to), peers }
    }

    #[test]
    fn a_rule_says_who_and_what() {
        let check = |rule: Allow, text: Option<&str>| assert_eq!(admit(&rule, "ip saddr").as_deref(), text);
        check(Allow::anything(), Some("meta nfproto ipv4 accept"));
        check(allow(Protocol::Tcp, Some((80, 80)), &[]), None);
        check(
            allow(Protocol::Tcp, Some((8080, 8090)), &["10.0.0.0/16", "10.0.7.0/24", "192.0.2.1/32"]),
            Some(
                "ip saddr { 10.0.0.0/16, 192.0.2.1/32 } meta l4proto tcp ct original proto-dst 8080-8090 accept",
            ),
        );
        // Ports mean nothing to other protocols.
        check(
            allow(Protocol::Other(47), Some((1, 2)), &["0.0.0.0/0"]),
            Some("meta nfproto ipv4 meta l4proto 47 accept"),
        );
    }

    #[test]
    fn a_table_drops_what_it_does_not_name_and_knows_itself() {
        let mut rules =
            Rules { redirects: engine::gateway::redirects([10, 0, 0, 1].into()), ..Rules::default() };
        rules.redirects[0].governed = true;
        let closed = render(&rules);
        assert_eq!(closed.text.matches("policy drop").count(), 3);
        assert!(closed.text.contains("ip daddr 169.254.169.253 udp dport 53 dnat ip to 10.0.0.1:4653\n"));
        assert!(!closed.text.contains("meta l4proto udp"), "what is governed is not admitted by itself");
        assert!(
            closed.text.contains(
                "ct original ip daddr 169.254.170.2 meta l4proto tcp ct original proto-dst 80 accept"
            )
        );
        assert!(closed.text.contains(&closed.marker));
        rules.ingress.push(Allow::anything());
        assert_ne!(render(&rules).marker, closed.marker);
    }
}
