//! The contract of a store: what every implementation of the state must pass.
use std::os::unix::fs::FileExt;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::*;

mod outbox;

use outbox::{event, ids};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
    tag: String,
}

impl Record for Note {
    const TABLE: &'static str = "test.note";
    const VERSION: u32 = 2;
    const INDEXES: &'static [&'static str] = &["tag"];

    fn migrate(from: u32, body: Value) -> std::result::Result<Self, String> {
        let text = body["note"].as_str().ok_or("no note")?;
        Ok(Self { text: text.to_owned(), tag: format!("from {from}") })
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("tag", self.tag.clone())]
    }
}

/// The first format of [`Note`], in the same table.
#[derive(Serialize, Deserialize)]
struct OldNote {
    note: String,
}

impl Record for OldNote {
    const TABLE: &'static str = "test.note";
}

/// A part of [`Note`].
#[derive(Debug, PartialEq, Deserialize)]
struct Tag {
    tag: String,
}

impl View for Tag {
    type Of = Note;
}

fn note(text: &str) -> Note {
    Note { text: text.into(), tag: "t".into() }
}

fn key(name: &str) -> Key {
    Key::new("1", "r").text(name)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn fresh() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    (dir, store)
}

fn texts(rows: &[Row<Note>]) -> Vec<&str> {
    rows.iter().map(|row| row.value.text.as_str()).collect()
}

