//! Listeners.
use api::elb as e;
use kernel::{Access, Cx};
use snapshot::Action;
use store::{Batch, Row};

use super::certificate::arns;
use super::operation;
use super::tags::of;
use crate::attributes as a;
use crate::error::{Error, Result};
use crate::names::{on, own, scope};
use crate::records::{Attributes, Listener, Rule, Tags};
use crate::{Elb, limits, page, policies, rules};

operation!(CreateListener, create_listener, |_cx, input| {
    let mut want = on("elasticloadbalancing:CreateListener", &input.load_balancer_arn);
    if input.tags.is_some() {
        want.push(Access::new("elasticloadbalancing:AddTags", &input.load_balancer_arn));
    }
    want
});
operation!(DescribeListeners, describe_listeners, |_cx, _input| {
    on("elasticloadbalancing:DescribeListeners", "*")
});
operation!(ModifyListener, modify_listener, |_cx, input| {
    on("elasticloadbalancing:ModifyListener", &input.listener_arn)
});
operation!(DeleteListener, delete_listener, |_cx, input| {
    on("elasticloadbalancing:DeleteListener", &input.listener_arn)
});
operation!(DescribeListenerAttributes, describe_listener_attributes, |_cx, _input| {
    on("elasticloadbalancing:DescribeListenerAttributes", "*")
});
operation!(ModifyListenerAttributes, modify_listener_attributes, |_cx, input| {
    on("elasticloadbalancing:ModifyListenerAttributes", &input.listener_arn)
});

/// What creating and modifying a listener share.
struct Wanted {
    port: u16,
    protocol: String,
    certificates: Vec<String>,
    ssl_policy: Option<String>,
    default: Action,
}

fn refuse_unserved(
    alpn: Option<&Vec<String>>,
    mutual: Option<&e::MutualAuthenticationAttributes>,
) -> Result<()> {
    if alpn.is_some_and(|policies| !policies.is_empty()) {
        return Err(Error::unserved("AlpnPolicy", "it is for TLS listeners: leave it out"));
    }
    if mutual.is_some_and(|m| m.mode.as_deref().is_some_and(|mode| mode != "off")) {
        return Err(Error::unserved("MutualAuthentication", "set its mode to 'off'"));
    }
    Ok(())
}

fn port(given: i32) -> Result<u16> {
    let port = u16::try_from(given).ok().filter(|port| *port > 0);
    port.ok_or_else(|| Error::validation(format!("Port '{given}' must be from 1 to 65535")))
}

impl Wanted {
    /// Checks what does not need others: which members the protocol wants.
    fn checked(mut self) -> Result<Self> {
        match &*self.protocol {
            "HTTP" => {
                if !self.certificates.is_empty() || self.ssl_policy.is_some() {
                    return Err(Error::Configuration(
                        "Certificates and SslPolicy cannot be specified for an HTTP listener".into(),
                    ));
                }
            }
            "HTTPS" => {
                if self.certificates.len() != 1 {
                    return Err(Error::Configuration(
                        "Exactly one certificate must be specified for an HTTPS listener; add others with AddListenerCertificates".into(),
                    ));
                }
                let policy = self.ssl_policy.get_or_insert_with(|| policies::DEFAULT.to_owned());
                if policies::versions(policy).is_none() {
                    let (what, id) = ("SSL policies", policy.clone());
                    return Err(Error::NotFound { code: "SSLPolicyNotFound", what, id });
                }
            }
            other @ ("TCP" | "TLS" | "UDP" | "TCP_UDP" | "GENEVE" | "QUIC" | "TCP_QUIC") => {
                return Err(Error::Configuration(format!(
                    "Protocol '{other}' is not for application load balancers: use HTTP or HTTPS"
                )));
            }
            other => return Err(Error::validation(format!("Protocol '{other}' must be HTTP or HTTPS"))),
        }
        if let Action::Redirect { protocol, .. } = &self.default
            && self.protocol == "HTTPS"
            && protocol == "HTTP"
        {
            return Err(Error::Configuration("An HTTPS listener cannot redirect to HTTP".into()));
        }
        Ok(self)
    }
}

