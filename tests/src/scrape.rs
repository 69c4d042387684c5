//! What programs show over plain HTTP on this machine, as a Prometheus server reads it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The body of the answer to a GET; none if nobody answers.
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // HTTP/1.0: the body ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "200")?;
    Some(body.to_owned())
}

/// The figures of a part of the platform.
///
/// # Panics
/// If it shows none.
pub fn figures(address: SocketAddr) -> String {
    get(address, "/metrics").unwrap_or_else(|| panic!("nothing is shown at {address}"))
}

/// The sum of all samples of `name` whose labels contain `labels`.
pub fn sum(figures: &str, name: &str, labels: &str) -> f64 {
    let samples = figures.lines().filter(|line| name_of(line) == name && line.contains(labels));
    let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.sum()
}

/// The names of all samples.
pub fn names(figures: &str) -> BTreeSet<String> {
    let samples = figures.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| name_of(line).to_owned()).collect()
}

fn name_of(sample: &str) -> &str {
    sample.split(['{', ' ']).next().unwrap_or_default()
}

/// What `promtool` says to `figures`: nothing, if all is well.
///
/// # Panics
/// If there is no promtool.
pub fn complaints(figures: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts: it is in Debian's package `prometheus`");
    let mut input = promtool.stdin.take().expect("its input is piped");
    input.write_all(figures.as_bytes()).expect("promtool reads");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { said } else { format!("{said}{}", output.status) }
}
