//! What a worker is given: what to do, where the artifacts are, and credentials that reach exactly these.
use api::codepipeline as cp;
use api::sts::AssumeRole;
use kernel::{Cx, Fault};
use serde_json::json;

use super::JobRow;
use super::row::{Given, Work};
use crate::desk::Desk;
use crate::error::Error;
use crate::job::PRINCIPAL;
use crate::records::Place;
use crate::secrets;

/// Where the pipeline of a job is.
pub fn place(account: &str, region: &str, row: &JobRow) -> Place {
    let (account, region) = (account.to_owned(), region.to_owned());
    Place { account, region, name: row.pipeline.clone(), uid: row.uid.clone() }
}

/// As job workers and functions get it. `id` is the job's; `cx` is whoever asks, in whose account the job is.
pub async fn worker_data(desk: &Desk, cx: &Cx, id: &str, row: &JobRow) -> Result<cp::JobData, Error> {
    let work = row.work.as_ref().ok_or_else(|| Error::JobNotFound(id.into()))?;
    let place = place(cx.account(), &cx.region, row);
    let configuration = work.configuration.clone();
    let configuration = secrets::opened(configuration, &desk.sealer, &place, &work.stage, &work.action)?;
    let artifacts = |all: &[Given]| Some(all.iter().map(artifact).collect());
    Ok(cp::JobData {
        action_type_id: Some(work.kind.clone()),
        action_configuration: Some(cp::ActionConfiguration { configuration: Some(configuration) }),
        pipeline_context: Some(cp::PipelineContext {
            pipeline_name: Some(row.pipeline.clone()),
            stage: Some(cp::StageContext { name: Some(work.stage.clone()) }),
            action: Some(cp::ActionContext {
                name: Some(work.action.clone()),
                action_execution_id: Some(id.into()),
            }),
            pipeline_arn: Some(place.arn()),
            pipeline_execution_id: Some(work.execution.clone()),
        }),
        input_artifacts: artifacts(&work.inputs),
        output_artifacts: artifacts(&work.outputs),
        artifact_credentials: credentials(cx, id, work).await?,
        continuation_token: work.continuation.clone(),
        encryption_key: None,
    })
}

/// The same as partners get it.
pub fn partner_data(data: cp::JobData) -> cp::ThirdPartyJobData {
    let context = data.pipeline_context.map(|context| cp::PipelineContext {
        pipeline_arn: None,
        pipeline_execution_id: None,
        ..context
    });
    cp::ThirdPartyJobData {
        action_type_id: data.action_type_id,
        action_configuration: data.action_configuration,
        pipeline_context: context,
        input_artifacts: data.input_artifacts,
        output_artifacts: data.output_artifacts,
        artifact_credentials: data.artifact_credentials,
        continuation_token: data.continuation_token,
        encryption_key: data.encryption_key,
    }
}

fn artifact(given: &Given) -> cp::Artifact {
    cp::Artifact {
        name: Some(given.name.clone()),
        revision: given.revision.clone(),
        location: Some(cp::ArtifactLocation {
            r#type: Some("S3".into()),
            s3_location: Some(cp::S3ArtifactLocation {
                bucket_name: given.at.bucket.clone(),
                object_key: given.at.key.clone(),
            }),
        }),
    }
}

/// Temporary credentials of the action's role, narrowed to the artifacts; none where there are none.
async fn credentials(cx: &Cx, id: &str, work: &Work) -> Result<Option<cp::AWSSessionCredentials>, Error> {
    let Some(policy) = policy(work) else { return Ok(None) };
    let given = match &work.through {
        None => {
            let given = cx.authority().issue(PRINCIPAL, &work.role, id, Some(&policy)).await?;
            (given.access_key_id, given.secret_access_key, given.session_token)
        }
        Some(through) => {
            let service = cx.as_service(PRINCIPAL).as_role(PRINCIPAL, through, id).await?;
            let asked = AssumeRole {
                role_arn: work.role.clone(),
                role_session_name: id.into(),
                policy: Some(policy),
                ..Default::default()
            };
            let answer = service.call(asked).await?.credentials;
            let given = answer.ok_or_else(|| Fault::internal("AssumeRole answered no credentials"))?;
            (given.access_key_id, given.secret_access_key, given.session_token)
        }
    };
    let (access_key_id, secret_access_key, session_token) = given;
    Ok(Some(cp::AWSSessionCredentials { access_key_id, secret_access_key, session_token }))
}

/// Inputs are read, outputs are written, nothing else.
fn policy(work: &Work) -> Option<String> {
    let arns = |all: &[Given]| -> Vec<String> {
        all.iter().map(|given| format!("arn:aws:s3:::{}/{}", given.at.bucket, given.at.key)).collect()
    };
    let statement = |actions: &[&str], resources: Vec<String>| {
        (!resources.is_empty()).then(|| json!({"Effect": "Allow", "Action": actions, "Resource": resources}))
    };
    // A multipart upload is put part by part under PutObject; a worker that gives up may take its parts away.
    let statements = [
        statement(&["s3:GetObject", "s3:GetObjectVersion"], arns(&work.inputs)),
        statement(&["s3:PutObject", "s3:AbortMultipartUpload"], arns(&work.outputs)),
    ];
    let statements: Vec<_> = statements.into_iter().flatten().collect();
    (!statements.is_empty()).then(|| json!({"Version": "2012-10-17", "Statement": statements}).to_string())
}
