//! Route tables: kept and read back. Inside a VPC everything is one container network, and the internet is reached
//! through the host.
use std::collections::BTreeMap;

use api::ec2 as e;
use kernel::{Cx, ids};
use store::{Batch, Row};

use super::handle;
use crate::records::{InternetGateway, NatGateway, RouteTable, Subnet, Vpc};
use crate::{Ec2, Error, Result, Selection};

handle!(CreateRouteTable, create_table, |_input| "route-table/*".into(), dry_run);
handle!(DescribeRouteTables, describe_tables, |_input| "*".into(), dry_run);
handle!(DeleteRouteTable, delete_table, |input| format!("route-table/{}", input.route_table_id), dry_run);
handle!(CreateRoute, create_route, |input| format!("route-table/{}", input.route_table_id), dry_run);
handle!(ReplaceRoute, replace_route, |input| format!("route-table/{}", input.route_table_id), dry_run);
handle!(DeleteRoute, delete_route, |input| format!("route-table/{}", input.route_table_id), dry_run);
handle!(
    AssociateRouteTable,
    associate_table,
    |input| format!("route-table/{}", input.route_table_id),
    dry_run
);
handle!(DisassociateRouteTable, disassociate_table, |_input| "route-table/*".into(), dry_run);
handle!(
    ReplaceRouteTableAssociation,
    replace_association,
    |input| format!("route-table/{}", input.route_table_id),
    dry_run
);

impl Ec2 {
    async fn create_table(&self, cx: &Cx, input: e::CreateRouteTable) -> Result<e::CreateRouteTableOutput> {
        let vpc: Row<Vpc> = self.find(cx, &input.vpc_id).await?;
        let table = RouteTable {
            id: self.new_id::<RouteTable>(),
            vpc: input.vpc_id,
            main: None,
            routes: BTreeMap::new(),
            associations: BTreeMap::new(),
        };
        let (batch, tags) = Self::create(cx, &table, input.tag_specifications.as_ref())?;
        self.store.commit(batch.expect(&vpc)).await?;
        Ok(e::CreateRouteTableOutput {
            route_table: Some(shown(cx, table, tags, &vpc.value.cidr)),
            client_token: input.client_token,
        })
    }

    async fn describe_tables(
        &self,
        cx: &Cx,
        input: e::DescribeRouteTables,
    ) -> Result<e::DescribeRouteTablesOutput> {
        let selection = Selection {
            ids: input.route_table_ids.as_ref(),
            filters: input.filters.as_ref(),
            most: input.max_results,
            token: input.next_token.as_deref(),
        };
        let (page, next_token) = self.select::<RouteTable>(cx, selection).await?;
        let vpcs: BTreeMap<String, String> =
            self.every::<Vpc>(cx).await?.into_iter().map(|row| (row.value.id, row.value.cidr)).collect();
        let cidr = |table: &RouteTable| vpcs.get(&table.vpc).cloned().unwrap_or_default();
        let tables = page.into_iter().map(|(table, tags)| {
            let cidr = cidr(&table);
            shown(cx, table, tags, &cidr)
        });
        Ok(e::DescribeRouteTablesOutput { route_tables: Some(tables.collect()), next_token })
    }

    async fn delete_table(&self, cx: &Cx, input: e::DeleteRouteTable) -> Result<e::DeleteRouteTableOutput> {
        let row: Row<RouteTable> = self.find(cx, &input.route_table_id).await?;
        if row.value.main.is_some() || !row.value.associations.is_empty() {
            return Err(Error::DependencyViolation(format!(
                "The routeTable '{}' has dependencies and cannot be deleted: disassociate its subnets first; a main table goes with its VPC",
                row.value.id
            )));
        }
        self.store.commit(Self::delete(&row)).await?;
        Ok(e::DeleteRouteTableOutput {})
    }

