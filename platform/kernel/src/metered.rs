//! Files of which only so much may be read, for readers that hold what they read: a zip's directory is as large as whoever
//! made the zip wants it to be.
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that opening a zip may read: the directory of 100,000 files, with room for long names.
pub const ZIP_DIRECTORY: u64 = 32 << 20;

/// A reader that fails once it has given what is allowed.
pub struct Metered<R> {
    inner: R,
    left: Arc<AtomicU64>,
}

/// What a [`Metered`] may still read.
pub struct Allowance(Arc<AtomicU64>);

/// Allows `most` bytes of a reader.
pub fn metered<R>(inner: R, most: u64) -> (Metered<R>, Allowance) {
    let left = Arc::new(AtomicU64::new(most));
    (Metered { inner, left: left.clone() }, Allowance(left))
}

impl Allowance {
    /// Everything may be read from now on.
    pub fn lift(self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.load(Ordering::Relaxed);
        if left == u64::MAX {
            return Ok(count);
        }
        let after =
            left.checked_sub(count as u64).ok_or_else(|| io::Error::other("its directory is too large"))?;
        self.left.store(after, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    #[test]
    fn no_more_is_read_until_it_may_be() {
        let (mut file, _allowance) = super::metered(Cursor::new([1; 10]), 9);
        assert!(file.read_exact(&mut [0; 9]).is_ok());
        assert_eq!(file.read_exact(&mut [0; 1]).unwrap_err().to_string(), "its directory is too large");
        let (mut file, allowance) = super::metered(Cursor::new([1; 10]), 1);
        allowance.lift();
        assert!(file.read_exact(&mut [0; 10]).is_ok());
    }
}