#[tokio::test]
async fn rows_change_only_as_expected() {
    let (_dir, store) = fresh().await;
    store.commit(Batch::new().create(&key("a"), &note("1"))).await.unwrap();
    let read = store.get::<Note>(&key("a")).await.unwrap().unwrap();
    let again = store.commit(Batch::new().create(&key("a"), &note("x"))).await;
    assert!(again.unwrap_err().is_conflict());

    let mut mine = read.clone();
    mine.value.text = "2".into();
    store.commit(Batch::new().update(&mine)).await.unwrap();
    // The loser's other writes are undone with it.
    let stale = Batch::new().put(&key("b"), &note("b")).update(&read);
    assert!(store.commit(stale).await.unwrap_err().is_conflict());
    assert!(store.get::<Note>(&key("b")).await.unwrap().is_none());

    // A row deleted and made again is another one, though its text is the same.
    let now = store.get::<Note>(&key("a")).await.unwrap().unwrap();
    assert_eq!((now.created, now.value.text.as_str()), (read.created, "2"));
    store.commit(Batch::new().remove(&now)).await.unwrap();
    store.commit(Batch::new().create(&key("a"), &now.value)).await.unwrap();
    assert!(store.commit(Batch::new().update(&now)).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn lists_page_by_key_and_by_age() {
    let (_dir, store) = fresh().await;
    for name in ["c", "a", "ab", "b"] {
        store.commit(Batch::new().put(&key(name), &note(name))).await.unwrap();
    }
    store.commit(Batch::new().put(&Key::new("1", "r2").text("z"), &note("z"))).await.unwrap();
    // Writing again changes neither age nor order.
    store.commit(Batch::new().put(&key("c"), &note("c"))).await.unwrap();
    let scope = Key::new("1", "r");

    let first = store.list::<Note>(&scope, None, 2).await.unwrap();
    let rest = store.list::<Note>(&scope, Some(&first[1].key), 10).await.unwrap();
    assert_eq!((texts(&first), texts(&rest)), (vec!["a", "ab"], vec!["b", "c"]));
    let back = store.list_back::<Note>(&scope, Some(&key("b")), 10).await.unwrap();
    assert_eq!(texts(&back), ["ab", "a"]);
    assert_eq!(texts(&store.list(scope.starting("a"), None, 10).await.unwrap()), ["a", "ab"]);

    let first = store.list_by_seq::<Note>(&scope, 0, 3).await.unwrap();
    let rest = store.list_by_seq::<Note>(&scope, first[2].created, 10).await.unwrap();
    assert_eq!((texts(&first), texts(&rest)), (vec!["c", "a", "ab"], vec!["b"]));
    let newest = store.list_newest::<Note>(&scope, Some(rest[0].created), 2).await.unwrap();
    assert_eq!(texts(&newest), ["ab", "a"]);
    assert_eq!(store.count::<Note>(&scope).await.unwrap(), 4);
    assert_eq!(store.all::<Note>(Key::all()).await.unwrap().len(), 5);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Leaf(u32);

impl Record for Leaf {
    const TABLE: &'static str = "test.leaf";
    const LISTED: &'static [usize] = &[2, 3];
}

#[tokio::test]
async fn kept_lists_say_what_a_scan_says() {
    let (_dir, store) = fresh().await;
    let leaf = |branch: &str, n: u32| Key::new("1", "r").text(branch).number(n.into());
    // More than one statement's worth, written twice, some of it removed and made anew.
    let all =
        (0..100).fold(Batch::new(), |batch, n| batch.put(&leaf(["a", "b"][n as usize % 2], n), &Leaf(n)));
    store.commit(all.clone()).await.unwrap();
    store.commit(all).await.unwrap();
    let gone =
        (0..10).fold(Batch::new(), |batch, n| batch.delete::<Leaf>(&leaf(["a", "b"][n as usize % 2], n)));
    store.commit(gone).await.unwrap();
    store.commit(Batch::new().put(&leaf("a", 4), &Leaf(4))).await.unwrap();

    let numbers = |rows: Vec<Row<Leaf>>| rows.iter().map(|row| row.value.0).collect::<Vec<_>>();
    let mut expected: Vec<u32> = (10..100).chain([4]).collect();
    assert_eq!(numbers(store.list_by_seq(Key::new("1", "r"), 0, 1000).await.unwrap()), expected);
    // A prefix whose list is not kept is scanned for.
    assert_eq!(numbers(store.list_by_seq(Key::all(), 0, 1000).await.unwrap()), expected);
    expected.retain(|n| n % 2 == 0);
    expected.reverse();
    let branch = Key::new("1", "r").text("a");
    let first = store.list_newest::<Leaf>(&branch, None, 7).await.unwrap();
    let before = first.last().unwrap().created;
    // What comes meanwhile does not move the next page.
    store.commit(Batch::new().put(&leaf("a", 1000), &Leaf(1000))).await.unwrap();
    let rest = store.list_newest::<Leaf>(&branch, Some(before), 1000).await.unwrap();
    assert_eq!([numbers(first), numbers(rest)].concat(), expected);
}

#[tokio::test]
async fn what_an_older_longshore_wrote_is_kept() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("state.db");
    // Rows lay in the order of their keys, lists named them, and a table said which steps were done.
    let mut db = rusqlite::Connection::open(&file).unwrap();
    crate::migrate::steps(2).to_latest(&mut db).unwrap();
    let old = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, success BOOLEAN NOT NULL);
        INSERT INTO _sqlx_migrations VALUES (1, 1), (2, 1);
        PRAGMA user_version = 0;";
    db.execute_batch(old).unwrap();
    let branch = Key::new("1", "r").text("a");
    for n in [2_u32, 1] {
        let (row, list) = ("INSERT INTO record VALUES ('test.leaf', ?1, ?2, ?2, 1, ?2)", &branch.0);
        let key = branch.clone().number(n.into()).0;
        db.execute(row, rusqlite::params![key, n]).unwrap();
        let row = "INSERT INTO record_list VALUES ('test.leaf', ?1, ?2, ?3)";
        db.execute(row, rusqlite::params![list, n, key]).unwrap();
    }
    for (n, text) in [(1_u32, "10"), (2, "20")] {
        let row = "INSERT INTO event VALUES ('test.leaf', ?1, ?2, 1, 1, ?3)";
        db.execute(row, rusqlite::params![branch.0, n, text]).unwrap();
    }
    db.execute("INSERT INTO stream VALUES ('test.leaf', ?1, 2, 1)", [&branch.0]).unwrap();
    let body = serde_json::to_string(&event("1")).unwrap();
    db.execute("INSERT INTO consumer VALUES ('t', 'one', 0)", []).unwrap();
    db.execute("INSERT INTO outbox VALUES ('t', 2, ?1)", [body]).unwrap();
    db.execute("UPDATE sequence SET value = 2", []).unwrap();
    db.close().unwrap();

    let store = Store::open(dir.path()).await.unwrap();
    let row = store.get::<Leaf>(&branch.clone().number(1)).await.unwrap().unwrap();
    let batch = Batch::new().update(&Row { value: Leaf(10), ..row }).put(&branch.clone().number(3), &Leaf(3));
    store.commit(batch).await.unwrap();
    let numbers = |rows: Vec<Row<Leaf>>| rows.iter().map(|row| row.value.0).collect::<Vec<_>>();
    assert_eq!(numbers(store.list_newest(&branch, None, 9).await.unwrap()), [3, 2, 10]);
    store.commit(Batch::new().delete::<Leaf>(&branch.clone().number(2))).await.unwrap();
    assert_eq!(numbers(store.list_by_seq(&branch, 0, 9).await.unwrap()), [10, 3]);
    store.commit(Batch::new().append(&branch, 2, 1, &[Leaf(30)]).event(event("2"))).await.unwrap();
    let stream = store.events::<Leaf>(&branch, 0, 9).await.unwrap();
    assert_eq!(stream.iter().map(|e| (e.seq, e.event.0)).collect::<Vec<_>>(), [(1, 10), (2, 20), (3, 30)]);
    assert_eq!(ids(&store.messages("t", 0, 9).await.unwrap()), ["1"]);
    store.close().await;
    let db = rusqlite::Connection::open(&file).unwrap();
    assert!(db.prepare(crate::sql::OLD_VERSION).is_err(), "who still looks there begins anew, and fails");
    db.close().unwrap();
    Store::open(dir.path()).await.unwrap();
}

#[tokio::test]
async fn what_a_newer_longshore_wrote_is_left_alone() {
    let (dir, store) = fresh().await;
    store.close().await;
    let db = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    db.close().unwrap();
    let error = Store::open(dir.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Schema(why) if why.contains("newer Longshore")), "{error}");
}

