//! Address ranges that no other test on this machine has.
use std::fs::{File, OpenOptions};

use engine::Cidr;

/// A `/16` of 10.128.0.0/9, held by a locked file until it is dropped, also by a process that dies.
#[derive(Debug)]
pub struct RangeLease {
    cidr: Cidr,
    _lock: File,
}

impl RangeLease {
    /// A range of its own.
    ///
    /// # Panics
    /// When all 128 are held.
    pub fn take() -> Self {
        let folder = std::env::temp_dir().join("longshore-ranges");
        std::fs::create_dir_all(&folder).expect("a folder for range leases");
        let lease = |n: u8| {
            let cidr = Cidr::of([10, 128 + n, 0, 0].into(), 16);
            let path = folder.join(cidr.first().to_string());
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path).ok()?;
            lock.try_lock().ok()?;
            Some(Self { cidr, _lock: lock })
        };
        (0..128).find_map(lease).expect("a free range among 10.128.0.0/9")
    }

    /// The range.
    pub fn cidr(&self) -> Cidr {
        self.cidr
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_hold_the_same() {
        let (a, b) = (super::RangeLease::take(), super::RangeLease::take());
        assert!(!a.cidr().overlaps(b.cidr()));
    }
}
