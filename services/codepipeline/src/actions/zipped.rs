//! Zips: one file into one, and one or all files out of one.
use std::fs::File;
use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use kernel::Fault;
use kernel::metered::{Metered, ZIP_DIRECTORY, metered};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::Failed;
use crate::limits;

/// A zip that holds one file. The same content gives the same bytes.
pub fn of(name: &str, content: &[u8]) -> Result<Bytes, Failed> {
    let write = || {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default())?;
        zip.write_all(content)?;
        Ok::<_, zip::result::ZipError>(zip.finish()?.into_inner())
    };
    write().map(Bytes::from).map_err(|error| Failed::from(Fault::internal(error)))
}

/// The zip that a file holds.
pub fn open(file: File) -> Result<ZipArchive<Metered<File>>, Failed> {
    let (file, allowance) = metered(file, ZIP_DIRECTORY);
    let archive = ZipArchive::new(file).map_err(|error| {
        Failed::new("JobFailed", format!("The input artifact is not a zip archive: {error}"))
    })?;
    if archive.len() > limits::ARCHIVE_FILES {
        let (count, most) = (archive.len(), limits::ARCHIVE_FILES);
        let message = format!("The input artifact holds {count} files, and {most} are allowed");
        return Err(Failed::new("JobFailed", message));
    }
    allowance.lift();
    Ok(archive)
}

/// One file of a zip, of `limit` bytes at most.
pub fn read(file: File, name: &str, limit: u64) -> Result<Vec<u8>, Failed> {
    let mut archive = open(file)?;
    let entry = archive.by_name(name).map_err(|error| {
        let message = format!("Did not find the file {name} in the input artifact: {error}");
        Failed::new("ConfigurationError", message)
    })?;
    let mut content = Vec::new();
    let broken = |error: std::io::Error| Failed::new("JobFailed", format!("{name} cannot be read: {error}"));
    entry.take(limit + 1).read_to_end(&mut content).map_err(broken)?;
    if content.len() as u64 > limit {
        return Err(Failed::new("JobFailed", format!("{name} exceeds {limit} bytes")));
    }
    Ok(content)
}

/// The name of an archive's entry, if it stays inside of where it is extracted to.
pub fn inside(name: &str) -> Result<&str, Failed> {
    let outside = name.starts_with('/')
        || name.contains(['\\', '\0'])
        || name.split('/').any(|part| part == ".." || part == ".");
    if outside {
        let message =
            format!("The input artifact holds a file named '{name}', which is not a path inside of it");
        return Err(Failed::new("JobFailed", message));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_within_its_limit() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&of("a/b.json", b"hello").unwrap()).unwrap();
        let read =
            |name, limit| read(file.try_clone().unwrap(), name, limit).map_err(|failed| failed.message);
        assert_eq!(read("a/b.json", 5).unwrap(), b"hello");
        assert_eq!(read("a/b.json", 4).unwrap_err(), "a/b.json exceeds 4 bytes");
        assert!(
            read("b.json", 5).unwrap_err().starts_with("Did not find the file b.json in the input artifact")
        );
        assert!(
            super::read(tempfile::tempfile().unwrap(), "x", 1).unwrap_err().message.contains("not a zip")
        );
    }

    #[test]
    fn names_stay_inside() {
        for name in ["a", "a/b..c/d", "..a/b"] {
            assert_eq!(inside(name).unwrap(), name);
        }
        for name in ["../a", "a/../../b", "/etc/passwd", "a\\..\\b", "./a"] {
            assert!(inside(name).is_err(), "{name}");
        }
    }
}