#[tokio::test]
async fn what_depends_on_what_the_same_batch_did_is_done_or_undone_with_it() {
    let (_dir, store) = fresh().await;
    let appended = |batch: Batch, after: u64, n: u32| batch.append(&key("s"), after, 1, &[Leaf(n)]);
    let twice = appended(appended(Batch::new(), 0, 1), 1, 2);
    // The second half of each of these conflicts, in one commit with another that does not.
    let torn = appended(appended(Batch::new().put(&key("a"), &note("a")), 2, 3), 2, 4).event(event("never"));
    let again = Batch::new().truncate::<Leaf>(&key("s"));
    let again = appended(appended(again, 0, 5), 0, 6);
    let (twice, torn, again, other) = tokio::join!(
        store.commit(twice),
        store.commit(torn),
        store.commit(again),
        store.commit(Batch::new().put(&key("b"), &note("b")))
    );
    assert!(twice.is_ok() && other.is_ok());
    assert!(torn.unwrap_err().is_conflict() && again.unwrap_err().is_conflict());
    let numbers = || async {
        let events = store.events::<Leaf>(&key("s"), 0, 9).await.unwrap();
        events.iter().map(|appended| appended.event.0).collect::<Vec<_>>()
    };
    assert_eq!(numbers().await, [1, 2]);
    assert_eq!(texts(&store.list(Key::all(), None, 9).await.unwrap()), ["b"]);
    assert!(store.messages(EVENTS, 0, 9).await.unwrap().is_empty());
    let anew = Batch::new().truncate::<Leaf>(&key("s"));
    store.commit(appended(anew, 0, 7)).await.unwrap();
    assert_eq!(numbers().await, [7]);
}

#[tokio::test]
async fn a_patient_batch_shares_a_commit_or_has_its_own() {
    let (_dir, store) = fresh().await;
    let patient = |name: &str| store.commit(Batch::new().put(&key(name), &note(name)).patient());
    let quick = store.commit(Batch::new().put(&key("q"), &note("q")));
    let (a, b, q) = tokio::join!(patient("a"), patient("b"), quick);
    assert!(a.unwrap().seq < b.unwrap().seq && q.is_ok());
    patient("c").await.unwrap();
    assert_eq!(texts(&store.list_by_seq(Key::new("1", "r"), 0, 9).await.unwrap()), ["a", "b", "q", "c"]);
}

#[tokio::test]
async fn indexes_follow_the_record() {
    let (_dir, store) = fresh().await;
    let tagged = |text: &str, tag: &str| Note { text: text.into(), tag: tag.into() };
    let batch = Batch::new().put(&key("b"), &tagged("b", "x")).put(&key("a"), &tagged("a", "x"));
    store.commit(batch).await.unwrap();
    let scope = Key::new("1", "r");
    let found = store.find::<Note>(&scope, "tag", "x", 0, 10).await.unwrap();
    assert_eq!(texts(&found), ["b", "a"]);
    store.commit(Batch::new().put(&key("b"), &tagged("b", "y")).delete::<Note>(&key("a"))).await.unwrap();
    assert!(store.find::<Note>(&scope, "tag", "x", 0, 10).await.unwrap().is_empty());
    assert_eq!(texts(&store.find::<Note>(&scope, "tag", "y", 0, 10).await.unwrap()), ["b"]);
}

