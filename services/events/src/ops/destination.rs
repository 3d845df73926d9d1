//! API destinations: HTTP endpoints as targets. An administrator says where events go: any address that the server
//! reaches may be named, plain HTTP too, which AWS does not take. Redirects are not followed.
use api::events::*;
use kernel::{Access, Arn, Cx, Fault, Handle, ids};
use store::{Batch, Key, Row};

use super::connection::{key, url};
use super::page;
use crate::error::Error;
use crate::records::Destination as Record;
use crate::{Events, limits};

fn on(cx: &Cx, action: &'static str, name: &str) -> Access {
    let resource = format!("api-destination/{name}");
    Access::new(action, Arn::new("events", &cx.region, cx.account(), resource).to_string())
}

/// The endpoint's `*`s stand for anything.
fn checked(endpoint: &str) -> Result<(), Error> {
    url("InvocationEndpoint", &endpoint.replace('*', "x"))
}

impl Events {
    async fn destination(&self, cx: &Cx, name: &str) -> Result<Row<Record>, Error> {
        let found = self.store.get(&key(cx, name)).await?;
        found.ok_or_else(|| Error::None(format!("Api-destination '{name}'")))
    }

    /// The name of the connection of this ARN, which exists.
    async fn connection_of(&self, cx: &Cx, arn: &str) -> Result<String, Error> {
        let name =
            arn.split(":connection/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let found = self.connection(cx, name).await?;
        match found.value.arn(cx.account(), &cx.region) == arn {
            true => Ok(found.value.name),
            false => Err(Error::None(format!("Connection '{arn}'"))),
        }
    }

    async fn connection_arn(&self, cx: &Cx, name: &str) -> Result<String, Error> {
        Ok(self.connection(cx, name).await?.value.arn(cx.account(), &cx.region))
    }
}

impl Handle<CreateApiDestination> for Events {
    async fn access(&self, cx: &Cx, input: &CreateApiDestination) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:CreateApiDestination", &input.name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: CreateApiDestination,
    ) -> Result<CreateApiDestinationOutput, Fault> {
        checked(&input.invocation_endpoint)?;
        let (key, now) = (key(cx, &input.name), self.clock.now());
        let destination = Record {
            connection: self.connection_of(cx, &input.connection_arn).await?,
            id: ids::uuid(&*self.entropy),
            name: input.name,
            description: input.description,
            endpoint: input.invocation_endpoint,
            method: input.http_method,
            rate: input.invocation_rate_limit_per_second.unwrap_or(limits::RATE),
            created: now,
            modified: now,
        };
        let created = self.store.update(|| async {
            if self.store.get::<Record>(&key).await?.is_some() {
                return Err(Error::Exists(format!("Api-destination {}", destination.name)));
            }
            if self.store.count::<Record>(Key::new(cx.account(), &cx.region)).await? >= limits::DESTINATIONS {
                let text = format!("A region can have at most {} API destinations.", limits::DESTINATIONS);
                return Err(Error::Limit(text));
            }
            let connection = self.connection(cx, &destination.connection).await?;
            Ok((Batch::new().expect(&connection).create(&key, &destination), ()))
        });
        created.await?;
        Ok(CreateApiDestinationOutput {
            api_destination_arn: Some(destination.arn(cx.account(), &cx.region)),
            api_destination_state: Some("ACTIVE".into()),
            creation_time: Some(destination.created),
            last_modified_time: Some(destination.modified),
        })
    }
}

