//! The CA itself, and what it issues.

use super::{Identity, PkiError, files, load_chain, load_identity, node_host, relay_uri};
use crate::clock::UnixMs;
use crate::entropy::Entropy;
use crate::nodes::NodeName;
use core::time::Duration;
use kakehashi_wire::id::RelayId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

const DAY: u64 = 24 * 60 * 60;

/// Life of the CA: ten years, since replacing it means visiting every terminal.
const CA_LIFE: u64 = 3653 * DAY;

/// Life of what it issues: one year, and longer than any control runs without a restart.
const LEAF_LIFE: u64 = 365 * DAY;

/// Valid from this much before it was made, for terminals whose clock is behind.
const BEFORE: u64 = 60 * 60;

const NO_KEY: &str = "restore it; have this machine's certificates made where it is (`kakehashi \
                      pki node`); or move ca.pem away to begin anew (then every terminal and relay \
                      needs the new ca.pem)";

/// The internal CA, with its folder.
pub struct Pki {
    folder: PathBuf,
    root: CertificateDer<'static>,
    /// None where certificates come from another machine.
    issuer: Option<Issuer<'static, KeyPair>>,
    entropy: Entropy,
}

impl Pki {
    /// Opens the CA in `folder`, or makes it.
    ///
    /// The key is written first: a folder with a key and no certificate is a start that was cut
    /// short, and the certificate is made again from the same key. A folder with `ca.pem` and
    /// `control.pem` alone is one that was given its certificates: nothing is issued there.
    pub fn open_or_create(folder: &Path, now: UnixMs, entropy: Entropy) -> Result<Self, PkiError> {
        files::make_folder(folder)?;
        let (pem, key_path) = (folder.join("ca.pem"), folder.join("ca.key"));
        let exists = |path: &Path| {
            path.try_exists().map_err(|error| PkiError::Io { path: path.to_owned(), error })
        };
        let (has_pem, has_key) = (exists(&pem)?, exists(&key_path)?);
        if has_pem && !has_key {
            if !exists(&folder.join("control.pem"))? {
                return Err(PkiError::Missing { path: key_path, help: NO_KEY });
            }
            let root = load_chain(&pem)?.swap_remove(0);
            return Ok(Self { folder: folder.to_owned(), root, issuer: None, entropy });
        }
        if !has_key {
            write_key(&key_path, &new_key()?)?;
        }
        let key = read_key(&key_path)?;
        if !has_pem {
            let params = ca_params(&key, now, &entropy);
            let made = params.self_signed(&key).map_err(make)?;
            files::write(&pem, made.pem().as_bytes(), 0o644)?;
        }
        let root = load_chain(&pem)?.swap_remove(0);
        let key_of = KeyMatch { certificate: &root, key: &key };
        key_of.check(&pem, now)?;
        let issuer = Some(Issuer::from_ca_cert_der(&root, key).map_err(make)?);
        Ok(Self { folder: folder.to_owned(), root, issuer, entropy })
    }

    /// Whether this machine can issue anything.
    pub(super) fn may_issue(&self) -> Result<(), PkiError> {
        let no_key = || PkiError::Missing { path: self.folder.join("ca.key"), help: NO_KEY };
        self.issuer.as_ref().map(drop).ok_or_else(no_key)
    }

