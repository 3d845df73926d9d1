//! PutWebhook, DeleteWebhook, ListWebhooks, and the registration at GitHub.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, Key, PageToken, Row};

use super::path::Path;
use super::record::{Authentication, Filter, Webhook};
use super::{Webhooks, face, judge};
use crate::error::Error;
use crate::limits;
use crate::ops::{on, page, tags};
use crate::secrets::MASK;

/// Webhooks on a page.
const PAGE: usize = 100;
/// Characters of a URL's token: more than anybody can guess.
const TOKEN: usize = 40;

impl Webhooks {
    async fn put(&self, cx: &Cx, input: &cp::PutWebhook) -> Result<cp::ListWebhookItem, Error> {
        let given = &input.webhook;
        let (_, pipeline) = self.service.find(cx, &given.target_pipeline).await?;
        let configuration = target(&pipeline.value.declaration, given)?;
        filters(given, &configuration)?;
        let store = &self.service.desk.store;
        let key = Webhook::key(cx.account(), &cx.region, &given.name);
        let row = store
            .update(|| async {
                let before = store.get::<Webhook>(&key).await?;
                if before.is_none() {
                    self.room(cx).await?;
                }
                let tags = before.as_ref().map(|row| row.value.tags.clone()).unwrap_or_default();
                let tags = tags::checked(tags, input.tags.as_deref().unwrap_or_default())?;
                let authentication = self.authentication(&key, given, before.as_ref())?;
                let webhook = Webhook {
                    name: given.name.clone(),
                    // The same webhook keeps its URL.
                    token: match &before {
                        Some(row) => row.value.token.clone(),
                        None => ids::alphanumeric(&*self.service.desk.entropy, TOKEN),
                    },
                    pipeline: given.target_pipeline.clone(),
                    action: given.target_action.clone(),
                    filters: given.filters.iter().map(filter).collect(),
                    authentication,
                    tags,
                    triggered: before.as_ref().and_then(|row| row.value.triggered),
                    trouble: None,
                };
                let batch = Batch::new().expect_same(&key, before.as_ref()).put(&key, &webhook);
                Ok::<_, Error>((batch, webhook))
            })
            .await?;
        Ok(item(cx, row))
    }

    async fn room(&self, cx: &Cx) -> Result<(), Error> {
        let count = self.service.desk.store.count::<Webhook>(Key::new(cx.account(), &cx.region)).await?;
        if count >= limits::WEBHOOKS as u64 {
            let most = limits::WEBHOOKS;
            return Err(Error::LimitExceeded(format!(
                "The account has {count} webhooks in this Region, and {most} are allowed"
            )));
        }
        Ok(())
    }

    /// The masked secret that reads give keeps the secret.
    fn authentication(
        &self,
        key: &Key,
        given: &cp::WebhookDefinition,
        before: Option<&Row<Webhook>>,
    ) -> Result<Authentication, Error> {
        let invalid = |message: &str| Err(Error::InvalidWebhookAuthentication(message.into()));
        let with = &given.authentication_configuration;
        match (&*given.authentication, &with.secret_token, &with.allowed_ip_range) {
            ("GITHUB_HMAC", Some(secret), None) => {
                let kept = before.map(|row| &row.value.authentication).filter(|_| secret == MASK);
                if let Some(kept @ Authentication::GithubHmac(_)) = kept {
                    return Ok(kept.clone());
                }
                let sealed = self
                    .service
                    .desk
                    .sealer
                    .seal_text(&Webhook::sealing(key), secret)
                    .map_err(Fault::from)?;
                Ok(Authentication::GithubHmac(sealed))
            }
            ("GITHUB_HMAC", ..) => invalid(
                "authenticationConfiguration: GITHUB_HMAC takes SecretToken, the secret of the hook at GitHub, and nothing else",
            ),
            ("IP", None, Some(range)) if judge::Range::read(range).is_some() => {
                Ok(Authentication::Ip(range.clone()))
            }
            ("IP", ..) => invalid(
                "authenticationConfiguration: IP takes AllowedIPRange, a range such as 192.0.2.0/24, and nothing else",
            ),
            ("UNAUTHENTICATED", None, None) => Ok(Authentication::Unauthenticated),
            ("UNAUTHENTICATED", ..) => {
                invalid("authenticationConfiguration: UNAUTHENTICATED takes an empty one")
            }
            _ => Err(Error::Validation(
                "webhook.authentication must be GITHUB_HMAC, IP or UNAUTHENTICATED".into(),
            )),
        }
    }

