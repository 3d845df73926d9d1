//! Security-group rules between EC2's `IpPermission` form, which groups peers, and our one-peer rules.
use api::ec2::{
    IpPermission, IpRange, Ipv6Range, ReferencedSecurityGroup, SecurityGroupRule, UserIdGroupPair,
};
use kernel::{Cx, ids};

use crate::network::range;
use crate::records::{Group, Peer, Rule};
use crate::{Ec2, Error, Result};

/// A call's permissions as it may send them: as a list, or one in flat parameters.
pub struct Asked<'a> {
    pub permissions: Option<&'a Vec<IpPermission>>,
    pub protocol: Option<&'a String>,
    pub from: Option<i32>,
    pub to: Option<i32>,
    pub cidr: Option<&'a String>,
    pub group_name: Option<&'a String>,
}

impl Ec2 {
    /// The rules that a call asks for; group names are looked up among `groups`, those of the VPC.
    pub fn asked(&self, asked: &Asked<'_>, egress: bool, groups: &[Group]) -> Result<Vec<Rule>> {
        let flat = asked.protocol.map(|protocol| IpPermission {
            ip_protocol: Some(protocol.clone()),
            from_port: asked.from,
            to_port: asked.to,
            ip_ranges: asked
                .cidr
                .map(|cidr| vec![IpRange { cidr_ip: Some(cidr.clone()), ..IpRange::default() }]),
            user_id_group_pairs: asked.group_name.map(|name| {
                vec![UserIdGroupPair { group_name: Some(name.clone()), ..UserIdGroupPair::default() }]
            }),
            ..IpPermission::default()
        });
        let mut rules = Vec::new();
        for permission in asked.permissions.into_iter().flatten().chain(&flat) {
            rules.extend(self.permission(permission, egress, groups)?);
        }
        if rules.is_empty() { Err(Error::MissingParameter("IpPermissions")) } else { Ok(rules) }
    }

    fn permission(&self, permission: &IpPermission, egress: bool, groups: &[Group]) -> Result<Vec<Rule>> {
        let (protocol, from, to) = ports(permission)?;
        if permission.prefix_list_ids.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(Error::UnsupportedParameter("PrefixListIds"));
        }
        let rule = |peer, description: &Option<String>| Rule {
            id: format!("sgr-{}", ids::hex(&*self.entropy, 17)),
            egress,
            protocol: protocol.clone(),
            from,
            to,
            peer,
            description: description.clone(),
        };
        let mut rules = Vec::new();
        for ip in permission.ip_ranges.iter().flatten() {
            let text = ip.cidr_ip.as_deref().unwrap_or_default();
            let cidr = loose(text)
                .ok_or_else(|| Error::InvalidParameterValue(format!("CIDR block {text} is malformed")))?;
            rules.push(rule(Peer::Cidr(cidr), &ip.description));
        }
        for ip in permission.ipv6_ranges.iter().flatten() {
            rules.push(rule(Peer::Cidr6(ip.cidr_ipv6.clone().unwrap_or_default()), &ip.description));
        }
        for pair in permission.user_id_group_pairs.iter().flatten() {
            let named = |group: &&Group| {
                Some(&group.id) == pair.group_id.as_ref() || Some(&group.name) == pair.group_name.as_ref()
            };
            let known = groups.iter().find(named).map(|group| group.id.clone());
            let asked = pair.group_id.as_ref().or(pair.group_name.as_ref()).cloned().unwrap_or_default();
            rules.push(rule(
                Peer::Group(known.ok_or_else(|| Ec2::missing::<Group>(&asked))?),
                &pair.description,
            ));
        }
        Ok(rules)
    }
}

fn ports(permission: &IpPermission) -> Result<(String, i32, i32)> {
    let wrong = |text: String| Error::InvalidParameterValue(text);
    let given =
        permission.ip_protocol.as_deref().ok_or(Error::MissingParameter("IpProtocol"))?.to_lowercase();
    let protocol = match given.as_str() {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        "all" => "-1",
        other => other,
    };
    let number = protocol.parse::<i16>().is_ok_and(|n| (-1..=255).contains(&n));
    if !number && !["tcp", "udp", "icmp", "icmpv6"].contains(&protocol) {
        return Err(wrong(format!("Invalid value '{given}' for IP protocol. Unknown protocol.")));
    }
    let (from, to) = (permission.from_port, permission.to_port);
    match (protocol, from, to) {
        ("tcp" | "udp", Some(from), Some(to))
            if (0..=65535).contains(&from) && (from..=65535).contains(&to) =>
        {
            Ok((protocol.into(), from, to))
        }
        ("tcp" | "udp", Some(-1), Some(-1)) => Ok((protocol.into(), 0, 65535)),
        ("tcp" | "udp", None, _) | ("tcp" | "udp", _, None) => {
            Err(Error::MissingParameter("FromPort and ToPort"))
        }
        ("tcp" | "udp", Some(from), Some(to)) => Err(wrong(format!(
            "Invalid port range: {from}-{to}; ports are 0 to 65535, the first not above the last"
        ))),
        ("icmp" | "icmpv6", from, to) => Ok((protocol.into(), from.unwrap_or(-1), to.unwrap_or(-1))),
        _ => Ok((protocol.into(), -1, -1)),
    }
}

