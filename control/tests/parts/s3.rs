//! The archive in a bucket of a real service: `moto` in a process of its own, which checks
//! signatures.

use super::archive::{all, name};
use kakehashi_control::archive::{
    Archive, ArchiveError, ArchiveSettings, S3Settings, SharedArchive, open,
};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Prints the key of a user that may do everything, and from then on knows no other.
const SERVER: &str = r#"
import json, sys, threading
import boto3
from moto.server import ThreadedMotoServer

port = int(sys.argv[1])
ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False).start()
at = dict(endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
          aws_access_key_id="first", aws_secret_access_key="first")
boto3.client("s3", **at).create_bucket(Bucket="kept")
iam = boto3.client("iam", **at)
iam.create_user(UserName="kakehashi")
allow = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="kakehashi", PolicyName="all", PolicyDocument=json.dumps(allow))
key = iam.create_access_key(UserName="kakehashi")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"], flush=True)
threading.Event().wait()
"#;

/// Requests before keys count: those of [`SERVER`] itself.
const REQUESTS_BEFORE: &str = "4";

struct Service {
    process: Child,
    endpoint: String,
    folder: TempDir,
    credentials: PathBuf,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The Python that has the packages of `tests/requirements.txt`.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/.venv/bin/python");
    std::env::var_os("KAKEHASHI_PYTHON").map_or(own, PathBuf::from)
}

impl Service {
    fn start() -> Self {
        use std::io::BufRead;

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut process = Command::new(python())
            .args(["-c", SERVER, &port.to_string()])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", REQUESTS_BEFORE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("tests/run makes tests/.venv; KAKEHASHI_PYTHON names another");
        let mut line = String::new();
        let said = process.stdout.take().unwrap();
        std::io::BufReader::new(said).read_line(&mut line).unwrap();
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let (id, key) = line.trim().split_once(' ').unwrap_or_else(|| panic!("no service: {log}"));
        let credentials = folder.path().join("credentials");
        std::fs::write(&credentials, format!("{id}\n{key}\n")).unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        Self { process, endpoint, folder, credentials }
    }

    fn settings(&self, bucket: &str, credentials: &Path) -> ArchiveSettings {
        let s3 = S3Settings {
            endpoint: self.endpoint.clone(),
            bucket: bucket.to_owned(),
            credentials_file: credentials.to_owned(),
            ..S3Settings::default()
        };
        ArchiveSettings { s3, ..ArchiveSettings::default() }
    }

    fn archive(&self, bucket: &str, credentials: &Path) -> SharedArchive {
        open(&self.settings(bucket, credentials), Path::new("unused")).unwrap()
    }
}

async fn refusal(archive: &dyn Archive) -> ArchiveError {
    let said = archive.put_new(&name("refused"), b"1".to_vec()).await.unwrap_err();
    let listed = archive.list(&name("refused"), None, 1).await.unwrap_err();
    assert_eq!(core::mem::discriminant(&said), core::mem::discriminant(&listed), "{said} {listed}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_does_what_an_archive_must_and_says_what_is_wrong() {
    let mut service = Service::start();
    let archive = service.archive("kept", &service.credentials);
    all(archive.clone()).await;

    let kept = std::fs::read_to_string(&service.credentials).unwrap();
    let (id, key) = kept.trim().split_once('\n').unwrap();
    let wrong = service.folder.path().join("wrong");
    let other_key: String = key.chars().rev().collect();
    for (id, key) in [(id, other_key.as_str()), ("AKIANOBODY0000000000", key)] {
        std::fs::write(&wrong, format!("{id}\n{key}\n")).unwrap();
        let refused = refusal(&*service.archive("kept", &wrong)).await;
        assert!(matches!(refused, ArchiveError::Refused { .. }), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains("archive.s3.credentials_file") && !said.contains(key), "{said}");
    }
    std::fs::write(&wrong, "one line").unwrap();
    let refused = open(&service.settings("kept", &wrong), Path::new("unused")).err().unwrap();
    assert!(matches!(refused, ArchiveError::File { .. }), "{refused:?}");

    let refused = refusal(&*service.archive("none", &service.credentials)).await;
    assert!(matches!(refused, ArchiveError::NoBucket { .. }), "{refused:?}");

    service.process.kill().unwrap();
    service.process.wait().unwrap();
    assert!(
        TcpStream::connect_timeout(
            &service.endpoint.trim_start_matches("http://").parse().unwrap(),
            Duration::from_secs(1)
        )
        .is_err()
    );
    let refused = refusal(&*archive).await;
    assert!(matches!(refused, ArchiveError::Unavailable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("waits in the store"), "{refused}");
}
