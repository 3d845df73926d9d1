//! Container instances and capacity providers: the engine is the one instance of every cluster.
use api::ecs::{self as a, *};
use kernel::{Access, Cx, Fault, Handle, Timestamp};

use super::missing;
use crate::Ecs;
use crate::error::Result;
use crate::names::{EC2_INSTANCE, INSTANCE, Scope, short};
use crate::records::{Status, Task};

/// How many of these container instances are the one that there is, and what is told of the others.
pub(super) fn named(scope: &Scope, cluster: &str, given: &[String]) -> Result<(usize, Vec<Failure>)> {
    let (mut count, mut failures) = (0, Vec::new());
    for text in given {
        match short("container-instance", text)? {
            INSTANCE => count += 1,
            other => failures.push(missing(scope.arn(format!("container-instance/{cluster}/{other}")))),
        }
    }
    Ok((count, failures))
}

impl Ecs {
    async fn instance(&self, scope: &Scope, cluster: &str) -> Result<ContainerInstance> {
        let info = self.engine.info().await;
        let tasks = self.store.all::<Task>(scope.key().text(cluster)).await?;
        let running = tasks.iter().filter(|t| t.value.status == Status::Running).count();
        let pending = tasks.iter().filter(|t| t.value.status < Status::Running).count();
        let connected = info.is_ok();
        let info = info.ok();
        let resource = |name: &str, value: u64| Resource {
            name: Some(name.into()),
            r#type: Some("INTEGER".into()),
            integer_value: i32::try_from(value).ok(),
            long_value: Some(0),
            double_value: Some(0.0),
            string_set_value: None,
        };
        let resources: Vec<Resource> = info
            .iter()
            .flat_map(|info| {
                [resource("CPU", u64::from(info.cpus) * 1024), resource("MEMORY", info.memory >> 20)]
            })
            .collect();
        Ok(ContainerInstance {
            container_instance_arn: Some(scope.instance(cluster)),
            ec2_instance_id: Some(EC2_INSTANCE.into()),
            version: Some(1),
            version_info: info
                .map(|info| VersionInfo { docker_version: Some(info.version), ..Default::default() }),
            // The engine has no reservations: limits are each container's own.
            remaining_resources: Some(resources.clone()),
            registered_resources: Some(resources),
            status: Some("ACTIVE".into()),
            agent_connected: Some(connected),
            running_tasks_count: i32::try_from(running).ok(),
            pending_tasks_count: i32::try_from(pending).ok(),
            attributes: Some(Vec::new()),
            registered_at: Some(Timestamp::UNIX_EPOCH),
            attachments: Some(Vec::new()),
            tags: Some(Vec::new()),
            ..Default::default()
        })
    }
}

impl Handle<ListContainerInstances> for Ecs {
    async fn access(&self, cx: &Cx, input: &ListContainerInstances) -> Result<Vec<Access>, Fault> {
        let cluster = crate::names::cluster_name(input.cluster.as_deref())?;
        Ok(vec![Access::new("ecs:ListContainerInstances", Scope::of(cx).cluster(cluster))])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: ListContainerInstances,
    ) -> Result<ListContainerInstancesOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let active = input.status.as_deref().is_none_or(|status| status == "ACTIVE");
        let arns = active.then(|| scope.instance(&cluster)).into_iter().collect();
        Ok(ListContainerInstancesOutput { container_instance_arns: Some(arns), next_token: None })
    }
}

impl Handle<DescribeContainerInstances> for Ecs {
    async fn access(&self, cx: &Cx, input: &DescribeContainerInstances) -> Result<Vec<Access>, Fault> {
        let cluster = crate::names::cluster_name(input.cluster.as_deref())?;
        Ok(vec![Access::new("ecs:DescribeContainerInstances", Scope::of(cx).instance(cluster))])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeContainerInstances,
    ) -> Result<DescribeContainerInstancesOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let (count, failures) = named(&scope, &cluster, &input.container_instances)?;
        let mut found = Vec::new();
        if count > 0 {
            found = vec![self.instance(&scope, &cluster).await?; count];
        }
        Ok(DescribeContainerInstancesOutput { container_instances: Some(found), failures: Some(failures) })
    }
}

impl Handle<DescribeCapacityProviders> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &DescribeCapacityProviders) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:DescribeCapacityProviders", "*")])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeCapacityProviders,
    ) -> Result<DescribeCapacityProvidersOutput, Fault> {
        let scope = Scope::of(cx);
        let own = ["FARGATE", "FARGATE_SPOT"];
        let given = input.capacity_providers.filter(|names| !names.is_empty());
        let asked = given.unwrap_or_else(|| own.map(str::to_owned).to_vec());
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for text in &asked {
            let name = short("capacity-provider", text)?;
            if own.contains(&name) {
                found.push(a::CapacityProvider {
                    capacity_provider_arn: Some(scope.arn(format!("capacity-provider/{name}"))),
                    name: Some(name.to_owned()),
                    status: Some("ACTIVE".into()),
                    tags: Some(Vec::new()),
                    r#type: Some(name.to_owned()),
                    ..Default::default()
                });
            } else {
                failures.push(missing(scope.arn(format!("capacity-provider/{name}"))));
            }
        }
        Ok(DescribeCapacityProvidersOutput {
            capacity_providers: Some(found),
            failures: Some(failures),
            next_token: None,
        })
    }
}