/// AWS takes a range with host bits and keeps the network: `10.0.0.5/16` is `10.0.0.0/16`.
fn loose(text: &str) -> Option<String> {
    let (address, prefix) = text.split_once('/')?;
    let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32)?;
    let range = engine::Cidr::of(address.parse().ok()?, prefix).to_string();
    crate::network::range(&range).ok().map(|_| range)
}

/// Rules in EC2's form: one permission for each protocol and ports.
pub fn permissions<'a>(rules: impl Iterator<Item = &'a Rule>, cx: &Cx) -> Vec<IpPermission> {
    let mut out: Vec<IpPermission> = Vec::new();
    for rule in rules {
        let (from, to) = if rule.protocol == "-1" { (None, None) } else { (Some(rule.from), Some(rule.to)) };
        let same = |p: &IpPermission| {
            p.ip_protocol.as_ref() == Some(&rule.protocol) && p.from_port == from && p.to_port == to
        };
        let index = out.iter().position(same).unwrap_or_else(|| {
            out.push(IpPermission {
                ip_protocol: Some(rule.protocol.clone()),
                from_port: from,
                to_port: to,
                ip_ranges: Some(Vec::new()),
                ipv6_ranges: Some(Vec::new()),
                prefix_list_ids: Some(Vec::new()),
                user_id_group_pairs: Some(Vec::new()),
            });
            out.len() - 1
        });
        let description = rule.description.clone();
        match &rule.peer {
            Peer::Cidr(cidr) => out[index]
                .ip_ranges
                .get_or_insert_default()
                .push(IpRange { cidr_ip: Some(cidr.clone()), description }),
            Peer::Cidr6(cidr) => out[index]
                .ipv6_ranges
                .get_or_insert_default()
                .push(Ipv6Range { cidr_ipv6: Some(cidr.clone()), description }),
            Peer::Group(id) => out[index].user_id_group_pairs.get_or_insert_default().push(UserIdGroupPair {
                group_id: Some(id.clone()),
                user_id: Some(cx.account().to_owned()),
                description,
                ..UserIdGroupPair::default()
            }),
        }
    }
    out
}

/// A rule as DescribeSecurityGroupRules has it.
pub fn shown(rule: &Rule, group: &Group, cx: &Cx) -> SecurityGroupRule {
    let (cidr_ipv4, cidr_ipv6, referenced) = match &rule.peer {
        Peer::Cidr(cidr) => (Some(cidr.clone()), None, None),
        Peer::Cidr6(cidr) => (None, Some(cidr.clone()), None),
        Peer::Group(id) => (None, None, Some(id.clone())),
    };
    SecurityGroupRule {
        security_group_rule_id: Some(rule.id.clone()),
        group_id: Some(group.id.clone()),
        group_owner_id: Some(cx.account().to_owned()),
        is_egress: Some(rule.egress),
        ip_protocol: Some(rule.protocol.clone()),
        from_port: Some(rule.from),
        to_port: Some(rule.to),
        cidr_ipv4,
        cidr_ipv6,
        referenced_group_info: referenced.map(|group_id| ReferencedSecurityGroup {
            group_id: Some(group_id),
            user_id: Some(cx.account().to_owned()),
            ..ReferencedSecurityGroup::default()
        }),
        description: rule.description.clone(),
        tags: Some(Vec::new()),
        ..SecurityGroupRule::default()
    }
}

/// Whether two rules admit the same.
pub fn same(a: &Rule, b: &Rule) -> bool {
    a.egress == b.egress && a.protocol == b.protocol && a.from == b.from && a.to == b.to && a.peer == b.peer
}

/// A range of a VPC or subnet as a parameter has it.
pub fn block(
    text: Option<&String>,
    code: &'static str,
    prefixes: std::ops::RangeInclusive<u8>,
) -> Result<engine::Cidr> {
    let text = text.ok_or(Error::MissingParameter("CidrBlock"))?;
    let wrong = |why: &str| Error::Range { code, message: format!("The CIDR '{text}' is invalid: {why}") };
    let cidr = range(text)
        .map_err(|_| wrong("it must be an IPv4 range such as 10.0.0.0/16 with all host bits zero"))?;
    let sized = prefixes.contains(&cidr.prefix());
    sized.then_some(cidr).ok_or_else(|| {
        wrong(&format!("its size must be between /{} and /{}", prefixes.start(), prefixes.end()))
    })
}
