//! Artifacts: where they are kept, and that each is made before it is used.
use std::collections::{BTreeMap, BTreeSet};

use api::codepipeline as cp;

use super::references::Place;
use super::{at, each, order};
use crate::error::Error;

pub(super) fn check(pipeline: &cp::PipelineDeclaration, region: &str) -> Result<(), Error> {
    store(pipeline, region)?;
    outputs(pipeline)?;
    inputs(pipeline)
}

/// The store of the pipeline's own Region.
pub fn own<'a>(pipeline: &'a cp::PipelineDeclaration, region: &str) -> Option<&'a cp::ArtifactStore> {
    pipeline.artifact_store.as_ref().or_else(|| pipeline.artifact_stores.as_ref()?.get(region))
}

fn store(pipeline: &cp::PipelineDeclaration, region: &str) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::InvalidStructure(message));
    match (&pipeline.artifact_store, &pipeline.artifact_stores) {
        (Some(_), Some(_)) => return invalid("Give artifactStore or artifactStores, not both".into()),
        (None, None) => return invalid("The pipeline has neither artifactStore nor artifactStores".into()),
        (None, Some(stores)) if !stores.contains_key(region) => {
            return invalid(format!("artifactStores has no entry for the pipeline's own Region, {region}"));
        }
        _ => {}
    }
    let all =
        pipeline.artifact_store.iter().chain(pipeline.artifact_stores.iter().flat_map(BTreeMap::values));
    for store in all {
        if let Some(key) = &store.encryption_key {
            let (bucket, id) = (&store.location, &key.id);
            return invalid(format!(
                "The artifact store '{bucket}' asks for encryptionKey '{id}': KMS keys are not served yet; remove it"
            ));
        }
    }
    Ok(())
}

fn outputs(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    let mut makers: BTreeMap<&str, String> = BTreeMap::new();
    for (stage, action) in each(pipeline) {
        for artifact in action.output_artifacts.iter().flatten() {
            if let Some(first) = makers.insert(&artifact.name, at(stage, action)) {
                return Err(Error::InvalidStructure(format!(
                    "The output artifact name '{}' is used more than once, by {first} and by {}: names are unique in a pipeline",
                    artifact.name,
                    at(stage, action)
                )));
            }
        }
    }
    Ok(())
}

/// The artifacts that were made before a place.
pub(super) fn made_before(pipeline: &cp::PipelineDeclaration, place: Place) -> BTreeSet<&str> {
    let mut made = BTreeSet::new();
    for (index, stage) in pipeline.stages.iter().enumerate().take(place.stage + 1) {
        let earlier = stage.actions.iter().filter(|action| (index, order(action)) < place.at());
        made.extend(
            earlier.flat_map(|action| action.output_artifacts.iter().flatten()).map(|o| o.name.as_str()),
        );
    }
    made
}

/// An input is the output of an action of an earlier stage, or of a lower runOrder in the same.
fn inputs(pipeline: &cp::PipelineDeclaration) -> Result<(), Error> {
    for (index, stage) in pipeline.stages.iter().enumerate() {
        for action in &stage.actions {
            let made = made_before(pipeline, Place::of(index, action));
            for input in action.input_artifacts.iter().flatten() {
                if !made.contains(input.name.as_str()) {
                    return Err(Error::InvalidStructure(format!(
                        "The input artifact '{}' of {} is not an output artifact of any earlier action",
                        input.name,
                        at(stage, action)
                    )));
                }
            }
        }
    }
    Ok(())
}
