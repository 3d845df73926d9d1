//! What ECS calls, as services of a few lines each.
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use api::ec2::{self, CreateNetworkInterface, DeleteNetworkInterface, DescribeNetworkInterfaces};
use api::elb::{self, DeregisterTargets, DescribeTargetGroups, DescribeTargetHealth, RegisterTargets};
use api::logs::{self, CreateLogStream, DescribeLogStreams, PutLogEvents};
use engine::{Engine, Network, NetworkSpec, PrepareInterface, Prepared, ResolveInterface, Rules};
use kernel::{Access, Cx, Fault, Handle};
use testkit::FakeEngine;
use tokio::sync::watch;

/// The one target group that holds targets; any other only fails or takes none.
pub const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1";

/// What ECS calls, as far as it needs it: interfaces get addresses in turn, targets are as healthy as the test says.
pub struct Around {
    engine: Arc<FakeEngine>,
    /// By their ids: address and description.
    pub interfaces: Mutex<BTreeMap<String, (Ipv4Addr, Option<String>)>>,
    targets: Mutex<BTreeMap<String, String>>,
    pub lines: Mutex<Vec<String>>,
    pub reports: watch::Sender<u32>,
    failing: Mutex<BTreeSet<String>>,
}

impl Around {
    pub fn new(engine: Arc<FakeEngine>) -> Self {
        Self {
            engine,
            interfaces: Mutex::default(),
            targets: Mutex::default(),
            lines: Mutex::default(),
            reports: watch::Sender::new(0),
            failing: Mutex::default(),
        }
    }

    /// From now on this fails: `prepare`, `resolve ID` or `register GROUP`.
    pub fn fail(&self, what: String) {
        self.failing.lock().unwrap().insert(what);
    }

    fn works(&self, what: &str) -> Result<(), Fault> {
        if self.failing.lock().unwrap().contains(what) {
            return Err(Fault::internal("a test says so"));
        }
        Ok(())
    }

    pub fn target(&self, address: &str, state: Option<&str>) {
        let mut targets = self.targets.lock().unwrap();
        targets.remove(address);
        targets.extend(state.map(|state| (address.to_owned(), state.to_owned())));
        drop(targets);
        self.reports.send_modify(|count| *count += 1);
    }

    pub fn states(&self) -> Vec<(String, String)> {
        self.targets.lock().unwrap().clone().into_iter().collect()
    }

    fn events(&self) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| !line.starts_with("stream ")).count()
    }

    async fn prepared(&self, id: &str) -> Result<Prepared, Fault> {
        let address = self.interfaces.lock().unwrap().get(id).map(|(address, _)| *address);
        let address = address
            .ok_or_else(|| Fault::client("InvalidNetworkInterfaceID.NotFound", "no such interface"))?;
        let wanted = "10.0.0.0/16".parse().unwrap();
        let spec = NetworkSpec { name: "vpc-1".into(), wanted };
        let network: Network = self.engine.ensure_network(spec).await.unwrap();
        Ok(Prepared { network, address, subnet: wanted, rules: Rules::open() })
    }
}

macro_rules! handles {
    ($($op:ty => $output:ty, |$this:ident, $input:ident| $body:expr;)*) => {$(
        impl Handle<$op> for Around {
            async fn access(&self, _cx: &Cx, _input: &$op) -> Result<Vec<Access>, Fault> {
                Ok(Vec::new())
            }

            async fn handle(&self, _cx: &Cx, $input: $op) -> Result<$output, Fault> {
                let $this = self;
                $body
            }
        }
    )*};
}

