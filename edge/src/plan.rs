//! From a snapshot to what would be served: everything that can be wrong with one is found here, before anything
//! changes.
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use snapshot::{Inside, LoadBalancer, Snapshot, TargetGroup};

use crate::block::Block;
use crate::dns::{View, Who};
use crate::health::Codes;
use crate::listeners::{Door, Wanted};
use crate::proxy::front::{Counters, Front, Routes};
use crate::proxy::group::{Group, Settings};

/// A snapshot, compiled against what serves now: what stays is reused, so that its connections and health stay too.
#[derive(Debug)]
pub struct Plan {
    /// By ARN.
    pub groups: HashMap<String, Arc<Group>>,
    /// By the listener's ARN, with the routes to swap in.
    pub fronts: HashMap<String, (Arc<Front>, Option<Routes>)>,
    /// By the load balancer's ARN.
    pub counters: HashMap<String, Arc<Counters>>,
    /// What DNS answers.
    pub view: View,
    /// The sockets.
    pub wanted: Wanted,
}

/// What serves now.
#[derive(Debug, Default)]
pub struct Current {
    /// By ARN.
    pub groups: HashMap<String, Arc<Group>>,
    /// By the listener's ARN.
    pub fronts: HashMap<String, Arc<Front>>,
    /// By the load balancer's ARN.
    pub counters: HashMap<String, Arc<Counters>>,
}

impl Plan {
    /// Compiles a snapshot; the error says what is wrong with it.
    pub fn of(snapshot: &Snapshot, current: &Current) -> Result<Self, String> {
        let mut plan = Self {
            groups: HashMap::new(),
            fronts: HashMap::new(),
            counters: HashMap::new(),
            view: View::compile(snapshot)?,
            wanted: Wanted::default(),
        };
        for group in &snapshot.balancing.target_groups {
            plan.group(group, current)?;
        }
        for lb in &snapshot.balancing.load_balancers {
            plan.balancer(lb, current)?;
        }
        let gateways = snapshot.platform.gateways.iter().map(|g| (g.dns, Who::Container(g.dns.ip())));
        for (addr, who) in snapshot.platform.dns.map(|addr| (addr, Who::Host)).into_iter().chain(gateways) {
            if plan.wanted.dns.insert(addr, who).is_some() {
                return Err(format!("DNS is wanted twice on {addr}"));
            }
        }
        Ok(plan)
    }

    fn group(&mut self, group: &TargetGroup, current: &Current) -> Result<(), String> {
        let check = &group.health;
        if Codes::parse(&check.matcher).is_none() {
            return Err(format!("target group {}: {:?} matches no status codes", group.arn, check.matcher));
        }
        if check.path.parse::<PathAndQuery>().is_err() || !check.path.starts_with('/') {
            return Err(format!("target group {}: {:?} is no path", group.arn, check.path));
        }
        let held = current.groups.get(&group.arn).cloned();
        let compiled = held.unwrap_or_else(|| Group::new(&group.arn, Settings::of(group)));
        self.groups.insert(group.arn.clone(), compiled);
        Ok(())
    }

    fn balancer(&mut self, lb: &LoadBalancer, current: &Current) -> Result<(), String> {
        let counters = current.counters.get(&lb.arn).cloned().unwrap_or_default();
        for listener in &lb.listeners {
            let routes = Routes::compile(lb, listener, &self.groups)?;
            let (front, routes) = match current.fronts.get(&listener.arn) {
                Some(front) => (front.clone(), Some(routes)),
                None => (Front::new(routes, counters.clone()), None),
            };
            let mut doors = vec![(SocketAddr::new(lb.address, listener.port), None)];
            for inside in &lb.inside {
                let Some(port) = inside.ports.get(&listener.port) else { continue };
                let admits = admitted(inside, listener.port)?;
                doors.push((SocketAddr::new(inside.gateway, *port), Some(admits)));
            }
            for (addr, admits) in doors {
                let door = Door { front: front.clone(), admits };
                if self.wanted.fronts.insert(addr, door).is_some() {
                    return Err(format!("two listeners on {addr}, one of them {}", listener.arn));
                }
            }
            self.fronts.insert(listener.arn.clone(), (front, routes));
        }
        self.counters.insert(lb.arn.clone(), counters);
        Ok(())
    }
}

fn admitted(inside: &Inside, port: u16) -> Result<Vec<Block>, String> {
    inside.peers.get(&port).into_iter().flatten().map(|text| Block::parse(text)).collect()
}
