//! AWS operations and shapes, generated from `models/` by `cargo xtask codegen`.
//!
//! `api::ecs::RunTask` is both the operation and its input; `api::ecs::RunTaskOutput` is what it answers. Members are
//! snake_case; required ones are plain, others `Option`. Enums are strings, so that unknown values survive.
//! Operations that stream, or that only services call, are written by hand beside the generated modules.

#[allow(dead_code, reason = "lists that only error shapes reach")]
mod generated;
pub mod internal;
mod prelude;
pub mod registry;
pub mod roles;
pub mod s3;

pub use generated::*;

/// Every service of the models.
pub static SERVICES: &[&kernel::schema::Service] = &[
    &acm::SERVICE,
    &cloudwatch::SERVICE,
    &codebuild::SERVICE,
    &codecommit::SERVICE,
    &codeconnections::SERVICE,
    &codepipeline::SERVICE,
    &ec2::SERVICE,
    &ecr::SERVICE,
    &ecs::SERVICE,
    &elb::SERVICE,
    &events::SERVICE,
    &iam::SERVICE,
    &logs::SERVICE,
    &longshore::SERVICE,
    &route53::SERVICE,
    &sts::SERVICE,
];
