//! Load balancers.
use std::collections::BTreeMap;

use api::ec2::{DescribeSecurityGroups, DescribeSubnets, Filter};
use api::elb as e;
use kernel::{Access, Cx, Fault};
use store::{Batch, Key, Row};

use super::operation;
use super::tags::of;
use crate::attributes as a;
use crate::error::{Error, Result};
use crate::names::{check_name, on, own, scope};
use crate::records::{Address, Attributes, Departed, Listener, LoadBalancer, Rule};
use crate::{Elb, SERVICE, limits, page};

operation!(CreateLoadBalancer, create_balancer, |cx, input| {
    let arn = own(cx, format!("loadbalancer/app/{}/*", input.name));
    let mut want = on("elasticloadbalancing:CreateLoadBalancer", &arn);
    if input.tags.is_some() {
        want.push(Access::new("elasticloadbalancing:AddTags", arn));
    }
    want
});
operation!(DescribeLoadBalancers, describe_balancers, |_cx, _input| {
    on("elasticloadbalancing:DescribeLoadBalancers", "*")
});
operation!(DeleteLoadBalancer, delete_balancer, |_cx, input| {
    on("elasticloadbalancing:DeleteLoadBalancer", &input.load_balancer_arn)
});
operation!(DescribeLoadBalancerAttributes, describe_balancer_attributes, |_cx, _input| {
    on("elasticloadbalancing:DescribeLoadBalancerAttributes", "*")
});
operation!(ModifyLoadBalancerAttributes, modify_balancer_attributes, |_cx, input| {
    on("elasticloadbalancing:ModifyLoadBalancerAttributes", &input.load_balancer_arn)
});
operation!(SetSubnets, set_subnets, |_cx, input| on(
    "elasticloadbalancing:SetSubnets",
    &input.load_balancer_arn
));
operation!(SetSecurityGroups, set_groups, |_cx, input| {
    on("elasticloadbalancing:SetSecurityGroups", &input.load_balancer_arn)
});
operation!(SetIpAddressType, set_ip_address_type, |_cx, input| {
    on("elasticloadbalancing:SetIpAddressType", &input.load_balancer_arn)
});

/// The hosted zone id of AWS's own load balancer names, by region.
fn canonical_zone(region: &str) -> &'static str {
    match region {
        "us-east-1" => "Z35SXDOTRQ7X7K",
        "us-east-2" => "Z3AADJGX6KTTL2",
        "us-west-1" => "Z368ELLRRE2KJ0",
        "us-west-2" => "Z1H1FL5HABSF5",
        "eu-west-1" => "Z32O12XQLNTSW2",
        "eu-west-2" => "ZHURV8PSTC4K8",
        "eu-central-1" => "Z215JYRZR1TBD5",
        "ap-northeast-1" => "Z14GRHDCWA56QT",
        "ap-southeast-1" => "Z1LMS91P8CMLE5",
        "ap-southeast-2" => "Z1GM3OXH4ZPM65",
        // Any will do: aliases are followed by name.
        _ => "Z35SXDOTRQ7X7K",
    }
}

fn refuse_unserved(input: &e::CreateLoadBalancer) -> Result<()> {
    match input.r#type.as_deref().unwrap_or("application") {
        "application" => {}
        other => return Err(Error::unserved(&format!("Type '{other}'"), "use 'application'")),
    }
    only_ipv4(input.ip_address_type.as_deref())?;
    for (given, what) in [
        (&input.customer_owned_ipv4_pool, "CustomerOwnedIpv4Pool"),
        (&input.enable_prefix_for_ipv6_source_nat, "EnablePrefixForIpv6SourceNat"),
    ] {
        if given.as_deref().is_some_and(|value| value != "off") {
            return Err(Error::unserved(what, "leave it out"));
        }
    }
    if input.ipam_pools.is_some() {
        return Err(Error::unserved("IpamPools", "leave it out"));
    }
    Ok(())
}

fn only_ipv4(given: Option<&str>) -> Result<()> {
    match given.unwrap_or("ipv4") {
        "ipv4" => Ok(()),
        other => Err(Error::unserved(&format!("IpAddressType '{other}'"), "use 'ipv4'")),
    }
}