#[tokio::test]
async fn old_formats_are_migrated_and_newer_ones_refused() {
    let (_dir, store) = fresh().await;
    store.commit(Batch::new().put(&key("a"), &OldNote { note: "old".into() })).await.unwrap();
    let row = store.get::<Note>(&key("a")).await.unwrap().unwrap();
    assert_eq!(row.value, Note { text: "old".into(), tag: "from 1".into() });
    assert_eq!(store.get::<Tag>(&key("a")).await.unwrap().unwrap().value, Tag { tag: "from 1".into() });
    store.commit(Batch::new().update(&row)).await.unwrap();
    let view = store.list_newest::<Tag>(Key::all(), None, 9).await.unwrap();
    assert_eq!(view.into_iter().map(|row| row.value).collect::<Vec<_>>(), [Tag { tag: "from 1".into() }]);
    let newer = store.get::<OldNote>(&key("a")).await.err().unwrap();
    assert!(newer.to_string().contains("version 2 is newer"), "{newer}");
}

#[tokio::test]
async fn concurrent_batches_share_commits_and_all_survive() {
    let (dir, store) = fresh().await;
    let commits = (0..500).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            // Every tenth expects what is not so.
            let batch = Batch::new().put(&key(&format!("{n:03}")), &note("n"));
            let missing = Row { key: key("none"), value: note(""), created: 1, version: 1 };
            let batch = if n % 10 == 0 { batch.expect(&missing) } else { batch };
            store.commit(batch).await
        })
    });
    let tasks: Vec<_> = commits.collect();
    let mut seqs = Vec::new();
    for task in tasks {
        seqs.extend(task.await.unwrap().ok().map(|done| done.seq));
    }
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 450);
    // A copy of the files as they are now is what a power cut would leave.
    let copy = TempDir::new().unwrap();
    for file in ["state.db", "state.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let survivor = Store::open(copy.path()).await.unwrap();
    assert_eq!(survivor.count::<Note>(Key::all()).await.unwrap(), 450);
    let next = survivor.commit(Batch::new().put(&key("next"), &note("n"))).await.unwrap();
    assert!(next.seq > *seqs.last().unwrap(), "sequences never repeat");
}

