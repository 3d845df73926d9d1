//! Targets and their health.
use std::net::Ipv4Addr;

use api::elb as e;
use kernel::Cx;
use snapshot::{HealthState, TargetId};
use store::Batch;

use super::operation;
use crate::error::{Error, Result};
use crate::names::{on, scope};
use crate::records::{Target, TargetGroup};
use crate::{Elb, limits};

operation!(RegisterTargets, register_targets, |_cx, input| {
    on("elasticloadbalancing:RegisterTargets", &input.target_group_arn)
});
operation!(DeregisterTargets, deregister_targets, |_cx, input| {
    on("elasticloadbalancing:DeregisterTargets", &input.target_group_arn)
});
operation!(DescribeTargetHealth, describe_health, |_cx, _input| {
    on("elasticloadbalancing:DescribeTargetHealth", "*")
});

/// Reads a target, its port the group's where it names none.
fn target(group: &TargetGroup, given: &e::TargetDescription) -> Result<Target> {
    let invalid =
        |why: &str| Err(Error::InvalidTarget(format!("The target '{}' is not valid: {why}", given.id)));
    if given.quic_server_id.is_some() {
        return Err(Error::unserved("QuicServerId", "leave it out"));
    }
    let port = given.port.map_or(Some(group.port), |p| u16::try_from(p).ok().filter(|p| *p > 0));
    let Some(port) = port else { return invalid("its port must be from 1 to 65535") };
    if group.target_type == "ip" {
        let Ok(ip) = given.id.parse::<Ipv4Addr>() else { return invalid("it is not an IPv4 address") };
        let shared = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
        // Loopback, which AWS refuses, is the host: what runs there beside Longshore can be a target too.
        if !ip.is_private() && !shared && !ip.is_loopback() {
            return invalid(
                "it must be a private address, of the VPC or of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10",
            );
        }
    } else {
        let digits = given.id.strip_prefix("i-").unwrap_or_default();
        if !matches!(digits.len(), 8 | 17) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return invalid("it is not an instance ID");
        }
    }
    Ok(Target { id: given.id.clone(), port, zone: given.availability_zone.clone(), draining: None })
}

impl Elb {
    /// Registering again what is registered changes nothing; what is leaving comes back.
    async fn register_targets(&self, cx: &Cx, input: e::RegisterTargets) -> Result<e::RegisterTargetsOutput> {
        let register = || async {
            let mut row = self.group(cx, &input.target_group_arn).await?;
            let mut changed = false;
            for given in &input.targets {
                let target = target(&row.value, given)?;
                let targets = &mut row.value.targets;
                match targets.iter_mut().find(|t| (&t.id, t.port) == (&target.id, target.port)) {
                    Some(held) if held.draining.is_none() => {}
                    Some(held) => {
                        changed = true;
                        *held = target;
                    }
                    None => {
                        changed = true;
                        targets.push(target);
                    }
                }
            }
            if row.value.targets.len() > limits::TARGETS {
                let what = "targets in the target group";
                return Err(Error::TooMany { code: "TooManyTargets", what, most: limits::TARGETS });
            }
            Ok((if changed { Batch::new().update(&row) } else { Batch::new() }, ()))
        };
        self.store.update(register).await?;
        Ok(e::RegisterTargetsOutput {})
    }

    /// Targets drain first; one that no load balancer uses is gone at once.
    async fn deregister_targets(
        &self,
        cx: &Cx,
        input: e::DeregisterTargets,
    ) -> Result<e::DeregisterTargetsOutput> {
        let now = self.clock.now();
        let deregister = || async {
            let mut row = self.group(cx, &input.target_group_arn).await?;
            let used = self.uses(&scope(cx)).await?.contains_key(&input.target_group_arn);
            for given in &input.targets {
                let named =
                    |t: &Target| t.id == given.id && given.port.is_none_or(|p| p == i32::from(t.port));
                if !row.value.targets.iter().any(named) {
                    return Err(Error::InvalidTarget(format!(
                        "The following targets are not registered: {}",
                        given.id
                    )));
                }
                if used {
                    let leaving = row.value.targets.iter_mut().filter(|t| named(t));
                    leaving.for_each(|t| t.draining = t.draining.or(Some(now)));
                } else {
                    row.value.targets.retain(|t| !named(t));
                }
            }
            Ok((Batch::new().update(&row), ()))
        };
        self.store.update(deregister).await?;
        Ok(e::DeregisterTargetsOutput {})
    }

    async fn describe_health(
        &self,
        cx: &Cx,
        input: e::DescribeTargetHealth,
    ) -> Result<e::DescribeTargetHealthOutput> {
        let group = self.group(cx, &input.target_group_arn).await?.value;
        let used = self.uses(&scope(cx)).await?.contains_key(&input.target_group_arn);
        let mut described = Vec::new();
        match &input.targets {
            None => {
                for target in &group.targets {
                    described.push(self.described(&input.target_group_arn, &group, target, used));
                }
            }
            Some(asked) => {
                for given in asked {
                    let named =
                        |t: &&Target| t.id == given.id && given.port.is_none_or(|p| p == i32::from(t.port));
                    match group.targets.iter().find(named) {
                        Some(target) => {
                            described.push(self.described(&input.target_group_arn, &group, target, used))
                        }
                        None => described.push(unregistered(&group, target(&group, given)?)),
                    }
                }
            }
        }
        Ok(e::DescribeTargetHealthOutput { target_health_descriptions: Some(described) })
    }

    fn described(
        &self,
        arn: &str,
        group: &TargetGroup,
        target: &Target,
        used: bool,
    ) -> e::TargetHealthDescription {
        let health = match (used, target.draining) {
            (_, Some(_)) => {
                health("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
            }
            (false, None) => health(
                "unused",
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            ),
            (true, None) => self.reported(arn, target),
        };
        shown(group, target, health)
    }

    /// What the edge's checks say.
    fn reported(&self, arn: &str, target: &Target) -> e::TargetHealth {
        let id = TargetId { group: arn.to_owned(), ip: target.address().into(), port: target.port };
        let reports = self.hub.reports();
        let report = reports.borrow();
        let found = report.iter().flat_map(|report| &report.targets).find(|t| t.id == id && !t.drained);
        let Some(found) = found else {
            return health("initial", "Elb.RegistrationInProgress", "Target registration is in progress");
        };
        let state = match found.health.state {
            HealthState::Initial => "initial",
            HealthState::Healthy => "healthy",
            HealthState::Unhealthy => "unhealthy",
        };
        e::TargetHealth {
            state: Some(state.into()),
            reason: found.health.reason.clone(),
            description: found.health.description.clone(),
        }
    }
}

fn unregistered(group: &TargetGroup, target: Target) -> e::TargetHealthDescription {
    let text = "Target is not registered to the target group";
    shown(group, &target, health("unused", "Target.NotRegistered", text))
}

fn health(state: &str, reason: &str, description: &str) -> e::TargetHealth {
    e::TargetHealth {
        state: Some(state.into()),
        reason: Some(reason.into()),
        description: Some(description.into()),
    }
}

fn shown(group: &TargetGroup, target: &Target, health: e::TargetHealth) -> e::TargetHealthDescription {
    let port =
        if group.health.port == "traffic-port" { target.port.to_string() } else { group.health.port.clone() };
    e::TargetHealthDescription {
        target: Some(e::TargetDescription {
            id: target.id.clone(),
            port: Some(target.port.into()),
            availability_zone: target.zone.clone(),
            ..Default::default()
        }),
        health_check_port: Some(port),
        target_health: Some(health),
        ..Default::default()
    }
}
