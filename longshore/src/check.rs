//! `longshore check`: whether a data folder says the same in all places. It needs the folder to itself.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::process::ExitCode;

use store::Store;

use crate::cli::Data;
use crate::exit::Exit;

/// Prints what does not fit, a line each; the status is 1 then.
pub async fn run(data: &Data) -> Result<ExitCode, Exit> {
    if !data.dir.is_dir() {
        return Err(Exit::data(format!("there is no folder {}", data.dir.display())));
    }
    let store = Store::open(&data.dir).await.map_err(|error| match error {
        store::Error::Held(_) => Exit::held(format!("{error}; end the server first")),
        other => Exit::data(format!("cannot use {}: {other}", data.dir.display())),
    })?;
    let found = codepipeline::verify(&store).await;
    store.close().await;
    let wrong = found.map_err(|error| Exit::data(format!("cannot be read: {error}")))?;
    wrong.iter().for_each(|what| println!("{what}"));
    if wrong.is_empty() {
        println!("the logs of all pipelines add up to what is stored");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
