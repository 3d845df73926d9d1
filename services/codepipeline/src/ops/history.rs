//! Pages of past executions. A page begins behind a place that does not move: what starts meanwhile is newer.
use store::PageToken;

use crate::CodePipeline;
use crate::error::Error;
use crate::records::{Listed, Place, Succeeded};

/// A page, newest first, and the token of the next.
pub type Page = (Vec<Listed>, Option<String>);

impl CodePipeline {
    /// All executions of a pipeline, or those of one version that succeeded in a stage.
    pub(super) async fn history(
        &self,
        place: &Place,
        succeeded: Option<(i32, &str)>,
        token: Option<&str>,
        most: usize,
    ) -> Result<Page, Error> {
        let list = format!("ListPipelineExecutions/{}/{succeeded:?}", place.uid);
        let before: Option<u64> = PageToken::position(&list, token).map_err(|_| Error::InvalidNextToken)?;
        let mut rows = match succeeded {
            Some((version, stage)) => self.succeeded(place, version, stage, before, most + 1).await?,
            None => {
                let rows = self.desk.store.list_newest::<Listed>(place.key(), before, most + 1).await?;
                rows.into_iter().map(|row| (row.created, row.value)).collect()
            }
        };
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|(position, _)| PageToken::encode(&list, *position));
        Ok((rows.into_iter().map(|(_, row)| row).collect(), next))
    }

    /// Those that succeeded in a stage, newest first, by their numbers.
    pub(crate) async fn succeeded(
        &self,
        place: &Place,
        version: i32,
        stage: &str,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<(u64, Listed)>, Error> {
        let stage = place.succeeded(version, stage);
        let before = before.map(|number| stage.clone().number(number));
        let marks = self.desk.store.list_back::<Succeeded>(&stage, before.as_ref(), most).await?;
        let mut rows = Vec::with_capacity(marks.len());
        for Succeeded { execution } in marks.into_iter().map(|mark| mark.value) {
            // One that is removed at this moment is not there any more.
            if let Some(row) = self.desk.store.get::<Listed>(&place.execution(&execution)).await? {
                rows.push((row.value.execution.number, row.value));
            }
        }
        Ok(rows)
    }
}
