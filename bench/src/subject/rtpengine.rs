//! rtpengine, opening with one AES-GCM key and sealing with another, as the seal lane does. It is
//! told of calls over its ng protocol: bencode over UDP.

use super::{PROVIDER, Process, Route, SUITE, SetUp, random_key, spawn, v4};
use crate::bencode::Value;
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;
use kakehashi_srtp::SessionKeys;
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{MASTER_KEY_BYTES_MAX, MasterKey, Suite};
use std::net::UdpSocket;
use std::process::Command;

/// Its control port, and the range of its media ports: four for each call.
const CONTROL_PORT: u16 = 2_223;
const MEDIA_PORTS: (u16, u16) = (30_000, 34_000);

/// How often its control port is tried while it starts, and how long an answer may take.
const TRIES: usize = 50;
const ANSWER_WAIT: Duration = Duration::from_millis(200);

/// Longest answer: a session description with a dozen keys is a tenth of it.
const ANSWER_BYTES_MAX: usize = 16_384;

pub(super) fn start(set_up: SetUp<'_>) -> Result<(Process, Vec<Route>)> {
    let ip = set_up.ip;
    let mut command = Command::new("rtpengine");
    // No file of the machine's may change what is measured.
    command.args(["--config-file=none", "--table=-1", "--num-threads=1", "--log-level=4"]);
    command.args(["--foreground", "--log-stderr"]);
    command.arg(format!("--interface={ip}")).arg(format!("--listen-ng={ip}:{CONTROL_PORT}"));
    command.arg(format!("--port-min={}", MEDIA_PORTS.0));
    command.arg(format!("--port-max={}", MEDIA_PORTS.1));
    let process = spawn(set_up.link, &set_up.programs.folder, "rtpengine", command)?;

    let mut control = Control::connect(SocketAddr::from((ip, CONTROL_PORT)))?;
    let mut routes = Vec::new();
    let ends = set_up.ends;
    for flow in 0..ends.flows() {
        let [sink] = ends.sinks(flow).collect::<Vec<_>>()[..] else {
            bail!("its calls have two parties")
        };
        let (caller, callee) = (v4(ends.local(ends.sender(flow)))?, v4(ends.local(sink))?);
        routes.push(control.call(&format!("call-{flow}"), caller, callee)?);
    }
    Ok((process, routes))
}

/// The conversation on its control port.
struct Control {
    socket: UdpSocket,
    asked: u64,
}

impl Control {
    fn connect(to: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(ANSWER_WAIT))?;
        let mut control = Self { socket, asked: 0 };
        for _ in 0..TRIES {
            if control.ask(&Value::dictionary([("command", "ping".into())])).is_ok() {
                return Ok(control);
            }
            // A refused datagram comes back at once: waits for what cannot come.
            let _ = control.socket.recv(&mut [0]);
        }
        bail!("it does not answer on its control port")
    }

    /// Every command begins with a cookie, which its answer repeats.
    fn ask(&mut self, command: &Value) -> Result<Value> {
        self.asked += 1;
        let cookie = format!("{} ", self.asked);
        let mut message = cookie.clone().into_bytes();
        message.extend(command.encode());
        self.socket.send(&message)?;
        let mut answer = vec![0; ANSWER_BYTES_MAX];
        loop {
            let bytes = self.socket.recv(&mut answer)?;
            if let Some(body) = answer[..bytes].strip_prefix(cookie.as_bytes()) {
                let body = Value::decode(body)?;
                return match body.text("result") {
                    Some("ok" | "pong") => Ok(body),
                    _ => bail!("it refuses: {:?}", body.text("error-reason")),
                };
            }
        }
    }

    /// One call whose caller's packets are opened and sealed anew for the callee.
    ///
    /// Where both sides could have the same suite, it hands the caller's key on and then only
    /// copies packets. The caller therefore has AEAD_AES_256_GCM: some more rounds of AES for each
    /// packet, in a hundredth of its time.
    fn call(&mut self, id: &str, caller: SocketAddrV4, callee: SocketAddrV4) -> Result<Route> {
        let suite = Suite::AeadAes256Gcm;
        let sealed_with = MasterKey::new(suite, &rand::random(), &rand::random());
        let offered = self.describe([
            ("command", "offer".into()),
            ("call-id", id.into()),
            ("from-tag", "caller".into()),
            ("DTLS", "off".into()),
            ("sdp", sdp(caller, 1, &sealed_with).as_str().into()),
        ])?;
        let (tag, key) = offered_key(&offered).context("it offers no AEAD_AES_128_GCM")?;
        let answered = self.describe([
            ("command", "answer".into()),
            ("call-id", id.into()),
            ("from-tag", "caller".into()),
            ("to-tag", "callee".into()),
            ("sdp", sdp(callee, tag, &random_key()).as_str().into()),
        ])?;
        let port = media_port(&answered).context("its answer names no port")?;
        Ok(Route {
            to: SocketAddr::new(self.socket.peer_addr()?.ip(), port),
            channel: None,
            ssrc: Ssrc(rand::random()),
            sealed_with,
            opened_with: vec![SessionKeys::derive(PROVIDER, &key)],
        })
    }

    fn describe<const N: usize>(&mut self, command: [(&str, Value); N]) -> Result<String> {
        let answer = self.ask(&Value::dictionary(command))?;
        Ok(answer.text("sdp").context("its answer holds no description")?.to_owned())
    }
}

