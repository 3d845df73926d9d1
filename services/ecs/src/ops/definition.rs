//! Task definitions.
use api::ecs::{self as a, *};
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Key, Row};

use super::{include_tags, tags_in, tags_out};
use crate::Ecs;
use crate::error::{Error, Result, client, invalid};
use crate::names::{self, Scope};
use crate::records::{Definition, Family};
use crate::validate;

impl Ecs {
    /// A definition by ARN, `family:revision` or `family` (the latest that is active).
    pub(crate) async fn definition(&self, scope: &Scope, text: &str) -> Result<Row<Definition>> {
        let missing = || Error::Client("Unable to describe task definition.".into());
        let (family, revision) = names::definition(text)?;
        let key = scope.key().text(family);
        if let Some(revision) = revision {
            return self.store.get(&key.number(revision)).await?.ok_or_else(missing);
        }
        let mut before: Option<Key> = None;
        loop {
            let page = self.store.list_back::<Definition>(&key, before.as_ref(), 100).await?;
            let last = page.last().ok_or_else(missing)?.key.clone();
            if let Some(found) = page.into_iter().find(|row| row.value.active()) {
                return Ok(found);
            }
            before = Some(last);
        }
    }

    /// One that new tasks may use.
    pub(crate) async fn usable_definition(&self, scope: &Scope, text: &str) -> Result<Definition> {
        let found = self.definition(scope, text).await.map_err(|error| match error {
            Error::Client(_) => Error::Client("TaskDefinition not found.".into()),
            other => other,
        })?;
        if !found.value.active() {
            return client("TaskDefinition is inactive");
        }
        Ok(found.value)
    }

    async fn register_definition(&self, cx: &Cx, mut input: RegisterTaskDefinition) -> Result<Definition> {
        validate::definition(&mut input)?;
        let tags = tags_in(input.tags.as_ref())?;
        let scope = Scope::of(cx);
        let key = scope.key().text(&input.family);
        let register = || async {
            let family = self.store.get::<Family>(&key).await?;
            let revision = family.as_ref().map_or(0, |row| row.value.last) + 1;
            let body = self.body(cx, &scope, &input, revision);
            let definition = Definition { body, tags: tags.clone() };
            let batch = Batch::new()
                .expect_same(&key, family.as_ref())
                .put(&key, &Family { last: revision })
                .create(&key.clone().number(revision), &definition);
            Ok::<_, Error>((batch, definition))
        };
        self.store.update(register).await
    }

    fn body(
        &self,
        cx: &Cx,
        scope: &Scope,
        input: &RegisterTaskDefinition,
        revision: u64,
    ) -> a::TaskDefinition {
        let input = input.clone();
        let awsvpc = input.network_mode.as_deref() == Some("awsvpc");
        let sized = input.cpu.is_some() && input.memory.is_some();
        let also =
            if awsvpc && sized { vec!["EC2".to_owned(), "FARGATE".into()] } else { vec!["EC2".into()] };
        a::TaskDefinition {
            task_definition_arn: Some(scope.definition(&input.family, revision)),
            revision: i32::try_from(revision).ok(),
            status: Some("ACTIVE".into()),
            compatibilities: Some(also),
            container_definitions: Some(input.container_definitions),
            family: Some(input.family),
            task_role_arn: input.task_role_arn.map(|role| role_arn(cx, &role)),
            execution_role_arn: input.execution_role_arn.map(|role| role_arn(cx, &role)),
            network_mode: input.network_mode,
            volumes: Some(input.volumes.unwrap_or_default()),
            placement_constraints: Some(input.placement_constraints.unwrap_or_default()),
            requires_compatibilities: input.requires_compatibilities,
            requires_attributes: Some(Vec::new()),
            runtime_platform: input.runtime_platform,
            cpu: input.cpu,
            memory: input.memory,
            ephemeral_storage: input.ephemeral_storage,
            registered_at: Some(self.clock.now()),
            registered_by: Some(cx.caller.arn.clone()),
            ..Default::default()
        }
    }

    async fn set_status(&self, scope: &Scope, text: &str, from: &[&str], to: &str) -> Result<Definition> {
        if names::definition(text)?.1.is_none() {
            return invalid(
                "The task definition must be named with its revision: family:revision or an ARN.",
            );
        }
        let change = || async {
            let mut row = self.definition(scope, text).await?;
            let body = &mut row.value.body;
            let status = body.status.as_deref().unwrap_or_default();
            if !from.contains(&status) {
                let arn = body.task_definition_arn.as_deref().unwrap_or_default();
                return client(format!(
                    "The task definition {arn} is {status} and cannot become {to}: deregister it first."
                ));
            }
            body.status = Some(to.to_owned());
            let now = Some(self.clock.now());
            match to {
                "INACTIVE" => body.deregistered_at = now,
                _ => body.delete_requested_at = now,
            }
            Ok((Batch::new().update(&row), row.value.clone()))
        };
        self.store.update(change).await
    }
}

/// A role by name is one of the account's own.
fn role_arn(cx: &Cx, role: &str) -> String {
    if role.starts_with("arn:") {
        role.to_owned()
    } else {
        format!("arn:aws:iam::{}:role/{role}", cx.account())
    }
}

