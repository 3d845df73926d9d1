//! The jobs of partners' actions. They are known by client id and token: the client is the account, and the token is
//! the one that the action is configured with.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};

use super::jobs::{any, batch, failure, poll, revision, shown};
use crate::CodePipeline;
use crate::error::Error;
use crate::jobs::{self, Success, THIRD_PARTY};

impl CodePipeline {
    async fn partner_poll(
        &self,
        cx: &Cx,
        input: &cp::PollForThirdPartyJobs,
    ) -> Result<Vec<cp::ThirdPartyJob>, Error> {
        let most = batch(input.max_batch_size);
        let (id, none) = (&input.action_type_id, BTreeMap::new());
        let mut given = Vec::new();
        for mut row in jobs::offered(&self.desk, cx, THIRD_PARTY, id, &none, most).await? {
            if jobs::dispatch(&self.desk, &mut row).await?.is_some() {
                let job_id = Some(row.key.last());
                given.push(cp::ThirdPartyJob { client_id: Some(cx.account().into()), job_id });
            }
        }
        Ok(given)
    }

    async fn partner_details(
        &self,
        cx: &Cx,
        id: &str,
        token: &str,
    ) -> Result<cp::ThirdPartyJobDetails, Error> {
        let row = jobs::partner(&self.desk, cx, id, token).await?;
        let data = jobs::worker_data(&self.desk, cx, id, &row.value).await?;
        Ok(cp::ThirdPartyJobDetails {
            id: Some(id.into()),
            data: Some(jobs::partner_data(data)),
            nonce: row.value.nonce().map(str::to_owned),
        })
    }
}

impl Handle<cp::PollForThirdPartyJobs> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::PollForThirdPartyJobs) -> Result<Vec<Access>, Fault> {
        Ok(poll(cx, "codepipeline:PollForThirdPartyJobs", &input.action_type_id))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::PollForThirdPartyJobs,
    ) -> Result<cp::PollForThirdPartyJobsOutput, Fault> {
        Ok(cp::PollForThirdPartyJobsOutput { jobs: Some(self.partner_poll(cx, &input).await?) })
    }
}

impl Handle<cp::GetThirdPartyJobDetails> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::GetThirdPartyJobDetails) -> Result<Vec<Access>, Fault> {
        any("codepipeline:GetThirdPartyJobDetails")
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::GetThirdPartyJobDetails,
    ) -> Result<cp::GetThirdPartyJobDetailsOutput, Fault> {
        let details = self.partner_details(cx, &input.job_id, &input.client_token).await?;
        Ok(cp::GetThirdPartyJobDetailsOutput { job_details: Some(details) })
    }
}

impl Handle<cp::AcknowledgeThirdPartyJob> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::AcknowledgeThirdPartyJob) -> Result<Vec<Access>, Fault> {
        any("codepipeline:AcknowledgeThirdPartyJob")
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::AcknowledgeThirdPartyJob,
    ) -> Result<cp::AcknowledgeThirdPartyJobOutput, Fault> {
        let row = jobs::partner(&self.desk, cx, &input.job_id, &input.client_token).await?;
        let status = jobs::acknowledge(&self.desk, row, &input.nonce).await?;
        Ok(cp::AcknowledgeThirdPartyJobOutput { status: Some(status) })
    }
}

impl Handle<cp::PutThirdPartyJobSuccessResult> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::PutThirdPartyJobSuccessResult) -> Result<Vec<Access>, Fault> {
        any("codepipeline:PutThirdPartyJobSuccessResult")
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::PutThirdPartyJobSuccessResult,
    ) -> Result<cp::PutThirdPartyJobSuccessResultOutput, Fault> {
        let row = jobs::partner(&self.desk, cx, &input.job_id, &input.client_token).await?;
        let success = Success {
            progress: shown(input.execution_details),
            continuation: input.continuation_token,
            revision: revision(input.current_revision),
            variables: BTreeMap::new(),
        };
        jobs::succeed(&self.desk, cx, &input.job_id, row, success).await?;
        Ok(cp::PutThirdPartyJobSuccessResultOutput::default())
    }
}

impl Handle<cp::PutThirdPartyJobFailureResult> for CodePipeline {
    async fn access(&self, _: &Cx, _: &cp::PutThirdPartyJobFailureResult) -> Result<Vec<Access>, Fault> {
        any("codepipeline:PutThirdPartyJobFailureResult")
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::PutThirdPartyJobFailureResult,
    ) -> Result<cp::PutThirdPartyJobFailureResultOutput, Fault> {
        let row = jobs::partner(&self.desk, cx, &input.job_id, &input.client_token).await?;
        jobs::fail(&self.desk, cx, &input.job_id, row, failure(input.failure_details)).await?;
        Ok(cp::PutThirdPartyJobFailureResultOutput::default())
    }
}