/// The names of the suites in session descriptions (RFC 7714 14.2).
const fn name_of(suite: Suite) -> &'static str {
    match suite {
        Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
        Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
    }
}

/// One stream of voice, its key under `tag` (RFC 4568 4.1).
fn sdp(address: SocketAddrV4, tag: u8, key: &MasterKey) -> String {
    let (ip, port) = (address.ip(), address.port());
    let suite = name_of(key.suite());
    let inline = STANDARD_NO_PAD.encode([key.key(), key.salt()].concat());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/SAVP 8\r\na=rtpmap:8 PCMA/8000\r\n\
         a=crypto:{tag} {suite} inline:{inline}\r\n"
    )
}

/// The offer of [`SUITE`] in a session description: its tag and key.
fn offered_key(sdp: &str) -> Option<(u8, MasterKey)> {
    let name = name_of(SUITE);
    sdp.lines().filter_map(|line| line.strip_prefix("a=crypto:")).find_map(|line| {
        let (tag, rest) = line.split_once(' ')?;
        let inline = rest.strip_prefix(name)?.trim_start().strip_prefix("inline:")?;
        let inline = inline.split(['|', ' ']).next()?.trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(inline).ok()?;
        let (key, salt) = bytes.split_at_checked(SUITE.key_bytes())?;
        let mut padded = [0; MASTER_KEY_BYTES_MAX];
        padded[..key.len()].copy_from_slice(key);
        Some((tag.parse().ok()?, MasterKey::new(SUITE, &padded, salt.try_into().ok()?)))
    })
}

/// The port of the first stream of a session description.
fn media_port(sdp: &str) -> Option<u16> {
    let media = sdp.lines().find_map(|line| line.strip_prefix("m=audio "))?;
    media.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_address_and_key() {
        let key = random_key();
        let sdp = sdp("192.0.2.1:5004".parse().unwrap(), 7, &key);
        assert_eq!(media_port(&sdp), Some(5_004));
        assert!(sdp.contains("c=IN IP4 192.0.2.1\r\n"));
        assert!(offered_key(&sdp).is_some_and(|(tag, read)| tag == 7 && read == key));
    }

    #[test]
    fn only_the_suite_that_is_wanted_is_read() {
        let key = MasterKey::new(Suite::AeadAes256Gcm, &[1; 32], &[2; 12]);
        let sdp = sdp("192.0.2.1:5004".parse().unwrap(), 1, &key);
        assert!(offered_key(&sdp).is_none());
        for text in ["", "a=crypto:1 AEAD_AES_128_GCM inline:AAAA", "a=crypto:1 ?", "m=audio x"] {
            assert!(offered_key(text).is_none() && media_port(text).is_none(), "{text}");
        }
    }
}
