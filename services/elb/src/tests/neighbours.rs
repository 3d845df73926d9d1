//! EC2 and ACM as far as this service asks them.
use std::collections::BTreeMap;
use std::sync::Mutex;

use api::{acm, ec2};
use kernel::{Access, Cx, Fault, Handle};

/// EC2 with one VPC, `vpc-1`, subnets in two zones, and a security group that admits what it is told to.
#[derive(Default)]
pub struct Neighbours {
    pub interfaces: Mutex<BTreeMap<String, ec2::NetworkInterface>>,
    pub closed: Mutex<Vec<u16>>,
}

macro_rules! neighbour {
    ($($op:path => |$this:ident, $input:ident| $answer:expr;)*) => {$(
        impl Handle<$op> for Neighbours {
            async fn access(&self, _: &Cx, _: &$op) -> Result<Vec<Access>, Fault> {
                Ok(Vec::new())
            }
            async fn handle(&self, _: &Cx, $input: $op) -> Result<<$op as kernel::Operation>::Output, Fault> {
                let $this = self;
                $answer
            }
        }
    )*};
}

fn absent(code: &'static str) -> Fault {
    Fault::client(code, "there is none")
}

neighbour! {
    ec2::DescribeSubnets => |_this, input| {
        let subnet = |id: String| {
            let zone = match &*id {
                "subnet-a" | "subnet-a2" => "us-east-1a",
                "subnet-b" | "subnet-other" => "us-east-1b",
                _ => return Err(absent("InvalidSubnetID.NotFound")),
            };
            let vpc = if id == "subnet-other" { "vpc-2" } else { "vpc-1" };
            Ok(ec2::Subnet { availability_zone: Some(zone.into()), vpc_id: Some(vpc.into()), subnet_id: Some(id), ..Default::default() })
        };
        let subnets = input.subnet_ids.unwrap_or_default().into_iter().map(subnet).collect::<Result<_, _>>()?;
        Ok(ec2::DescribeSubnetsOutput { subnets: Some(subnets), ..Default::default() })
    };
    ec2::DescribeSecurityGroups => |_this, input| {
        let ids = input.group_ids.unwrap_or_else(|| vec!["sg-default".into()]);
        if ids.iter().any(|id| id == "sg-none") {
            return Err(absent("InvalidGroup.NotFound"));
        }
        let group = |id: String| ec2::SecurityGroup { group_id: Some(id), vpc_id: Some("vpc-1".into()), ..Default::default() };
        Ok(ec2::DescribeSecurityGroupsOutput { security_groups: Some(ids.into_iter().map(group).collect()), ..Default::default() })
    };
    ec2::DescribeVpcs => |_this, input| match input.vpc_ids.unwrap_or_default().contains(&"vpc-none".to_owned()) {
        true => Err(absent("InvalidVpcID.NotFound")),
        false => Ok(ec2::DescribeVpcsOutput::default()),
    };
    ec2::CreateNetworkInterface => |this, input| {
        assert_eq!(input.interface_type.as_deref(), Some("load_balancer"));
        let group = |id: String| ec2::GroupIdentifier { group_id: Some(id), group_name: None };
        let interface = ec2::NetworkInterface {
            network_interface_id: Some(format!("eni-{}", input.subnet_id)),
            subnet_id: Some(input.subnet_id.clone()),
            description: input.description,
            groups: input.groups.map(|ids| ids.into_iter().map(group).collect()),
            ..Default::default()
        };
        let replaced = this.interfaces.lock().unwrap().insert(format!("eni-{}", input.subnet_id), interface);
        assert_eq!(replaced, None, "made twice");
        Ok(ec2::CreateNetworkInterfaceOutput::default())
    };
    ec2::DescribeNetworkInterfaces => |this, input| {
        let filters = input.filters.unwrap_or_default();
        let [ec2::Filter { name, values }] = &*filters else { panic!("one filter") };
        assert_eq!(name.as_deref(), Some("description"));
        let wanted = values.clone().unwrap_or_default().pop();
        let held = this.interfaces.lock().unwrap();
        let found = held.values().filter(|i| i.description == wanted).cloned().collect();
        Ok(ec2::DescribeNetworkInterfacesOutput { network_interfaces: Some(found), ..Default::default() })
    };
    ec2::ModifyNetworkInterfaceAttribute => |this, input| {
        let group = |id: String| ec2::GroupIdentifier { group_id: Some(id), group_name: None };
        let mut held = this.interfaces.lock().unwrap();
        let interface = held.get_mut(&input.network_interface_id).unwrap();
        interface.groups = input.groups.map(|ids| ids.into_iter().map(group).collect());
        Ok(Default::default())
    };
    ec2::DeleteNetworkInterface => |this, input| {
        this.interfaces.lock().unwrap().remove(&input.network_interface_id).unwrap();
        Ok(Default::default())
    };
    engine::Admits => |this, input| {
        assert!(input.source.starts_with("ELB app/lb/"), "{}", input.source);
        Ok(!this.closed.lock().unwrap().contains(&input.port))
    };
    engine::Enter => |this, input| {
        let admitted = |port: &u16| match this.closed.lock().unwrap().contains(port) {
            true => Vec::new(),
            false => vec!["10.0.1.0/24".parse().unwrap()],
        };
        let peers = input.ports.iter().map(|port| (*port, admitted(port))).collect();
        Ok(engine::Entrance { address: Some([10, 0, 1, 4].into()), peers })
    };
    acm::DescribeCertificate => |_this, input| {
        if !input.certificate_arn.contains("/good") && !input.certificate_arn.contains("/pending") {
            return Err(absent("ResourceNotFoundException"));
        }
        let status = if input.certificate_arn.contains("/good") { "ISSUED" } else { "PENDING_VALIDATION" };
        let certificate = acm::CertificateDetail {
            domain_name: Some("example.com".into()),
            subject_alternative_names: Some(vec!["example.com".into(), "*.example.com".into()]),
            status: Some(status.into()),
            ..Default::default()
        };
        Ok(acm::DescribeCertificateOutput { certificate: Some(certificate) })
    };
    api::internal::ExportForListener => |_this, _input| Ok(api::internal::ExportForListenerOutput {
        certificate_chain: "chain".into(),
        private_key: "key".into(),
    });
}
