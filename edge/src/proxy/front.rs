//! A listener of a load balancer as its connections see it.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use rustls::ServerConfig;
use snapshot::{LbAttributes, Listener, LoadBalancer, Protocol, Traffic};

use super::group::Group;
use super::rule::{Act, Facts, Rule};
use super::tls;

/// A listener. Its routes may be swapped at any time; its connections and sockets stay.
#[derive(Debug)]
pub struct Front {
    /// What is served now.
    pub routes: ArcSwap<Routes>,
    /// Its load balancer's counts.
    pub counters: Arc<Counters>,
}

impl Front {
    /// A listener that serves these routes.
    pub fn new(routes: Routes, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self { routes: ArcSwap::from_pointee(routes), counters })
    }
}

/// Everything about a listener that a snapshot decides.
#[derive(Debug)]
pub struct Routes {
    /// The listener's port.
    pub port: u16,
    /// The same, for X-Forwarded-Port.
    pub port_value: HeaderValue,
    /// `idle_timeout`.
    pub idle: Duration,
    /// `client_keep_alive`.
    pub keep_alive: Duration,
    /// The load balancer's attributes.
    pub attributes: LbAttributes,
    /// For HTTPS.
    pub tls: Option<Arc<ServerConfig>>,
    rules: Vec<Rule>,
}

impl Routes {
    /// Compiles a listener; the error says what is wrong with it.
    pub fn compile(
        lb: &LoadBalancer,
        listener: &Listener,
        groups: &HashMap<String, Arc<Group>>,
    ) -> Result<Self, String> {
        let tls = match listener.protocol {
            Protocol::Http => None,
            Protocol::Https => Some(tls::server(listener, lb.attributes.http2)?),
        };
        let rules = listener.rules.iter().map(|rule| Rule::compile(rule, groups));
        Ok(Self {
            port: listener.port,
            port_value: HeaderValue::from(listener.port),
            idle: Duration::from_secs(lb.attributes.idle_timeout_s.max(1).into()),
            keep_alive: Duration::from_secs(lb.attributes.client_keep_alive_s.max(1).into()),
            attributes: lb.attributes.clone(),
            tls,
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// What the first rule that matches does.
    pub fn act(&self, facts: &Facts<'_>) -> Option<&Act> {
        self.rules.iter().find(|rule| rule.matches(facts)).map(|rule| &rule.act)
    }
}

/// A load balancer's counts since the edge started.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    elb_4xx: AtomicU64,
    elb_5xx: AtomicU64,
    connections: AtomicU64,
}

impl Counters {
    /// A client connected.
    pub fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A request came.
    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The load balancer answered an error by itself.
    pub fn own_error(&self, status: u16) {
        let counter = if status < 500 { &self.elb_4xx } else { &self.elb_5xx };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// As reported.
    pub fn traffic(&self, load_balancer: &str) -> Traffic {
        Traffic {
            load_balancer: load_balancer.to_owned(),
            requests: self.requests.load(Ordering::Relaxed),
            elb_4xx: self.elb_4xx.load(Ordering::Relaxed),
            elb_5xx: self.elb_5xx.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
        }
    }
}