    async fn delete(&self, cx: &Cx, name: &str) -> Result<(), Error> {
        let key = Webhook::key(cx.account(), &cx.region, name);
        self.service.desk.store.commit(Batch::new().delete::<Webhook>(&key)).await?;
        Ok(())
    }

    async fn list(&self, cx: &Cx, input: &cp::ListWebhooks) -> Result<cp::ListWebhooksOutput, Error> {
        let after = PageToken::position("ListWebhooks", input.next_token.as_deref());
        let after: u64 = after.map_err(|_| Error::InvalidNextToken)?.unwrap_or(0);
        let most = page(input.max_results, PAGE);
        let scope = Key::new(cx.account(), &cx.region);
        let mut rows = self.service.desk.store.list_by_seq::<Webhook>(&scope, after, most + 1).await?;
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode("ListWebhooks", row.created));
        let webhooks = rows.into_iter().map(|row| item(cx, row.value)).collect();
        Ok(cp::ListWebhooksOutput { webhooks: Some(webhooks), next_token: next })
    }

    async fn known(&self, cx: &Cx, name: Option<&str>) -> Result<String, Error> {
        let name = name.ok_or_else(|| Error::Validation("webhookName must be given".into()))?;
        let key = Webhook::key(cx.account(), &cx.region, name);
        match self.service.desk.store.get::<Webhook>(&key).await? {
            Some(row) => Ok(row.value.name),
            None => Err(Error::WebhookNotFound(name.into())),
        }
    }
}

/// The configuration of the action that a webhook targets: a source action, and so one of the first stage.
fn target(
    pipeline: &cp::PipelineDeclaration,
    given: &cp::WebhookDefinition,
) -> Result<BTreeMap<String, String>, Error> {
    let action = pipeline.stages.first().into_iter().flat_map(|stage| &stage.actions);
    let mut action = action.filter(|action| action.name == given.target_action);
    let missing = || {
        let (pipeline, action) = (&given.target_pipeline, &given.target_action);
        Error::Validation(format!(
            "webhook.targetAction '{action}' is not a source action of the first stage of pipeline '{pipeline}'"
        ))
    };
    Ok(action.next().ok_or_else(missing)?.configuration.clone().unwrap_or_default())
}

fn filters(given: &cp::WebhookDefinition, configuration: &BTreeMap<String, String>) -> Result<(), Error> {
    for (index, filter) in given.filters.iter().enumerate() {
        let invalid = |what: String| Error::InvalidWebhookFilter(format!("webhook.filters[{index}]{what}"));
        Path::read(&filter.json_path)
            .map_err(|wrong| invalid(format!(".jsonPath '{}': {wrong}", filter.json_path)))?;
        let key = |key: &str| configuration.get(key).map(String::as_str);
        judge::resolve(filter.match_equals.as_deref().unwrap_or_default(), key).map_err(|key| {
            let action = &given.target_action;
            invalid(format!(".matchEquals: the configuration of action '{action}' has no key '{key}'"))
        })?;
    }
    Ok(())
}

fn filter(rule: &cp::WebhookFilterRule) -> Filter {
    Filter { path: rule.json_path.clone(), equals: rule.match_equals.clone() }
}

/// As reads show it: without its secret. The URL is the caller's own way to us.
fn item(cx: &Cx, webhook: Webhook) -> cp::ListWebhookItem {
    let (authentication, secret, range) = match webhook.authentication {
        Authentication::GithubHmac(_) => ("GITHUB_HMAC", Some(MASK.to_owned()), None),
        Authentication::Ip(range) => ("IP", None, Some(range)),
        Authentication::Unauthenticated => ("UNAUTHENTICATED", None, None),
    };
    let rule = |filter: Filter| cp::WebhookFilterRule { json_path: filter.path, match_equals: filter.equals };
    let (code, message) = webhook.trouble.unzip();
    cp::ListWebhookItem {
        url: format!("{}{}{}", cx.base, face::PREFIX, webhook.token),
        arn: Some(Webhook::arn(cx.account(), &cx.region, &webhook.name)),
        tags: Some(tags::shapes(&webhook.tags)),
        last_triggered: webhook.triggered,
        error_code: code,
        error_message: message,
        definition: cp::WebhookDefinition {
            name: webhook.name,
            target_pipeline: webhook.pipeline,
            target_action: webhook.action,
            filters: webhook.filters.into_iter().map(rule).collect(),
            authentication: authentication.into(),
            authentication_configuration: cp::WebhookAuthConfiguration {
                allowed_ip_range: range,
                secret_token: secret,
            },
        },
    }
}