    /// The CA's certificate.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// SHA-256 of the CA's certificate, as other tools print it.
    pub fn fingerprint(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.root);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The file that terminals need.
    pub fn root_path(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The CA as the only root to trust.
    pub fn roots(&self) -> Result<RootCertStore, PkiError> {
        super::load_roots(&self.root_path())
    }

    /// The control server's certificate for `names` (host names and IP addresses): the one there,
    /// or a new one if its names differ, it nears its end, or another CA made it.
    pub fn issue_server(&self, names: &[String], now: UnixMs) -> Result<Identity, PkiError> {
        self.issue_server_in(&self.folder, names, now)
    }

    pub(super) fn issue_server_in(
        &self,
        folder: &Path,
        names: &[String],
        now: UnixMs,
    ) -> Result<Identity, PkiError> {
        let names: Vec<SanType> = names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
        let first = names.first().ok_or_else(|| PkiError::Name(String::new()))?;
        let common = match first {
            SanType::IpAddress(address) => address.to_string(),
            SanType::DnsName(name) => name.as_str().to_owned(),
            _ => "control".to_owned(),
        };
        let server = [ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&paths(folder, "control"), &common, names, &server, now)
    }

    /// The certificate with which `relay` names itself to control.
    pub fn issue_relay(&self, relay: RelayId, now: UnixMs) -> Result<Identity, PkiError> {
        self.issue_relay_in(&self.folder, relay, now)
    }

    pub(super) fn issue_relay_in(
        &self,
        folder: &Path,
        relay: RelayId,
        now: UnixMs,
    ) -> Result<Identity, PkiError> {
        let uri = relay_uri(relay);
        let name = SanType::URI(uri.as_str().try_into().map_err(make)?);
        let client = [ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&relay_paths(folder, relay), &uri, vec![name], &client, now)
    }

    /// The certificate with which the node of that name names itself to others, whichever dials.
    pub fn issue_node(&self, node: &NodeName, now: UnixMs) -> Result<Identity, PkiError> {
        self.issue_node_in(&self.folder, node, now)
    }

    pub(super) fn issue_node_in(
        &self,
        folder: &Path,
        node: &NodeName,
        now: UnixMs,
    ) -> Result<Identity, PkiError> {
        let host = node_host(node.as_str());
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&paths(folder, "node"), &host, vec![san(&host)?], &both, now)
    }

    /// Where the certificate and key of `relay` are.
    pub fn relay_paths(&self, relay: RelayId) -> (PathBuf, PathBuf) {
        relay_paths(&self.folder, relay)
    }

    fn issue(
        &self,
        (pem, key_path): &(PathBuf, PathBuf),
        common: &str,
        names: Vec<SanType>,
        purposes: &[ExtendedKeyUsagePurpose],
        now: UnixMs,
    ) -> Result<Identity, PkiError> {
        let Some(issuer) = &self.issuer else { return self.issued(pem, key_path, &names, now) };
        if let Ok(identity) = load_identity(pem, key_path)
            && self.life(&identity.chain[0], &names, now).is_some_and(Life::is_long)
        {
            return Ok(identity);
        }
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes.to_vec();
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial(&self.entropy));
        set_life(&mut params, now, LEAF_LIFE);
        let made = params.signed_by(&key, issuer).map_err(make)?;
        // A crash between the two leaves a pair that does not match, which is made again.
        write_key(key_path, &key)?;
        files::write(pem, made.pem().as_bytes(), 0o644)?;
        load_identity(pem, key_path)
    }

    /// What was issued on another machine, if it is good still.
    fn issued(
        &self,
        pem: &Path,
        key: &Path,
        names: &[SanType],
        now: UnixMs,
    ) -> Result<Identity, PkiError> {
        const HELP: &str = "the key of the authority is on another machine: make it there with \
                            `kakehashi pki node` or `kakehashi pki relay`, and copy it here";
        if !pem.exists() {
            return Err(PkiError::Missing { path: pem.to_owned(), help: HELP });
        }
        let identity = load_identity(pem, key)?;
        match self.life(&identity.chain[0], names, now) {
            Some(life) if life.left > 0 => {
                if !life.is_long() {
                    let days = life.left / 86_400;
                    tracing::warn!(event = "certificate_ending", path = %pem.display(), days,
                        "a certificate ends: {HELP}");
                }
                Ok(identity)
            }
            Some(_) => {
                let what = "has expired".to_owned();
                Err(PkiError::Bad { path: pem.to_owned(), what, help: HELP })
            }
            None => {
                let what = "is not of this authority, or has other names".to_owned();
                Err(PkiError::Bad { path: pem.to_owned(), what, help: HELP })
            }
        }
    }

    /// How long `certificate` is good; `None` if it is not this CA's, has not just `names`, or is
    /// not good yet.
    fn life(
        &self,
        certificate: &CertificateDer<'_>,
        names: &[SanType],
        now: UnixMs,
    ) -> Option<Life> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let (_, root) = X509Certificate::from_der(&self.root).ok()?;
        let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let has = &parsed.subject_alternative_name().ok()??.value.general_names;
        let is_good = parsed.verify_signature(Some(root.public_key())).is_ok()
            && begin <= now
            && has.len() == names.len()
            && names.iter().all(|name| has.iter().any(|found| same(name, found)));
        is_good.then_some(Life { left: end.saturating_sub(now), whole: end.saturating_sub(begin) })
    }
}