impl Elb {
    async fn create_listener(&self, cx: &Cx, input: e::CreateListener) -> Result<e::CreateListenerOutput> {
        refuse_unserved(input.alpn_policy.as_ref(), input.mutual_authentication.as_ref())?;
        let required = |what: &str| Error::validation(format!("A listener {what} must be specified"));
        let wanted = Wanted {
            port: port(input.port.ok_or_else(|| required("port"))?)?,
            protocol: input.protocol.clone().ok_or_else(|| required("protocol"))?,
            certificates: arns(input.certificates.as_ref())?,
            ssl_policy: input.ssl_policy.clone(),
            default: rules::action(&input.default_actions)?,
        }
        .checked()?;
        self.check_certificates(cx, &wanted.certificates).await?;
        let (id, tags) = (self.new_id(), of(input.tags.as_ref())?);
        let create = || self.create(cx, &input.load_balancer_arn, &wanted, &tags, &id);
        let listener = self.store.update(create).await?;
        Ok(e::CreateListenerOutput { listeners: Some(vec![shown(cx, &listener)]) })
    }

    async fn create(
        &self,
        cx: &Cx,
        balancer: &str,
        wanted: &Wanted,
        tags: &Tags,
        id: &str,
    ) -> Result<(Batch, Listener)> {
        let balancer = self.balancer(cx, balancer).await?;
        let below = scope(cx).text(&balancer.value.id);
        let held = self.store.all::<Listener>(below.clone()).await?;
        if let Some(held) = held.iter().map(|row| &row.value).find(|held| held.port == wanted.port) {
            let same = held.protocol == wanted.protocol
                && held.certificates.first() == wanted.certificates.first()
                && held.ssl_policy == wanted.ssl_policy
                && held.default == wanted.default
                && held.tags == *tags;
            return match same {
                true => Ok((Batch::new(), held.clone())),
                false => Err(Error::Duplicate {
                    code: "DuplicateListener",
                    message: "A listener already exists on this port for this load balancer".into(),
                }),
            };
        }
        if held.len() >= limits::LISTENERS {
            let what = "listeners on the load balancer";
            return Err(Error::TooMany { code: "TooManyListeners", what, most: limits::LISTENERS });
        }
        let listener = Listener {
            id: id.to_owned(),
            balancer: balancer.value.path(),
            port: wanted.port,
            protocol: wanted.protocol.clone(),
            gateway_port: None,
            certificates: wanted.certificates.clone(),
            ssl_policy: wanted.ssl_policy.clone(),
            default: wanted.default.clone(),
            attributes: Attributes::new(),
            tags: tags.clone(),
        };
        let batch = self.hold_groups(cx, &listener.balancer, &listener.default).await?;
        // The load balancer's row guards against two listeners on one port.
        Ok((batch.update(&balancer).create(&below.text(id), &listener), listener))
    }

    async fn describe_listeners(
        &self,
        cx: &Cx,
        input: e::DescribeListeners,
    ) -> Result<e::DescribeListenersOutput> {
        let rows: Vec<Row<Listener>> = match (&input.load_balancer_arn, &input.listener_arns) {
            (Some(arn), None) => {
                let balancer = self.balancer(cx, arn).await?;
                self.every(scope(cx).text(&balancer.value.id)).await?
            }
            (None, Some(arns)) => {
                let mut rows = Vec::new();
                for arn in arns {
                    rows.push(self.listener(cx, arn).await?);
                }
                rows
            }
            _ => return Err(Error::validation("Either LoadBalancerArn or ListenerArns must be specified")),
        };
        let (rows, next) = page("DescribeListeners", rows, input.marker.as_deref(), input.page_size)?;
        Ok(e::DescribeListenersOutput {
            listeners: Some(rows.iter().map(|row| shown(cx, &row.value)).collect()),
            next_marker: next,
        })
    }

