//! What `tuning/` declares, read from the files that `tuning/host/tune` sets it from: each value is
//! said there alone.

/// The kernel's settings.
const SYSCTL: &str = include_str!("../../../tuning/sysctl.d/60-kakehashi.conf");

/// Everything else.
const SETTINGS: &str = include_str!("../../../tuning/host/settings");

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Every declared kernel setting with its value.
pub(super) fn sysctls() -> impl Iterator<Item = (&'static str, &'static str)> {
    let pairs = lines(SYSCTL).filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().trim_start_matches('-'), value.trim()))
}

/// Every other declared setting: what it is called here, and its value.
pub(super) fn settings() -> impl Iterator<Item = (String, &'static str)> {
    lines(SETTINGS).filter_map(|line| {
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()?, words.next()) {
            (kind, what, None) => Some((kind.to_owned(), what)),
            (kind, what, Some(value)) => Some((format!("{kind} {what}"), value)),
        }
    })
}

/// The declared value of a setting.
pub(super) fn value(name: &str) -> &'static str {
    let sysctl = sysctls().find(|(known, _)| *known == name).map(|(_, value)| value);
    let value = sysctl.or_else(|| settings().find(|(known, _)| known == name).map(|it| it.1));
    value.expect("invariant: a test asks for each that is asked for here")
}

/// The same as a number.
pub(super) fn number(name: &str) -> u64 {
    value(name).parse().expect("invariant: a test asks for each that is asked for here")
}
