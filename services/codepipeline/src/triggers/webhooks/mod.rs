//! Webhooks of CodePipeline's first version: a URL that starts a pipeline when what is sent to it is authentic and
//! passes the webhook's filters.
//!
//! - [`record`](self::record::Webhook): what is stored. `ops`: the operations. `judge`: authenticity and filters.
//! - [`face`](self::face::WebhookFace): the URL.
mod face;
mod judge;
mod ops;
mod path;
mod record;

use std::sync::Arc;

use api::codepipeline as cp;
use kernel::Ops;

pub use face::WebhookFace;
pub use record::Webhook;

use crate::CodePipeline;

/// Webhooks of the service.
pub struct Webhooks {
    service: Arc<CodePipeline>,
}

impl Webhooks {
    /// Of a service.
    pub fn new(service: &Arc<CodePipeline>) -> Arc<Self> {
        Arc::new(Self { service: service.clone() })
    }

    /// Every operation that is served.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<cp::PutWebhook, _>(self)
            .op::<cp::DeleteWebhook, _>(self)
            .op::<cp::ListWebhooks, _>(self)
            .op::<cp::RegisterWebhookWithThirdParty, _>(self)
            .op::<cp::DeregisterWebhookWithThirdParty, _>(self);
    }

    /// The URLs.
    pub fn face(self: &Arc<Self>) -> Arc<WebhookFace> {
        Arc::new(WebhookFace::new(self.clone()))
    }
}
