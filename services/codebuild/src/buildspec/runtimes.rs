//! `runtime-versions`: which versions the build image holds.
use std::collections::BTreeMap;

use super::{Buildspec, PhaseName, YamlError};

/// Runtime name → versions in the image. `None` stands for an image that offers no choice.
pub type Runtimes = Option<BTreeMap<String, Vec<String>>>;

/// Checks the buildspec's `runtime-versions` against what the image holds. `latest`, a version that the
/// image names, and `N.x` where it holds an `N` or `N.m` are fine.
///
/// # Errors
/// An unknown runtime or version, naming those that the image has.
pub fn check(spec: &Buildspec, runtimes: &Runtimes) -> Result<(), YamlError> {
    let wanted = spec.phase(PhaseName::Install).map_or(&[][..], |install| &install.runtime_versions);
    if wanted.is_empty() {
        return Ok(());
    }
    let Some(runtimes) = runtimes else {
        return Err(YamlError::whole("This build image does not support selecting runtime versions"));
    };
    for (name, version) in wanted {
        let Some(held) = runtimes.get(name) else {
            return Err(YamlError::whole(format!(
                "Unknown runtime named '{name}'. This build image has the following runtimes: {}",
                runtimes.keys().cloned().collect::<Vec<_>>().join(", ")
            )));
        };
        if !held.iter().any(|h| satisfies(h, version)) {
            return Err(YamlError::whole(format!(
                "Unknown runtime version named '{version}' of {name}. This build image has the following versions: {}",
                held.join(", ")
            )));
        }
    }
    Ok(())
}

fn satisfies(held: &str, wanted: &str) -> bool {
    if wanted == "latest" || wanted == held {
        return true;
    }
    match wanted.strip_suffix(".x") {
        Some(major) => held == major || held.starts_with(&format!("{major}.")),
        None => false,
    }
}
