//! What further nodes and relays on other machines are given.

use super::kakehashi;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::pki::{Pki, load_identity, relay_id_of};
use kakehashi_wire::id::RelayId;
use std::path::Path;

async fn pki(config: &Path, what: &[&str]) -> Result<String, String> {
    let output = kakehashi().arg("pki").arg("--config").arg(config).args(what).output();
    let output = output.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn three_machines_get_their_files_by_commands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = |name: &str| {
        let file = at(&format!("{name}.toml"));
        std::fs::write(&file, format!("data = {:?}\n", at(name))).unwrap();
        file
    };
    let (first, second) = (config("first"), config("second"));
    let out = at("second").join("pki");
    let names = "b.example,192.0.2.2";
    let out = out.to_str().unwrap();
    pki(&first, &["node", "b", "--names", names, "--out", out]).await.unwrap();
    let relay = at("relay");
    pki(&first, &["relay", "7", "--out", relay.to_str().unwrap()]).await.unwrap();

    // Both are of one cell, and only one of them has the authority.
    let fingerprints = |said: String| -> Vec<String> {
        let second = |line: &str| line.split_whitespace().nth(1).unwrap().to_owned();
        said.lines().map(second).collect()
    };
    let [one, two] = [&first, &second].map(|config| pki(config, &["show"]));
    let (one, two) = (fingerprints(one.await.unwrap()), fingerprints(two.await.unwrap()));
    assert_eq!((one.len(), &one), (2, &two));
    let refused = pki(&second, &["relay", "8", "--out", out]).await.unwrap_err();
    assert!(refused.contains("ca.key is missing"), "{refused}");

    let given = Pki::open_or_create(Path::new(out), UnixMs::now(), Entropy::system()).unwrap();
    let names: Vec<_> = names.split(',').map(str::to_owned).collect();
    given.issue_server(&names, UnixMs::now()).unwrap();
    let identity = load_identity(&relay.join("relay-7.pem"), &relay.join("relay-7.key")).unwrap();
    assert_eq!(relay_id_of(&identity.chain[0]), Some(RelayId(7)));
    for (what, complaint) in [
        (&["node", "B", "--names", "b", "--out", out][..], "no name of a node"),
        (&["node", "b", "--out", out], "--names"),
        (&["relay", "x", "--out", out], "invalid"),
    ] {
        let refused = pki(&first, what).await.unwrap_err();
        assert!(refused.contains(complaint), "{refused}");
    }
}
