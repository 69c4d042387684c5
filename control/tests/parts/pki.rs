//! The internal CA: files, renewal, and real TLS between what it issues.

use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::nodes::NodeName;
use kakehashi_control::pki::{
    Identity, Pki, PkiError, load_chain, load_identity, load_key, load_roots,
    open_or_create_cell_secret, relay_id_of,
};
use kakehashi_wire::id::RelayId;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn names() -> Vec<String> {
    ["control.example.jp", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
}

fn open(folder: &Path, now: UnixMs) -> Result<Pki, PkiError> {
    Pki::open_or_create(folder, now, Entropy::system())
}

/// Lets a client and a server speak TLS in memory; says which relay the server saw.
fn handshake(
    server: &Identity,
    client: &Identity,
    roots: &RootCertStore,
    name: &str,
) -> Result<Option<RelayId>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots.clone());
    let tls13 = &[&rustls::version::TLS13];
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
    let server_config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(tls13)?
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(server.chain.clone(), server.key.clone_key())?;
    let client_config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(tls13)?
        .with_root_certificates(roots)
        .with_client_auth_cert(client.chain.clone(), client.key.clone_key())?;
    let mut server = ServerConnection::new(Arc::new(server_config))?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client_config), name)?;
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() {
            let read = server.read_tls(&mut bytes.as_slice()).unwrap();
            bytes.drain(..read);
            server.process_new_packets()?;
        }
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() {
            let read = client.read_tls(&mut bytes.as_slice()).unwrap();
            bytes.drain(..read);
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(relay_id_of(&server.peer_certificates().unwrap()[0]))
}

#[test]
fn what_it_issues_speaks_tls_and_names_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let now = UnixMs::now();
    let pki = open(folder.path(), now).unwrap();
    let roots = load_roots(&pki.root_path()).unwrap();
    let server = pki.issue_server(&names(), now).unwrap();
    let relay = pki.issue_relay(RelayId(7), now).unwrap();
    for name in names() {
        assert_eq!(handshake(&server, &relay, &roots, &name).unwrap(), Some(RelayId(7)));
    }
    assert!(handshake(&server, &relay, &roots, "other.example.jp").is_err());
    assert!(handshake(&server, &relay, &roots, "127.0.0.2").is_err());
    // Neither can stand in for the other.
    assert!(handshake(&server, &server, &roots, "127.0.0.1").is_err());
    assert!(handshake(&relay, &relay, &roots, "127.0.0.1").is_err());
}

#[test]
fn another_ca_is_not_believed() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let now = UnixMs::now();
    let (ours, theirs) = (open(ours.path(), now).unwrap(), open(theirs.path(), now).unwrap());
    let server = ours.issue_server(&names(), now).unwrap();
    let forged = theirs.issue_relay(RelayId(7), now).unwrap();
    assert!(handshake(&server, &forged, &ours.roots().unwrap(), "127.0.0.1").is_err());
    assert!(handshake(&server, &forged, &theirs.roots().unwrap(), "127.0.0.1").is_err());
}

#[test]
fn keys_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("pki");
    let pki = open(&inside, UnixMs::now()).unwrap();
    pki.issue_server(&names(), UnixMs::now()).unwrap();
    pki.issue_relay(RelayId(1), UnixMs::now()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inside), 0o700);
    let mut files = Vec::new();
    for entry in fs::read_dir(&inside).unwrap() {
        let path = entry.unwrap().path();
        let expected = if path.extension().unwrap() == "key" { 0o600 } else { 0o644 };
        assert_eq!(mode(&path), expected, "{}", path.display());
        files.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    files.sort();
    let expected = ["ca.key", "ca.pem", "control.key", "control.pem", "relay-1.key", "relay-1.pem"];
    assert_eq!(files, expected);
}

#[test]
fn what_is_good_is_kept_and_what_is_not_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let start = UnixMs::now();
    let later = |days: u64| UnixMs(start.0 + days * DAY);
    let pki = open(folder.path(), start).unwrap();
    let first = pki.issue_server(&names(), start).unwrap();
    let again = open(folder.path(), later(1)).unwrap();
    assert_eq!(again.root(), pki.root());
    assert_eq!(again.issue_server(&names(), later(240)).unwrap().chain, first.chain);
    let renewed = again.issue_server(&names(), later(250)).unwrap();
    assert_ne!(renewed.chain, first.chain);
    let fewer = again.issue_server(&names()[..1], later(250)).unwrap();
    assert_ne!(fewer.chain, renewed.chain);
    assert_eq!(again.issue_server(&names()[..1], later(250)).unwrap().chain, fewer.chain);
    fs::write(folder.path().join("control.pem"), "garbage").unwrap();
    assert_ne!(again.issue_server(&names()[..1], later(250)).unwrap().chain, fewer.chain);
    let expired = open(folder.path(), later(3700)).err().unwrap().to_string();
    assert!(expired.contains("has expired"), "{expired}");
    assert!(matches!(pki.issue_server(&["a b".to_owned()], start), Err(PkiError::Name(_))));
    assert!(matches!(pki.issue_server(&[], start), Err(PkiError::Name(_))));
}