impl Handle<RegisterTaskDefinition> for Ecs {
    async fn access(&self, cx: &Cx, input: &RegisterTaskDefinition) -> Result<Vec<Access>, Fault> {
        let mut want = vec![Access::new("ecs:RegisterTaskDefinition", "*")];
        let roles = [&input.task_role_arn, &input.execution_role_arn].into_iter().flatten();
        want.extend(roles.map(|role| Access::pass_role(role_arn(cx, role), "ecs-tasks.amazonaws.com")));
        Ok(want)
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: RegisterTaskDefinition,
    ) -> Result<RegisterTaskDefinitionOutput, Fault> {
        let definition = Box::pin(self.register_definition(cx, input)).await?;
        let tags = (!definition.tags.is_empty()).then(|| tags_out(&definition.tags));
        Ok(RegisterTaskDefinitionOutput { task_definition: Some(definition.body), tags })
    }
}

impl Handle<DescribeTaskDefinition> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &DescribeTaskDefinition) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:DescribeTaskDefinition", "*")])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DescribeTaskDefinition,
    ) -> Result<DescribeTaskDefinitionOutput, Fault> {
        let found = self.definition(&Scope::of(cx), &input.task_definition).await?.value;
        let tags = include_tags(input.include.as_ref()).then(|| tags_out(&found.tags));
        Ok(DescribeTaskDefinitionOutput { task_definition: Some(found.body), tags })
    }
}

impl Handle<DeregisterTaskDefinition> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &DeregisterTaskDefinition) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:DeregisterTaskDefinition", "*")])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DeregisterTaskDefinition,
    ) -> Result<DeregisterTaskDefinitionOutput, Fault> {
        let from = ["ACTIVE", "INACTIVE"];
        let definition = self.set_status(&Scope::of(cx), &input.task_definition, &from, "INACTIVE").await?;
        Ok(DeregisterTaskDefinitionOutput { task_definition: Some(definition.body) })
    }
}

impl Handle<DeleteTaskDefinitions> for Ecs {
    async fn access(&self, cx: &Cx, input: &DeleteTaskDefinitions) -> Result<Vec<Access>, Fault> {
        let scope = Scope::of(cx);
        let resource = |text: &String| match names::definition(text)? {
            (family, Some(revision)) => Ok(scope.definition(family, revision)),
            (family, None) => Ok(scope.arn(format!("task-definition/{family}:*"))),
        };
        let want = input.task_definitions.iter().map(resource).collect::<Result<Vec<_>>>()?;
        Ok(want.into_iter().map(|arn| Access::new("ecs:DeleteTaskDefinitions", arn)).collect())
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: DeleteTaskDefinitions,
    ) -> Result<DeleteTaskDefinitionsOutput, Fault> {
        if input.task_definitions.len() > 10 {
            return Err(Error::Invalid("At most 10 task definitions can be deleted at once.".into()).into());
        }
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for text in &input.task_definitions {
            let from = ["INACTIVE", "DELETE_IN_PROGRESS"];
            match self.set_status(&Scope::of(cx), text, &from, "DELETE_IN_PROGRESS").await {
                Ok(definition) => done.push(definition.body),
                Err(Error::Client(reason)) => failures.push(Failure {
                    arn: Some(text.clone()),
                    reason: Some("INVALID".into()),
                    detail: Some(reason),
                }),
                Err(other) => return Err(other.into()),
            }
        }
        Ok(DeleteTaskDefinitionsOutput { task_definitions: Some(done), failures: Some(failures) })
    }
}

impl Handle<ListTaskDefinitions> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &ListTaskDefinitions) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:ListTaskDefinitions", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListTaskDefinitions) -> Result<ListTaskDefinitionsOutput, Fault> {
        let scope = Scope::of(cx);
        let prefix = match &input.family_prefix {
            Some(family) => scope.key().text(family),
            None => scope.key(),
        };
        let status = input.status.as_deref().unwrap_or("ACTIVE");
        let down = input.sort.as_deref() == Some("DESC");
        let mut rows = self.store.all::<Definition>(prefix).await.map_err(Error::from)?;
        rows.retain(|row| row.value.body.status.as_deref() == Some(status));
        if down {
            rows.reverse();
        }
        let list = format!("ListTaskDefinitions/{down}/{status}");
        let arns: Vec<String> = rows.iter().map(|row| row.value.arn().to_owned()).collect();
        let (task_definition_arns, next_token) =
            super::page(&list, arns, input.max_results, input.next_token.as_deref())?;
        Ok(ListTaskDefinitionsOutput { task_definition_arns: Some(task_definition_arns), next_token })
    }
}

impl Handle<ListTaskDefinitionFamilies> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &ListTaskDefinitionFamilies) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:ListTaskDefinitionFamilies", "*")])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: ListTaskDefinitionFamilies,
    ) -> Result<ListTaskDefinitionFamiliesOutput, Fault> {
        let scope = Scope::of(cx);
        let prefix = scope.key().starting(input.family_prefix.as_deref().unwrap_or_default());
        let rows = self.store.all::<Definition>(prefix).await.map_err(Error::from)?;
        let status = input.status.as_deref().unwrap_or("ACTIVE");
        let mut families: Vec<(String, bool)> = Vec::new();
        for row in rows {
            let (family, active) = (row.key.part(2), row.value.active());
            match families.last_mut() {
                Some((last, any)) if *last == family => *any |= active,
                _ => families.push((family, active)),
            }
        }
        let wanted = |active: bool| match status {
            "ACTIVE" => active,
            "INACTIVE" => !active,
            _ => true,
        };
        let names: Vec<String> =
            families.into_iter().filter(|(_, active)| wanted(*active)).map(|(name, _)| name).collect();
        let list = format!("ListTaskDefinitionFamilies/{status}");
        let (families, next_token) =
            super::page(&list, names, input.max_results, input.next_token.as_deref())?;
        Ok(ListTaskDefinitionFamiliesOutput { families: Some(families), next_token })
    }
}