/// Subnet ids, given as such or in mappings that hold nothing else.
fn subnet_ids(
    subnets: Option<&Vec<String>>,
    mappings: Option<&Vec<e::SubnetMapping>>,
) -> Result<Vec<String>> {
    match (subnets, mappings) {
        (Some(_), Some(_)) => {
            Err(Error::validation("Only one of Subnets and SubnetMappings can be specified"))
        }
        (Some(ids), None) => Ok(ids.clone()),
        (None, Some(mappings)) => mappings
            .iter()
            .map(|m| {
                let plain = e::SubnetMapping { subnet_id: m.subnet_id.clone(), ..Default::default() };
                match (&m.subnet_id, plain == *m) {
                    (Some(id), true) => Ok(id.clone()),
                    (None, _) => Err(Error::validation("A subnet mapping must have a SubnetId")),
                    (_, false) => {
                        Err(Error::unserved("An address in SubnetMappings", "give the SubnetId alone"))
                    }
                }
            })
            .collect(),
        (None, None) => Err(Error::validation("At least two subnets must be specified")),
    }
}

impl Elb {
    async fn create_balancer(
        &self,
        cx: &Cx,
        input: e::CreateLoadBalancer,
    ) -> Result<e::CreateLoadBalancerOutput> {
        check_name("load balancer", &input.name)?;
        refuse_unserved(&input)?;
        let scheme = input.scheme.clone().unwrap_or_else(|| "internet-facing".into());
        if !matches!(&*scheme, "internet-facing" | "internal") {
            return Err(Error::validation(format!(
                "Scheme '{scheme}' must be 'internet-facing' or 'internal'"
            )));
        }
        let ids = subnet_ids(input.subnets.as_ref(), input.subnet_mappings.as_ref())?;
        let (vpc, subnets) = self.subnets(cx, &ids).await?;
        let groups = self.security_groups(cx, &vpc, input.security_groups.as_deref()).await?;
        let tags = of(input.tags.as_ref())?;
        let (id, created) = (self.new_id(), self.clock.now());
        let number = u64::from_str_radix(&id[..8], 16).unwrap_or_default() % 1_000_000_000;
        let internal = if scheme == "internal" { "internal-" } else { "" };
        let dns_name = format!("{internal}{}-{number}.{}.elb.amazonaws.com", input.name, cx.region);
        let key = scope(cx).text(&input.name);
        let create = || async {
            if let Some(row) = self.store.get::<LoadBalancer>(&key).await? {
                let same = row.value.scheme == scheme
                    && row.value.subnets == subnets
                    && row.value.groups == groups
                    && row.value.tags == tags;
                return match same {
                    true => Ok((Batch::new(), row.value)),
                    false => Err(Error::Duplicate {
                        code: "DuplicateLoadBalancerName",
                        message: format!(
                            "A load balancer with the same name '{}' exists, but with different settings",
                            input.name
                        ),
                    }),
                };
            }
            if self.store.count::<LoadBalancer>(scope(cx)).await? >= limits::LOAD_BALANCERS as u64 {
                let what = "load balancers";
                return Err(Error::TooMany {
                    code: "TooManyLoadBalancers",
                    what,
                    most: limits::LOAD_BALANCERS,
                });
            }
            let address = self.free_address().await?;
            let balancer = LoadBalancer {
                id: id.clone(),
                name: input.name.clone(),
                dns_name: dns_name.to_lowercase(),
                scheme: scheme.clone(),
                vpc: vpc.clone(),
                subnets: subnets.clone(),
                groups: groups.clone(),
                address,
                attributes: Attributes::new(),
                tags: tags.clone(),
                created,
                active: false,
            };
            let batch = Batch::new().create(&key, &balancer).create(&address_key(address), &Address {});
            Ok((batch, balancer))
        };
        let balancer = self.store.update(create).await?;
        Ok(e::CreateLoadBalancerOutput { load_balancers: Some(vec![self.shown(cx, &balancer)]) })
    }