#[tokio::test]
async fn update_decides_again_on_conflict() {
    let (_dir, store) = fresh().await;
    store.commit(Batch::new().put(&key("n"), &note("0"))).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .update(|| async {
                        let mut row = store.get::<Note>(&key("n")).await?.ok_or(Error::Closed)?;
                        row.value.text = (row.value.text.parse::<u32>().unwrap() + 1).to_string();
                        Ok::<_, Error>((Batch::new().update(&row), ()))
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.get::<Note>(&key("n")).await.unwrap().unwrap().value.text, "8");
}

#[tokio::test]
async fn streams_refuse_gaps_and_stale_owners() {
    let (_dir, store) = fresh().await;
    let stream = key("p");
    let claim =
        async |owner, now, until| store.claim(Note::TABLE, &stream, owner, at(now), at(until)).await.unwrap();
    let append = |after, epoch, text: &str| Batch::new().append(&stream, after, epoch, &[note(text)]);
    let first = claim("one", 0, 10).await.unwrap();
    // Taken with the first thing done under it; whoever claimed it as well was slower.
    let slower = claim("two", 0, 10).await.unwrap();
    store.commit(Batch::new().claim(&first).and(append(0, first.lease.epoch, "1"))).await.unwrap();
    assert!(store.commit(Batch::new().claim(&slower)).await.unwrap_err().is_conflict());
    assert_eq!(claim("two", 9, 20).await, None);
    let renewed = claim("one", 5, 10).await.unwrap();
    assert_eq!(renewed.lease.epoch, first.lease.epoch);
    store.commit(Batch::new().claim(&renewed)).await.unwrap();
    let first = first.lease;
    assert!(store.commit(append(0, first.epoch, "again")).await.unwrap_err().is_conflict());
    assert!(store.commit(append(2, first.epoch, "gap")).await.unwrap_err().is_conflict());

    let second = claim("two", 10, 20).await.unwrap();
    store.commit(Batch::new().claim(&second)).await.unwrap();
    let second = second.lease;
    assert!(second.epoch > first.epoch);
    // The old owner is refused although the new one has appended nothing yet.
    assert!(store.commit(append(1, first.epoch, "stale")).await.unwrap_err().is_conflict());
    assert!(store.commit(Batch::new().fence(&first)).await.unwrap_err().is_conflict());
    store.commit(append(1, second.epoch, "2").fence(&second)).await.unwrap();

    let events = store.events::<Note>(&stream, 0, 10).await.unwrap();
    let seen: Vec<_> = events.iter().map(|e| (e.seq, e.epoch, e.event.text.as_str())).collect();
    assert_eq!(seen, [(1, 1, "1"), (2, 2, "2")]);
    assert_eq!(store.events::<Note>(&stream, 1, 10).await.unwrap().len(), 1);
    assert_eq!(store.head::<Note>(&stream).await.unwrap(), 2);
    store.commit(Batch::new().truncate::<Note>(&stream)).await.unwrap();
    assert_eq!(store.head::<Note>(&stream).await.unwrap(), 0);
}

#[tokio::test]
async fn timers_are_due_in_order_until_dealt_with() {
    let (_dir, store) = fresh().await;
    let batch = Batch::new().timer("t", &key("b"), at(20), &json!({"n": 2}));
    store.commit(batch.timer("t", &key("a"), at(10), &1).timer("u", &key("c"), at(1), &0)).await.unwrap();
    assert_eq!(store.next_due("t").await.unwrap(), Some(at(10)));
    assert!(store.due("t", at(9), 10).await.unwrap().is_empty());
    let due = store.due("t", at(20), 10).await.unwrap();
    let seen: Vec<_> = due.iter().map(|t| (t.key.last(), t.at, t.payload.clone())).collect();
    assert_eq!(seen, [("a".into(), at(10), json!(1)), ("b".into(), at(20), json!({"n": 2}))]);
    store.commit(Batch::new().cancel("t", &key("a")).timer("t", &key("b"), at(30), &2)).await.unwrap();
    assert!(store.due("t", at(29), 10).await.unwrap().is_empty());
    // Never early, not even by the rounding of a nanosecond.
    let odd = at(40) + jiff::SignedDuration::from_nanos(1);
    store.commit(Batch::new().timer("v", &key("o"), odd, &0)).await.unwrap();
    assert!(store.due("v", at(40), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn waiters_wake_on_what_they_watch() {
    let (_dir, store) = fresh().await;
    let (mine, other) = (store.watch(&[Note::TABLE, "x"]), store.watch(&["y"]));
    store.commit(Batch::new().publish("x", event("1"))).await.unwrap();
    mine.notified().await;
    store.commit(Batch::new().put(&key("a"), &note("a"))).await.unwrap();
    mine.notified().await;
    let refused = Batch::new().publish("y", event("1")).expect_absent::<Note>(&key("a"));
    assert!(store.commit(refused).await.is_err());
    store.commit(Batch::new().advance("y", "me", 0, 0)).await.unwrap();
    let woken = tokio::time::timeout(std::time::Duration::ZERO, other.notified()).await;
    assert!(woken.is_err(), "neither what was not committed nor a cursor wakes anybody");
}

#[tokio::test]
async fn tokens_answer_the_same_and_are_forgotten() {
    let (_dir, store) = fresh().await;
    let token = key("token");
    store.commit(Batch::new().remember(&token, "f", &json!({"id": 1}), at(5))).await.unwrap();
    assert_eq!(store.recall(&token, "f").await.unwrap(), Some(json!({"id": 1})));
    assert!(matches!(store.recall(&token, "g").await, Err(Error::TokenReused)));
    let twice = store.commit(Batch::new().remember(&token, "f", &json!(2), at(6))).await;
    assert!(twice.unwrap_err().is_conflict());
    assert_eq!(store.forget(at(5)).await.unwrap(), 0);
    // The machine's clock is long past 1970.
    let forget = Forget::new(store.clone(), std::sync::Arc::new(kernel::clock::SystemClock));
    work::Worker::run(&forget).await.unwrap();
    assert_eq!(store.recall(&token, "g").await.unwrap(), None);
}

#[tokio::test]
async fn a_folder_has_one_holder() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, store) = fresh().await;
    assert!(matches!(Store::open(dir.path()).await, Err(Error::Held(_))));
    store.commit(Batch::new().put(&key("a"), &note("a"))).await.unwrap();
    store.close().await;
    assert!(matches!(store.commit(Batch::new()).await, Err(Error::Closed)));
    assert!(matches!(store.get::<Note>(&key("a")).await, Err(Error::Closed)));
    let again = Store::open(dir.path()).await.unwrap();
    assert_eq!(again.count::<Note>(Key::all()).await.unwrap(), 1);
    for file in ["lock", "state.db", "state.db-wal"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Store::open(&file).await, Err(Error::Folder { .. })));
}

#[tokio::test]
async fn stops_after_a_commit_as_a_killed_process_does() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_with(dir.path(), Options { stop_after: Some(2) }).await.unwrap();
    store.commit(Batch::new().put(&key("1"), &note("1"))).await.unwrap();
    let told = store.commit(Batch::new().put(&key("2"), &note("2"))).await;
    assert!(matches!(told, Err(Error::Closed)), "done, but nobody hears of it");
    assert!(store.commit(Batch::new().put(&key("3"), &note("3"))).await.is_err());
    assert!(store.get::<Note>(&key("1")).await.is_err());
    store.close().await;
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(texts(&store.all(Key::all()).await.unwrap()), ["1", "2"]);
}