#[test]
fn a_start_cut_short_goes_on_and_a_lost_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let now = UnixMs::now();
    let pki = open(folder.path(), now).unwrap();
    let (pem, key) = (folder.path().join("ca.pem"), folder.path().join("ca.key"));
    let server = pki.issue_server(&names(), now).unwrap();
    let relay = pki.issue_relay(RelayId(1), now).unwrap();
    let old_roots = pki.roots().unwrap();
    fs::remove_file(&pem).unwrap();
    open(folder.path(), now).unwrap();
    // The same key under the same name: terminals with the old ca.pem still believe it.
    assert!(handshake(&server, &relay, &old_roots, "127.0.0.1").is_ok());
    let new_roots = load_roots(&pem).unwrap();
    assert!(handshake(&server, &relay, &new_roots, "127.0.0.1").is_ok());
    fs::remove_file(&key).unwrap();
    // What was issued counts on, and nothing else can be.
    let keyless = open(folder.path(), now).unwrap();
    assert_eq!(keyless.issue_server(&names(), now).unwrap().chain, server.chain);
    let other = keyless.issue_server(&names()[..1], now).err().unwrap().to_string();
    assert!(other.contains("has other names"), "{other}");
    assert!(keyless.issue_relay(RelayId(2), now).err().unwrap().to_string().contains("is missing"));
    fs::remove_file(folder.path().join("control.pem")).unwrap();
    let lost = open(folder.path(), now).err().unwrap().to_string();
    assert!(lost.contains("ca.key is missing: restore it"), "{lost}");
    let other = tempfile::tempdir().unwrap();
    open(other.path(), now).unwrap();
    fs::copy(other.path().join("ca.key"), &key).unwrap();
    let wrong = open(folder.path(), now).err().unwrap().to_string();
    assert!(wrong.contains("does not belong to ca.key"), "{wrong}");
}

#[test]
fn an_operators_own_files_are_checked_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let now = UnixMs::now();
    let pki = open(folder.path(), now).unwrap();
    pki.issue_server(&names(), now).unwrap();
    pki.issue_relay(RelayId(1), now).unwrap();
    let [pem, key] = ["control.pem", "control.key"].map(|name| folder.path().join(name));
    assert!(load_identity(&pem, &key).is_ok());
    let (_, other_key) = pki.relay_paths(RelayId(1));
    let mixed = load_identity(&pem, &other_key).err().unwrap().to_string();
    assert!(mixed.contains("is not the key of"), "{mixed}");
    let no_key = load_key(&pem).err().unwrap().to_string();
    assert!(no_key.contains("every user") || no_key.contains("no usable key"), "{no_key}");
    let no_certificate = load_chain(&key).err().unwrap().to_string();
    assert!(no_certificate.contains("holds no certificate"), "{no_certificate}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open_key = load_key(&key).err().unwrap().to_string();
    assert!(open_key.contains("chmod 600"), "{open_key}");
    let missing = load_chain(&folder.path().join("none.pem")).err().unwrap();
    assert!(matches!(missing, PkiError::Missing { .. }));
    let garbage = folder.path().join("garbage.pem");
    fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let damaged = load_chain(&garbage).err().unwrap().to_string();
    assert!(damaged.contains("is damaged"), "{damaged}");
    fs::write(&garbage, vec![0; 2 << 20]).unwrap();
    assert!(load_chain(&garbage).err().unwrap().to_string().contains("larger than"));
}

#[test]
fn other_machines_are_given_what_they_need_and_not_the_key_of_the_authority() {
    let [home, relays, node] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let now = UnixMs::now();
    let later = |days: u64| UnixMs(now.0 + days * DAY);
    let pki = open(home.path(), now).unwrap();
    let secret = open_or_create_cell_secret(home.path(), &Entropy::system()).unwrap();
    pki.give_relay(RelayId(7), relays.path(), now).unwrap();
    let name = NodeName::parse("b").unwrap();
    pki.give_node((&name, &names()), &secret, node.path(), now).unwrap();
    let files = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut files: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        files.sort();
        files
    };
    assert_eq!(files(relays.path()), ["ca.pem", "relay-7.key", "relay-7.pem"]);
    let of_node = ["ca.pem", "cell.key", "control.key", "control.pem", "node.key", "node.pem"];
    assert_eq!(files(node.path()), of_node);
    // As the node uses them.
    let given = open(node.path(), later(1)).unwrap();
    assert_eq!(given.fingerprint(), pki.fingerprint());
    let same = open_or_create_cell_secret(node.path(), &Entropy::system()).unwrap();
    assert_eq!(same.fingerprint(), secret.fingerprint());
    let server = given.issue_server(&names(), later(1)).unwrap();
    given.issue_node(&name, later(1)).unwrap();
    let [pem, key] = ["relay-7.pem", "relay-7.key"].map(|file| relays.path().join(file));
    let relay = load_identity(&pem, &key).unwrap();
    let roots = given.roots().unwrap();
    assert_eq!(handshake(&server, &relay, &roots, "127.0.0.1").unwrap(), Some(RelayId(7)));
    // It takes no other name, gives nothing, and says when it is over.
    let other = NodeName::parse("c").unwrap();
    assert!(given.issue_node(&other, now).err().unwrap().to_string().contains("other names"));
    let gives = given.give_relay(RelayId(8), relays.path(), now).err().unwrap().to_string();
    assert!(gives.contains("ca.key is missing"), "{gives}");
    let over = given.issue_server(&names(), later(366)).err().unwrap().to_string();
    assert!(over.contains("has expired") && over.contains("kakehashi pki node"), "{over}");
    // Given again when it nears its end, and not before.
    let chain = || load_chain(&node.path().join("control.pem")).unwrap();
    let first = chain();
    pki.give_node((&name, &names()), &secret, node.path(), later(10)).unwrap();
    assert_eq!(chain(), first);
    pki.give_node((&name, &names()), &secret, node.path(), later(300)).unwrap();
    assert_ne!(chain(), first);
}