    async fn free_address(&self) -> Result<std::net::Ipv4Addr> {
        let taken: Vec<String> =
            self.store.all::<Address>(Key::new("", "")).await?.iter().map(|row| row.key.last()).collect();
        let mut free = self.range.addresses().filter(|address| !taken.contains(&address.to_string()));
        free.next().ok_or_else(|| {
            Error::Configuration(
                "No address is left for a load balancer: give --lb-cidr a larger range".into(),
            )
        })
    }

    /// The VPC of the subnets, and each zone's subnet.
    async fn subnets(&self, cx: &Cx, ids: &[String]) -> Result<(String, BTreeMap<String, String>)> {
        let describe = DescribeSubnets { subnet_ids: Some(ids.to_vec()), ..Default::default() };
        let found = cx.as_service(SERVICE).call(describe).await.map_err(|fault| {
            foreign(fault, "SubnetNotFound", format!("One of the subnets does not exist: {}", ids.join(", ")))
        })?;
        let mut zones = BTreeMap::new();
        let mut vpcs = Vec::new();
        for subnet in found.subnets.unwrap_or_default() {
            let (zone, id) =
                (subnet.availability_zone.unwrap_or_default(), subnet.subnet_id.unwrap_or_default());
            vpcs.push(subnet.vpc_id.unwrap_or_default());
            if zones.insert(zone, id).is_some() {
                return Err(Error::Configuration(
                    "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
                        .into(),
                ));
            }
        }
        if zones.len() < 2 {
            return Err(Error::validation(
                "At least two subnets in two different Availability Zones must be specified",
            ));
        }
        vpcs.dedup();
        match <[String; 1]>::try_from(vpcs) {
            Ok([vpc]) => Ok((vpc, zones)),
            Err(_) => Err(Error::Foreign {
                code: "InvalidSubnet",
                message: "The subnets must belong to the same VPC".into(),
            }),
        }
    }

    /// The groups given, all of the VPC; without any, its default one.
    async fn security_groups(&self, cx: &Cx, vpc: &str, given: Option<&[String]>) -> Result<Vec<String>> {
        let filter =
            |name: &str, value: &str| Filter { name: Some(name.into()), values: Some(vec![value.into()]) };
        let given = given.unwrap_or_default();
        let describe = match given.is_empty() {
            true => DescribeSecurityGroups {
                filters: Some(vec![filter("vpc-id", vpc), filter("group-name", "default")]),
                ..Default::default()
            },
            false => DescribeSecurityGroups { group_ids: Some(given.to_vec()), ..Default::default() },
        };
        if given.len() > limits::GROUPS {
            return Err(Error::Configuration("A load balancer can have at most 5 security groups".into()));
        }
        let found = cx.as_service(SERVICE).call(describe).await.map_err(|fault| {
            let message = format!("One of the security groups does not exist: {}", given.join(", "));
            foreign(fault, "InvalidSecurityGroup", message)
        })?;
        let found = found.security_groups.unwrap_or_default();
        if found.iter().any(|group| group.vpc_id.as_deref() != Some(vpc)) {
            let message = format!("The security groups must belong to the load balancer's VPC {vpc}");
            return Err(Error::Foreign { code: "InvalidSecurityGroup", message });
        }
        let ids = found.into_iter().filter_map(|group| group.group_id);
        Ok(if given.is_empty() { ids.collect() } else { given.to_vec() })
    }

    async fn describe_balancers(
        &self,
        cx: &Cx,
        input: e::DescribeLoadBalancers,
    ) -> Result<e::DescribeLoadBalancersOutput> {
        let rows = match (&input.load_balancer_arns, &input.names) {
            (Some(_), Some(_)) => {
                return Err(Error::validation("Only one of LoadBalancerArns and Names can be specified"));
            }
            (Some(arns), None) => {
                let mut rows = Vec::new();
                for arn in arns {
                    rows.push(self.balancer(cx, arn).await?);
                }
                rows
            }
            (None, Some(names)) => {
                let mut rows = Vec::new();
                for name in names {
                    let row = self.store.get::<LoadBalancer>(&scope(cx).text(name)).await?;
                    rows.push(row.ok_or_else(|| Error::NotFound {
                        code: "LoadBalancerNotFound",
                        what: "load balancers",
                        id: name.clone(),
                    })?);
                }
                rows
            }
            (None, None) => self.every(scope(cx)).await?,
        };
        let (rows, next) = page("DescribeLoadBalancers", rows, input.marker.as_deref(), input.page_size)?;
        Ok(e::DescribeLoadBalancersOutput {
            load_balancers: Some(rows.iter().map(|row| self.shown(cx, &row.value)).collect()),
            next_marker: next,
        })
    }

