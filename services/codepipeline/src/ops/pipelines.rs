//! Pipelines themselves: create, get, update, delete, list.
use std::collections::BTreeMap;
use std::sync::Arc;

use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, Key, PageToken};

use super::{on, page, tags};
use crate::desk::{Ask, Declaration};
use crate::engine::{self, Event, Start};
use crate::error::Error;
use crate::job::PRINCIPAL;
use crate::jobs::Types;
use crate::records::{DEADLINE, Definition, Pipeline, Place, Remains, Saved, arn};
use crate::secrets::{self, masked, unmasked};
use crate::{CodePipeline, limits, start, structure};

/// Pipelines on a page.
const PAGE: usize = 1000;
/// Tries of an update that another got ahead of.
const TRIES: usize = 4;

/// The permission itself, and that to hand every role of the declaration to CodePipeline.
fn with_roles(cx: &Cx, action: &'static str, pipeline: &cp::PipelineDeclaration) -> Vec<Access> {
    let mut want = on(cx, action, &pipeline.name);
    let actions = pipeline.stages.iter().flat_map(|stage| &stage.actions);
    let roles = actions
        .filter_map(|action| action.role_arn.as_ref())
        .chain([&pipeline.role_arn])
        .chain(structure::roles(pipeline));
    let roles: std::collections::BTreeSet<&String> = roles.collect();
    want.extend(roles.into_iter().map(|role| Access::pass_role(role, PRINCIPAL)));
    want
}

impl CodePipeline {
    /// Every rule that a declaration must fulfil, the trust of its role among them.
    async fn check(&self, cx: &Cx, pipeline: &cp::PipelineDeclaration, types: &Types) -> Result<(), Error> {
        structure::check(pipeline, &cx.region, types)?;
        let role = &pipeline.role_arn;
        match cx.authority().assume(PRINCIPAL, role, "create-pipeline").await {
            Ok(_) => Ok(()),
            Err(fault) if fault.status >= 500 => Err(Error::Fault(fault)),
            Err(fault) => Err(Error::InvalidStructure(format!(
                "CodePipeline is not authorized to perform AssumeRole on role {role}: {}",
                fault.message
            ))),
        }
    }

    async fn create(&self, cx: &Cx, input: cp::CreatePipeline) -> Result<cp::CreatePipelineOutput, Error> {
        secrets::refuse_envelopes(&input.pipeline)?;
        let pipeline = structure::normalized(input.pipeline, 1);
        let tags = tags::checked(BTreeMap::new(), input.tags.as_deref().unwrap_or_default())?;
        let types = Types::load(&self.desk.store, cx.account(), &cx.region).await?;
        self.check(cx, &pipeline, &types).await?;
        let (account, region, name) = (cx.account().to_owned(), cx.region.clone(), pipeline.name.clone());
        let row = Place::row(&account, &region, &name);
        if self.desk.store.get::<Pipeline>(&row).await?.is_some() {
            return Err(Error::PipelineNameInUse(name));
        }
        if self.desk.store.count::<Pipeline>(Key::new(&account, &region)).await? >= limits::PIPELINES as u64 {
            let message =
                format!("The account has {} pipelines in this Region, the most allowed", limits::PIPELINES);
            return Err(Error::LimitExceeded(message));
        }
        let uid = ids::uuid(&*self.desk.entropy);
        let place = Place { account, region, name: name.clone(), uid: uid.clone() };
        let pipeline = Arc::new(secrets::sealed(pipeline, &types, &self.desk.sealer, &place)?);
        let (first, now) = (ids::uuid(&*self.desk.entropy), self.desk.now());
        let record = Pipeline {
            uid,
            declaration: (*pipeline).clone(),
            created: now,
            updated: now,
            tags: tags.clone(),
        };
        let created = self.desk.tell(&place, Some(&cx.request_id), |_| {
            let mut ask =
                Ask::of(engine::define(1, structure::mode(&pipeline), structure::plan(&pipeline)), ());
            // Without a value for every variable there is nothing that a first execution could run with.
            if let Ok(variables) = start::variables(&pipeline, &BTreeMap::new()) {
                let trigger = start::caused("CreatePipeline", &cx.caller.arn);
                let start = Start { id: first.clone(), trigger, variables, overrides: Vec::new() };
                ask.kinds.push(engine::start(&engine::State::default(), start)?);
            }
            ask.batch = defining(&place, &pipeline, now).create(&row, &record);
            ask.define = Some(pipeline.clone());
            Ok(ask)
        });
        match created.await {
            // Somebody else took the name meanwhile.
            Err(Error::ConcurrentModification) => Err(Error::PipelineNameInUse(name)),
            Err(error) => Err(error),
            Ok(()) => Ok(cp::CreatePipelineOutput {
                pipeline: Some(masked((*pipeline).clone())),
                tags: Some(tags::shapes(&tags)),
            }),
        }
    }

    async fn update(&self, cx: &Cx, input: &cp::UpdatePipeline) -> Result<cp::UpdatePipelineOutput, Error> {
        let (place, mut row) = self.find(cx, &input.pipeline.name).await?;
        let version = row.value.version() + 1;
        secrets::refuse_envelopes(&input.pipeline)?;
        let pipeline = unmasked(input.pipeline.clone(), &row.value.declaration);
        let pipeline = structure::normalized(pipeline, version);
        let types = Types::load(&self.desk.store, cx.account(), &cx.region).await?;
        let types = types.keeping(&row.value.declaration);
        self.check(cx, &pipeline, &types).await?;
        let pipeline = Arc::new(secrets::sealed(pipeline, &types, &self.desk.sealer, &place)?);
        let now = self.desk.now();
        row.value.declaration = (*pipeline).clone();
        row.value.updated = now;
        let updated = self.desk.tell(&place, Some(&cx.request_id), |_| {
            let mode = structure::mode(&pipeline);
            let mut ask = Ask::of(engine::define(version, mode, structure::plan(&pipeline)), ());
            ask.batch = defining(&place, &pipeline, now).update(&row);
            ask.define = Some(pipeline.clone());
            Ok(ask)
        });
        updated.await?;
        Ok(cp::UpdatePipelineOutput { pipeline: Some(masked((*pipeline).clone())) })
    }

