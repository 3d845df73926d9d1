//! CodeBuild.
pub mod agent;
pub mod buildspec;
