//! StartTask: tasks on container instances that the caller names. There is one, the engine.
use api::ecs::*;
use kernel::{Access, Cx, Fault, Handle};

use super::instance;
use crate::error::{Result, invalid};
use crate::names::{self, Scope};
use crate::{Ecs, limits};

/// One of the named is here, or it is told that it is missing.
fn instances(cx: &Cx, input: &StartTask) -> Result<(i32, Vec<Failure>)> {
    let given = &input.container_instances;
    let most = usize::try_from(limits::RUN).unwrap_or_default();
    if given.is_empty() || given.len() > most {
        return invalid(format!("containerInstances must name between 1 and {most} container instances."));
    }
    let cluster = names::cluster_name(input.cluster.as_deref())?;
    let (count, failures) = instance::named(&Scope::of(cx), cluster, given)?;
    Ok((i32::try_from(count).unwrap_or(i32::MAX), failures))
}

impl Handle<StartTask> for Ecs {
    async fn access(&self, cx: &Cx, input: &StartTask) -> Result<Vec<Access>, Fault> {
        let (definition, cluster) = (&input.task_definition, input.cluster.as_deref());
        self.start_access(cx, "ecs:StartTask", definition, cluster, input.overrides.as_ref()).await
    }

    async fn handle(&self, cx: &Cx, input: StartTask) -> Result<StartTaskOutput, Fault> {
        let (count, mut failures) = instances(cx, &input)?;
        // An instance is EC2's, whatever the cluster's own strategy is.
        let run = RunTask {
            cluster: input.cluster,
            count: Some(count),
            enable_ecs_managed_tags: input.enable_ecs_managed_tags,
            enable_execute_command: input.enable_execute_command,
            group: input.group,
            launch_type: Some("EC2".into()),
            network_configuration: input.network_configuration,
            overrides: input.overrides,
            propagate_tags: input.propagate_tags,
            reference_id: input.reference_id,
            started_by: input.started_by,
            tags: input.tags,
            task_definition: input.task_definition,
            volume_configurations: input.volume_configurations,
            ..RunTask::default()
        };
        if count == 0 {
            let scope = Scope::of(cx);
            self.cluster(&scope, run.cluster.as_deref()).await?;
            self.usable_definition(&scope, &run.task_definition).await?;
            return Ok(StartTaskOutput { tasks: Some(Vec::new()), failures: Some(failures) });
        }
        let out = Handle::<RunTask>::handle(self, cx, run).await?;
        failures.extend(out.failures.into_iter().flatten());
        Ok(StartTaskOutput { tasks: out.tasks, failures: Some(failures) })
    }
}
