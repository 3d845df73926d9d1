//! The operations, a file each family.

mod record;
mod tags;
mod zone;

/// Implements an operation by a method, with the permissions that it needs.
macro_rules! operation {
    ($op:ident, $method:ident, |$input:ident| $access:expr) => {
        impl kernel::Handle<api::route53::$op> for $crate::Route53 {
            async fn access(
                &self,
                _: &kernel::Cx,
                $input: &api::route53::$op,
            ) -> std::result::Result<Vec<kernel::Access>, kernel::Fault> {
                Ok($access)
            }

            async fn handle(
                &self,
                cx: &kernel::Cx,
                input: api::route53::$op,
            ) -> std::result::Result<<api::route53::$op as kernel::Operation>::Output, kernel::Fault> {
                Ok(self.$method(cx, input).await?)
            }
        }
    };
}
use operation;

use crate::error::{Error, Result};

/// How many items a page may have: `MaxItems` is text.
fn max_items(given: Option<&str>, most: usize) -> Result<usize> {
    let Some(given) = given else { return Ok(most) };
    let wrong = || Error::Input(format!("MaxItems '{given}' must be a number from 1"));
    given.parse().ok().filter(|n: &usize| *n > 0).map(|n| n.min(most)).ok_or_else(wrong)
}
