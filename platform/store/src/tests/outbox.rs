//! Messages and their consumers.
use serde_json::json;

use super::{Note, at, fresh, key, note};
use crate::*;

pub(super) fn event(id: &str) -> Event {
    Event::new("s", "d", "1", "r", id.into(), at(1)).detail(json!({"id": id}))
}

pub(super) fn ids(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| &*message.event.id).collect()
}

#[tokio::test]
async fn consumers_hear_everything_once_and_the_outbox_is_trimmed() {
    let (dir, store) = fresh().await;
    for consumer in ["one", "two"] {
        assert_eq!(store.subscribe("t", consumer).await.unwrap(), 0);
    }
    store.commit(Batch::new().publish("t", event("1")).publish("t", event("2"))).await.unwrap();
    let messages = store.messages("t", 0, 10).await.unwrap();
    assert_eq!(ids(&messages), ["1", "2"]);
    let done = Batch::new().advance("t", "one", 0, messages[1].seq);
    store.commit(done.clone()).await.unwrap();
    assert!(store.commit(done).await.unwrap_err().is_conflict(), "one message is dealt with once");
    assert_eq!(store.subscribe("t", "one").await.unwrap(), messages[1].seq);
    store.close().await;
    assert!(matches!(store.cursor("t", "one").await, Err(Error::Closed)));
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(store.cursor("t", "one").await.unwrap(), messages[1].seq);
    assert_eq!(store.cursor("t", "two").await.unwrap(), 0);
    assert_eq!(ids(&store.messages("t", 0, 10).await.unwrap()), ["1", "2"], "two has not read them yet");
    store.commit(Batch::new().advance("t", "two", 0, messages[0].seq)).await.unwrap();
    assert_eq!(ids(&store.messages("t", 0, 10).await.unwrap()), ["2"]);
}

#[tokio::test]
async fn messages_are_the_same_from_memory_and_from_the_database() {
    let (dir, store) = fresh().await;
    store.subscribe("t", "one").await.unwrap();
    // Another batch fails in the same commit; what it would have told nobody hears.
    store.commit(Batch::new().publish("t", event("old"))).await.unwrap();
    let refused = Batch::new().publish("t", event("never")).expect_absent::<Note>(&key("a"));
    store.commit(Batch::new().put(&key("a"), &note("a"))).await.unwrap();
    let told = store.commit(Batch::new().publish("t", event("new")));
    let (told, refused) = tokio::join!(told, store.commit(refused));
    assert!(told.is_ok() && refused.is_err());
    let many = (0..2 * limits::TAIL).fold(Batch::new(), |batch, n| batch.publish("t", event(&n.to_string())));
    store.commit(many).await.unwrap();
    let all = store.messages("t", 0, limits::PAGE).await.unwrap();
    assert_eq!(all.len(), 2 + 2 * limits::TAIL);
    assert_eq!(ids(&all[..3]), ["old", "new", "0"]);
    let late = all.len() - 100;
    let newest = store.messages("t", all[late].seq, 9).await.unwrap();
    assert_eq!(ids(&newest), ids(&all[late + 1..late + 10]));
    store.close().await;
    assert!(matches!(store.messages("t", all[late].seq, 9).await, Err(Error::Closed)));
    let again = Store::open(dir.path()).await.unwrap();
    let read = again.messages("t", 0, limits::PAGE).await.unwrap();
    let pairs = |all: &[Message]| all.iter().map(|m| (m.seq, (*m.event).clone())).collect::<Vec<_>>();
    assert!(pairs(&read) == pairs(&all));
}
