//! What the edge is told: every load balancer with its rules, certificates and targets.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use api::acm::DescribeCertificate;
use api::internal::ExportForListener;
use engine::{Admits, Network, Networks};
use kernel::{Cx, Fault, Fut, Ops};
use snapshot as s;
use store::{Key, Record, Row};
use tokio::sync::{Notify, watch};
use work::{Next, Worker};

use crate::attributes as a;
use crate::error::Result;
use crate::interfaces::description;
use crate::names::arn;
use crate::records::{Attributes, Listener, LoadBalancer, Rule, Target, TargetGroup};
use crate::{Elb, SERVICE, inside, policies, rules};

/// Publishes to the hub whenever something that the edge serves changed.
pub struct Publish {
    pub elb: Arc<Elb>,
    pub ops: Arc<Ops>,
    /// The container networks.
    pub networks: watch::Receiver<Networks>,
}

impl Worker for Publish {
    fn name(&self) -> String {
        "elb.publish".into()
    }

    fn wake(&self) -> Arc<Notify> {
        let wake = self.elb.store.watch(&[
            LoadBalancer::TABLE,
            TargetGroup::TABLE,
            Listener::TABLE,
            Rule::TABLE,
            // Who is admitted, and with which certificate, others decide.
            "ec2.interface",
            "ec2.group",
            "ec2.vpc",
            "acm.certificate",
        ]);
        work::wake_on(&wake, self.networks.clone());
        wake
    }

    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async {
            // An edge that served before this control plane goes on as it does until they are known.
            let Some(networks) = self.networks.borrow().clone() else { return Ok(Next::Idle) };
            let balancing = self.compose(&networks).await?;
            let inside = balancing.load_balancers.iter().flat_map(|balancer| &balancer.inside);
            let doors = Some(Arc::new(inside::redirects(&networks, inside)));
            self.elb.doors.send_if_modified(|known| {
                let news = *known != doors;
                *known = doors;
                news
            });
            self.elb.hub.publish(balancing);
            Ok(Next::Idle)
        })
    }
}

/// The groups that the rules of one load balancer forward to.
type Groups = BTreeMap<String, s::TargetGroup>;

impl Publish {
    async fn compose(&self, networks: &[Network]) -> Result<s::Balancing> {
        let mut all = s::Balancing::default();
        for row in
            self.elb.every::<LoadBalancer>(Key::all()).await?.into_iter().filter(|row| row.value.active)
        {
            let (balancer, groups) = self.balancer(&row, networks).await?;
            all.load_balancers.push(balancer);
            all.target_groups.extend(groups.into_values());
        }
        Ok(all)
    }

    async fn balancer(
        &self,
        row: &Row<LoadBalancer>,
        networks: &[Network],
    ) -> Result<(s::LoadBalancer, Groups)> {
        let (account, region) = (row.key.account(), row.key.region());
        let cx = self.ops.as_service(SERVICE, &account, &region, "elb.publish");
        let below = Key::new(&account, &region).text(&row.value.id);
        let mut listeners = Vec::new();
        let mut groups = Groups::new();
        let rows = self.elb.every::<Listener>(below).await?;
        let inside = self.elb.inside(&cx, &row.value, &rows, networks).await?;
        for listener in rows {
            let mut rows = self.elb.store.all::<Rule>(listener.key.clone()).await?;
            rows.sort_by_key(|rule| rule.value.priority);
            let actions = rows.iter().map(|rule| &rule.value.action).chain([&listener.value.default]);
            let used: Vec<String> = actions.flat_map(rules::groups).map(|w| w.group.clone()).collect();
            for arn in used {
                if let Entry::Vacant(free) = groups.entry(arn) {
                    let compiled = self.group(&cx, &row.value, free.key()).await?;
                    free.insert(compiled);
                }
            }
            listeners.extend(self.listener(&cx, &listener.value, rows).await);
        }
        let balancer = s::LoadBalancer {
            arn: arn(&account, &region, format!("loadbalancer/{}", row.value.path())),
            dns_name: row.value.dns_name.clone(),
            address: row.value.address.into(),
            inside,
            attributes: attributes(&row.value.attributes),
            listeners,
        };
        Ok((balancer, groups))
    }

