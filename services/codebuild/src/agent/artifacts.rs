//! Packs artifacts: files of the build into zips on the volume.
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use zip::write::SimpleFileOptions;

use super::globs::{self, Item, Items};
use super::journal::{Context, Packed};
use super::plan::Wanted;
use super::runner::{Halt, Runner};
use crate::buildspec::{ArtifactSet, Artifacts};

/// Packs what is wanted; what went wrong is a context of UPLOAD_ARTIFACTS.
pub fn pack(
    runner: &mut Runner,
    artifacts: &Artifacts,
    wanted: &[Wanted],
    source: &Path,
    out: &Path,
) -> Result<Result<Vec<Packed>, Context>, Halt> {
    let mut packed = Vec::new();
    for want in wanted {
        let set = match &want.identifier {
            None => artifacts.primary.as_ref(),
            Some(id) => artifacts.secondary.iter().find(|(key, _)| key == id).map(|(_, set)| set),
        };
        let Some(set) = set else {
            let Some(id) = &want.identifier else {
                runner.say("The buildspec names no artifacts")?;
                continue;
            };
            return Ok(Err(client(format!(
                "there is no artifact {id:?} under artifacts/secondary-artifacts in the buildspec"
            ))));
        };
        match pack_one(runner, set, want, source, out)? {
            Ok(one) => packed.push(one),
            Err(message) => return Ok(Err(client(message))),
        }
    }
    Ok(Ok(packed))
}

fn client(message: String) -> Context {
    Context::new("CLIENT_ERROR", message)
}

fn pack_one(
    runner: &mut Runner,
    set: &ArtifactSet,
    want: &Wanted,
    source: &Path,
    out: &Path,
) -> Result<Result<Packed, String>, Halt> {
    let set = expanded(runner, set)?;
    let of = want.identifier.as_ref().map_or(String::new(), |id| format!(" for {id}"));
    runner.say(&format!(
        "Expanding base directory path{of}: {}",
        set.base_directory.as_deref().unwrap_or(".")
    ))?;
    runner.say("Assembling file list")?;
    let items = match collect(&set, source) {
        Ok(items) => items,
        Err(message) => return Ok(Err(message)),
    };
    runner.say(&format!("Found {} file(s)", items.len()))?;
    let path = out.join(&want.file);
    if let Err(error) = write_zip(&path, &items) {
        return Ok(Err(format!("the artifact{of} cannot be packed: {error}")));
    }
    Ok(Ok(Packed {
        identifier: want.identifier.clone(),
        file: want.file.clone(),
        name: set.name,
        s3_prefix: set.s3_prefix,
        files: items.len() as u64,
    }))
}

fn expanded(runner: &mut Runner, set: &ArtifactSet) -> Result<ArtifactSet, Halt> {
    let mut set = set.clone();
    for text in set.files.iter_mut().chain(&mut set.exclude_paths).chain(&mut set.base_directory) {
        *text = runner.expand(text)?;
    }
    for text in set.name.iter_mut().chain(&mut set.s3_prefix) {
        *text = runner.expand(text)?;
    }
    Ok(set)
}

/// All files by the names they have in the artifact.
pub fn collect(set: &ArtifactSet, source: &Path) -> Result<Items, String> {
    let mut all = Items::new();
    for base in globs::bases(source, set.base_directory.as_deref())? {
        for (name, item) in globs::select(&base, &set.files, &set.exclude_paths, set.enable_symlinks)? {
            let name = if set.discard_paths { last(&name).to_owned() } else { name };
            if all.contains_key(&name) && set.discard_paths {
                return Err(format!("discard-paths: two files are named {name}"));
            }
            all.insert(name, item);
        }
    }
    if all.is_empty() { Err("no matching artifact paths found".into()) } else { Ok(all) }
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The same files give the same bytes: names are in order, times are the files' own.
fn write_zip(path: &Path, items: &Items) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    let mut zip = zip::ZipWriter::new(io::BufWriter::new(file));
    for (name, item) in items {
        match item {
            Item::Link(target) => {
                zip.add_symlink(name.as_str(), target.to_string_lossy(), SimpleFileOptions::default())?;
            }
            Item::File(path) => {
                let mut file = File::open(path)?;
                zip.start_file(name.as_str(), options(&file.metadata()?))?;
                io::copy(&mut file, &mut zip)?;
            }
        }
    }
    let mut buffer = zip.finish()?;
    buffer.flush()?;
    buffer.get_ref().sync_all()
}

fn options(meta: &fs::Metadata) -> SimpleFileOptions {
    let options = SimpleFileOptions::default()
        .unix_permissions(meta.mode() & 0o777)
        .large_file(meta.len() >= u64::from(u32::MAX));
    match modified(meta) {
        Some(time) => options.last_modified_time(time),
        None => options,
    }
}

/// A zip keeps times from 1980 on, to two seconds.
fn modified(meta: &fs::Metadata) -> Option<zip::DateTime> {
    let at = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(meta.mtime()).ok()?);
    let part = |n: i8| u8::try_from(n).ok();
    zip::DateTime::from_date_and_time(
        u16::try_from(at.year()).ok()?,
        part(at.month())?,
        part(at.day())?,
        part(at.hour())?,
        part(at.minute())?,
        part(at.second())?,
    )
    .ok()
}
