//! Target groups.
use api::ec2::DescribeVpcs;
use api::elb as e;
use kernel::{Access, Cx, Fault};
use store::{Batch, Row};

use super::operation;
use super::tags::of;
use crate::attributes as a;
use crate::error::{Error, Result};
use crate::names::{Named, check_name, on, own, scope};
use crate::records::{Attributes, HealthCheck, TargetGroup};
use crate::{Elb, SERVICE, group_arn, limits, page};

operation!(CreateTargetGroup, create_group, |cx, input| {
    let arn = own(cx, format!("targetgroup/{}/*", input.name));
    let mut want = on("elasticloadbalancing:CreateTargetGroup", &arn);
    if input.tags.is_some() {
        want.push(Access::new("elasticloadbalancing:AddTags", arn));
    }
    want
});
operation!(DescribeTargetGroups, describe_groups, |_cx, _input| {
    on("elasticloadbalancing:DescribeTargetGroups", "*")
});
operation!(ModifyTargetGroup, modify_group, |_cx, input| {
    on("elasticloadbalancing:ModifyTargetGroup", &input.target_group_arn)
});
operation!(DeleteTargetGroup, delete_group, |_cx, input| {
    on("elasticloadbalancing:DeleteTargetGroup", &input.target_group_arn)
});
operation!(DescribeTargetGroupAttributes, describe_group_attributes, |_cx, _input| {
    on("elasticloadbalancing:DescribeTargetGroupAttributes", "*")
});
operation!(ModifyTargetGroupAttributes, modify_group_attributes, |_cx, input| {
    on("elasticloadbalancing:ModifyTargetGroupAttributes", &input.target_group_arn)
});

fn protocol(what: &str, given: &str) -> Result<String> {
    match given {
        "HTTP" | "HTTPS" => Ok(given.to_owned()),
        "TCP" | "TLS" | "UDP" | "TCP_UDP" | "GENEVE" | "QUIC" | "TCP_QUIC" => {
            Err(Error::unserved(&format!("{what} '{given}'"), "use HTTP or HTTPS"))
        }
        _ => Err(Error::validation(format!("{what} '{given}' must be HTTP or HTTPS"))),
    }
}

/// The members about health checks, which creating and modifying share.
struct Given<'a> {
    protocol: Option<&'a String>,
    port: Option<&'a String>,
    enabled: Option<bool>,
    path: Option<&'a String>,
    interval: Option<i32>,
    timeout: Option<i32>,
    healthy: Option<i32>,
    unhealthy: Option<i32>,
    matcher: Option<&'a e::Matcher>,
}

impl Given<'_> {
    fn apply(self, health: &mut HealthCheck) -> Result<()> {
        if self.enabled == Some(false) {
            return Err(Error::Configuration(
                "Health check enabled must be true for target type 'ip' and 'instance'".into(),
            ));
        }
        if let Some(given) = self.protocol {
            health.protocol = protocol("Health check protocol", given)?;
        }
        if let Some(port) = self.port {
            if port != "traffic-port" && !port.parse().is_ok_and(|p: u16| p > 0) {
                return Err(Error::validation(format!(
                    "Health check port '{port}' must be a port or 'traffic-port'"
                )));
            }
            health.port.clone_from(port);
        }
        if let Some(path) = self.path {
            let plain = path.bytes().all(|b| b.is_ascii_graphic());
            if !path.starts_with('/') || path.len() > 1024 || !plain {
                return Err(Error::validation(format!("Health check path '{path}' must begin with '/'")));
            }
            health.path.clone_from(path);
        }
        for (given, held, least, most, what) in [
            (self.interval, &mut health.interval, 5, 300, "interval"),
            (self.timeout, &mut health.timeout, 2, 120, "timeout"),
            (self.healthy, &mut health.healthy, 2, 10, "healthy threshold count"),
            (self.unhealthy, &mut health.unhealthy, 2, 10, "unhealthy threshold count"),
        ] {
            let Some(given) = given else { continue };
            let fits = u32::try_from(given).ok().filter(|n| (least..=most).contains(n));
            let wrong = || {
                Error::validation(format!(
                    "Health check {what} must be from {least} to {most}; it was {given}"
                ))
            };
            *held = fits.ok_or_else(wrong)?;
        }
        if let Some(matcher) = self.matcher {
            if matcher.grpc_code.is_some() {
                return Err(Error::unserved("Matcher.GrpcCode", "use HttpCode"));
            }
            let codes = matcher.http_code.clone().unwrap_or_default();
            if !is_matcher(&codes) {
                return Err(Error::validation(format!(
                    "Health check matcher HTTP code '{codes}' must be within '200-499'"
                )));
            }
            health.matcher = codes;
        }
        if health.timeout >= health.interval {
            return Err(Error::validation(format!(
                "Health check timeout '{}' must be smaller than the interval '{}'",
                health.timeout, health.interval
            )));
        }
        Ok(())
    }
}

