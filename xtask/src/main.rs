//! Code generation, tidy checks, benchmarks, release automation.
fn main() {}
