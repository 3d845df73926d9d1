//! CodePipeline's errors: one enum, one match that gives AWS's codes.
use kernel::Fault;

use crate::limits;

/// What an operation of CodePipeline answers instead of its output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that the model allows and the service does not.
    #[error("{0}")]
    Validation(String),
    /// No pipeline of that name.
    #[error("Account '{account}' does not have a pipeline with name '{name}'")]
    PipelineNotFound {
        /// The account asked.
        account: String,
        /// The name asked for.
        name: String,
    },
    /// The pipeline never had that version.
    #[error("Pipeline '{name}' does not have a version {version}")]
    PipelineVersionNotFound {
        /// The pipeline.
        name: String,
        /// The version asked for.
        version: i32,
    },
    /// The name is taken.
    #[error("A pipeline with the name '{0}' already exists in this account and Region")]
    PipelineNameInUse(String),
    /// The pipeline as a whole breaks a rule.
    #[error("{0}")]
    InvalidStructure(String),
    /// A stage breaks a rule.
    #[error("{0}")]
    InvalidStage(String),
    /// An action breaks a rule.
    #[error("{0}")]
    InvalidAction(String),
    /// Blockers are reserved.
    #[error("{0}")]
    InvalidBlocker(String),
    /// A quota.
    #[error("{0}")]
    LimitExceeded(String),
    /// Too many tags.
    #[error("{0}")]
    TooManyTags(String),
    /// Tags that break a rule.
    #[error("{0}")]
    InvalidTags(String),
    /// The ARN names no pipeline of this account and Region.
    #[error("'{0}' is not the ARN of a pipeline or webhook of this account and Region")]
    InvalidArn(String),
    /// Nothing has this ARN.
    #[error("Nothing has the ARN '{0}'")]
    ResourceNotFound(String),
    /// The token is not one that this operation gave.
    #[error("The nextToken was not given by this operation, or its request had other parameters")]
    InvalidNextToken,
    /// No such execution.
    #[error("Pipeline '{pipeline}' does not have an execution with id '{id}'")]
    ExecutionNotFound {
        /// The pipeline.
        pipeline: String,
        /// The id asked for.
        id: String,
    },
    /// No such run of an action.
    #[error("There is no action execution with id '{0}'")]
    ActionExecutionNotFound(String),
    /// The execution has ended.
    #[error("Pipeline execution '{0}' has ended and cannot be stopped")]
    NotStoppable(String),
    /// Already stopping.
    #[error(
        "Pipeline execution '{0}' is stopping already; request abandon to stop without waiting for its actions"
    )]
    DuplicatedStop(String),
    /// No such stage.
    #[error("The pipeline does not have a stage named '{0}'")]
    StageNotFound(String),
    /// No such action.
    #[error("Stage '{stage}' does not have an {what} named '{action}'")]
    ActionNotFound {
        /// The stage.
        stage: String,
        /// What was looked for, as in `approval action`.
        what: &'static str,
        /// The name asked for.
        action: String,
    },
    /// The stage cannot be retried.
    #[error("Stage '{stage}' cannot be retried: {why}")]
    NotRetryable {
        /// The stage.
        stage: String,
        /// What forbids it.
        why: String,
    },
    /// The stage cannot be rolled back to that execution, or not now.
    #[error("Stage '{stage}' cannot be rolled back: {why}")]
    UnableToRollback {
        /// The stage.
        stage: String,
        /// What forbids it.
        why: String,
    },
    /// The rollback's target ran another version of the pipeline.
    #[error(
        "Pipeline execution '{id}' ran version {version} of the pipeline, which has been updated since: roll back to an execution of the current version"
    )]
    ExecutionOutdated {
        /// The execution.
        id: String,
        /// Its version.
        version: i32,
    },
    /// The condition cannot be overridden.
    #[error("The {condition} condition of stage '{stage}' cannot be overridden: {why}")]
    ConditionNotOverridable {
        /// The stage.
        stage: String,
        /// Which condition.
        condition: &'static str,
        /// What forbids it.
        why: String,
    },
    /// Another execution has entered the stage since.
    #[error(
        "Pipeline execution '{0}' is not the latest in this stage: only that one can be retried or let pass"
    )]
    NotLatest(String),
    /// QUEUED and PARALLEL pipelines have a limit.
    #[error("The pipeline has {0} executions in progress, the most that its execution mode allows")]
    TooManyExecutions(usize),
    /// The approval's token is of another run.
    #[error(
        "The approval token does not belong to a pending run of this action; get-pipeline-state shows its token"
    )]
    InvalidApprovalToken,
    /// Decided before.
    #[error("The approval action '{0}' has already been approved or rejected, or has timed out")]
    ApprovalAlreadyCompleted(String),
    /// No such action type, or not for this operation.
    #[error("There is no action type '{0}' here")]
    ActionTypeNotFound(String),
    /// An action type cannot be made as asked.
    #[error("{0}")]
    RequestFailed(String),
    /// No such job.
    #[error("There is no job with the id '{0}'")]
    JobNotFound(String),
    /// The nonce is of an earlier offer, or of none.
    #[error("The nonce is not the one that the job was last offered with; poll for jobs again")]
    InvalidNonce,
    /// Nobody works on the job.
    #[error("The job '{id}' has the status {status}: results are taken of jobs that are InProgress")]
    InvalidJobState {
        /// The job.
        id: String,
        /// Its status.
        status: String,
    },
    /// A partner's worker did not prove itself.
    #[error("The clientToken is not the one that the action of this job is configured with")]
    InvalidClientToken,
    /// More than an action may give.
    #[error("The output variables have {0} bytes, and {most} are allowed", most = limits::OUTPUT_VARIABLES)]
    OutputVariablesTooLarge(usize),
    /// No such webhook.
    #[error("No webhook is named '{0}' in this account and Region")]
    WebhookNotFound(String),
    /// A webhook's filter cannot be evaluated.
    #[error("{0}")]
    InvalidWebhookFilter(String),
    /// A webhook's authentication and its configuration do not fit.
    #[error("{0}")]
    InvalidWebhookAuthentication(String),
    /// Another request for the same thing is under way, with other parameters.
    #[error("{0}")]
    Conflict(String),
    /// Another writer kept getting ahead.
    #[error("The pipeline is being changed by other requests; try again")]
    ConcurrentModification,
    /// An error of another service, or of the platform.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    fn code(&self) -> (&'static str, u16) {
        let code = match self {
            Self::Validation(_) => "ValidationException",
            Self::PipelineNotFound { .. } => "PipelineNotFoundException",
            Self::PipelineVersionNotFound { .. } => "PipelineVersionNotFoundException",
            Self::PipelineNameInUse(_) => "PipelineNameInUseException",
            Self::InvalidStructure(_) => "InvalidStructureException",
            Self::InvalidStage(_) => "InvalidStageDeclarationException",
            Self::InvalidAction(_) => "InvalidActionDeclarationException",
            Self::InvalidBlocker(_) => "InvalidBlockerDeclarationException",
            Self::LimitExceeded(_) => "LimitExceededException",
            Self::TooManyTags(_) => "TooManyTagsException",
            Self::InvalidTags(_) => "InvalidTagsException",
            Self::InvalidArn(_) => "InvalidArnException",
            Self::ResourceNotFound(_) => "ResourceNotFoundException",
            Self::InvalidNextToken => "InvalidNextTokenException",
            Self::ExecutionNotFound { .. } => "PipelineExecutionNotFoundException",
            Self::ActionExecutionNotFound(_) => "ActionExecutionNotFoundException",
            Self::NotStoppable(_) => "PipelineExecutionNotStoppableException",
            Self::DuplicatedStop(_) => "DuplicatedStopRequestException",
            Self::StageNotFound(_) => "StageNotFoundException",
            Self::ActionNotFound { .. } => "ActionNotFoundException",
            Self::NotRetryable { .. } => "StageNotRetryableException",
            Self::UnableToRollback { .. } => "UnableToRollbackStageException",
            Self::ExecutionOutdated { .. } => "PipelineExecutionOutdatedException",
            Self::ConditionNotOverridable { .. } => "ConditionNotOverridableException",
            Self::NotLatest(_) => "NotLatestPipelineExecutionException",
            Self::TooManyExecutions(_) => "ConcurrentPipelineExecutionsLimitExceededException",
            Self::InvalidApprovalToken => "InvalidApprovalTokenException",
            Self::ApprovalAlreadyCompleted(_) => "ApprovalAlreadyCompletedException",
            Self::ActionTypeNotFound(_) => "ActionTypeNotFoundException",
            Self::RequestFailed(_) => "RequestFailedException",
            Self::JobNotFound(_) => "JobNotFoundException",
            Self::InvalidNonce => "InvalidNonceException",
            Self::InvalidJobState { .. } => "InvalidJobStateException",
            Self::InvalidClientToken => "InvalidClientTokenException",
            Self::OutputVariablesTooLarge(_) => "OutputVariablesSizeExceededException",
            Self::WebhookNotFound(_) => "WebhookNotFoundException",
            Self::InvalidWebhookFilter(_) => "InvalidWebhookFilterPatternException",
            Self::InvalidWebhookAuthentication(_) => "InvalidWebhookAuthenticationParametersException",
            Self::Conflict(_) => return ("ConflictException", 409),
            Self::ConcurrentModification => "ConcurrentModificationException",
            Self::Fault(_) | Self::Store(_) => "InternalFailure",
        };
        (code, 400)
    }

    /// As clients see it.
    pub fn fault(self) -> Fault {
        let (code, status) = self.code();
        match self {
            Self::Fault(fault) => fault,
            // The same token with other parameters: AWS has this code for it.
            Self::Store(store::Error::TokenReused) => Self::Conflict(
                "The clientRequestToken was used before with other parameters; use a new one".into(),
            )
            .fault(),
            Self::Store(error) => error.into(),
            error => Fault::new(code, status, error.to_string()),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}
