//! Approval Manual: a person decides, with PutApprovalResult.
use crate::catalog::{ActionType, Carrier, Form, anything, optional};

/// The type. Seven days, or the action's own `timeoutInMinutes`.
pub static TYPE: ActionType = ActionType {
    category: "Approval",
    provider: "Manual",
    inputs: 0..=0,
    outputs: 0..=0,
    timeout: 7 * 24 * 60,
    timeout_key: None,
    properties: &[
        optional("CustomData", Form::Text),
        optional("ExternalEntityLink", Form::Text),
        optional(
            "NotificationArn",
            Form::Unserved("there are no SNS topics; an EventBridge rule can tell of approvals"),
        ),
    ],
    check: anything,
    carrier: Carrier::Person,
};
