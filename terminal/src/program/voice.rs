//! What the program says: sentences for people, or one JSON object a line for machines.

use super::runner::COMMANDS;
use crate::clock::Clock;
use crate::media::CallSummary;
use core::fmt::Write as _;
use core::time::Duration;
use kakehashi_wire::terminal::{
    CallEnd, CallReady, Incoming, MemberPhase, MemberState, Members, MissedCall, PresenceEntry,
    PresenceState, QueueNews, Queued, Role,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;

/// Speaks to standard output.
#[derive(Clone, Copy, Debug)]
pub(super) enum Voice {
    /// To a person.
    Human,
    /// To a machine.
    Json,
}

/// Something to say.
pub(super) enum Note<'a> {
    SignedIn {
        login: &'a str,
        display: &'a str,
        role: Role,
    },
    Presence {
        accounts: &'a BTreeMap<String, PresenceEntry>,
        changed: Option<&'a [String]>,
    },
    Incoming {
        call: &'a str,
        incoming: &'a Incoming,
    },
    Calling {
        login: &'a str,
    },
    Ringing {
        call: &'a str,
    },
    Queued {
        call: &'a str,
        queued: &'a Queued,
    },
    Place {
        call: &'a str,
        news: &'a QueueNews,
    },
    Connected {
        call: &'a str,
        with: &'a str,
    },
    Progress(&'a CallSummary),
    Summary {
        with: &'a str,
        media: &'a CallSummary,
    },
    Members {
        members: &'a Members,
    },
    Round {
        ready: &'a CallReady,
    },
    /// Of a desk, behind what its name stands.
    AddFailed {
        login: &'a str,
        reason: CallEnd,
    },
    Merged {
        call: &'a str,
        into: &'a str,
    },
    Taken {
        call: &'a str,
    },
    Missed {
        calls: &'a [MissedCall],
    },
    Ended {
        call: &'a str,
        reason: CallEnd,
    },
    Lost {
        call: &'a str,
    },
    Resumed,
    Reconnecting {
        why: &'a str,
        next_try: Duration,
    },
    Trouble {
        why: &'a str,
    },
    PasswordChanged {
        login: &'a str,
    },
    Done {
        command: &'a str,
    },
    Help,
    SignedOut,
}

impl Voice {
    /// Says it. Nobody listening is no reason to end a call.
    pub(super) fn say(self, note: &Note<'_>) {
        let line = match self {
            Self::Json => json(note).to_string(),
            Self::Human => text(note),
        };
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

fn json(note: &Note<'_>) -> Value {
    match note {
        Note::SignedIn { login, display, role } => {
            json!({"event": "signed_in", "login": login, "display": display,
                   "role": role.name()})
        }
        Note::Presence { accounts, .. } => {
            let account = |entry: &PresenceEntry| {
                json!({"login": entry.login, "display": entry.display,
                       "state": state(entry.state)})
            };
            let accounts: Vec<_> = accounts.values().map(account).collect();
            json!({"event": "presence", "accounts": accounts})
        }
        Note::Calling { login } => json!({"event": "calling", "login": login}),
        Note::Ringing { call } => json!({"event": "ringing", "call": call}),
        Note::Incoming { .. } | Note::Queued { .. } | Note::Place { .. } => desk_json(note),
        Note::Connected { call, with } => {
            json!({"event": "connected", "call": call, "login": with})
        }
        Note::Progress(media) => json!({"event": "progress", "media": media}),
        Note::Summary { with, media } => {
            json!({"event": "summary", "login": with, "media": media})
        }
        Note::Members { members } => {
            let members: Vec<_> = members.members.iter().map(member).collect();
            json!({"event": "members", "members": members})
        }
        Note::Missed { calls } => {
            let call = |missed: &MissedCall| {
                json!({"login": missed.login, "at_ms": missed.at_ms,
                       "calls": missed.calls})
            };
            let calls: Vec<_> = calls.iter().map(call).collect();
            json!({"event": "missed", "calls": calls})
        }
        Note::Round { ready } => {
            let with: Vec<_> = ready.senders.iter().map(|sender| &sender.login).collect();
            json!({"event": "round", "call": ready.call.to_string(), "round": ready.round,
                "with": with})
        }
        Note::AddFailed { login, reason } => {
            json!({"event": "add_failed", "login": login, "reason": reason.name()})
        }
        Note::Merged { call, into } => json!({"event": "merged", "call": call, "into": into}),
        Note::Taken { call } => json!({"event": "taken", "call": call}),
        Note::Ended { call, reason } => {
            json!({"event": "ended", "call": call, "reason": reason.name()})
        }
        Note::Lost { call } => json!({"event": "lost", "call": call}),
        Note::Resumed => json!({"event": "resumed"}),
        Note::Reconnecting { why, next_try } => {
            json!({"event": "reconnecting", "why": why, "next_try_ms": next_try.as_millis()})
        }
        Note::Trouble { why } => json!({"event": "error", "message": why}),
        Note::PasswordChanged { login } => json!({"event": "password_changed", "login": login}),
        Note::Done { command } => json!({"event": "done", "command": command}),
        Note::Help => {
            let command = |(usage, does): &(&str, &str)| json!({"command": usage, "does": does});
            let commands: Vec<_> = COMMANDS.iter().map(command).collect();
            json!({"event": "help", "commands": commands})
        }
        Note::SignedOut => json!({"event": "signed_out"}),
    }
}

/// What is said of a call that comes, or waits at a desk.
fn desk_json(note: &Note<'_>) -> Value {
    match note {
        Note::Incoming { call, incoming } => {
            let Incoming { login, display, desk, .. } = incoming;
            json!({"event": "incoming", "call": call, "login": login, "display": display,
                   "desk": desk})
        }
        Note::Queued { call, queued } => {
            json!({"event": "queued", "call": call, "position": queued.position,
                   "wait_ms": queued.wait_ms, "announce": queued.announce})
        }
        Note::Place { call, news } => {
            json!({"event": "place", "call": call, "position": news.position,
                   "wait_ms": news.wait_ms, "overflow": news.overflow})
        }
        _ => Value::Null,
    }
}

fn member(member: &MemberState) -> Value {
    use MemberPhase::{Held, HeldReconnecting, Reconnecting};
    json!({"login": member.login, "holds": matches!(member.phase, Held | HeldReconnecting),
           "listens": member.phase == MemberPhase::Listening,
           "reconnecting": matches!(member.phase, Reconnecting | HeldReconnecting),
           "muted": member.muted, "sharing": member.sharing})
}

fn text(note: &Note<'_>) -> String {
    match note {
        Note::SignedIn { login, display, role } => {
            let (display, role) = (plain(display), role.name());
            format!("Signed in as {login} ({display}, {role}). Ctrl-C ends.")
        }
        Note::Presence { accounts, changed: None } => presence(accounts),
        Note::Presence { accounts, changed: Some(changed) } => changes(accounts, changed),
        Note::Incoming { incoming: Incoming { login, display, desk, .. }, .. } => {
            let to = if desk.is_empty() { String::new() } else { format!(" {}", plain(desk)) };
            format!("{} ({login}) is calling{to}.", plain(display))
        }
        Note::Calling { login } => format!("Calling {login} ..."),
        Note::Ringing { .. } => "It rings.".to_owned(),
        Note::Queued { queued, .. } => {
            let announced =
                if queued.announce { " The desk asks for your announcement." } else { "" };
            format!("{}{announced}", place(queued.position, queued.wait_ms))
        }
        Note::Place { news: QueueNews { position: 0, .. }, .. } => "It rings.".to_owned(),
        Note::Place { news, .. } => {
            let elsewhere = if news.overflow { " This is another desk by now." } else { "" };
            format!("{}{elsewhere}", place(news.position, news.wait_ms))
        }
        Note::Connected { with, .. } => format!("Connected with {with}."),
        Note::Progress(media) => progress(media),
        Note::Summary { with, media } => summary(with, media),
        Note::Members { members } => in_call(members),
        Note::Missed { calls } => missed(calls, Clock::start().unix_at_zero()),
        Note::Round { ready } => {
            let with: Vec<_> = ready.senders.iter().map(|it| it.login.as_str()).collect();
            format!("Going on with {}.", with.join(", "))
        }
        Note::AddFailed { login, reason } => {
            format!("{} does not come into the call: {}.", plain(login), end_sentence(*reason))
        }
        Note::Merged { .. } => "The call is part of another now.".to_owned(),
        Note::Taken { .. } => "Another device took the call.".to_owned(),
        Note::Ended { reason, .. } => format!("Call over: {}.", end_sentence(*reason)),
        Note::Lost { .. } => "Call over: the connection to control was away too long.".to_owned(),
        Note::Resumed => "Connected to control again.".to_owned(),
        Note::Reconnecting { why, next_try } => {
            format!("{}. Trying again in {:.1} s.", capital(why), next_try.as_secs_f64())
        }
        Note::Trouble { why } => format!("{}.", capital(why)),
        Note::PasswordChanged { login } => format!("The password of {login} is changed."),
        Note::Done { command } => format!("Done: {}.", plain(command)),
        Note::Help => help(),
        Note::SignedOut => "Signed out.".to_owned(),
    }
}

fn help() -> String {
    let line = |(usage, does): &(&str, &str)| format!("  {usage:<28} {does}");
    COMMANDS.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A place in a queue.
fn place(position: u16, wait_ms: u32) -> String {
    let before = match position {
        0 | 1 => "You are next".to_owned(),
        place => format!("{} before you", place - 1),
    };
    match wait_ms.div_ceil(1000) {
        0 => format!("{before}."),
        seconds @ ..100 => format!("{before}: about {seconds} s."),
        seconds => format!("{before}: about {} minutes.", (seconds + 30) / 60),
    }
}

/// Names come from other people: nothing in them may steer this person's terminal.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || is_bidi(c) { '\u{fffd}' } else { c }).collect()
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn presence(accounts: &BTreeMap<String, PresenceEntry>) -> String {
    let mut out = String::from("Who is there:");
    for entry in accounts.values() {
        let _ = write!(
            out,
            "\n  {:<24} {:<9} {}",
            plain(&entry.login),
            state(entry.state),
            plain(&entry.display)
        );
    }
    if accounts.is_empty() {
        out.push_str(" nobody else");
    }
    out
}

fn changes(accounts: &BTreeMap<String, PresenceEntry>, changed: &[String]) -> String {
    let line =
        |entry: &PresenceEntry| format!("{} is {}.", plain(&entry.login), state(entry.state));
    let lines: Vec<_> = changed.iter().filter_map(|login| accounts.get(login)).map(line).collect();
    lines.join("\n")
}

fn missed(calls: &[MissedCall], now: Duration) -> String {
    let line = |call: &MissedCall| {
        let times = match call.calls {
            1 => String::new(),
            calls => format!(", {calls} times"),
        };
        let minutes = now.saturating_sub(Duration::from_millis(call.at_ms)).as_secs() / 60;
        let ago = match minutes {
            0 => "just now".to_owned(),
            1..120 => format!("{minutes} min ago"),
            120..2880 => format!("{} h ago", minutes / 60),
            _ => format!("{} days ago", minutes / 1440),
        };
        format!("Missed a call from {}, {ago}{times}.", plain(&call.login))
    };
    match calls {
        [] => "No missed calls.".to_owned(),
        calls => calls.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

fn in_call(members: &Members) -> String {
    let line = |member: &MemberState| {
        let phase = match member.phase {
            MemberPhase::Ringing => " is being called",
            MemberPhase::Joining => " is about to come",
            MemberPhase::In => "",
            MemberPhase::Held => " has the call on hold",
            MemberPhase::Reconnecting => " is reconnecting",
            MemberPhase::HeldReconnecting => " has the call on hold and is reconnecting",
            MemberPhase::Listening => " listens to the call",
        };
        let muted = if member.muted { " is muted" } else { "" };
        let words = [phase, muted].into_iter().filter(|word| !word.is_empty());
        let words = words.collect::<Vec<_>>().join(" and");
        let words = if words.is_empty() { " is in the call".to_owned() } else { words };
        format!("{}{words}.", plain(&member.login))
    };
    members.members.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn progress(media: &CallSummary) -> String {
    let rate = |bits: u64| bits / 1000;
    format!(
        "{:5.1} s  out {} of {} kbit/s  in {} kbit/s  lost {}  repaired {}  round trip {}",
        media.seconds,
        rate(media.sent.iter().map(|stream| stream.bits_per_second).sum()),
        rate(media.target_bits_per_second),
        rate(media.received.iter().map(|stream| stream.bits_per_second).sum()),
        media.packets_lost(),
        media.packets_repaired(),
        millis(media.round_trip_us),
    )
}

fn summary(with: &str, media: &CallSummary) -> String {
    let mut out = format!("Call with {with}: {:.1} s of media", media.seconds);
    for stream in &media.sent {
        let missed = stream.peer_lost.map_or_else(String::new, |lost| {
            format!(", {lost} missed there, jitter {}", millis(stream.peer_jitter_us))
        });
        let _ = write!(
            out,
            "\n  sent     {:<6} {:<4} {} packets, {} frames, {} bytes{missed}",
            stream.kind, stream.codec, stream.packets, stream.frames, stream.bytes,
        );
    }
    for stream in &media.received {
        let expected = (stream.packets + stream.lost).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a percentage for a person")]
        let percent = stream.lost as f64 * 100.0 / expected as f64;
        let _ = write!(
            out,
            "\n  received {:<6} {:<4} {} packets, {} frames, {} bytes, {} lost ({percent:.2} %), \
             {} asked for again: {} repaired, {} given up, {} not there when due, jitter {}",
            stream.kind,
            stream.codec,
            stream.packets,
            stream.frames,
            stream.bytes,
            stream.lost,
            stream.asked,
            stream.repaired,
            stream.given_up,
            stream.concealed,
            millis(Some(stream.jitter_us)),
        );
    }
    let _ = write!(out, "\n  round trip {}", millis(media.round_trip_us));
    for file in &media.recording.files {
        let _ = write!(out, "\n  recorded {}", file.display());
    }
    for error in &media.recording.errors {
        let _ = write!(out, "\n  recording is not complete: {error}");
    }
    if media.recording.frames_skipped > 0 {
        let _ = write!(out, "\n  the disk missed {} frames", media.recording.frames_skipped);
    }
    if media.frames_held_back() > 0 {
        let _ = write!(
            out,
            "\n  {} frames did not leave: the network carried {} kbit/s at the end",
            media.frames_held_back(),
            media.target_bits_per_second / 1000
        );
    }
    if media.drops.too_long > 0 {
        let _ = write!(
            out,
            "\n  {} packets of the local pipeline were longer than a relay takes: lower its MTU",
            media.drops.too_long
        );
    }
    out
}

fn millis(micros: Option<u64>) -> String {
    match micros {
        None => "unknown".to_owned(),
        Some(micros) => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
    }
}

fn state(state: PresenceState) -> &'static str {
    match state {
        PresenceState::Offline => "offline",
        PresenceState::Waiting => "available",
        PresenceState::Ringing => "ringing",
        PresenceState::InCall => "in a call",
        PresenceState::Away => "away",
        PresenceState::WrapUp => "wrapping up",
    }
}

/// The end of a call, for people.
pub(super) fn end_sentence(reason: CallEnd) -> &'static str {
    match reason {
        CallEnd::HungUp => "hung up",
        CallEnd::Rejected => "the other side declined",
        CallEnd::Cancelled => "the caller gave up",
        CallEnd::NoAnswer => "nobody answered in time",
        CallEnd::PeerLost => "the other side lost its connection to control",
        CallEnd::NoRelay => "no relay could carry it; see `kakehashi relays`",
        CallEnd::ControlRestarted => "control was restarted meanwhile",
        CallEnd::NobodyAtDesk => "nobody at the desk answered in time",
        CallEnd::Suspended => "this account was suspended",
        CallEnd::Transferred => "handed on to another",
        CallEnd::EndedByOperator => "an operator or administrator ended it",
        CallEnd::RightsChanged => "this account has another role or password now",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_as_people_count() {
        assert_eq!(place(1, 0), "You are next.");
        assert_eq!(place(3, 40_000), "2 before you: about 40 s.");
        assert_eq!(place(9, 290_000), "8 before you: about 5 minutes.");
    }

    #[test]
    fn names_cannot_steer_the_screen() {
        assert_eq!(plain("a\u{1b}[2J\u{202e}b\n"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
        assert_eq!(capital("nobody"), "Nobody");
        assert_eq!(millis(Some(1_260)), "1.2 ms");
    }

    #[test]
    fn missed_calls_say_when_and_how_often() {
        let call = |at_ms, calls| MissedCall { login: "store-1".into(), at_ms, calls };
        let now = 10 * 86_400_000;
        let calls = [call(now - 59_999, 1), call(now - 7_140_000, 2), call(now - 7_200_000, 1)];
        let said = "Missed a call from store-1, just now.\n\
                    Missed a call from store-1, 119 min ago, 2 times.\n\
                    Missed a call from store-1, 2 h ago.";
        let missed = |calls: &[_]| missed(calls, Duration::from_millis(now));
        assert_eq!(missed(&calls), said);
        assert_eq!(missed(&[call(0, 1)]), "Missed a call from store-1, 10 days ago.");
        assert_eq!(missed(&[]), "No missed calls.");
    }

    #[test]
    fn every_line_for_machines_is_one_object_with_its_event() {
        let accounts = BTreeMap::new();
        let media = CallSummary::default();
        let notes = [
            Note::SignedIn { login: "a", display: "b\nc", role: Role::Store },
            Note::Presence { accounts: &accounts, changed: None },
            Note::Progress(&media),
            Note::Summary { with: "a", media: &media },
            Note::AddFailed { login: "b", reason: CallEnd::NoAnswer },
            Note::Merged { call: "1", into: "2" },
            Note::Taken { call: "1" },
            Note::Ended { call: "1", reason: CallEnd::NoAnswer },
            Note::SignedOut,
        ];
        for note in &notes {
            let line = json(note).to_string();
            assert!(!line.contains('\n') && line.contains("\"event\":"), "{line}");
        }
        assert!(text(&notes[3]).contains("round trip unknown"));
    }
}
