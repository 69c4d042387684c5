//! The certificates that the settings name: whether they are good, for whom, and until when.

use super::item::Seen;
use super::scene::Scene;
use kakehashi_control::capacity::CERTIFICATE_SOON;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::pki::{PkiError, Purpose, Useless, inspect, load_roots};
use kakehashi_wire::id::RelayId;
use std::io::ErrorKind;
use std::path::Path;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Days before its end at which a certificate should be replaced: a month to notice it.
const DAYS_LEFT: u64 = CERTIFICATE_SOON.as_secs() * 1_000 / DAY_MS;

/// What is said of one certificate, and what to do if it is not good.
fn judge(what: &str, found: Result<UnixMs, Useless>, now: UnixMs, fix: &str) -> Seen {
    let should = format!("good, for {DAYS_LEFT} days more");
    match found {
        Ok(until) => {
            let days = until.0.saturating_sub(now.0) / DAY_MS;
            let seen = Seen::ok(format!("{what}: good for {days} days"), should);
            if days < DAYS_LEFT { seen.advice(fix) } else { seen }
        }
        // That it may not be read says nothing about it.
        Err(Useless::Files(PkiError::Io { path, error }))
            if error.kind() == ErrorKind::PermissionDenied =>
        {
            let why = format!("{}: {error}; ask as root, or as its user", path.display());
            Seen::unknown(why, should)
        }
        Err(Useless::Files(PkiError::Bad { path, what, .. })) if what.contains("every user") => {
            let is = format!("{} {what}", path.display());
            Seen::ok(is, should).wrong(format!("chmod 600 {}; then {fix}", path.display()))
        }
        Err(why) => Seen::ok(format!("{what}: {why}"), should).wrong(fix),
    }
}

/// The relay's own.
pub(super) fn relay(scene: &Scene<'_>) -> Seen {
    let at = |path: &Path| scene.machine.at(&path.to_string_lossy());
    let relay = scene.relay;
    let (chain, key) = (at(&relay.certificate_file), at(&relay.key_file));
    let purpose = Purpose::Relay(RelayId(relay.relay_id));
    let found = load_roots(&at(&relay.ca_file)).map_err(Useless::from);
    let found = found.and_then(|roots| inspect((&chain, &key), Some(roots), purpose, scene.now));
    let fix = format!(
        "kakehashi pki --config control.toml relay {} --out DIR, on the first node's machine",
        relay.relay_id
    );
    judge(&chain.display().to_string(), found, scene.now, &fix)
}

/// Those of a control node: the worst of them is told.
pub(super) fn control(scene: &Scene<'_>) -> Seen {
    let control = scene.control;
    let pki = scene.machine.at(&control.pki().to_string_lossy());
    let own = [
        ("terminals", &control.terminals.certificate, &control.terminals.key),
        ("relays", &control.relays.certificate, &control.relays.key),
        ("api", &control.api.certificate, &control.api.key),
    ];
    let mut all = Vec::new();
    let names = Purpose::Server(&control.names);
    for (section, chain, key) in own.iter().filter(|own| !own.1.as_os_str().is_empty()) {
        let at = |path: &Path| scene.machine.at(&path.to_string_lossy());
        let found = inspect((&at(chain), &at(key)), None, names, scene.now);
        let fix = format!("put a new one at {}, and restart control", chain.display());
        all.push(judge(&format!("[{section}]"), found, scene.now, &fix));
    }
    let is_internal = own.iter().any(|(_, chain, _)| chain.as_os_str().is_empty());
    let pem = pki.join("control.pem");
    match pem.try_exists() {
        _ if !is_internal => {}
        Ok(false) if !pki.join("ca.pem").exists() => {
            all.push(Seen::ok("none yet: the first start makes them", "made, or good"));
        }
        Ok(_) => {
            let found = load_roots(&pki.join("ca.pem")).map_err(Useless::from).and_then(|roots| {
                inspect((&pem, &pki.join("control.key")), Some(roots), names, scene.now)
            });
            let fix = "systemctl restart kakehashi-control makes a new one where ca.key is; for \
                       other nodes: kakehashi pki node";
            all.push(judge(&pem.display().to_string(), found, scene.now, fix));
        }
        Err(error) => all.push(Seen::unknown(format!("{}: {error}", pem.display()), "good")),
    }
    let worst = all.into_iter().max_by_key(|seen| seen.state.gravity());
    worst.unwrap_or_else(|| Seen::unknown("none is named", "good"))
}
