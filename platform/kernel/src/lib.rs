//! Names, time, faults, shapes and operations: what every crate of Longshore stands on. No I/O.