/// The life of a certificate, in seconds.
#[derive(Clone, Copy)]
struct Life {
    left: i64,
    whole: i64,
}

impl Life {
    /// Whether more than a third of it is left.
    fn is_long(self) -> bool {
        self.left > self.whole / 3
    }
}

fn paths(folder: &Path, file: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")))
}

fn relay_paths(folder: &Path, relay: RelayId) -> (PathBuf, PathBuf) {
    paths(folder, &format!("relay-{}", relay.0))
}

fn same(wanted: &SanType, found: &GeneralName<'_>) -> bool {
    match (wanted, found) {
        (SanType::DnsName(wanted), GeneralName::DNSName(found)) => wanted.as_str() == *found,
        (SanType::URI(wanted), GeneralName::URI(found)) => wanted.as_str() == *found,
        (SanType::IpAddress(IpAddr::V4(wanted)), GeneralName::IPAddress(found)) => {
            wanted.octets() == *found
        }
        (SanType::IpAddress(IpAddr::V6(wanted)), GeneralName::IPAddress(found)) => {
            wanted.octets() == *found
        }
        _ => false,
    }
}

/// A certificate and the key that should be its.
struct KeyMatch<'a> {
    certificate: &'a CertificateDer<'static>,
    key: &'a KeyPair,
}

impl KeyMatch<'_> {
    fn check(&self, path: &Path, now: UnixMs) -> Result<(), PkiError> {
        let bad = |what: &str, help| {
            Err(PkiError::Bad { path: path.to_owned(), what: what.to_owned(), help })
        };
        let Ok((_, parsed)) = X509Certificate::from_der(self.certificate) else {
            return bad("is damaged", "restore it from a backup");
        };
        let public = &parsed.public_key().subject_public_key.data;
        if public.as_ref() != self.key.public_key_raw() {
            let help = "restore the pair that was made together, or move both away to begin anew";
            return bad("does not belong to ca.key", help);
        }
        let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
        if parsed.validity().not_after.timestamp() <= now {
            let help = "check this machine's clock; else move ca.pem and ca.key away to begin anew";
            return bad("has expired", help);
        }
        Ok(())
    }
}

fn ca_params(key: &KeyPair, now: UnixMs, entropy: &Entropy) -> CertificateParams {
    // Named after the key, so that two installations are told apart and a certificate made again
    // from the same key has the same name.
    let public = key.public_key_raw();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public);
    let name =
        u32::from_be_bytes(digest.as_ref()[..4].try_into().expect("four bytes of a digest of 32"));
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Kakehashi CA {name:08x}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial(entropy));
    set_life(&mut params, now, CA_LIFE);
    params
}

/// A positive number of 127 random bits (RFC 5280 4.1.2.2).
fn serial(entropy: &Entropy) -> SerialNumber {
    let mut bytes = entropy.bytes::<16>();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// From a little before `now` until `seconds` after it.
fn set_life(params: &mut CertificateParams, now: UnixMs, seconds: u64) {
    // Clocks beyond the year 8000 are wrong, and certificates end with the year 9999.
    let now = (now.0 / 1000).min(6030 * 365 * DAY);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(BEFORE));
    params.not_after = epoch + Duration::from_secs(now + seconds);
}

fn san(name: &str) -> Result<SanType, PkiError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = || PkiError::Name(name.to_owned());
    rustls_pki_types::DnsName::try_from(name).map_err(|_| bad())?;
    name.try_into().map(SanType::DnsName).map_err(|_| bad())
}

fn new_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(make)
}

fn write_key(path: &Path, key: &KeyPair) -> Result<(), PkiError> {
    files::write(path, Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)
}

fn read_key(path: &Path) -> Result<KeyPair, PkiError> {
    let key = super::load_key(path)?;
    KeyPair::try_from(&key).map_err(|error| PkiError::Bad {
        path: path.to_owned(),
        what: format!("holds no key this CA can use ({error})"),
        help: "restore it from a backup",
    })
}

fn make(error: impl core::fmt::Display) -> PkiError {
    PkiError::Make(error.to_string())
}
