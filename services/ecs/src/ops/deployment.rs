//! Service deployments and revisions: what newer clients ask for beside `deployments`.
use api::ecs::*;
use kernel::{Access, Arn, Cx, Fault, Handle};
use store::Batch;

use super::{missing, page};
use crate::Ecs;
use crate::error::{Error, Result, client};
use crate::names::{self, Scope};
use crate::records::{Deployment, Rollout, Service, Task};
use crate::view;

impl Ecs {
    /// Cluster, service and deployment number of an ARN of `kind`.
    async fn of_arn(&self, scope: &Scope, kind: &str, arn: &str) -> Result<Option<(Service, Deployment)>> {
        let parsed: Arn = arn.parse().map_err(|_| Error::Invalid(format!("Invalid {kind} ARN: '{arn}'.")))?;
        let parts: Vec<&str> = parsed.resource.split('/').collect();
        let [found, cluster, name, number] = parts[..] else { return Ok(None) };
        // Another account's or Region's: what the caller may do was asked for that one.
        let elsewhere = parsed.account != scope.account || parsed.region != scope.region;
        if found != kind || elsewhere {
            return Ok(None);
        }
        let Some(row) = self.store.get::<Service>(&scope.key().text(cluster).text(name)).await? else {
            return Ok(None);
        };
        let service = row.value;
        let all = service.deployments.iter().chain(&service.history);
        let deployment = all.into_iter().find(|d| view::number(&d.id) == number).cloned();
        Ok(deployment.map(|deployment| (service, deployment)))
    }

    async fn stop_deployment(&self, scope: &Scope, arn: &str, stop: Option<&str>) -> Result<()> {
        if stop.is_some_and(|stop| stop != "ROLLBACK") {
            return client("stopType must be ROLLBACK.");
        }
        let (service, deployment) =
            self.of_arn(scope, "service-deployment", arn).await?.ok_or(Error::NoDeployment)?;
        let halt = || async {
            let mut row = self.service(scope, &service.cluster, &service.name).await?;
            let now = self.clock.now();
            let primary = row
                .value
                .deployments
                .first()
                .is_some_and(|d| d.id == deployment.id && d.rollout == Rollout::InProgress);
            if !primary {
                return client("The service deployment is not in progress: only one that is can be stopped.");
            }
            if !crate::reconcile::roll_back(
                self,
                &mut row.value,
                "The deployment was stopped by a user.",
                now,
            ) {
                return client("There is no completed deployment to roll back to.");
            }
            Ok((Batch::new().update(&row), ()))
        };
        self.store.update(halt).await
    }
}

impl Handle<ListServiceDeployments> for Ecs {
    async fn access(&self, cx: &Cx, input: &ListServiceDeployments) -> Result<Vec<Access>, Fault> {
        let scope = Scope::of(cx);
        let cluster = names::cluster_name(input.cluster.as_deref())?;
        Ok(vec![Access::new(
            "ecs:ListServiceDeployments",
            scope.service(cluster, names::short("service", &input.service)?),
        )])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: ListServiceDeployments,
    ) -> Result<ListServiceDeploymentsOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.cluster(&scope, input.cluster.as_deref()).await?.value.name;
        let service = self.service(&scope, &cluster, &input.service).await?.value;
        let statuses = input.status.unwrap_or_default();
        let all = service.deployments.iter().chain(&service.history);
        let wanted: Vec<&Deployment> = all
            .filter(|d| {
                statuses.is_empty() || statuses.iter().any(|status| status == view::deployment_status(d))
            })
            .collect();
        let ids = wanted.iter().map(|d| d.id.clone()).collect();
        let (ids, next_token) =
            page("ListServiceDeployments", ids, input.max_results, input.next_token.as_deref())?;
        let brief = |d: &&Deployment| ServiceDeploymentBrief {
            service_deployment_arn: Some(view::deployment_arn(&scope, &service, &d.id)),
            service_arn: Some(scope.service(&cluster, &service.name)),
            cluster_arn: Some(scope.cluster(&cluster)),
            started_at: Some(d.created),
            created_at: Some(d.created),
            finished_at: d.finished,
            target_service_revision_arn: Some(view::revision_arn(&scope, &service, &d.id)),
            status: Some(view::deployment_status(d).into()),
            status_reason: Some(d.reason.clone()),
        };
        let service_deployments = wanted.iter().filter(|d| ids.contains(&d.id)).map(brief).collect();
        Ok(ListServiceDeploymentsOutput { service_deployments: Some(service_deployments), next_token })
    }
}

impl Handle<DescribeServiceDeployments> for Ecs {
    async fn access(&self, _cx: &Cx, input: &DescribeServiceDeployments) -> Result<Vec<Access>, Fault> {
        let arns = input.service_deployment_arns.iter();
        Ok(arns.map(|arn| Access::new("ecs:DescribeServiceDeployments", arn)).collect())
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeServiceDeployments,
    ) -> Result<DescribeServiceDeploymentsOutput, Fault> {
        let scope = Scope::of(cx);
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in &input.service_deployment_arns {
            match self.of_arn(&scope, "service-deployment", arn).await? {
                Some((service, deployment)) => {
                    let tasks = self.tasks_of(&scope, &service).await?;
                    let tasks: Vec<Task> = tasks.into_iter().map(|row| row.value).collect();
                    found.push(view::service_deployment(&scope, &service, &deployment, &tasks));
                }
                None => failures.push(missing(arn.clone())),
            }
        }
        Ok(DescribeServiceDeploymentsOutput { service_deployments: Some(found), failures: Some(failures) })
    }
}

impl Handle<DescribeServiceRevisions> for Ecs {
    async fn access(&self, _cx: &Cx, input: &DescribeServiceRevisions) -> Result<Vec<Access>, Fault> {
        let arns = input.service_revision_arns.iter();
        Ok(arns.map(|arn| Access::new("ecs:DescribeServiceRevisions", arn)).collect())
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeServiceRevisions,
    ) -> Result<DescribeServiceRevisionsOutput, Fault> {
        let scope = Scope::of(cx);
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in &input.service_revision_arns {
            match self.of_arn(&scope, "service-revision", arn).await? {
                Some((service, deployment)) => found.push(view::revision(&scope, &service, &deployment)),
                None => failures.push(missing(arn.clone())),
            }
        }
        Ok(DescribeServiceRevisionsOutput { service_revisions: Some(found), failures: Some(failures) })
    }
}

impl Handle<StopServiceDeployment> for Ecs {
    async fn access(&self, _cx: &Cx, input: &StopServiceDeployment) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:StopServiceDeployment", &input.service_deployment_arn)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: StopServiceDeployment,
    ) -> Result<StopServiceDeploymentOutput, Fault> {
        let arn = input.service_deployment_arn;
        self.stop_deployment(&Scope::of(cx), &arn, input.stop_type.as_deref()).await?;
        Ok(StopServiceDeploymentOutput { service_deployment_arn: Some(arn) })
    }
}