    async fn create_route(&self, cx: &Cx, input: e::CreateRoute) -> Result<e::CreateRouteOutput> {
        let to = input
            .destination_cidr_block
            .clone()
            .ok_or(Error::UnsupportedParameter("A route without DestinationCidrBlock"))?;
        let via = self.next_hop(cx, input.gateway_id.as_ref(), input.nat_gateway_id.as_ref()).await?;
        let change = || async {
            let mut row: Row<RouteTable> = self.find(cx, &input.route_table_id).await?;
            if row.value.routes.insert(to.clone(), via.clone()).is_some() {
                return Err(Error::Duplicate {
                    code: "RouteAlreadyExists",
                    message: format!("The route identified by {to} already exists."),
                });
            }
            Ok::<_, Error>((Batch::new().update(&row), ()))
        };
        self.store.update(change).await?;
        Ok(e::CreateRouteOutput { r#return: Some(true) })
    }

    async fn replace_route(&self, cx: &Cx, input: e::ReplaceRoute) -> Result<e::ReplaceRouteOutput> {
        let to = input
            .destination_cidr_block
            .clone()
            .ok_or(Error::UnsupportedParameter("A route without DestinationCidrBlock"))?;
        let via = self.next_hop(cx, input.gateway_id.as_ref(), input.nat_gateway_id.as_ref()).await?;
        let change = || async {
            let mut row: Row<RouteTable> = self.find(cx, &input.route_table_id).await?;
            row.value.routes.insert(to.clone(), via.clone()).ok_or_else(|| no_route(&row.value, &to))?;
            Ok::<_, Error>((Batch::new().update(&row), ()))
        };
        self.store.update(change).await?;
        Ok(e::ReplaceRouteOutput {})
    }

    async fn delete_route(&self, cx: &Cx, input: e::DeleteRoute) -> Result<e::DeleteRouteOutput> {
        let to = input.destination_cidr_block.clone().unwrap_or_default();
        let change = || async {
            let mut row: Row<RouteTable> = self.find(cx, &input.route_table_id).await?;
            row.value.routes.remove(&to).ok_or_else(|| no_route(&row.value, &to))?;
            Ok::<_, Error>((Batch::new().update(&row), ()))
        };
        self.store.update(change).await?;
        Ok(e::DeleteRouteOutput {})
    }

    async fn next_hop(&self, cx: &Cx, gateway: Option<&String>, nat: Option<&String>) -> Result<String> {
        match (gateway, nat) {
            (Some(id), None) => Ok(self.find::<InternetGateway>(cx, id).await?.value.id),
            (None, Some(id)) => Ok(self.find::<NatGateway>(cx, id).await?.value.id),
            _ => Err(Error::UnsupportedParameter("A route through anything but one internet or NAT gateway")),
        }
    }

    fn association(&self) -> String {
        format!("rtbassoc-{}", ids::hex(&*self.entropy, 17))
    }

    async fn associate_table(
        &self,
        cx: &Cx,
        input: e::AssociateRouteTable,
    ) -> Result<e::AssociateRouteTableOutput> {
        let subnet =
            input.subnet_id.as_ref().ok_or(Error::UnsupportedParameter("An association without SubnetId"))?;
        let subnet: Row<Subnet> = self.find(cx, subnet).await?;
        let id = self.association();
        let change = || async {
            let mut row: Row<RouteTable> = self.find(cx, &input.route_table_id).await?;
            if row.value.vpc != subnet.value.vpc {
                return Err(Error::InvalidParameterValue(format!(
                    "Route table {} and subnet {} belong to different networks",
                    row.value.id, subnet.value.id
                )));
            }
            let taken = self
                .every::<RouteTable>(cx)
                .await?
                .iter()
                .any(|table| table.value.associations.values().any(|s| *s == subnet.value.id));
            if taken {
                return Err(Error::State {
                    code: "Resource.AlreadyAssociated",
                    message: format!(
                        "the specified association for subnet {} conflicts with an existing association",
                        subnet.value.id
                    ),
                });
            }
            row.value.associations.insert(id.clone(), subnet.value.id.clone());
            Ok::<_, Error>((Batch::new().update(&row).expect(&subnet), ()))
        };
        self.store.update(change).await?;
        Ok(e::AssociateRouteTableOutput { association_id: Some(id), association_state: Some(associated()) })
    }

    async fn table_of(&self, cx: &Cx, association: &str) -> Result<Row<RouteTable>> {
        let missing = || Error::State {
            code: "InvalidAssociationID.NotFound",
            message: format!("The association ID '{association}' does not exist"),
        };
        let holds = |row: &Row<RouteTable>| {
            row.value.associations.contains_key(association) || row.value.main.as_deref() == Some(association)
        };
        self.every::<RouteTable>(cx).await?.into_iter().find(holds).ok_or_else(missing)
    }

    async fn disassociate_table(
        &self,
        cx: &Cx,
        input: e::DisassociateRouteTable,
    ) -> Result<e::DisassociateRouteTableOutput> {
        let mut row = self.table_of(cx, &input.association_id).await?;
        if row.value.associations.remove(&input.association_id).is_none() {
            return Err(Error::InvalidParameterValue(
                "Cannot disassociate the main route table association".into(),
            ));
        }
        self.store.commit(Batch::new().update(&row)).await?;
        Ok(e::DisassociateRouteTableOutput {})
    }

    /// Moves a subnet to another table, or makes another table the VPC's main one.
    async fn replace_association(
        &self,
        cx: &Cx,
        input: e::ReplaceRouteTableAssociation,
    ) -> Result<e::ReplaceRouteTableAssociationOutput> {
        let (mut old, mut new) = (
            self.table_of(cx, &input.association_id).await?,
            self.find::<RouteTable>(cx, &input.route_table_id).await?,
        );
        let id = self.association();
        if old.value.id != new.value.id {
            match old.value.associations.remove(&input.association_id) {
                Some(subnet) => drop(new.value.associations.insert(id.clone(), subnet)),
                None => {
                    old.value.main = None;
                    new.value.main = Some(id.clone());
                }
            }
            self.store.commit(Batch::new().update(&old).update(&new)).await?;
        }
        Ok(e::ReplaceRouteTableAssociationOutput {
            new_association_id: Some(id),
            association_state: Some(associated()),
        })
    }
}

fn associated() -> e::RouteTableAssociationState {
    e::RouteTableAssociationState { state: Some("associated".into()), status_message: None }
}

fn no_route(table: &RouteTable, to: &str) -> Error {
    Error::State {
        code: "InvalidRoute.NotFound",
        message: format!("no route with destination-cidr-block {to} in route table {}", table.id),
    }
}

fn shown(cx: &Cx, table: RouteTable, tags: Vec<e::Tag>, cidr: &str) -> e::RouteTable {
    let local = e::Route {
        destination_cidr_block: Some(cidr.into()),
        gateway_id: Some("local".into()),
        origin: Some("CreateRouteTable".into()),
        state: Some("active".into()),
        ..Default::default()
    };
    let other = |(to, via): (&String, &String)| {
        let nat = via.starts_with("nat-");
        e::Route {
            destination_cidr_block: Some(to.clone()),
            gateway_id: (!nat).then(|| via.clone()),
            nat_gateway_id: nat.then(|| via.clone()),
            origin: Some("CreateRoute".into()),
            state: Some("active".into()),
            ..e::Route::default()
        }
    };
    let association = |id: &String, subnet: Option<&String>| e::RouteTableAssociation {
        main: Some(subnet.is_none()),
        route_table_association_id: Some(id.clone()),
        route_table_id: Some(table.id.clone()),
        subnet_id: subnet.cloned(),
        association_state: Some(associated()),
        ..e::RouteTableAssociation::default()
    };
    let main = table.main.iter().map(|id| association(id, None));
    let associations =
        main.chain(table.associations.iter().map(|(id, subnet)| association(id, Some(subnet)))).collect();
    e::RouteTable {
        associations: Some(associations),
        routes: Some(std::iter::once(local).chain(table.routes.iter().map(other)).collect()),
        propagating_vgws: Some(Vec::new()),
        owner_id: Some(cx.account().into()),
        route_table_id: Some(table.id),
        vpc_id: Some(table.vpc),
        tags: Some(tags),
    }
}
