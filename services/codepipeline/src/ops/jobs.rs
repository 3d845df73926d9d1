//! The jobs of custom actions, as job workers call for them.
use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};

use crate::CodePipeline;
use crate::engine::{self, Progress, Revision};
use crate::error::Error;
use crate::jobs::{self, CUSTOM, Failure, JobRow, Success};
use crate::limits;

/// The permission to poll for jobs of a type.
pub(super) fn poll(cx: &Cx, action: &'static str, id: &cp::ActionTypeId) -> Vec<Access> {
    vec![Access::new(action, jobs::type_arn(cx.account(), &cx.region, id))]
}

/// AWS knows no resource for what concerns a single job.
pub(super) fn any(action: &'static str) -> Result<Vec<Access>, Fault> {
    Ok(vec![Access::new(action, "*")])
}

/// How many jobs a poll answers.
pub(super) fn batch(asked: Option<i32>) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(1).clamp(1, limits::JOBS_PER_POLL)
}

/// What a worker says of its work.
pub(super) fn shown(details: Option<cp::ExecutionDetails>) -> Progress {
    let details = details.unwrap_or_default();
    Progress {
        summary: details.summary,
        external_id: details.external_execution_id,
        percent: details.percent_complete,
        ..Progress::default()
    }
}

/// What a worker says of a source's revision.
pub(super) fn revision(current: Option<cp::CurrentRevision>) -> Option<Revision> {
    current.map(|current| Revision {
        id: current.revision,
        change: Some(current.change_identifier),
        summary: current.revision_summary,
        // Its type says where: see the result.
        url: None,
        created: current.created.map(|at| at.as_millisecond()),
    })
}

/// What a worker says of a failure.
pub(super) fn failure(details: cp::FailureDetails) -> Failure {
    let cp::FailureDetails { r#type, message, external_execution_id } = details;
    let failure = engine::Failure { code: r#type, message: limits::cut(&message) };
    Failure { failure, external_id: external_execution_id }
}

impl CodePipeline {
    /// A job of a custom action, or of a function.
    async fn job(&self, cx: &Cx, id: &str) -> Result<store::Row<JobRow>, Error> {
        let row = jobs::find(&self.desk, cx, id).await?;
        let partners = row.value.work.as_ref().is_some_and(|work| work.kind.owner == jobs::THIRD_PARTY);
        if partners { Err(Error::JobNotFound(id.into())) } else { Ok(row) }
    }

    async fn poll(&self, cx: &Cx, input: cp::PollForJobs) -> Result<Vec<cp::Job>, Error> {
        let (id, query) = (&input.action_type_id, input.query_param.unwrap_or_default());
        let most = batch(input.max_batch_size);
        let mut given = Vec::new();
        for mut row in jobs::offered(&self.desk, cx, CUSTOM, id, &query, most).await? {
            let job = row.key.last();
            let data = match jobs::worker_data(&self.desk, cx, &job, &row.value).await {
                Ok(data) => data,
                // One job's role must not keep the others from the worker.
                Err(Error::Fault(fault)) if fault.status < 500 => {
                    jobs::withdraw(&self.desk, cx, &job, &row.value, &fault.message).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(nonce) = jobs::dispatch(&self.desk, &mut row).await? {
                given.push(cp::Job {
                    id: Some(job),
                    data: Some(data),
                    nonce: Some(nonce),
                    account_id: Some(cx.account().into()),
                });
            }
        }
        Ok(given)
    }

    async fn details(&self, cx: &Cx, id: &str) -> Result<cp::JobDetails, Error> {
        let row = self.job(cx, id).await?;
        let data = jobs::worker_data(&self.desk, cx, id, &row.value).await?;
        Ok(cp::JobDetails { id: Some(id.into()), data: Some(data), account_id: Some(cx.account().into()) })
    }
}

impl Handle<cp::PollForJobs> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::PollForJobs) -> Result<Vec<Access>, Fault> {
        Ok(poll(cx, "codepipeline:PollForJobs", &input.action_type_id))
    }

    async fn handle(&self, cx: &Cx, input: cp::PollForJobs) -> Result<cp::PollForJobsOutput, Fault> {
        Ok(cp::PollForJobsOutput { jobs: Some(CodePipeline::poll(self, cx, input).await?) })
    }
}

impl Handle<cp::AcknowledgeJob> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::AcknowledgeJob) -> Result<Vec<Access>, Fault> {
        any("codepipeline:AcknowledgeJob")
    }

    async fn handle(&self, cx: &Cx, input: cp::AcknowledgeJob) -> Result<cp::AcknowledgeJobOutput, Fault> {
        let row = self.job(cx, &input.job_id).await?;
        let status = jobs::acknowledge(&self.desk, row, &input.nonce).await?;
        Ok(cp::AcknowledgeJobOutput { status: Some(status) })
    }
}

impl Handle<cp::GetJobDetails> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::GetJobDetails) -> Result<Vec<Access>, Fault> {
        any("codepipeline:GetJobDetails")
    }

    async fn handle(&self, cx: &Cx, input: cp::GetJobDetails) -> Result<cp::GetJobDetailsOutput, Fault> {
        Ok(cp::GetJobDetailsOutput { job_details: Some(self.details(cx, &input.job_id).await?) })
    }
}

impl Handle<cp::PutJobSuccessResult> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::PutJobSuccessResult) -> Result<Vec<Access>, Fault> {
        any("codepipeline:PutJobSuccessResult")
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::PutJobSuccessResult,
    ) -> Result<cp::PutJobSuccessResultOutput, Fault> {
        let row = self.job(cx, &input.job_id).await?;
        let success = Success {
            progress: shown(input.execution_details),
            continuation: input.continuation_token,
            revision: revision(input.current_revision),
            variables: input.output_variables.unwrap_or_default(),
        };
        jobs::succeed(&self.desk, cx, &input.job_id, row, success).await?;
        Ok(cp::PutJobSuccessResultOutput::default())
    }
}

impl Handle<cp::PutJobFailureResult> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::PutJobFailureResult) -> Result<Vec<Access>, Fault> {
        any("codepipeline:PutJobFailureResult")
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::PutJobFailureResult,
    ) -> Result<cp::PutJobFailureResultOutput, Fault> {
        let row = self.job(cx, &input.job_id).await?;
        jobs::fail(&self.desk, cx, &input.job_id, row, failure(input.failure_details)).await?;
        Ok(cp::PutJobFailureResultOutput::default())
    }
}