impl Handle<UpdateApiDestination> for Events {
    async fn access(&self, cx: &Cx, input: &UpdateApiDestination) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:UpdateApiDestination", &input.name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: UpdateApiDestination,
    ) -> Result<UpdateApiDestinationOutput, Fault> {
        input.invocation_endpoint.as_deref().map_or(Ok(()), checked)?;
        let connection = match &input.connection_arn {
            Some(arn) => Some(self.connection_of(cx, arn).await?),
            None => None,
        };
        let updated = self.store.update(|| async {
            let mut row = self.destination(cx, &input.name).await?;
            let destination = &mut row.value;
            destination.modified = self.clock.now();
            let input = input.clone();
            destination.description = input.description.or(destination.description.take());
            destination.rate = input.invocation_rate_limit_per_second.unwrap_or(destination.rate);
            for (new, old) in [
                (connection.clone(), &mut destination.connection),
                (input.invocation_endpoint, &mut destination.endpoint),
                (input.http_method, &mut destination.method),
            ] {
                new.into_iter().for_each(|new| *old = new);
            }
            let connection = self.connection(cx, &destination.connection).await?;
            Ok::<_, Error>((Batch::new().expect(&connection).update(&row), row.value))
        });
        let destination = updated.await?;
        Ok(UpdateApiDestinationOutput {
            api_destination_arn: Some(destination.arn(cx.account(), &cx.region)),
            api_destination_state: Some("ACTIVE".into()),
            creation_time: Some(destination.created),
            last_modified_time: Some(destination.modified),
        })
    }
}

impl Handle<DescribeApiDestination> for Events {
    async fn access(&self, cx: &Cx, input: &DescribeApiDestination) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:DescribeApiDestination", &input.name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeApiDestination,
    ) -> Result<DescribeApiDestinationOutput, Fault> {
        let destination = self.destination(cx, &input.name).await?.value;
        Ok(DescribeApiDestinationOutput {
            api_destination_arn: Some(destination.arn(cx.account(), &cx.region)),
            connection_arn: Some(self.connection_arn(cx, &destination.connection).await?),
            name: Some(destination.name),
            description: destination.description,
            api_destination_state: Some("ACTIVE".into()),
            invocation_endpoint: Some(destination.endpoint),
            http_method: Some(destination.method),
            invocation_rate_limit_per_second: Some(destination.rate),
            creation_time: Some(destination.created),
            last_modified_time: Some(destination.modified),
        })
    }
}

impl Handle<DeleteApiDestination> for Events {
    async fn access(&self, cx: &Cx, input: &DeleteApiDestination) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:DeleteApiDestination", &input.name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DeleteApiDestination,
    ) -> Result<DeleteApiDestinationOutput, Fault> {
        let deleted = self.store.update(|| async {
            let row = self.destination(cx, &input.name).await?;
            Ok::<_, Error>((Batch::new().remove(&row), ()))
        });
        deleted.await?;
        Ok(DeleteApiDestinationOutput {})
    }
}

impl Handle<ListApiDestinations> for Events {
    async fn access(&self, cx: &Cx, _: &ListApiDestinations) -> Result<Vec<Access>, Fault> {
        Ok(vec![on(cx, "events:ListApiDestinations", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListApiDestinations) -> Result<ListApiDestinationsOutput, Fault> {
        let connection = match &input.connection_arn {
            Some(arn) => Some(self.connection_of(cx, arn).await?),
            None => None,
        };
        let scope = Key::new(cx.account(), &cx.region);
        let prefix = scope.starting(input.name_prefix.as_deref().unwrap_or_default());
        let rows = self.store.all::<Record>(prefix).await.map_err(Error::from)?;
        let mut listed = Vec::new();
        for row in rows.into_iter().map(|row| row.value) {
            if connection.as_ref().is_none_or(|connection| *connection == row.connection) {
                let connection = self.connection_arn(cx, &row.connection).await?;
                listed.push((row.name.clone(), shown(cx, row, connection)));
            }
        }
        let (destinations, next_token) =
            page("ListApiDestinations", input.next_token.as_deref(), input.limit, listed.into_iter())?;
        Ok(ListApiDestinationsOutput { api_destinations: Some(destinations), next_token })
    }
}

fn shown(cx: &Cx, destination: Record, connection: String) -> ApiDestination {
    ApiDestination {
        api_destination_arn: Some(destination.arn(cx.account(), &cx.region)),
        name: Some(destination.name),
        api_destination_state: Some("ACTIVE".into()),
        connection_arn: Some(connection),
        invocation_endpoint: Some(destination.endpoint),
        http_method: Some(destination.method),
        invocation_rate_limit_per_second: Some(destination.rate),
        creation_time: Some(destination.created),
        last_modified_time: Some(destination.modified),
    }
}