fn on_webhook(cx: &Cx, action: &'static str, name: &str) -> Vec<Access> {
    on(cx, action, &format!("webhook:{name}"))
}

impl Handle<cp::PutWebhook> for Webhooks {
    async fn access(&self, cx: &Cx, input: &cp::PutWebhook) -> Result<Vec<Access>, Fault> {
        let name = &input.webhook.name;
        let mut want = on_webhook(cx, "codepipeline:PutWebhook", name);
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            want.extend(on_webhook(cx, "codepipeline:TagResource", name));
        }
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: cp::PutWebhook) -> Result<cp::PutWebhookOutput, Fault> {
        Ok(cp::PutWebhookOutput { webhook: Some(self.put(cx, &input).await?) })
    }
}

impl Handle<cp::DeleteWebhook> for Webhooks {
    async fn access(&self, cx: &Cx, input: &cp::DeleteWebhook) -> Result<Vec<Access>, Fault> {
        Ok(on_webhook(cx, "codepipeline:DeleteWebhook", &input.name))
    }

    async fn handle(&self, cx: &Cx, input: cp::DeleteWebhook) -> Result<cp::DeleteWebhookOutput, Fault> {
        self.delete(cx, &input.name).await?;
        Ok(cp::DeleteWebhookOutput::default())
    }
}

impl Handle<cp::ListWebhooks> for Webhooks {
    async fn access(&self, cx: &Cx, _: &cp::ListWebhooks) -> Result<Vec<Access>, Fault> {
        Ok(on_webhook(cx, "codepipeline:ListWebhooks", "*"))
    }

    async fn handle(&self, cx: &Cx, input: cp::ListWebhooks) -> Result<cp::ListWebhooksOutput, Fault> {
        Ok(self.list(cx, &input).await?)
    }
}

impl Handle<cp::RegisterWebhookWithThirdParty> for Webhooks {
    async fn access(&self, cx: &Cx, input: &cp::RegisterWebhookWithThirdParty) -> Result<Vec<Access>, Fault> {
        let name = input.webhook_name.as_deref().unwrap_or("*");
        Ok(on_webhook(cx, "codepipeline:RegisterWebhookWithThirdParty", name))
    }

    /// AWS makes the hook at GitHub with the OAuth token of the first GitHub action, which Longshore does not serve.
    async fn handle(
        &self,
        cx: &Cx,
        input: cp::RegisterWebhookWithThirdParty,
    ) -> Result<cp::RegisterWebhookWithThirdPartyOutput, Fault> {
        let name = self.known(cx, input.webhook_name.as_deref()).await?;
        Err(Error::Validation(format!(
            "Webhook '{name}' targets no GitHub (OAuth) action, whose token AWS would register it with: create the hook at the provider yourself, with the url that list-webhooks shows, the secret token, and content type application/json"
        ))
        .into())
    }
}

impl Handle<cp::DeregisterWebhookWithThirdParty> for Webhooks {
    async fn access(
        &self,
        cx: &Cx,
        input: &cp::DeregisterWebhookWithThirdParty,
    ) -> Result<Vec<Access>, Fault> {
        let name = input.webhook_name.as_deref().unwrap_or("*");
        Ok(on_webhook(cx, "codepipeline:DeregisterWebhookWithThirdParty", name))
    }

    /// No webhook was ever registered: what is asked for holds already.
    async fn handle(
        &self,
        cx: &Cx,
        input: cp::DeregisterWebhookWithThirdParty,
    ) -> Result<cp::DeregisterWebhookWithThirdPartyOutput, Fault> {
        self.known(cx, input.webhook_name.as_deref()).await?;
        Ok(cp::DeregisterWebhookWithThirdPartyOutput::default())
    }
}
