//! Habits that no compiler checks: file length, words that must not stand in code, models and documents that agree.
use std::path::Path;
use std::process::Command;

use crate::codegen::root;

/// A hand-written file stays under about 500 lines; one that is longer than this is two ideas.
const LINES: usize = 550;
/// What may not stand in Rust code, and why.
const BANNED: &[(&str, &str)] = &[
    ("#[ignore]", "a test that does not run shows nothing; say why, or remove it"),
    ("FIXME", "mend it, or open an issue"),
    ("/root/", "a path of one machine"),
    ("println!(\"debug", "left over"),
];

/// Checks every file that git knows.
pub fn run() -> Result<(), String> {
    let root = root();
    let output = Command::new("git")
        .args(["ls-files"])
        .current_dir(&root)
        .output()
        .map_err(|e| format!("git: {e}"))?;
    let files = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = Vec::new();
    for file in files
        .lines()
        .filter(|file| file.ends_with(".rs") && !file.contains("/generated/") && *file != "xtask/src/tidy.rs")
    {
        check(&root, file, &mut found)?;
    }
    if found.is_empty() { Ok(()) } else { Err(format!("{} to tidy:\n  {}", found.len(), found.join("\n  "))) }
}

fn check(root: &Path, file: &str, found: &mut Vec<String>) -> Result<(), String> {
    let path = root.join(file);
    if !path.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
    let lines = text.lines().count();
    if lines > LINES {
        found.push(format!("{file}: {lines} lines, more than {LINES}: split it by idea"));
    }
    for (number, line) in text.lines().enumerate() {
        for (banned, why) in BANNED.iter().filter(|(banned, _)| line.contains(banned)) {
            found.push(format!("{file}:{}: {banned}: {why}", number + 1));
        }
    }
    Ok(())
}
