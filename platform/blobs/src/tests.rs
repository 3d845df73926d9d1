use tempfile::TempDir;

use crate::*;

async fn fresh() -> (TempDir, Blobs) {
    let dir = TempDir::new().unwrap();
    let blobs = Blobs::open(dir.path()).await.unwrap();
    (dir, blobs)
}

/// Longer than a part, and not a multiple of one.
fn long() -> Vec<u8> {
    (0..limits::PART * 2 + 77).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn what_was_written_is_read_whole_and_in_ranges() {
    let (_dir, blobs) = fresh().await;
    let (name, bytes) = (Name::new("s3", "a/b.1").unwrap(), long());
    let mut upload = blobs.upload(u64::MAX).await.unwrap();
    for piece in bytes.chunks(300_000) {
        upload.write(piece.to_vec()).await.unwrap();
    }
    assert_eq!(blobs.size(&name).await, Ok(None), "an unfinished upload has no name");
    let stored = upload.keep(&name).await.unwrap();
    assert_eq!(stored, Stored { digest: Digest::of(&bytes), size: bytes.len() as u64 });
    assert_eq!(blobs.get(&name, u64::MAX).await.unwrap(), bytes);
    assert_eq!(blobs.get(&name, 5).await, Err(Error::TooLarge { limit: 5 }));

    let size = bytes.len() as u64;
    let ranges = [
        (0..1, 0..1),
        (limits::PART as u64 - 1..size, limits::PART as u64 - 1..size),
        (7..size * 2, 7..size),
    ];
    for (asked, given) in ranges {
        let reading = blobs.read_range(&name, asked).await.unwrap();
        assert_eq!((reading.size, reading.range.clone()), (size, given.clone()));
        assert_eq!(reading.whole().await.unwrap(), bytes[given.start as usize..given.end as usize]);
    }
    let behind = blobs.read_range(&name, size..size + 1).await.err();
    assert_eq!(behind, Some(Error::OutOfRange { size }));

    blobs.put(&name, "other").await.unwrap();
    assert_eq!(blobs.get(&name, 10).await.unwrap(), "other");
    blobs.delete(&name).await.unwrap();
    blobs.delete(&name).await.unwrap();
    assert_eq!(blobs.get(&name, 10).await, Err(Error::NotFound("s3/a/b.1".into())));
}

#[tokio::test]
async fn contents_are_named_by_their_digest_and_checked() {
    let (dir, blobs) = fresh().await;
    let upload = async |text: &'static str, expected: Option<Digest>| {
        let mut upload = blobs.upload(100).await.unwrap();
        upload.write(text).await.unwrap();
        upload.keep_content("ecr", expected.as_ref()).await
    };
    let (name, stored) = upload("layer", Some(Digest::of(b"layer"))).await.unwrap();
    assert_eq!(name, Name::content("ecr", &stored.digest.to_string().parse().unwrap()).unwrap());
    assert_eq!(upload("layer", None).await.unwrap().0, name);
    let wrong = upload("forged", Some(stored.digest)).await.unwrap_err();
    assert_eq!(wrong, Error::Digest { expected: stored.digest, found: Digest::of(b"forged") });
    assert_eq!(blobs.names("ecr").await.unwrap(), [name]);
    assert_eq!(std::fs::read_dir(dir.path().join("blobs/part")).unwrap().count(), 0);
}

#[tokio::test]
async fn unfinished_uploads_leave_nothing() {
    let (dir, blobs) = fresh().await;
    let parts = dir.path().join("blobs/part");
    let mut upload = blobs.upload(10).await.unwrap();
    assert_eq!(upload.write("eleven byte").await, Err(Error::TooLarge { limit: 10 }));
    drop(upload);
    // The storage removes it in a thread of its own, and tells nobody.
    for _ in 0..10_000 {
        if std::fs::read_dir(&parts).unwrap().count() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(std::fs::read_dir(&parts).unwrap().count(), 0);
    // What a killed process left goes at the next start.
    std::fs::write(parts.join("1-1#1"), "left").unwrap();
    Blobs::open(dir.path()).await.unwrap();
    assert_eq!(std::fs::read_dir(&parts).unwrap().count(), 0);
}

#[test]
fn names_cannot_leave_their_area() {
    for bad in [
        "a",
        "a/",
        "/a",
        "a/../b",
        "a/.b",
        "a//b",
        "a/b c",
        "a/b#1",
        "a/ä",
        &format!("a/{}", "b".repeat(600)),
    ] {
        assert!(bad.parse::<Name>().is_err(), "{bad}");
    }
    for bad in ["sha256:12", "md5:00", &format!("sha256:{}", "A".repeat(64))] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}