    /// A missing one is fine, as AWS has it.
    async fn delete_balancer(
        &self,
        cx: &Cx,
        input: e::DeleteLoadBalancer,
    ) -> Result<e::DeleteLoadBalancerOutput> {
        let delete = || async {
            let row = match self.balancer(cx, &input.load_balancer_arn).await {
                Err(Error::NotFound { .. }) => return Ok((Batch::new(), ())),
                found => found?,
            };
            if a::value(a::LOAD_BALANCER, &row.value.attributes, "deletion_protection.enabled") == "true" {
                return Err(Error::NotPermitted(format!(
                    "Load balancer '{}' cannot be deleted because deletion protection is enabled",
                    input.load_balancer_arn
                )));
            }
            let below = scope(cx).text(&row.value.id);
            let path = row.value.path();
            let mut batch = Batch::new()
                .remove(&row)
                .delete::<Address>(&address_key(row.value.address))
                .put(&scope(cx).text(&path), &Departed { path });
            for listener in self.store.all::<Listener>(below.clone()).await? {
                batch = batch.remove(&listener);
            }
            for rule in self.store.all::<Rule>(below).await? {
                batch = batch.remove(&rule);
            }
            Ok((batch, ()))
        };
        self.store.update(delete).await?;
        Ok(e::DeleteLoadBalancerOutput {})
    }

    async fn change_balancer(
        &self,
        cx: &Cx,
        arn: &str,
        change: impl Fn(&mut LoadBalancer) -> Result<()>,
    ) -> Result<LoadBalancer> {
        let update = || async {
            let mut row: Row<LoadBalancer> = self.balancer(cx, arn).await?;
            change(&mut row.value)?;
            Ok::<_, Error>((Batch::new().update(&row), row.value))
        };
        self.store.update(update).await
    }

    async fn describe_balancer_attributes(
        &self,
        cx: &Cx,
        input: e::DescribeLoadBalancerAttributes,
    ) -> Result<e::DescribeLoadBalancerAttributesOutput> {
        let row = self.balancer(cx, &input.load_balancer_arn).await?;
        Ok(e::DescribeLoadBalancerAttributesOutput { attributes: Some(attributes(&row.value)) })
    }

    async fn modify_balancer_attributes(
        &self,
        cx: &Cx,
        input: e::ModifyLoadBalancerAttributes,
    ) -> Result<e::ModifyLoadBalancerAttributesOutput> {
        let changed = self.change_balancer(cx, &input.load_balancer_arn, |balancer| {
            input.attributes.iter().try_for_each(|attribute| {
                let (key, value) = (attribute.key.as_deref(), attribute.value.as_deref());
                a::set(
                    a::LOAD_BALANCER,
                    &mut balancer.attributes,
                    key.unwrap_or_default(),
                    value.unwrap_or_default(),
                )
            })
        });
        Ok(e::ModifyLoadBalancerAttributesOutput { attributes: Some(attributes(&changed.await?)) })
    }

    async fn set_subnets(&self, cx: &Cx, input: e::SetSubnets) -> Result<e::SetSubnetsOutput> {
        only_ipv4(input.ip_address_type.as_deref())?;
        let ids = subnet_ids(input.subnets.as_ref(), input.subnet_mappings.as_ref())?;
        let (vpc, subnets) = self.subnets(cx, &ids).await?;
        let changed = self.change_balancer(cx, &input.load_balancer_arn, |balancer| {
            if balancer.vpc != vpc {
                let message = format!("The subnets must belong to the load balancer's VPC {}", balancer.vpc);
                return Err(Error::Foreign { code: "InvalidSubnet", message });
            }
            balancer.subnets = subnets.clone();
            Ok(())
        });
        Ok(e::SetSubnetsOutput {
            availability_zones: Some(zones(&changed.await?)),
            ip_address_type: Some("ipv4".into()),
            ..Default::default()
        })
    }

