//! The default VPC, as every account has one in every region: 172.31.0.0/16 with a subnet in each zone.
use kernel::Cx;
use store::{Batch, Key};

use crate::records::{Defaults, Group, InternetGateway, Kind, Peer, RouteTable, Rule, Subnet, Vpc};
use crate::{Ec2, Result};

/// Zones of a region, by their letters.
pub const ZONES: &[char] = &['a', 'b', 'c'];
/// The default VPC's range.
const RANGE: &str = "172.31.0.0/16";

impl Ec2 {
    /// Makes the default VPC on a region's first use; once deleted it stays so until CreateDefaultVpc.
    pub async fn ensure_defaults(&self, cx: &Cx) -> Result<()> {
        let key = Key::new(cx.account(), &cx.region);
        if self.store.get::<Defaults>(&key).await?.is_some() {
            return Ok(());
        }
        let (_, batch) = self.default_vpc(cx);
        match self.store.commit(batch.create(&key, &Defaults {})).await {
            // Another call was first.
            Err(error) if error.is_conflict() => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }

    /// A default VPC with its subnets, gateway, routes and group.
    pub fn default_vpc(&self, cx: &Cx) -> (Vpc, Batch) {
        let id = self.new_id::<Vpc>();
        let vpc = Vpc {
            id: id.clone(),
            cidr: RANGE.into(),
            actual: None,
            default: true,
            dns_hostnames: true,
            dns_support: true,
        };
        let gateway = InternetGateway { id: self.new_id::<InternetGateway>(), vpc: Some(id.clone()) };
        let mut batch = self
            .vpc_parts(cx, &vpc, &[("0.0.0.0/0", &gateway.id)])
            .create(&Self::key(cx, &gateway.id), &gateway);
        for (index, zone) in ZONES.iter().enumerate() {
            let subnet = Subnet {
                id: self.new_id::<Subnet>(),
                vpc: id.clone(),
                cidr: format!("172.31.{}.0/20", index * 16),
                zone: format!("{}{zone}", cx.region),
                default: true,
                public: true,
            };
            batch = batch.create(&Self::key(cx, subnet.id()), &subnet);
        }
        (vpc, batch)
    }

    /// What comes with every VPC: itself, its main route table and its default security group.
    pub fn vpc_parts(&self, cx: &Cx, vpc: &Vpc, routes: &[(&str, &String)]) -> Batch {
        let table = RouteTable {
            id: self.new_id::<RouteTable>(),
            vpc: vpc.id.clone(),
            main: Some(format!("rtbassoc-{}", kernel::ids::hex(&*self.entropy, 17))),
            routes: routes.iter().map(|(to, via)| ((*to).to_owned(), (*via).clone())).collect(),
            associations: std::collections::BTreeMap::new(),
        };
        let group_id = self.new_id::<Group>();
        let group = Group {
            id: group_id.clone(),
            vpc: vpc.id.clone(),
            name: "default".into(),
            description: "default VPC security group".into(),
            rules: vec![self.all_of(false, Peer::Group(group_id)), self.all_egress()],
        };
        Batch::new()
            .create(&Self::key(cx, &vpc.id), vpc)
            .create(&Self::key(cx, &table.id), &table)
            .create(&Self::key(cx, &group.id), &group)
    }

    /// The outbound rule that every new group has: everything to everywhere.
    pub fn all_egress(&self) -> Rule {
        self.all_of(true, Peer::Cidr("0.0.0.0/0".into()))
    }

    fn all_of(&self, egress: bool, peer: Peer) -> Rule {
        let id = format!("sgr-{}", kernel::ids::hex(&*self.entropy, 17));
        Rule { id, egress, protocol: "-1".into(), from: -1, to: -1, peer, description: None }
    }
}
