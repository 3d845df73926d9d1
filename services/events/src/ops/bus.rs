//! The default bus.
use api::events::*;
use kernel::{Access, Cx, Fault, Handle};

use super::{DEFAULT, bus_arn, only_default};
use crate::Events;

impl Handle<DescribeEventBus> for Events {
    async fn access(&self, cx: &Cx, _: &DescribeEventBus) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("events:DescribeEventBus", bus_arn(cx))])
    }

    async fn handle(&self, cx: &Cx, input: DescribeEventBus) -> Result<DescribeEventBusOutput, Fault> {
        only_default(cx, input.name.as_deref())?;
        let (name, arn) = (Some(DEFAULT.into()), Some(bus_arn(cx)));
        Ok(DescribeEventBusOutput { name, arn, ..Default::default() })
    }
}

impl Handle<ListEventBuses> for Events {
    async fn access(&self, _: &Cx, _: &ListEventBuses) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("events:ListEventBuses", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListEventBuses) -> Result<ListEventBusesOutput, Fault> {
        let listed = DEFAULT.starts_with(input.name_prefix.as_deref().unwrap_or_default());
        let bus = EventBus { name: Some(DEFAULT.into()), arn: Some(bus_arn(cx)), ..Default::default() };
        let event_buses = Some(listed.then_some(bus).into_iter().collect());
        Ok(ListEventBusesOutput { event_buses, next_token: None })
    }
}
