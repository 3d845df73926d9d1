//! CodeBuild.
pub mod buildspec;
