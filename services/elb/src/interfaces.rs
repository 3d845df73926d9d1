//! A load balancer's network interfaces, one in each of its subnets: security groups know it by them.
use std::collections::BTreeMap;
use std::sync::Arc;

use api::ec2::{
    CreateNetworkInterface, DeleteNetworkInterface, DescribeNetworkInterfaces, Filter,
    ModifyNetworkInterfaceAttribute,
};
use kernel::{Cx, Fault, Fut, Ops};
use store::{Batch, Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::error::{Error, Result};
use crate::records::{Departed, LoadBalancer};
use crate::{Elb, SERVICE};

/// How EC2 describes the interfaces of a load balancer.
pub fn description(path: &str) -> String {
    format!("ELB {path}")
}

/// Brings the interfaces to what the load balancers say.
pub struct Interfaces(pub Arc<Elb>, pub Arc<Ops>);

impl Worker for Interfaces {
    fn name(&self) -> String {
        "elb.interfaces".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[LoadBalancer::TABLE, Departed::TABLE])
    }

    fn run(&self) -> Fut<'_, std::result::Result<Next, Fault>> {
        Box::pin(async {
            let mut failed = None;
            for row in self.0.every::<LoadBalancer>(Key::all()).await? {
                // One load balancer's trouble is not the others'.
                failed = self.keep(&row).await.err().or(failed);
            }
            for row in self.0.store.all::<Departed>(Key::all()).await.map_err(Error::from)? {
                failed = self.clear(&row).await.err().or(failed);
            }
            failed.map_or(Ok(Next::Idle), |error| Err(error.into()))
        })
    }
}

struct Found {
    id: String,
    groups: Vec<String>,
}

impl Interfaces {
    fn cx(&self, key: &Key) -> Cx {
        self.1.as_service(SERVICE, &key.account(), &key.region(), "elb.interfaces")
    }

    /// The interfaces that are there, by subnet.
    async fn found(&self, cx: &Cx, path: &str) -> Result<BTreeMap<String, Found>> {
        let by = Filter { name: Some("description".into()), values: Some(vec![description(path)]) };
        let describe = DescribeNetworkInterfaces { filters: Some(vec![by]), ..Default::default() };
        let found = cx.call(describe).await?.network_interfaces.unwrap_or_default();
        let found = found.into_iter().map(|interface| {
            let groups = interface.groups.into_iter().flatten().filter_map(|group| group.group_id);
            let id = interface.network_interface_id.unwrap_or_default();
            (interface.subnet_id.unwrap_or_default(), Found { id, groups: groups.collect() })
        });
        Ok(found.collect())
    }

    async fn keep(&self, row: &Row<LoadBalancer>) -> Result<()> {
        let (cx, balancer) = (self.cx(&row.key), &row.value);
        let mut found = self.found(&cx, &balancer.path()).await?;
        for subnet in balancer.subnets.values() {
            match found.remove(subnet) {
                Some(interface) if interface.groups == balancer.groups => {}
                Some(interface) => {
                    let groups = Some(balancer.groups.clone());
                    let network_interface_id = interface.id;
                    let modify = ModifyNetworkInterfaceAttribute {
                        network_interface_id,
                        groups,
                        ..Default::default()
                    };
                    cx.call(modify).await?;
                }
                None => {
                    let create = CreateNetworkInterface {
                        subnet_id: subnet.clone(),
                        description: Some(description(&balancer.path())),
                        groups: Some(balancer.groups.clone()),
                        interface_type: Some("load_balancer".into()),
                        ..Default::default()
                    };
                    cx.call(create).await?;
                }
            }
        }
        for gone in found.into_values() {
            self.delete(&cx, gone.id).await?;
        }
        if !balancer.active {
            let active = LoadBalancer { active: true, ..balancer.clone() };
            self.0.store.commit(Batch::new().expect(row).put(&row.key, &active)).await?;
        }
        Ok(())
    }

    async fn clear(&self, row: &Row<Departed>) -> Result<()> {
        let cx = self.cx(&row.key);
        for gone in self.found(&cx, &row.value.path).await?.into_values() {
            self.delete(&cx, gone.id).await?;
        }
        self.0.store.commit(Batch::new().remove(row)).await?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx, network_interface_id: String) -> Result<()> {
        match cx.call(DeleteNetworkInterface { network_interface_id, ..Default::default() }).await {
            Err(fault) if fault.code.ends_with("NotFound") => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }
}
