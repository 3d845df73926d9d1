//! `longshore connect`: what AWS leaves to its console. A connection is told where its repositories are, and shows the
//! webhook that its provider may deliver to.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use crate::cli::Connect;
use crate::client::Client;
use crate::env;
use crate::exit::Exit;

/// Largest file that is read, in bytes.
const FILE: u64 = 32 << 10;

/// Connects if a URL is given, and shows the connection.
pub async fn run(options: &Connect) -> Result<ExitCode, Exit> {
    let client = Client::new(env::Client::load(&options.data))?;
    let id = options.connection.rsplit('/').next().unwrap_or_default();
    let path = format!("/-/connections/{id}");
    let body = match &options.url {
        None => None,
        Some(url) => Some(json!({
            "url": url,
            "username": options.username,
            "token": read(options.token_file.as_deref())?.map(|token| token.trim().to_owned()),
            "sshKey": read(options.ssh_key_file.as_deref())?,
            "knownHosts": read(options.known_hosts_file.as_deref())?,
        })),
    };
    let method = if body.is_some() { Method::PUT } else { Method::GET };
    let shown = client.ask(&api::codeconnections::SERVICE, method, &path, body.as_ref()).await?;
    for (name, member) in [
        ("connection", "connectionArn"),
        ("status", "connectionStatus"),
        ("repositories", "url"),
        ("webhook url", "webhookUrl"),
        ("webhook secret", "webhookSecret"),
    ] {
        if let Some(value) = shown.get(member).and_then(Value::as_str) {
            println!("{name:<16}{value}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: Option<&Path>) -> Result<Option<String>, Exit> {
    let Some(path) = path else { return Ok(None) };
    let wrong = |e: &dyn std::fmt::Display| Exit::configuration(format!("{}: {e}", path.display()));
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(|e| wrong(&e))?),
    };
    let mut text = String::new();
    source.take(FILE + 1).read_to_string(&mut text).map_err(|e| wrong(&e))?;
    match text.len() as u64 > FILE {
        true => Err(wrong(&format!("it is larger than {FILE} bytes"))),
        false => Ok(Some(text)),
    }
}