    async fn get(&self, cx: &Cx, input: cp::GetPipeline) -> Result<cp::GetPipelineOutput, Error> {
        let (place, row) = self.find(cx, &input.name).await?;
        let pipeline = match input.version.filter(|version| *version != row.value.version()) {
            None => row.value.declaration,
            Some(version) => {
                let found = self.desk.store.get::<Definition>(&place.definition(version)).await?;
                let missing = || Error::PipelineVersionNotFound { name: input.name, version };
                found.ok_or_else(missing)?.value.declaration
            }
        };
        let metadata = cp::PipelineMetadata {
            pipeline_arn: Some(place.arn()),
            created: Some(row.value.created),
            updated: Some(row.value.updated),
            polling_disabled_at: None,
        };
        Ok(cp::GetPipelineOutput { pipeline: Some(masked(pipeline)), metadata: Some(metadata) })
    }

    async fn delete(&self, cx: &Cx, name: &str) -> Result<(), Error> {
        let (place, row) = match self.find(cx, name).await {
            Ok(found) => found,
            // Deleting is idempotent.
            Err(Error::PipelineNotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let key = place.key();
        let batch = Batch::new()
            .remove(&row)
            .delete::<Saved>(&key)
            .truncate::<Event>(&key)
            .cancel(DEADLINE, &key)
            .put(&key, &Remains { at: self.desk.now() });
        let deleted = self.desk.forget(&place, async || match self.desk.store.commit(batch).await {
            Err(error) if error.is_conflict() => Err(Error::ConcurrentModification),
            other => Ok(other.map(drop)?),
        });
        deleted.await
    }

    async fn list(&self, cx: &Cx, input: &cp::ListPipelines) -> Result<cp::ListPipelinesOutput, Error> {
        let after = PageToken::position("ListPipelines", input.next_token.as_deref());
        let after: u64 = after.map_err(|_| Error::InvalidNextToken)?.unwrap_or(0);
        let most = page(input.max_results, PAGE);
        let scope = Key::new(cx.account(), &cx.region);
        let mut rows = self.desk.store.list_by_seq::<Pipeline>(&scope, after, most + 1).await?;
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode("ListPipelines", row.created));
        let summary = |pipeline: Pipeline| cp::PipelineSummary {
            version: Some(pipeline.version()),
            name: Some(pipeline.declaration.name),
            pipeline_type: pipeline.declaration.pipeline_type,
            execution_mode: pipeline.declaration.execution_mode,
            created: Some(pipeline.created),
            updated: Some(pipeline.updated),
        };
        let pipelines = rows.into_iter().map(|row| summary(row.value)).collect();
        Ok(cp::ListPipelinesOutput { pipelines: Some(pipelines), next_token: next })
    }
}

/// A version's own row.
fn defining(place: &Place, pipeline: &Declaration, at: kernel::Timestamp) -> Batch {
    let version = pipeline.version.unwrap_or(1);
    Batch::new().put(&place.definition(version), &Definition { declaration: (**pipeline).clone(), at })
}

impl Handle<cp::CreatePipeline> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::CreatePipeline) -> Result<Vec<Access>, Fault> {
        let mut want = with_roles(cx, "codepipeline:CreatePipeline", &input.pipeline);
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            want.extend(on(cx, "codepipeline:TagResource", &input.pipeline.name));
        }
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: cp::CreatePipeline) -> Result<cp::CreatePipelineOutput, Fault> {
        Ok(self.create(cx, input).await?)
    }
}

impl Handle<cp::UpdatePipeline> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::UpdatePipeline) -> Result<Vec<Access>, Fault> {
        Ok(with_roles(cx, "codepipeline:UpdatePipeline", &input.pipeline))
    }

    async fn handle(&self, cx: &Cx, input: cp::UpdatePipeline) -> Result<cp::UpdatePipelineOutput, Fault> {
        for _ in 1..TRIES {
            match self.update(cx, &input).await {
                Err(Error::ConcurrentModification) => {}
                other => return Ok(other?),
            }
        }
        Ok(self.update(cx, &input).await?)
    }
}

impl Handle<cp::GetPipeline> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::GetPipeline) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:GetPipeline", &input.name))
    }

    async fn handle(&self, cx: &Cx, input: cp::GetPipeline) -> Result<cp::GetPipelineOutput, Fault> {
        Ok(self.get(cx, input).await?)
    }
}

impl Handle<cp::DeletePipeline> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::DeletePipeline) -> Result<Vec<Access>, Fault> {
        Ok(on(cx, "codepipeline:DeletePipeline", &input.name))
    }

    async fn handle(&self, cx: &Cx, input: cp::DeletePipeline) -> Result<cp::DeletePipelineOutput, Fault> {
        self.delete(cx, &input.name).await?;
        Ok(cp::DeletePipelineOutput::default())
    }
}

impl Handle<cp::ListPipelines> for CodePipeline {
    async fn access(&self, cx: &Cx, _: &cp::ListPipelines) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codepipeline:ListPipelines", arn(&cx.region, cx.account(), "*"))])
    }

    async fn handle(&self, cx: &Cx, input: cp::ListPipelines) -> Result<cp::ListPipelinesOutput, Fault> {
        Ok(self.list(cx, &input).await?)
    }
}
