//! What every archive must do, on a folder and on a real service; and that it is one store's.

use kakehashi_control::archive::{
    Archive, ArchiveError, ArchiveSettings, Claimed, KeptError, Name, Objects, SharedArchive, open,
};
use kakehashi_control::config::Config;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::store::{Embedded, SharedStore};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text.to_owned()).unwrap()
}

async fn put(archive: &dyn Archive, at: &str, bytes: &[u8]) -> bool {
    archive.put_new(&name(at), bytes.to_vec()).await.unwrap()
}

/// Runs every check on an archive that holds nothing below `c`.
pub(crate) async fn all(archive: SharedArchive) {
    what_is_put_is_there_and_stays(&*archive).await;
    names_are_listed_in_order_page_by_page(&*archive).await;
}

async fn what_is_put_is_there_and_stays(archive: &dyn Archive) {
    let at = name("c/put/a");
    assert_eq!(archive.get(&at).await.unwrap(), None);
    assert!(put(archive, "c/put/a", b"one").await);
    assert!(!put(archive, "c/put/a", b"two").await);
    assert!(!put(archive, "c/put/a", b"one").await);
    assert_eq!(archive.get(&at).await.unwrap().unwrap(), b"one");
    assert!(put(archive, "c/put/empty", b"").await);
    assert_eq!(archive.get(&name("c/put/empty")).await.unwrap().unwrap(), b"");
    let large = vec![7; 2 * 1024 * 1024];
    assert!(put(archive, "c/put/large", &large).await);
    assert!(archive.get(&name("c/put/large")).await.unwrap().unwrap() == large);
    archive.remove(&at).await.unwrap();
    archive.remove(&at).await.unwrap();
    assert_eq!(archive.get(&at).await.unwrap(), None);
    assert!(put(archive, "c/put/a", b"two").await);
}

async fn of_many_writers_one_is_first(archive: &SharedArchive) {
    let write = |writer: u8| {
        let archive = Arc::clone(archive);
        tokio::spawn(async move { put(&*archive, "c/race", &[writer]).await })
    };
    let writers: Vec<_> = (0..8).map(write).collect();
    let mut first = Vec::new();
    for (writer, done) in (0_u8..).zip(writers) {
        first.extend(done.await.unwrap().then_some(writer));
    }
    assert_eq!(archive.get(&name("c/race")).await.unwrap().unwrap(), first);
}

async fn names_are_listed_in_order_page_by_page(archive: &dyn Archive) {
    let folder = name("c/list");
    assert_eq!(archive.list(&folder, None, 10).await.unwrap(), []);
    assert!(put(archive, "c/list-not/1", b"").await);
    let mut names = Vec::new();
    // More than a service tells at once.
    for number in 0..1_100 {
        let at = format!("c/list/{:04}", (number * 7) % 1_100);
        assert!(put(archive, &at, b"").await);
        names.push(name(&at));
    }
    names.sort();
    assert_eq!(archive.list(&folder, None, 5_000).await.unwrap(), names);
    let mut found = Vec::new();
    loop {
        let page = archive.list(&folder, found.last(), 400).await.unwrap();
        let is_last = page.len() < 400;
        found.extend(page);
        if is_last {
            break;
        }
    }
    assert_eq!(found, names);
    let behind = archive.list(&folder, Some(&name("c/list/0500-z")), 1).await.unwrap();
    assert_eq!(behind, [name("c/list/0501")]);
}

fn folder(path: &Path) -> SharedArchive {
    Arc::new(Objects::folder(path).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_does_what_an_archive_must() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("deep/archive");
    all(folder(&path)).await;
    of_many_writers_one_is_first(&folder(&path)).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // What somebody else has put there is no object of ours.
    std::fs::write(path.join("c/list/Notes.txt"), b"x").unwrap();
    assert_eq!(folder(&path).list(&name("c/list"), None, 5_000).await.unwrap().len(), 1_100);
    assert_eq!(folder(&path).get(&name("c/put/a")).await.unwrap().unwrap(), b"two");
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let settings = ArchiveSettings { folder: file.join("archive"), ..ArchiveSettings::default() };
    let refused = open(&settings, Path::new("unused")).err().unwrap();
    assert!(matches!(refused, ArchiveError::File { .. }), "{refused:?}");
}

fn store(path: &Path) -> SharedStore {
    Arc::new(Embedded::open(&path.join("store")).unwrap())
}

async fn claim(
    store: &SharedStore,
    archive: &SharedArchive,
    is_chosen: bool,
) -> Result<(), ArchiveError> {
    let archive = Arc::clone(archive);
    let claimed = Claimed::new(archive, Arc::clone(store), Entropy::system(), is_chosen);
    match claimed.ready().await.map(|_| ()) {
        Err(KeptError::Archive(error)) => Err(error),
        Err(KeptError::Store(error)) => panic!("{error}"),
        Ok(()) => Ok(()),
    }
}

#[tokio::test]
async fn an_archive_is_one_stores_and_a_store_has_one_archive() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |path: &str| temporary.path().join(path);
    std::fs::create_dir(at("one")).unwrap();
    std::fs::create_dir(at("two")).unwrap();
    let (one, two) = (store(&at("one")), store(&at("two")));
    let archive = folder(&at("archive"));
    claim(&one, &archive, true).await.unwrap();
    claim(&one, &archive, true).await.unwrap();
    let refused = claim(&two, &archive, true).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Another { .. }), "{refused:?}");
    let refused = claim(&one, &folder(&at("other")), true).await.unwrap_err();
    let ArchiveError::Missing { expected } = &refused else { panic!("{refused:?}") };
    // The way out that the error names.
    assert!(put(&*folder(&at("other")), "id", format!("{expected}\n").as_bytes()).await);
    claim(&one, &folder(&at("other")), true).await.unwrap();
    claim(&one, &folder(&at("own")), false).await.unwrap();
    claim(&two, &folder(&at("new")), true).await.unwrap();
    let refused = claim(&one, &folder(&at("new")), false).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Another { .. }), "{refused:?}");
}

#[tokio::test]
async fn nodes_that_begin_together_have_the_same_archive() {
    let temporary = tempfile::tempdir().unwrap();
    let (store, archive) = (store(temporary.path()), folder(&temporary.path().join("archive")));
    let claim = || claim(&store, &archive, true);
    let (one, two, three) = tokio::join!(claim(), claim(), claim());
    assert_eq!((one, two, three), (Ok(()), Ok(()), Ok(())));
}

#[test]
fn settings_that_cannot_be_are_named() {
    let cases = [
        ("endpoint = \"s3.example\"", "archive.s3.endpoint"),
        ("endpoint = \"https://s3.example\"\nbucket = \"B\"", "archive.s3.bucket"),
        ("prefix = \"/\"", "archive.s3.prefix"),
        ("endpoint = \"https://s3.example\"\nbucket = \"b\"", "archive.s3.credentials_file"),
    ];
    for (text, setting) in cases {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), format!("[archive.s3]\n{text}\n")).unwrap();
        let refused = Config::read(path.path()).unwrap_err().to_string();
        assert!(refused.contains(setting), "{refused}");
    }
}
