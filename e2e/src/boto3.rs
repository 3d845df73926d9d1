//! boto3 in a process that stays: for questions that a test asks again and again, since a CLI needs a second of
//! processor time to start, which the build that is waited for would lack.
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The process; it ends with this.
#[derive(Debug)]
pub(crate) struct Boto3 {
    child: Child,
    asked: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
}

impl Boto3 {
    /// Starts it by a client's `python`.
    pub(crate) fn start(mut python: Command) -> io::Result<Self> {
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (asked, told) = pipes.ok_or_else(|| io::Error::other("no pipes"))?;
        Ok(Self { child, asked: Some(asked), told: BufReader::new(told) })
    }

    /// One call; the error is boto3's, in words.
    pub(crate) fn call(
        &mut self,
        service: &str,
        operation: &str,
        parameters: &Value,
    ) -> io::Result<Result<Value, String>> {
        let asked = self.asked.as_mut().ok_or_else(|| io::Error::other("it has ended"))?;
        writeln!(asked, "{}", json!({"service": service, "operation": operation, "parameters": parameters}))?;
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        let mut told: Value = serde_json::from_str(&line)?;
        Ok(match told.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(told["answer"].take()),
        })
    }
}

impl Drop for Boto3 {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.asked.take());
        drop(self.child.wait());
    }
}
