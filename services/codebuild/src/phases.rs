//! A build's phases as the API shows them.
use api::codebuild::{Build, BuildPhase, PhaseContext};
use kernel::Timestamp;

use crate::agent::journal::Context;
use crate::limits;

/// Those that the agent may report.
pub const AGENT: [&str; 6] =
    ["DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"];

/// A phase begins, unless it has before.
pub fn open(build: &mut Build, name: &str, at: Timestamp) {
    let phases = build.phases.get_or_insert_default();
    if phases.iter().any(|p| p.phase_type.as_deref() == Some(name)) {
        return;
    }
    phases.push(BuildPhase { phase_type: Some(name.into()), start_time: Some(at), ..BuildPhase::default() });
    build.current_phase = Some(name.into());
}

/// A phase ends; answers whether it was open.
pub fn close(build: &mut Build, name: &str, status: &str, contexts: Vec<Context>, at: Timestamp) -> bool {
    let open = build
        .phases
        .iter_mut()
        .flatten()
        .find(|p| p.phase_type.as_deref() == Some(name) && p.end_time.is_none());
    let Some(phase) = open else { return false };
    let began = phase.start_time.unwrap_or(at);
    let at = at.max(began);
    phase.phase_status = Some(status.into());
    phase.end_time = Some(at);
    phase.duration_in_seconds = Some(at.duration_since(began).as_secs());
    let context = |mut c: Context| {
        c.message.truncate(c.message.floor_char_boundary(limits::CONTEXT));
        PhaseContext { status_code: Some(c.code), message: Some(c.message) }
    };
    let contexts = if contexts.is_empty() { vec![Context::new("", "")] } else { contexts };
    phase.contexts = Some(contexts.into_iter().map(context).collect());
    true
}

/// The phase that is open.
pub fn current(build: &Build) -> Option<&str> {
    let open = |p: &&BuildPhase| p.end_time.is_none() && p.phase_type.as_deref() != Some("COMPLETED");
    build.phases.iter().flatten().find(open)?.phase_type.as_deref()
}

/// A phase by name.
pub fn get<'a>(build: &'a Build, name: &str) -> Option<&'a BuildPhase> {
    build.phases.iter().flatten().find(|p| p.phase_type.as_deref() == Some(name))
}

/// Ends the build: its open phase as the build ends, FINALIZING, COMPLETED.
pub fn complete(build: &mut Build, status: &str, at: Timestamp) {
    if let Some(open) = current(build).map(str::to_owned) {
        close(build, &open, status, Vec::new(), at);
    }
    open(build, "FINALIZING", at);
    close(build, "FINALIZING", "SUCCEEDED", Vec::new(), at);
    open(build, "COMPLETED", at);
    build.build_status = Some(status.into());
    build.end_time = Some(at);
    build.build_complete = Some(true);
}
