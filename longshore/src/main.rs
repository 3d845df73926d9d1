//! AWS CodePipeline that you own: the binary.
fn main() {}
