//! Invoke Lambda: a function that is reached over HTTP gets the job, and answers it with PutJobSuccessResult or
//! PutJobFailureResult. Which functions there are says the server's configuration.
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kernel::{Access, Arn, Fut};
use serde_json::json;

use super::{Action, Failed};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::Output;
use crate::job::Job;
use crate::jobs::{self, JobRow, Standing, TypeRow, Watch};
use crate::limits;

/// The type. Every call of the function has its own limit; this is for all of them together.
pub static TYPE: ActionType = ActionType {
    category: "Invoke",
    provider: "Lambda",
    inputs: 0..=5,
    outputs: 0..=5,
    timeout: 24 * 60,
    timeout_key: None,
    properties: &[required("FunctionName", Form::Text), optional("UserParameters", Form::Text)],
    check: anything,
    carrier: Carrier::Provider(&Lambda),
};

/// Functions by name.
pub type Functions = BTreeMap<String, Function>;

/// Between tries to call a function.
const BACKOFF: Duration = Duration::from_secs(1);

/// A function.
#[derive(Clone, Debug)]
pub struct Function(Uri);

impl Function {
    /// One that is called at an address as in `http://127.0.0.1:9000/2015-03-31/functions/function/invocations`.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn at(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("'{url}' is no URL: {error}"))?;
        match uri.scheme_str() == Some("http") && uri.host().is_some() {
            true => Ok(Self(uri)),
            false => Err(format!("'{url}' must begin with http:// and have a host; https is not served")),
        }
    }
}

struct Lambda;

impl Action for Lambda {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(async move { invoke(job, job.need("FunctionName")?, None).await })
    }
}

/// Calls a function, by name or ARN, for the run's job until the job is done. Its result ends the run: this ends only
/// with a failure. `kind` is a partner's type that says by which function its actions are carried out.
pub async fn invoke(job: &Job, function: &str, kind: Option<&TypeRow>) -> Result<Output, Failed> {
    let name = name(function);
    let arn = Arn::new("lambda", job.region(), job.account(), format!("function:{name}")).to_string();
    job.cx.authorize(&[Access::new("lambda:InvokeFunction", arn)]).await?;
    let unknown = || {
        let message = format!(
            "The function '{name}' is not configured: give the server's configuration lambda.functions.{name}.url"
        );
        Failed::new("ConfigurationError", message)
    };
    let at = job.desk.functions.get(name).ok_or_else(unknown)?.clone();
    let limit = kind.and_then(TypeRow::job_timeout).unwrap_or(limits::FUNCTION_ANSWER);
    jobs::open(job, kind, Standing::Queued { from: job.desk.now().as_millisecond() }).await?;
    loop {
        jobs::due(job).await?;
        let row = jobs::begin(job).await?;
        // In a task of its own: a function is not hung up on because it has answered.
        let mut called = tokio::spawn(call(at.clone(), request(job, &row).await?));
        let watched = jobs::watch(job, limit);
        tokio::pin!(watched);
        let watched = tokio::select! {
            watched = &mut watched => watched?,
            called = &mut called => match called {
                Ok(Ok(())) => watched.await?,
                Ok(Err(why)) => {
                    let message = format!("The function '{name}' could not be invoked: {why}");
                    return Err(Failed::new("JobFailed", message));
                }
                Err(broken) => return Err(Failed::from(kernel::Fault::internal(broken))),
            },
        };
        if let Watch::Late = watched {
            let message =
                format!("The function '{name}' did not return a result within {} minutes", limit / 60_000);
            return Err(Failed::new("JobFailed", message));
        }
    }
}

/// The name of a function that is given by name or by ARN, with or without a qualifier.
fn name(function: &str) -> &str {
    let name = match function.starts_with("arn:") {
        true => function.splitn(7, ':').nth(6).unwrap_or_default(),
        false => function,
    };
    name.split(':').next().unwrap_or_default()
}

/// One call of a function.
struct Call {
    /// The same for each try, and after a restart: by it a function knows that it has seen a job.
    token: String,
    body: Bytes,
}

async fn request(job: &Job, row: &JobRow) -> Result<Call, Failed> {
    let mut data = jobs::worker_data(&job.desk, &job.cx, job.id(), row).await.map_err(crate::Error::fault)?;
    data.pipeline_context = None;
    let event = json!({
        "CodePipeline.job": {"id": job.id(), "accountId": job.account(), "data": kernel::json::to_value(&data)},
    });
    let turn = row.work.as_ref().map_or(0, |work| work.turn);
    Ok(Call { token: format!("{}/{turn}", job.id()), body: Bytes::from(event.to_string()) })
}

/// Calls a function, several times if it must be.
async fn call(function: Function, call: Call) -> Result<(), String> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut delay = BACKOFF;
    for last in (0..limits::FUNCTION_TRIES).rev() {
        let request = Request::post(function.0.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-amz-invocation-type", "Event")
            .header("x-longshore-job", &call.token)
            .body(Full::new(call.body.clone()))
            .map_err(|error| error.to_string())?;
        let answer =
            tokio::time::timeout(Duration::from_millis(limits::FUNCTION_CALL), client.request(request));
        let why = match answer.await {
            Ok(Ok(answer)) if answer.status().is_success() => {
                if !answer.headers().contains_key("x-amz-function-error") {
                    return Ok(());
                }
                "it ended with an error".to_owned()
            }
            Ok(Ok(answer)) => format!("it answered {}", answer.status()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not answer the call".to_owned(),
        };
        if last == 0 {
            return Err(why);
        }
        tokio::time::sleep(delay).await;
        delay *= 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_known_by_name() {
        assert_eq!(name("smoke"), "smoke");
        assert_eq!(name("smoke:live"), "smoke");
        assert_eq!(name("arn:aws:lambda:us-east-1:000000000000:function:smoke"), "smoke");
        assert_eq!(name("arn:aws:lambda:us-east-1:000000000000:function:smoke:7"), "smoke");
        assert!(Function::at("http://localhost:9000/x").is_ok());
        assert!(Function::at("https://localhost").unwrap_err().contains("http://"));
        assert!(Function::at("/x").unwrap_err().contains("http://"));
    }
}