#[test]
fn page_tokens_are_good_for_their_list_only() {
    let token = PageToken::encode("ListBuilds", 7u64);
    assert_eq!(PageToken::<u64>::position("ListBuilds", Some(&token)), Ok(Some(7)));
    assert_eq!(PageToken::<u64>::position("ListBuilds", None), Ok(None));
    for bad in ["!", "AAAA", &token[1..], &"A".repeat(10_000)] {
        assert_eq!(PageToken::<u64>::decode("ListBuilds", bad), Err(BadToken), "{bad}");
    }
    assert_eq!(PageToken::<u64>::decode("ListProjects", &token), Err(BadToken));
    assert_eq!(PageToken::<Vec<u64>>::decode("ListBuilds", &token), Err(BadToken));
}

#[test]
fn secrets_open_only_where_they_were_sealed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let sealed = Sealer::open(dir.path()).unwrap().seal_text("here", "secret").unwrap();
    let stored = serde_json::to_string(&sealed).unwrap();
    assert!(!stored.contains("secret"));
    let again = Sealer::open(dir.path()).unwrap();
    let sealed: Sealed = serde_json::from_str(&stored).unwrap();
    assert_eq!(again.open_text("here", &sealed).unwrap(), "secret");
    assert!(again.open_text("there", &sealed).is_err());
    let other = TempDir::new().unwrap();
    assert!(Sealer::open(other.path()).unwrap().open_text("here", &sealed).is_err());

    let file = dir.path().join("seal.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Sealer::open(dir.path()).is_err(), "a key that others may read is refused");
}

/// However many rows of the kind have another value.
#[tokio::test]
async fn an_index_is_looked_up_and_not_scanned_for() {
    let (dir, store) = fresh().await;
    store.close().await;
    let db = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {}", sql::FIND)).unwrap();
    let steps = plan.query_map([""; 7], |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<_> = steps.map(|step| step.unwrap()).collect();
    assert!(steps[0].starts_with("SEARCH i USING PRIMARY KEY (kind=? AND name=? AND value=?"), "{steps:?}");
    assert!(steps[1].starts_with("SEARCH r USING INDEX record_key (kind=? AND key=?"), "{steps:?}");
}

/// The commits never rest, and the log begins anew all the same: SQLite counts how often in its header.
#[tokio::test]
async fn the_log_is_carried_over_while_commits_go_on() {
    let (dir, store) = fresh().await;
    let text = "x".repeat(256 << 10);
    let log = dir.path().join("state.db-wal");
    let begun = || {
        let mut number = [0; 4];
        std::fs::File::open(&log).unwrap().read_exact_at(&mut number, 12).unwrap();
        u32::from_be_bytes(number)
    };
    let (mut first, mut written) = (None, 0);
    for n in 0_u64.. {
        store.commit(Batch::new().put(&key("n").number(n), &note(&text))).await.unwrap();
        written += text.len();
        if begun() > *first.get_or_insert_with(begun) + 1 {
            break;
        }
        assert!(written < 4 * limits::LOG_MOST as usize * 4096, "the log never begins anew");
    }
    let size = std::fs::metadata(&log).unwrap().len();
    assert!(size < 2 * u64::from(limits::LOG_MOST) * 4096, "the log grew to {size} bytes");
    store.close().await;
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(store.count::<Note>(key("n")).await.unwrap(), (written / text.len()) as u64);
}
