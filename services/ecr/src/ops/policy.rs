//! Repository policies and lifecycle policies.
use api::ecr as e;
use kernel::Cx;
use policy::{Document, Purpose};

use super::on_repository;
use crate::lifecycle::Policy;
use crate::{Ecr, Error, Result, limits};

on_repository!(GetRepositoryPolicy, get_policy);
on_repository!(SetRepositoryPolicy, set_policy);
on_repository!(DeleteRepositoryPolicy, delete_policy);
on_repository!(GetLifecyclePolicy, get_lifecycle);
on_repository!(PutLifecyclePolicy, put_lifecycle);
on_repository!(DeleteLifecyclePolicy, delete_lifecycle);

fn missing(cx: &Cx, what: &'static str, repository: &str) -> Error {
    Error::NoPolicy { what, repository: repository.to_owned(), registry: cx.account().to_owned() }
}

fn sized(field: &'static str, text: &str) -> Result<()> {
    if text.len() > limits::POLICY {
        Err(Error::InvalidParameter(field, format!("it is longer than {} bytes", limits::POLICY)))
    } else {
        Ok(())
    }
}

impl Ecr {
    async fn get_policy(
        &self,
        cx: &Cx,
        input: e::GetRepositoryPolicy,
    ) -> Result<e::GetRepositoryPolicyOutput> {
        let policy = self.repository(cx, &input.repository_name).await?.value.policy;
        let policy_text =
            Some(policy.ok_or_else(|| missing(cx, "Repository policy", &input.repository_name))?);
        Ok(e::GetRepositoryPolicyOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            policy_text,
        })
    }

    async fn set_policy(
        &self,
        cx: &Cx,
        input: e::SetRepositoryPolicy,
    ) -> Result<e::SetRepositoryPolicyOutput> {
        sized("policyText", &input.policy_text)?;
        Document::parse(&input.policy_text, Purpose::Resource)
            .map_err(|e| Error::InvalidParameter("policyText", e.to_string()))?;
        self.change(cx, &input.repository_name, |repository| {
            repository.policy = Some(input.policy_text.clone())
        })
        .await?;
        Ok(e::SetRepositoryPolicyOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            policy_text: Some(input.policy_text),
        })
    }

    async fn delete_policy(
        &self,
        cx: &Cx,
        input: e::DeleteRepositoryPolicy,
    ) -> Result<e::DeleteRepositoryPolicyOutput> {
        let policy = self.repository(cx, &input.repository_name).await?.value.policy;
        let policy_text =
            Some(policy.ok_or_else(|| missing(cx, "Repository policy", &input.repository_name))?);
        self.change(cx, &input.repository_name, |repository| repository.policy = None).await?;
        Ok(e::DeleteRepositoryPolicyOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            policy_text,
        })
    }

    async fn get_lifecycle(
        &self,
        cx: &Cx,
        input: e::GetLifecyclePolicy,
    ) -> Result<e::GetLifecyclePolicyOutput> {
        let repository = self.repository(cx, &input.repository_name).await?.value;
        let text =
            repository.lifecycle.ok_or_else(|| missing(cx, "Lifecycle policy", &input.repository_name))?;
        Ok(e::GetLifecyclePolicyOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            lifecycle_policy_text: Some(text),
            last_evaluated_at: repository.evaluated,
        })
    }

    async fn put_lifecycle(
        &self,
        cx: &Cx,
        input: e::PutLifecyclePolicy,
    ) -> Result<e::PutLifecyclePolicyOutput> {
        sized("lifecyclePolicyText", &input.lifecycle_policy_text)?;
        Policy::read(&input.lifecycle_policy_text)?;
        self.change(cx, &input.repository_name, |repository| {
            repository.lifecycle = Some(input.lifecycle_policy_text.clone())
        })
        .await?;
        Ok(e::PutLifecyclePolicyOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            lifecycle_policy_text: Some(input.lifecycle_policy_text),
        })
    }

    async fn delete_lifecycle(
        &self,
        cx: &Cx,
        input: e::DeleteLifecyclePolicy,
    ) -> Result<e::DeleteLifecyclePolicyOutput> {
        let repository = self.repository(cx, &input.repository_name).await?.value;
        let text =
            repository.lifecycle.ok_or_else(|| missing(cx, "Lifecycle policy", &input.repository_name))?;
        self.change(cx, &input.repository_name, |repository| repository.lifecycle = None).await?;
        Ok(e::DeleteLifecyclePolicyOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            lifecycle_policy_text: Some(text),
            last_evaluated_at: repository.evaluated,
        })
    }
}