handles! {
    CreateNetworkInterface => ec2::CreateNetworkInterfaceOutput, |this, input| {
        let id = format!("eni-{}", input.client_token.unwrap_or_default());
        let mut interfaces = this.interfaces.lock().unwrap();
        let mut addresses = (10..=254).map(|n| Ipv4Addr::new(10, 0, 0, n));
        let next = addresses.find(|address| interfaces.values().all(|(taken, _)| taken != address)).unwrap();
        interfaces.entry(id.clone()).or_insert((next, input.description));
        let interface = ec2::NetworkInterface { network_interface_id: Some(id), ..Default::default() };
        Ok(ec2::CreateNetworkInterfaceOutput { network_interface: Some(interface), ..Default::default() })
    };
    DeleteNetworkInterface => ec2::DeleteNetworkInterfaceOutput, |this, input| {
        match this.interfaces.lock().unwrap().remove(&input.network_interface_id) {
            Some(_) => Ok(Default::default()),
            None => Err(Fault::client("InvalidNetworkInterfaceID.NotFound", "no such interface")),
        }
    };
    DescribeNetworkInterfaces => ec2::DescribeNetworkInterfacesOutput, |this, input| {
        let wanted = input.filters.unwrap_or_default().remove(0).values.unwrap_or_default().pop();
        let made = this.interfaces.lock().unwrap();
        let found = made.iter().filter(|(_, (_, description))| *description == wanted).map(|(id, _)| {
            ec2::NetworkInterface { network_interface_id: Some(id.clone()), ..Default::default() }
        });
        Ok(ec2::DescribeNetworkInterfacesOutput {
            network_interfaces: Some(found.collect()),
            ..Default::default()
        })
    };
    PrepareInterface => Prepared, |this, input| {
        this.works("prepare")?;
        this.prepared(&input.network_interface_id).await
    };
    ResolveInterface => Prepared, |this, input| {
        this.works(&format!("resolve {}", input.network_interface_id))?;
        this.prepared(&input.network_interface_id).await
    };
    DescribeTargetGroups => elb::DescribeTargetGroupsOutput, |_this, input| {
        let group = |arn: String| elb::TargetGroup {
            target_group_arn: Some(arn),
            target_type: Some("ip".into()),
            load_balancer_arns: Some(vec!["lb".into()]),
            ..Default::default()
        };
        let groups = input.target_group_arns.unwrap_or_default().into_iter().map(group).collect();
        Ok(elb::DescribeTargetGroupsOutput { target_groups: Some(groups), ..Default::default() })
    };
    RegisterTargets => elb::RegisterTargetsOutput, |this, input| {
        this.works(&format!("register {}", input.target_group_arn))?;
        for target in input.targets {
            // One that is registered already stays as healthy as it was.
            if !this.states().iter().any(|(id, state)| *id == target.id && state != "draining") {
                this.target(&target.id, Some("initial"));
            }
        }
        Ok(Default::default())
    };
    DeregisterTargets => elb::DeregisterTargetsOutput, |this, input| {
        let known = |id: &String| this.states().iter().any(|(target, _)| target == id);
        if input.target_group_arn != GROUP || !input.targets.iter().all(|target| known(&target.id)) {
            return Err(Fault::client("InvalidTarget", "The following targets are not registered"));
        }
        for target in input.targets {
            this.target(&target.id, Some("draining"));
        }
        Ok(Default::default())
    };
    DescribeTargetHealth => elb::DescribeTargetHealthOutput, |this, input| {
        if input.target_group_arn != GROUP {
            return Ok(Default::default());
        }
        let described = |(id, state): (String, String)| elb::TargetHealthDescription {
            target: Some(elb::TargetDescription { id, port: Some(8080), ..Default::default() }),
            target_health: Some(elb::TargetHealth {
                state: Some(state),
                description: Some("Health checks failed".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let all = this.states().into_iter().map(described).collect();
        Ok(elb::DescribeTargetHealthOutput { target_health_descriptions: Some(all) })
    };
    CreateLogStream => logs::CreateLogStreamOutput, |this, input| {
        this.lines.lock().unwrap().push(format!("stream {}", input.log_stream_name.split('/').next().unwrap()));
        Ok(Default::default())
    };
    DescribeLogStreams => logs::DescribeLogStreamsOutput, |this, input| {
        let stream = logs::LogStream {
            log_stream_name: input.log_stream_name_prefix,
            upload_sequence_token: Some(this.events().to_string()),
            ..Default::default()
        };
        Ok(logs::DescribeLogStreamsOutput { log_streams: Some(vec![stream]), ..Default::default() })
    };
    PutLogEvents => logs::PutLogEventsOutput, |this, input| {
        this.lines.lock().unwrap().extend(input.log_events.into_iter().map(|event| event.message));
        let next_sequence_token = Some(this.events().to_string());
        Ok(logs::PutLogEventsOutput { next_sequence_token, ..Default::default() })
    };
}
