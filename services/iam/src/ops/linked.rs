//! Roles that services make for themselves.
use api::iam::*;
use kernel::{Cx, ids};
use serde_json::json;
use store::Batch;

use crate::entities::missing;
use crate::managed;
use crate::records::{self, Entity, Held, Tags};
use crate::{Error, Iam};

/// Services whose role's name is not simply their own, with AWS's spelling.
const NAMES: &[(&str, &str)] = &[
    ("autoscaling.amazonaws.com", "AutoScaling"),
    ("codebuild.amazonaws.com", "CodeBuild"),
    ("codedeploy.amazonaws.com", "CodeDeploy"),
    ("codestar-notifications.amazonaws.com", "CodeStarNotifications"),
    ("ecs.amazonaws.com", "ECS"),
    ("ecs.application-autoscaling.amazonaws.com", "ApplicationAutoScaling_ECSService"),
    ("elasticloadbalancing.amazonaws.com", "ElasticLoadBalancing"),
    ("replication.ecr.amazonaws.com", "ECRReplication"),
    ("spot.amazonaws.com", "EC2Spot"),
];

fn name_of(service: &str) -> Option<String> {
    let (_, name) = NAMES.iter().find(|(known, _)| *known == service)?;
    Some(format!("AWSServiceRoleFor{name}"))
}

/// The ARN that the service's role has or would have.
pub fn arn_of(account: &str, service: &str) -> String {
    let name = name_of(service).unwrap_or_else(|| "AWSServiceRoleFor*".into());
    records::arn::<records::Role>(account, &format!("/aws-service-role/{service}/"), &name)
}

impl Iam {
    pub(super) async fn create_linked_role(
        &self,
        cx: &Cx,
        input: CreateServiceLinkedRole,
    ) -> Result<CreateServiceLinkedRoleOutput, Error> {
        let service = &input.aws_service_name;
        let Some(name) = name_of(service) else {
            return Err(Error::InvalidInput(format!(
                "Service {service} is not one that has a service-linked role here"
            )));
        };
        if input.custom_suffix.is_some() {
            return Err(Error::InvalidInput(format!("Custom suffix is not allowed for {service}")));
        }
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        });
        let policy = managed::arn("/aws-service-role/", &format!("Amazon{}ServiceRolePolicy", &name[17..]));
        let attached = managed::get(&policy).map(|_| policy).into_iter().collect();
        let role = records::Role {
            identity: self.identity(
                &name,
                Some(format!("/aws-service-role/{service}/")),
                "AROA",
                Tags::new(),
            ),
            held: Held { attached, ..Held::default() },
            trust: trust.to_string(),
            description: input.description,
            max_session: 3600,
            linked: true,
        };
        match self.create(cx.account(), &role).await {
            Err(Error::EntityAlreadyExists(_)) => Err(Error::InvalidInput(format!(
                "Service role name {name} has been taken in this account, please try a different suffix."
            ))),
            Err(error) => Err(error),
            Ok(()) => Ok(CreateServiceLinkedRoleOutput { role: Some(role.out(cx.account())) }),
        }
    }

    pub(super) async fn delete_linked_role(
        &self,
        cx: &Cx,
        input: DeleteServiceLinkedRole,
    ) -> Result<DeleteServiceLinkedRoleOutput, Error> {
        let row = self.get::<records::Role>(cx.account(), &input.role_name).await?;
        if !row.value.linked {
            return Err(missing::<records::Role>(&input.role_name));
        }
        self.commit(Batch::new().remove(&row)).await?;
        let path = &row.value.identity.path;
        let task = format!("task{path}{}/{}", row.value.identity().name, ids::uuid(&*self.entropy));
        Ok(DeleteServiceLinkedRoleOutput { deletion_task_id: task })
    }

    /// Deleting is done when it is answered: a task is over unless its role was made anew meanwhile.
    pub(super) async fn linked_role_deletion(
        &self,
        _: &Cx,
        input: GetServiceLinkedRoleDeletionStatus,
    ) -> Result<GetServiceLinkedRoleDeletionStatusOutput, Error> {
        let task = &input.deletion_task_id;
        if !task.starts_with("task/aws-service-role/") {
            return Err(Error::NoSuchEntity(format!("Deletion Task {task} cannot be found.")));
        }
        Ok(GetServiceLinkedRoleDeletionStatusOutput { status: "SUCCEEDED".into(), reason: None })
    }
}