    async fn set_groups(&self, cx: &Cx, input: e::SetSecurityGroups) -> Result<e::SetSecurityGroupsOutput> {
        if input.enforce_security_group_inbound_rules_on_private_link_traffic.is_some() {
            let what = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic";
            return Err(Error::unserved(what, "leave it out"));
        }
        let vpc = self.balancer(cx, &input.load_balancer_arn).await?.value.vpc;
        let groups = self.security_groups(cx, &vpc, Some(&input.security_groups)).await?;
        self.change_balancer(cx, &input.load_balancer_arn, |balancer| {
            balancer.groups = groups.clone();
            Ok(())
        })
        .await?;
        Ok(e::SetSecurityGroupsOutput { security_group_ids: Some(groups), ..Default::default() })
    }

    async fn set_ip_address_type(
        &self,
        cx: &Cx,
        input: e::SetIpAddressType,
    ) -> Result<e::SetIpAddressTypeOutput> {
        only_ipv4(Some(&input.ip_address_type))?;
        self.balancer(cx, &input.load_balancer_arn).await?;
        Ok(e::SetIpAddressTypeOutput { ip_address_type: Some("ipv4".into()) })
    }
}

fn address_key(address: std::net::Ipv4Addr) -> Key {
    Key::new("", "").text(address.to_string())
}

/// What is missing in another service, in this one's words; other faults as they are.
fn foreign(fault: Fault, code: &'static str, message: String) -> Error {
    if fault.status < 500 && fault.code.contains("NotFound") || fault.code.contains("Malformed") {
        Error::Foreign { code, message }
    } else {
        Error::Fault(fault)
    }
}

fn attributes(balancer: &LoadBalancer) -> Vec<e::LoadBalancerAttribute> {
    a::all(a::LOAD_BALANCER, &balancer.attributes)
        .map(|(key, value)| e::LoadBalancerAttribute { key: Some(key), value: Some(value) })
        .collect()
}

fn zones(balancer: &LoadBalancer) -> Vec<e::AvailabilityZone> {
    let zone = |(zone, subnet): (&String, &String)| e::AvailabilityZone {
        zone_name: Some(zone.clone()),
        subnet_id: Some(subnet.clone()),
        load_balancer_addresses: Some(Vec::new()),
        ..Default::default()
    };
    balancer.subnets.iter().map(zone).collect()
}

impl Elb {
    /// Impaired: there, and not to be reached, since the edge may not listen or another program does.
    fn state(&self, balancer: &LoadBalancer) -> e::LoadBalancerState {
        let reports = self.hub.reports();
        let report = reports.borrow();
        let unbound = report.iter().flat_map(|report| &report.unbound);
        let unreached: Vec<_> =
            unbound.filter(|u| u.address.ip() == balancer.address).map(|u| u.reason.as_str()).collect();
        let (code, reason) = match (balancer.active, unreached.as_slice()) {
            (false, _) => ("provisioning", None),
            (true, []) => ("active", None),
            (true, reasons) => ("active_impaired", Some(reasons.join("; "))),
        };
        e::LoadBalancerState { code: Some(code.into()), reason }
    }

    fn shown(&self, cx: &Cx, balancer: &LoadBalancer) -> e::LoadBalancer {
        e::LoadBalancer {
            load_balancer_arn: Some(own(cx, format!("loadbalancer/{}", balancer.path()))),
            dns_name: Some(balancer.dns_name.clone()),
            canonical_hosted_zone_id: Some(canonical_zone(&cx.region).into()),
            created_time: Some(balancer.created),
            load_balancer_name: Some(balancer.name.clone()),
            scheme: Some(balancer.scheme.clone()),
            vpc_id: Some(balancer.vpc.clone()),
            state: Some(self.state(balancer)),
            r#type: Some("application".into()),
            availability_zones: Some(zones(balancer)),
            security_groups: Some(balancer.groups.clone()),
            ip_address_type: Some("ipv4".into()),
            ..Default::default()
        }
    }
}
