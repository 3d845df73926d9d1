//! CodeBuild.