fn is_matcher(codes: &str) -> bool {
    let code = |text: &str| text.trim().parse().ok().filter(|code| (200..=499_u16).contains(code));
    codes.split(',').all(|part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        code(low).zip(code(high)).is_some_and(|(low, high)| low <= high)
    })
}

impl Elb {
    async fn create_group(&self, cx: &Cx, input: e::CreateTargetGroup) -> Result<e::CreateTargetGroupOutput> {
        check_name("target group", &input.name)?;
        let target_type = match input.target_type.as_deref().unwrap_or("instance") {
            known @ ("ip" | "instance") => known.to_owned(),
            other => return Err(Error::unserved(&format!("TargetType '{other}'"), "use 'ip' or 'instance'")),
        };
        match input.protocol_version.as_deref().unwrap_or("HTTP1") {
            "HTTP1" => {}
            other => return Err(Error::unserved(&format!("ProtocolVersion '{other}'"), "use 'HTTP1'")),
        }
        if input.ip_address_type.as_deref().is_some_and(|kind| kind != "ipv4")
            || input.target_control_port.is_some()
        {
            return Err(Error::unserved(
                "IpAddressType other than 'ipv4', or TargetControlPort",
                "leave it out",
            ));
        }
        let required = |what: &str| Error::validation(format!("A {what} must be specified"));
        let protocol = protocol("Protocol", input.protocol.as_deref().ok_or_else(|| required("protocol"))?)?;
        let port = input.port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0);
        let port = port.ok_or_else(|| required("port from 1 to 65535"))?;
        let vpc = input.vpc_id.clone().ok_or_else(|| required("VPC ID"))?;
        self.check_vpc(cx, &vpc).await?;
        let mut health = HealthCheck {
            protocol: "HTTP".into(),
            port: "traffic-port".into(),
            path: "/".into(),
            interval: 30,
            timeout: 5,
            healthy: 5,
            unhealthy: 2,
            matcher: "200".into(),
        };
        let given = Given {
            protocol: input.health_check_protocol.as_ref(),
            port: input.health_check_port.as_ref(),
            enabled: input.health_check_enabled,
            path: input.health_check_path.as_ref(),
            interval: input.health_check_interval_seconds,
            timeout: input.health_check_timeout_seconds,
            healthy: input.healthy_threshold_count,
            unhealthy: input.unhealthy_threshold_count,
            matcher: input.matcher.as_ref(),
        };
        given.apply(&mut health)?;
        let group = TargetGroup {
            id: self.new_id(),
            name: input.name.clone(),
            protocol,
            port,
            vpc,
            target_type,
            health,
            attributes: Attributes::new(),
            tags: of(input.tags.as_ref())?,
            targets: Vec::new(),
        };
        let key = scope(cx).text(&input.name);
        let create = || async {
            if let Some(row) = self.store.get::<TargetGroup>(&key).await? {
                let held = &row.value;
                let same =
                    (&held.protocol, held.port, &held.vpc, &held.target_type, &held.health, &held.tags)
                        == (
                            &group.protocol,
                            group.port,
                            &group.vpc,
                            &group.target_type,
                            &group.health,
                            &group.tags,
                        );
                let message = format!(
                    "A target group with the same name '{}' exists, but with different settings",
                    input.name
                );
                return match same {
                    true => Ok((Batch::new(), row.value)),
                    false => Err(Error::Duplicate { code: "DuplicateTargetGroupName", message }),
                };
            }
            if self.store.count::<TargetGroup>(scope(cx)).await? >= limits::TARGET_GROUPS as u64 {
                let what = "target groups";
                return Err(Error::TooMany {
                    code: "TooManyTargetGroups",
                    what,
                    most: limits::TARGET_GROUPS,
                });
            }
            Ok((Batch::new().create(&key, &group), group.clone()))
        };
        let group = self.store.update(create).await?;
        Ok(e::CreateTargetGroupOutput { target_groups: Some(vec![self.shown_group(cx, &group).await?]) })
    }

    async fn check_vpc(&self, cx: &Cx, vpc: &str) -> Result<()> {
        let describe = DescribeVpcs { vpc_ids: Some(vec![vpc.to_owned()]), ..Default::default() };
        let found = cx.as_service(SERVICE).call(describe).await;
        found.map(drop).map_err(|fault: Fault| match fault.status < 500 {
            true => Error::validation(format!("The VPC ID '{vpc}' is not found")),
            false => Error::Fault(fault),
        })
    }

    async fn describe_groups(
        &self,
        cx: &Cx,
        input: e::DescribeTargetGroups,
    ) -> Result<e::DescribeTargetGroupsOutput> {
        let given =
            [input.load_balancer_arn.is_some(), input.target_group_arns.is_some(), input.names.is_some()];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err(Error::validation(
                "Only one of LoadBalancerArn, TargetGroupArns and Names can be specified",
            ));
        }
        let mut rows: Vec<Row<TargetGroup>> = Vec::new();
        if let Some(arns) = &input.target_group_arns {
            for arn in arns {
                rows.push(self.group(cx, arn).await?);
            }
        } else if let Some(names) = &input.names {
            for name in names {
                let missing = || Error::NotFound {
                    code: "TargetGroupNotFound",
                    what: "target groups",
                    id: name.clone(),
                };
                rows.push(self.store.get(&scope(cx).text(name)).await?.ok_or_else(missing)?);
            }
        } else {
            rows = self.every(scope(cx)).await?;
        }
        if let Some(arn) = &input.load_balancer_arn {
            let path = self.balancer(cx, arn).await?.value.path();
            let uses = self.uses(&scope(cx)).await?;
            rows.retain(|row| uses.get(&group_arn(cx, &row.value)).is_some_and(|used| used.contains(&path)));
        }
        let (rows, next) = page("DescribeTargetGroups", rows, input.marker.as_deref(), input.page_size)?;
        let mut groups = Vec::with_capacity(rows.len());
        for row in rows {
            groups.push(self.shown_group(cx, &row.value).await?);
        }
        Ok(e::DescribeTargetGroupsOutput { target_groups: Some(groups), next_marker: next })
    }

    async fn change_group(
        &self,
        cx: &Cx,
        arn: &str,
        change: impl Fn(&mut TargetGroup) -> Result<()>,
    ) -> Result<TargetGroup> {
        let update = || async {
            let mut row = self.group(cx, arn).await?;
            change(&mut row.value)?;
            Ok::<_, Error>((Batch::new().update(&row), row.value))
        };
        self.store.update(update).await
    }

    async fn modify_group(&self, cx: &Cx, input: e::ModifyTargetGroup) -> Result<e::ModifyTargetGroupOutput> {
        let changed = self.change_group(cx, &input.target_group_arn, |group| {
            let given = Given {
                protocol: input.health_check_protocol.as_ref(),
                port: input.health_check_port.as_ref(),
                enabled: input.health_check_enabled,
                path: input.health_check_path.as_ref(),
                interval: input.health_check_interval_seconds,
                timeout: input.health_check_timeout_seconds,
                healthy: input.healthy_threshold_count,
                unhealthy: input.unhealthy_threshold_count,
                matcher: input.matcher.as_ref(),
            };
            given.apply(&mut group.health)
        });
        let group = changed.await?;
        Ok(e::ModifyTargetGroupOutput { target_groups: Some(vec![self.shown_group(cx, &group).await?]) })
    }

    /// A missing one is fine, as AWS has it.
    async fn delete_group(&self, cx: &Cx, input: e::DeleteTargetGroup) -> Result<e::DeleteTargetGroupOutput> {
        let Named::TargetGroup { .. } = Named::parse(cx, &input.target_group_arn)? else {
            return Err(Error::validation(format!(
                "'{}' is not a valid target group ARN",
                input.target_group_arn
            )));
        };
        let delete = || async {
            let row = match self.group(cx, &input.target_group_arn).await {
                Err(Error::NotFound { .. }) => return Ok((Batch::new(), ())),
                found => found?,
            };
            if self.uses(&scope(cx)).await?.contains_key(&input.target_group_arn) {
                return Err(Error::InUse(format!(
                    "Target group '{}' is currently in use by a listener or a rule",
                    input.target_group_arn
                )));
            }
            Ok((Batch::new().remove(&row), ()))
        };
        self.store.update(delete).await?;
        Ok(e::DeleteTargetGroupOutput {})
    }

    async fn describe_group_attributes(
        &self,
        cx: &Cx,
        input: e::DescribeTargetGroupAttributes,
    ) -> Result<e::DescribeTargetGroupAttributesOutput> {
        let row = self.group(cx, &input.target_group_arn).await?;
        Ok(e::DescribeTargetGroupAttributesOutput { attributes: Some(attributes(&row.value)) })
    }

    async fn modify_group_attributes(
        &self,
        cx: &Cx,
        input: e::ModifyTargetGroupAttributes,
    ) -> Result<e::ModifyTargetGroupAttributesOutput> {
        let changed = self.change_group(cx, &input.target_group_arn, |group| {
            input.attributes.iter().try_for_each(|attribute| {
                let (key, value) = (attribute.key.as_deref(), attribute.value.as_deref());
                a::set(
                    a::TARGET_GROUP,
                    &mut group.attributes,
                    key.unwrap_or_default(),
                    value.unwrap_or_default(),
                )
            })
        });
        Ok(e::ModifyTargetGroupAttributesOutput { attributes: Some(attributes(&changed.await?)) })
    }

    async fn shown_group(&self, cx: &Cx, group: &TargetGroup) -> Result<e::TargetGroup> {
        let arn = group_arn(cx, group);
        let used = self.uses(&scope(cx)).await?.remove(&arn).unwrap_or_default();
        let count = |n: u32| i32::try_from(n).ok();
        Ok(e::TargetGroup {
            target_group_arn: Some(arn),
            target_group_name: Some(group.name.clone()),
            protocol: Some(group.protocol.clone()),
            port: Some(group.port.into()),
            vpc_id: Some(group.vpc.clone()),
            health_check_protocol: Some(group.health.protocol.clone()),
            health_check_port: Some(group.health.port.clone()),
            health_check_enabled: Some(true),
            health_check_interval_seconds: count(group.health.interval),
            health_check_timeout_seconds: count(group.health.timeout),
            healthy_threshold_count: count(group.health.healthy),
            unhealthy_threshold_count: count(group.health.unhealthy),
            health_check_path: Some(group.health.path.clone()),
            matcher: Some(e::Matcher { http_code: Some(group.health.matcher.clone()), grpc_code: None }),
            load_balancer_arns: Some(
                used.iter().map(|path| own(cx, format!("loadbalancer/{path}"))).collect(),
            ),
            target_type: Some(group.target_type.clone()),
            protocol_version: Some("HTTP1".into()),
            ip_address_type: Some("ipv4".into()),
            target_control_port: None,
        })
    }
}

fn attributes(group: &TargetGroup) -> Vec<e::TargetGroupAttribute> {
    a::all(a::TARGET_GROUP, &group.attributes)
        .map(|(key, value)| e::TargetGroupAttribute { key: Some(key), value: Some(value) })
        .collect()
}