    async fn modify_listener(&self, cx: &Cx, input: e::ModifyListener) -> Result<e::ModifyListenerOutput> {
        refuse_unserved(input.alpn_policy.as_ref(), input.mutual_authentication.as_ref())?;
        let certificates = arns(input.certificates.as_ref())?;
        self.check_certificates(cx, &certificates).await?;
        let action = input.default_actions.as_deref().map(rules::action).transpose()?;
        let modify = || async {
            let mut row = self.listener(cx, &input.listener_arn).await?;
            let held = &row.value;
            let protocol = input.protocol.clone().unwrap_or_else(|| held.protocol.clone());
            let secure = protocol == "HTTPS";
            let keep = |given: &Vec<String>| match given.is_empty() {
                true if secure => held.certificates.first().cloned().into_iter().collect(),
                _ => given.clone(),
            };
            let wanted = Wanted {
                port: input.port.map_or(Ok(held.port), port)?,
                protocol,
                certificates: keep(&certificates),
                ssl_policy: input.ssl_policy.clone().or_else(|| held.ssl_policy.clone().filter(|_| secure)),
                default: action.clone().unwrap_or_else(|| held.default.clone()),
            }
            .checked()?;
            let below = scope(cx).text(row.key.part(2));
            let others = self.store.all::<Listener>(below).await?;
            if others.iter().any(|other| other.key != row.key && other.value.port == wanted.port) {
                let message = "A listener already exists on this port for this load balancer".into();
                return Err(Error::Duplicate { code: "DuplicateListener", message });
            }
            let batch = self.hold_groups(cx, &row.value.balancer, &wanted.default).await?;
            let more = row.value.certificates.iter().skip(1).filter(|arn| !wanted.certificates.contains(arn));
            let more: Vec<String> = if secure { more.cloned().collect() } else { Vec::new() };
            let held = &mut row.value;
            (held.port, held.protocol, held.ssl_policy) = (wanted.port, wanted.protocol, wanted.ssl_policy);
            (held.certificates, held.default) = ([wanted.certificates, more].concat(), wanted.default);
            Ok((batch.update(&row), row.value))
        };
        let listener = self.store.update(modify).await?;
        Ok(e::ModifyListenerOutput { listeners: Some(vec![shown(cx, &listener)]) })
    }

    async fn delete_listener(&self, cx: &Cx, input: e::DeleteListener) -> Result<e::DeleteListenerOutput> {
        let delete = || async {
            let row = self.listener(cx, &input.listener_arn).await?;
            let mut batch = Batch::new().remove(&row);
            for rule in self.store.all::<Rule>(row.key.clone()).await? {
                batch = batch.remove(&rule);
            }
            Ok::<_, Error>((batch, ()))
        };
        self.store.update(delete).await?;
        Ok(e::DeleteListenerOutput {})
    }

    async fn describe_listener_attributes(
        &self,
        cx: &Cx,
        input: e::DescribeListenerAttributes,
    ) -> Result<e::DescribeListenerAttributesOutput> {
        let row = self.listener(cx, &input.listener_arn).await?;
        Ok(e::DescribeListenerAttributesOutput { attributes: Some(attributes(&row.value)) })
    }

    async fn modify_listener_attributes(
        &self,
        cx: &Cx,
        input: e::ModifyListenerAttributes,
    ) -> Result<e::ModifyListenerAttributesOutput> {
        let modify = || async {
            let mut row = self.listener(cx, &input.listener_arn).await?;
            for attribute in &input.attributes {
                let (key, value) = (attribute.key.as_deref(), attribute.value.as_deref());
                let held = &mut row.value.attributes;
                a::set(a::LISTENER, held, key.unwrap_or_default(), value.unwrap_or_default())?;
            }
            Ok::<_, Error>((Batch::new().update(&row), row.value))
        };
        let listener = self.store.update(modify).await?;
        Ok(e::ModifyListenerAttributesOutput { attributes: Some(attributes(&listener)) })
    }
}

fn attributes(listener: &Listener) -> Vec<e::ListenerAttribute> {
    a::all(a::LISTENER, &listener.attributes)
        .map(|(key, value)| e::ListenerAttribute { key: Some(key), value: Some(value) })
        .collect()
}

fn shown(cx: &Cx, listener: &Listener) -> e::Listener {
    let certificate = |arn: &String| e::Certificate { certificate_arn: Some(arn.clone()), is_default: None };
    let secure = listener.protocol == "HTTPS";
    e::Listener {
        listener_arn: Some(own(cx, format!("listener/{}/{}", listener.balancer, listener.id))),
        load_balancer_arn: Some(own(cx, format!("loadbalancer/{}", listener.balancer))),
        port: Some(listener.port.into()),
        protocol: Some(listener.protocol.clone()),
        certificates: secure.then(|| listener.certificates.iter().take(1).map(certificate).collect()),
        ssl_policy: listener.ssl_policy.clone(),
        default_actions: Some(vec![rules::shown_action(&listener.default)]),
        mutual_authentication: secure
            .then(|| e::MutualAuthenticationAttributes { mode: Some("off".into()), ..Default::default() }),
        ..Default::default()
    }
}
