//! Chance that need not be secret: which target, and ids of traces. Per thread, so that it costs nothing.
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    // The hasher's keys come from the operating system.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// 64 bits (SplitMix64).
pub fn bits() -> u64 {
    let state = STATE.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(state);
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number below `limit`, which is not 0.
pub fn below(limit: u64) -> u64 {
    ((u128::from(bits()) * u128::from(limit)) >> 64) as u64
}
