//! IAM and STS.

mod policy;
