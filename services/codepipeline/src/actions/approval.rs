//! Approval Manual: a person decides, with PutApprovalResult.
use api::codepipeline::ActionDeclaration;

use crate::catalog::{ActionType, Carrier, Form, anything, optional};

/// The timeout of approvals that declare none, in minutes: seven days.
const MINUTES: i64 = 7 * 24 * 60;

/// The type. Seven days, or the action's own `timeoutInMinutes`.
pub static TYPE: ActionType = ActionType {
    category: "Approval",
    provider: "Manual",
    inputs: 0..=0,
    outputs: 0..=0,
    timeout: MINUTES,
    timeout_key: None,
    properties: &[
        optional("CustomData", Form::Text),
        optional("ExternalEntityLink", Form::Text),
        optional("NotificationArn", Form::Checked(topic)),
    ],
    check: anything,
    carrier: Carrier::Person,
};

/// After how many minutes an approval is failed.
pub fn minutes(action: &ActionDeclaration) -> i64 {
    action.timeout_in_minutes.map_or(MINUTES, i64::from)
}

/// Which endpoint stands for the topic is the server's configuration: see `topics`.
fn topic(arn: &str) -> Result<(), String> {
    match arn.is_empty() || arn.starts_with("arn:aws") && arn.contains(":sns:") {
        true => Ok(()),
        false => Err("must be the ARN of an SNS topic".into()),
    }
}
