//! Whether the log of events adds up to what is stored and shown: for `longshore check`, and for tests that kill.
use store::{Key, Result, Store};

use crate::engine::{Event, Execution};
use crate::records::{ActionRow, Base, Definition, ExecutionRow, Pipeline, Place, Saved};

/// Rows read at a time.
const PAGE: usize = 500;

/// Reads every pipeline of a store and answers, in sentences, what does not fit; nothing if all does.
pub async fn verify(store: &Store) -> Result<Vec<String>> {
    let (mut wrong, mut after): (Vec<String>, Option<Key>) = (Vec::new(), None);
    loop {
        let page = store.list::<Pipeline>(Key::all(), after.as_ref(), PAGE).await?;
        for row in &page {
            let place = Place {
                account: row.key.account(),
                region: row.key.region(),
                name: row.key.last(),
                uid: row.value.uid.clone(),
            };
            let found = pipeline(store, &place).await?;
            wrong.extend(found.into_iter().map(|what| format!("pipeline {}: {what}", place.name)));
        }
        let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(wrong) };
        after = Some(last.key.clone());
    }
}

async fn pipeline(store: &Store, place: &Place) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let Some(Saved { seq, state }) = store.get::<Saved>(&place.key()).await?.map(|row| row.value) else {
        return Ok(vec!["it has no state".into()]);
    };
    let Base(mut replayed) = store.get::<Base>(&place.key()).await?.map(|row| row.value).unwrap_or_default();
    loop {
        let events = store.events::<Event>(&place.key(), replayed.seq, PAGE).await?;
        for appended in &events {
            if appended.seq != replayed.seq + 1 {
                wrong.push(format!("event {} follows event {}", appended.seq, replayed.seq));
            }
            replayed.seq = appended.seq;
            replayed.state.apply(&appended.event);
        }
        if events.len() < PAGE {
            break;
        }
    }
    if replayed.seq != seq {
        wrong.push(format!("the log ends with event {}, the state with {seq}", replayed.seq));
    } else if replayed.state != state {
        wrong.push("the log adds up to another state than the one that is stored".into());
    }
    for version in state.plans.keys() {
        if store.get::<Definition>(&place.definition(*version)).await?.is_none() {
            wrong.push(format!("version {version} is run and not stored"));
        }
    }
    for execution in &state.executions {
        wrong.extend(shown(store, place, execution).await?);
    }
    let mut after = 0;
    loop {
        let page = store.list_by_seq::<ExecutionRow>(place.key(), after, PAGE).await?;
        let lost = page.iter().map(|row| &row.value.execution).filter(|e| e.active());
        let lost = lost.filter(|execution| state.execution(&execution.id).is_none());
        wrong.extend(lost.map(|execution| {
            format!("execution {} is shown as {:?} and unknown to the state", execution.id, execution.status)
        }));
        let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(wrong) };
        after = last.created;
    }
}

/// What is shown of an execution of the state.
async fn shown(store: &Store, place: &Place, execution: &Execution) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let row = store.get::<ExecutionRow>(&place.execution(&execution.id)).await?;
    if row.is_none_or(|row| row.value.execution != *execution) {
        wrong.push(format!("execution {} is shown otherwise than it stands", execution.id));
    }
    for (name, run) in execution.visits.iter().flat_map(|visit| &visit.actions) {
        let row = store.get::<ActionRow>(&place.action(&execution.id, &run.id)).await?;
        if row.is_none_or(|row| row.value.run != *run) {
            wrong.push(format!("run {} of action {name} is shown otherwise than it stands", run.id));
        }
    }
    Ok(wrong)
}
