//! StartBuild to the first command running, beside `docker run` of the same image.
use std::path::Path;

use serde_json::{Value, json};

use super::process::{Patient, now, until};
use super::server::Server;
use super::table::Table;
use super::{Bench, median};

/// What `aws/codebuild/standard:7.0` stands for.
const IMAGE: &str = "longshore/codebuild-standard:7.0";
/// The first command tells the time, in nanoseconds.
const BUILDSPEC: &str = "version: 0.2\nphases:\n  build:\n    commands:\n      - echo now=$(date +%s%N)\n";
/// The phases before the first command.
const PHASES: [&str; 7] =
    ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD"];

/// Rounds alternate.
pub fn measure(binary: &Path, bench: &Bench) -> Result<Table, String> {
    let server = Server::up(binary, "build")?;
    project(&server)?;
    let (mut ours, mut theirs, mut phases) = (Vec::new(), Vec::new(), vec![Vec::new(); PHASES.len()]);
    // The first of each fills the caches.
    for round in 0..=bench.rounds {
        let (first, spent) = build(&server)?;
        let beside = run()?;
        if round > 0 {
            ours.push(first);
            theirs.push(beside);
            phases.iter_mut().zip(spent).for_each(|(all, one)| all.push(one));
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let mut table = Table::new("StartBuild to the first command", "docker run");
    table.compare("request to first command", ours, theirs, "s");
    table.compare("more than docker run (aim: at most 0.3)", ours - theirs, 0.3, "s");
    for (name, spent) in PHASES.iter().zip(phases) {
        table.ours(&format!("- phase {name}"), median(spent), "s");
    }
    table.note(format!(
        "{IMAGE}; median of {} rounds after one to warm up; the request is curl's, so that Python's start does not count",
        bench.rounds
    ));
    Ok(table)
}

fn project(server: &Server) -> Result<(), String> {
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "codebuild.amazonaws.com"}}]});
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]});
    let role = server.aws_with(&[
        "iam",
        "create-role",
        "--role-name",
        "bench",
        "--assume-role-policy-document",
        &trust.to_string(),
    ])?;
    server.aws_with(&[
        "iam",
        "put-role-policy",
        "--role-name",
        "bench",
        "--policy-name",
        "logs",
        "--policy-document",
        &policy.to_string(),
    ])?;
    let project = json!({
        "name": "bench",
        "source": {"type": "NO_SOURCE", "buildspec": BUILDSPEC},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL"},
        "serviceRole": role.pointer("/Role/Arn"),
    });
    server.post("codebuild", "CodeBuild_20161006.CreateProject", &project).map(|_| ())
}

/// Seconds from the request to the first command, and those of each phase.
fn build(server: &Server) -> Result<(f64, Vec<f64>), String> {
    let begun = now()?;
    let started =
        server.post("codebuild", "CodeBuild_20161006.StartBuild", &json!({"projectName": "bench"}))?;
    let id = started.pointer("/build/id").cloned().ok_or("StartBuild answered no id")?;
    let build = until("the end of the build", 120, || {
        let answer = server.post("codebuild", "CodeBuild_20161006.BatchGetBuilds", &json!({"ids": [id]}))?;
        let build = answer.pointer("/builds/0").cloned().unwrap_or_default();
        Ok((build["buildStatus"] != "IN_PROGRESS").then_some(build))
    })?;
    if build["buildStatus"] != "SUCCEEDED" {
        return Err(format!("the build did not succeed: {}", build["phases"]));
    }
    let (group, stream) = (&build["logs"]["groupName"], &build["logs"]["streamName"]);
    let asked = json!({"logGroupName": group, "logStreamName": stream, "startFromHead": true});
    let told = until("the first command's line in the log", 20, || {
        let log = server.post("logs", "Logs_20140328.GetLogEvents", &asked)?;
        let lines = log["events"].as_array().into_iter().flatten();
        Ok(lines.filter_map(|event| event["message"].as_str()).find_map(time))
    })?;
    Ok((told - begun, PHASES.iter().map(|name| phase(&build, name)).collect()))
}

/// How long a phase took, in seconds, by the build's own account.
pub fn phase(build: &Value, name: &str) -> f64 {
    let phases = build["phases"].as_array();
    let phase = phases.into_iter().flatten().find(|phase| phase["phaseType"] == name);
    let at = |name: &str| phase.and_then(|phase| phase[name].as_f64());
    at("endTime").zip(at("startTime")).map_or(f64::NAN, |(end, start)| end - start)
}

/// Seconds from `docker run` to the command.
fn run() -> Result<f64, String> {
    let begun = now()?;
    let args = ["run", "--rm", IMAGE, "sh", "-c", "echo now=$(date +%s%N)"];
    let output = Patient::new("docker", 60).args(args).text()?;
    let told = output.lines().find_map(time).ok_or_else(|| format!("docker run said {output:?}"))?;
    Ok(told - begun)
}

fn time(line: &str) -> Option<f64> {
    line.trim().strip_prefix("now=")?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}
