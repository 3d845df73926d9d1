//! What EventBridge hears: `ECS Task State Change` and the like.
use kernel::{Timestamp, ids, json};
use serde_json::json;
use store::Event;

use crate::Ecs;
use crate::names::Scope;
use crate::records::{Service, Task};
use crate::view;

impl Ecs {
    /// A task's state, as it now is.
    pub(crate) fn task_event(&self, scope: &Scope, task: &Task, now: Timestamp) -> Event {
        let detail = json::to_value(&view::task(scope, task, None));
        self.event(scope, "ECS Task State Change", now)
            .resource(scope.task(&task.cluster, &task.id))
            .detail(detail)
    }

    /// A deployment's state: `SERVICE_DEPLOYMENT_IN_PROGRESS`, `_COMPLETED`, `_FAILED`.
    pub(crate) fn deployment_event(
        &self,
        scope: &Scope,
        service: &Service,
        name: &str,
        now: Timestamp,
    ) -> Event {
        let primary = service.deployments.first();
        let detail = json!({
            "eventType": if name.ends_with("FAILED") { "ERROR" } else { "INFO" },
            "eventName": name,
            "clusterArn": scope.cluster(&service.cluster),
            "deploymentId": primary.map(|d| d.id.clone()),
            "updatedAt": primary.map(|d| d.updated.to_string()),
            "reason": primary.map(|d| d.reason.clone()),
        });
        let arn = scope.service(&service.cluster, &service.name);
        self.event(scope, "ECS Deployment State Change", now).resource(arn).detail(detail)
    }

    fn event(&self, scope: &Scope, kind: &str, now: Timestamp) -> Event {
        Event::new("aws.ecs", kind, &scope.account, &scope.region, ids::uuid(&*self.entropy), now)
    }
}