    /// `None` for one whose certificates cannot be had: the others must not wait for it.
    async fn listener(&self, cx: &Cx, listener: &Listener, rows: Vec<Row<Rule>>) -> Option<s::Listener> {
        let own = |resource: String| arn(cx.account(), &cx.region, resource);
        let path = format!("{}/{}", listener.balancer, listener.id);
        let mut certificates = Vec::with_capacity(listener.certificates.len());
        for arn in &listener.certificates {
            match self.certificate(cx, arn).await {
                Ok(certificate) => certificates.push(certificate),
                Err(fault) => {
                    tracing::error!(certificate = arn, ?fault, "a listener's certificate is missing")
                }
            }
        }
        let secure = listener.protocol == "HTTPS";
        if secure && certificates.is_empty() {
            return None;
        }
        let versions = listener.ssl_policy.as_deref().and_then(policies::versions);
        let (tls_min, tls_max) = versions.unwrap_or((s::TlsVersion::V12, s::TlsVersion::V13));
        let rule = |row: Row<Rule>| s::Rule {
            arn: own(format!("listener-rule/{path}/{}", row.value.id)),
            conditions: row.value.conditions,
            action: row.value.action,
        };
        let default = s::Rule {
            arn: own(format!("listener-rule/{path}/{}", listener.id)),
            conditions: Vec::new(),
            action: listener.default.clone(),
        };
        Some(s::Listener {
            arn: own(format!("listener/{path}")),
            port: listener.port,
            protocol: protocol(&listener.protocol),
            certificates,
            tls_min,
            tls_max,
            rules: rows.into_iter().map(rule).chain([default]).collect(),
        })
    }

    async fn certificate(&self, cx: &Cx, arn: &str) -> std::result::Result<s::Certificate, Fault> {
        let described = cx.call(DescribeCertificate { certificate_arn: arn.to_owned() }).await?;
        let exported = cx.call(ExportForListener { certificate_arn: arn.to_owned() }).await?;
        let detail = described.certificate.unwrap_or_default();
        let mut names: Vec<String> = detail.domain_name.into_iter().collect();
        names.extend(detail.subject_alternative_names.unwrap_or_default());
        names.dedup();
        Ok(s::Certificate {
            arn: arn.to_owned(),
            names,
            chain_pem: exported.certificate_chain,
            key_pem: exported.private_key,
        })
    }

    async fn group(&self, cx: &Cx, balancer: &LoadBalancer, arn: &str) -> Result<s::TargetGroup> {
        let group = self.elb.group(cx, arn).await?.value;
        let mut targets = Vec::with_capacity(group.targets.len());
        for target in &group.targets {
            targets.push(self.target(cx, balancer, &group, target).await?);
        }
        let number = |name| a::number(a::TARGET_GROUP, &group.attributes, name);
        let algorithm = a::value(a::TARGET_GROUP, &group.attributes, "load_balancing.algorithm.type");
        let health = &group.health;
        Ok(s::TargetGroup {
            arn: arn.to_owned(),
            protocol: protocol(&group.protocol),
            algorithm: match algorithm {
                "least_outstanding_requests" => s::Algorithm::LeastOutstandingRequests,
                "weighted_random" => s::Algorithm::WeightedRandom,
                _ => s::Algorithm::RoundRobin,
            },
            deregistration_delay_s: number("deregistration_delay.timeout_seconds"),
            health: s::HealthCheck {
                protocol: protocol(&health.protocol),
                port: health.port.parse().ok(),
                path: health.path.clone(),
                interval_ms: u64::from(health.interval) * 1000,
                timeout_ms: u64::from(health.timeout) * 1000,
                healthy_threshold: health.healthy,
                unhealthy_threshold: health.unhealthy,
                matcher: health.matcher.clone(),
            },
            targets,
        })
    }

    async fn target(
        &self,
        cx: &Cx,
        balancer: &LoadBalancer,
        group: &TargetGroup,
        target: &Target,
    ) -> Result<s::Target> {
        // A health check on a port of its own must get through as well, or the target would never be healthy.
        let check = group.health.port.parse().ok().filter(|port| *port != target.port);
        let mut admitted = true;
        for port in [Some(target.port), check].into_iter().flatten() {
            let source = description(&balancer.path());
            admitted = admitted && cx.call(Admits { source, target: target.address(), port }).await?;
        }
        Ok(s::Target {
            ip: target.address().into(),
            port: target.port,
            state: match target.draining {
                None => s::TargetState::Registered,
                Some(since) => s::TargetState::Draining { since_ms: since.as_millisecond() },
            },
            admitted,
        })
    }
}

fn protocol(name: &str) -> s::Protocol {
    if name == "HTTPS" { s::Protocol::Https } else { s::Protocol::Http }
}

fn attributes(set: &Attributes) -> s::LbAttributes {
    let value = |name| a::value(a::LOAD_BALANCER, set, name);
    let on = |name| value(name) == "true";
    s::LbAttributes {
        idle_timeout_s: a::number(a::LOAD_BALANCER, set, "idle_timeout.timeout_seconds"),
        client_keep_alive_s: a::number(a::LOAD_BALANCER, set, "client_keep_alive.seconds"),
        drop_invalid_header_fields: on("routing.http.drop_invalid_header_fields.enabled"),
        preserve_host_header: on("routing.http.preserve_host_header.enabled"),
        xff_client_port: on("routing.http.xff_client_port.enabled"),
        xff: match value("routing.http.xff_header_processing.mode") {
            "preserve" => s::XffMode::Preserve,
            "remove" => s::XffMode::Remove,
            _ => s::XffMode::Append,
        },
        tls_headers: on("routing.http.x_amzn_tls_version_and_cipher_suite.enabled"),
        http2: on("routing.http2.enabled"),
    }
}
