//! What a person types while the program runs, a command a line.

use super::{Current, DESK, Goal, Note, Runner, streams, tolerate};
use crate::capacity::{KEY_LINE_BYTES_MAX, KEY_LINES_MAX};
use crate::media::MediaInput;
use crate::session::TerminalError;
use anyhow::{Context as _, Result};
use kakehashi_wire::id::{CallId, MemberId};
use kakehashi_wire::terminal::Layer;
use std::io::{BufRead, Read as _};
use tokio::sync::mpsc;

/// Every command with what it does, as `help` says it.
pub(in crate::program) const COMMANDS: [(&str, &str); 26] = [
    ("hold", "put the call on hold"),
    ("resume", "take it back"),
    ("mute", "keep this terminal's voice from everybody"),
    ("unmute", "no longer"),
    ("share", "share the screen that is offered"),
    ("unshare", "no longer"),
    ("layer none|low|high [LOGIN]", "receive no camera, the small one or the large one"),
    ("add LOGIN|desk:NAME", "bring somebody into the call, or whoever is free at a desk"),
    ("add desk:", "ask the desk no more"),
    ("transfer LOGIN|desk:NAME", "hand the call on: this terminal leaves when the other is there"),
    ("consult LOGIN|desk:NAME", "put the call on hold and call somebody else first"),
    ("swap", "go on in the call on hold, and hold the other"),
    ("merge", "join the call on hold to the other"),
    ("merge leave", "the same, and this terminal leaves"),
    ("listen CALL", "listen to a call of others: its number, as `kakehashi calls` shows it"),
    ("ready", "be offered a desk's next call before the time to wrap up is over"),
    ("away", "nobody sits here: calls ring, and others see it"),
    ("back", "somebody does again"),
    ("missed", "show missed calls"),
    ("seen", "forget the missed calls that were shown"),
    ("call LOGIN", "call somebody, or call back"),
    ("answer", "take the call that rings (with `wait --ask`)"),
    ("reject", "decline it"),
    ("hangup", "end the call"),
    ("help", "say this"),
    ("quit", "end the call and the program"),
];

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Key {
    Hold(bool),
    Mute(bool),
    Share(bool),
    Layer(Layer, Option<String>),
    Add(String, bool),
    Consult(String),
    Swap,
    Merge(bool),
    Listen(CallId),
    EndWrapUp,
    Away(bool),
    Missed,
    Seen,
    Call(String),
    Answer,
    Reject,
    HangUp,
    Help,
    Quit,
}

impl Key {
    /// The command of a line; a sentence if it is none.
    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        Ok(match words[..] {
            ["hold"] => Self::Hold(true),
            ["resume"] => Self::Hold(false),
            ["mute"] => Self::Mute(true),
            ["unmute"] => Self::Mute(false),
            ["share"] => Self::Share(true),
            ["unshare"] => Self::Share(false),
            ["layer", layer] => Self::Layer(layer_of(layer)?, None),
            ["layer", layer, login] => Self::Layer(layer_of(layer)?, Some(login.to_owned())),
            ["add", login] => Self::Add(login.to_owned(), false),
            ["transfer", login] => Self::Add(login.to_owned(), true),
            ["consult", login] => Self::Consult(login.to_owned()),
            ["swap"] => Self::Swap,
            ["merge"] => Self::Merge(false),
            ["merge", "leave"] => Self::Merge(true),
            ["listen", call] => Self::Listen(call_of(call)?),
            ["ready"] => Self::EndWrapUp,
            ["away"] => Self::Away(true),
            ["back"] => Self::Away(false),
            ["missed"] => Self::Missed,
            ["seen"] => Self::Seen,
            ["call", login] => Self::Call(login.to_owned()),
            ["answer"] => Self::Answer,
            ["reject"] => Self::Reject,
            ["hangup"] => Self::HangUp,
            ["help"] => Self::Help,
            ["quit"] => Self::Quit,
            _ => return Err("that is no command; type `help` for those there are".to_owned()),
        })
    }
}

fn layer_of(word: &str) -> Result<Layer, String> {
    match word {
        "none" => Ok(Layer::None),
        "low" => Ok(Layer::Low),
        "high" => Ok(Layer::High),
        _ => Err("the layer is `none`, `low` or `high`".to_owned()),
    }
}

fn call_of(word: &str) -> Result<CallId, String> {
    let number = u64::from_str_radix(word, 16).map(CallId);
    number
        .map_err(|_| "a call's number is in hexadecimal, as `kakehashi calls` shows it".to_owned())
}

/// The lines of standard input, from when it is listened to.
pub(super) struct Keys(Option<mpsc::Receiver<String>>);

impl Keys {
    /// Listens to nothing.
    pub(super) fn silent() -> Self {
        Self(None)
    }

    /// Listens from now on: on a thread of its own, which ends with the input or the process.
    pub(super) fn listen(&mut self) -> Result<()> {
        let (lines, heard) = mpsc::channel(KEY_LINES_MAX);
        let thread = std::thread::Builder::new().name("keys".into());
        thread
            .spawn(move || read_lines(std::io::stdin().lock(), |line| lines.blocking_send(line)))
            .context("no thread to read commands")?;
        self.0 = Some(heard);
        Ok(())
    }

    /// The next line; never returns when there are no more.
    pub(super) async fn next(&mut self) -> String {
        if let Some(lines) = &mut self.0 {
            if let Some(line) = lines.recv().await {
                return line;
            }
            self.0 = None;
        }
        core::future::pending().await
    }
}

/// Hands on line after line, each cut to a length no command has, until nobody takes them.
fn read_lines<E>(mut input: impl BufRead, mut take: impl FnMut(String) -> Result<(), E>) {
    loop {
        let mut line = Vec::new();
        let most = KEY_LINE_BYTES_MAX;
        let read = input.by_ref().take(most).read_until(b'\n', &mut line);
        let is_end = !matches!(read, Ok(1..));
        if is_end || take(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

impl Runner {
    /// Does what a line says, and says so. What is wrong with it is said, too, and changes nothing.
    pub(super) async fn on_line(&mut self, line: &str) -> Result<()> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(());
        }
        let key = match Key::parse(line) {
            Ok(key) => key,
            Err(why) => {
                self.voice.say(&Note::Trouble { why: &why });
                return Ok(());
            }
        };
        match key {
            Key::Help => self.voice.say(&Note::Help),
            Key::Quit => self.on_interrupt().await?,
            Key::Answer => match self.ringing.take() {
                Some(incoming) => self.take_call(incoming).await?,
                None => self.voice.say(&Note::Trouble { why: "no call rings" }),
            },
            Key::Reject => match self.ringing.take() {
                Some(incoming) => {
                    tolerate(self.terminal.reject(incoming.call).await, self.voice);
                    self.count_call().await?;
                }
                None => self.voice.say(&Note::Trouble { why: "no call rings" }),
            },
            Key::Call(login) => self.call_from_here(login).await,
            Key::Listen(call) => self.listen_from_here(call, line).await,
            key => match self.ask(key).await {
                Ok(()) => self.voice.say(&Note::Done { command: line }),
                Err(error) => self.voice.say(&Note::Trouble { why: &error.to_string() }),
            },
        }
        Ok(())
    }

    /// Whether another call may begin here; says so if not.
    fn is_free(&self) -> bool {
        let is_free = self.current.is_none() && self.ringing.is_none();
        let is_free = is_free && matches!(self.goal, Goal::Wait { .. });
        if !is_free {
            self.voice.say(&Note::Trouble { why: "this terminal is in a call already" });
        }
        is_free
    }

    /// Nothing of this terminal's is heard there: it offers silence.
    async fn listen_from_here(&mut self, call: CallId, line: &str) {
        if !self.is_free() {
            return;
        }
        let inputs = vec![streams::silence()];
        let offers = inputs.iter().map(MediaInput::offer).collect();
        // Before the answer: what follows it may be there as soon.
        self.current = Some(Current::new(call, format!("call {call}"), inputs));
        match self.terminal.listen(call, offers).await {
            Ok(()) => self.voice.say(&Note::Done { command: line }),
            Err(error) => {
                self.current = None;
                self.voice.say(&Note::Trouble { why: &error.to_string() });
            }
        }
    }

    async fn call_from_here(&mut self, login: String) {
        if !self.is_free() {
            return;
        }
        if let Err(error) = self.invite(login).await {
            self.voice.say(&Note::Trouble { why: &format!("{error:#}") });
        }
    }

    /// Asks control for what needs nothing but its answer.
    async fn ask(&mut self, key: Key) -> Result<()> {
        let asked = match key {
            Key::Hold(on) => self.terminal.hold(self.call()?, on).await,
            Key::Mute(on) => self.terminal.mute(self.call()?, on).await,
            Key::Share(on) => self.terminal.share(self.call()?, on).await,
            Key::Layer(layer, login) => {
                let (call, member) = (self.call()?, self.member(login.as_deref())?);
                let chosen = self.terminal.choose_layer(call, member, layer).await;
                let media = self.current.as_ref().and_then(|current| current.media.as_ref());
                if let (Ok(()), Some(media)) = (&chosen, media) {
                    media.choose_layer(member, layer);
                }
                chosen
            }
            Key::Add(login, then_leave) => match login.strip_prefix(DESK) {
                Some(desk) => self.terminal.add_desk(self.call()?, desk, then_leave).await,
                None => self.terminal.add_member(self.call()?, &login, then_leave).await,
            },
            Key::EndWrapUp => self.terminal.end_wrap_up().await,
            Key::Consult(login) => return self.consult(login).await,
            Key::Swap => return self.swap().await,
            Key::Merge(then_leave) => return self.merge(then_leave).await,
            Key::Away(away) => self.terminal.set_away(away).await,
            Key::Missed => self.terminal.missed(0).await,
            Key::Seen => self.terminal.missed(self.known.missed_until_ms).await,
            Key::HangUp => self.hang_up().await,
            Key::Call(_) | Key::Listen(_) => Ok(()),
            Key::Answer | Key::Reject | Key::Help | Key::Quit => Ok(()),
        };
        Ok(asked?)
    }

    fn call(&self) -> Result<CallId> {
        Ok(self.current.as_ref().context("there is no call")?.call)
    }

    /// The member with this login ID; without one, the first other.
    fn member(&self, login: Option<&str>) -> Result<MemberId> {
        let current = self.current.as_ref().context("there is no call")?;
        let is_it = |other: &&(String, MemberId)| login.is_none_or(|login| login == other.0);
        let found = current.others.iter().find(is_it);
        Ok(found.context("nobody of that login ID is in the call")?.1)
    }

    /// In good order: what is under way still arrives. Before there is media, at once.
    async fn hang_up(&mut self) -> Result<(), TerminalError> {
        self.report_all().await;
        match &self.current {
            Some(current) => match &current.media {
                Some(media) => {
                    media.leave();
                    Ok(())
                }
                None => self.terminal.hang_up(current.call).await,
            },
            None => Err(TerminalError::Settings { why: "there is no call".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_help_is_one() {
        for (usage, _) in COMMANDS {
            let line = usage.replace("none|low|high", "low").replace("LOGIN|desk:NAME", "desk:a");
            let line = line.replace("LOGIN", "store-1").replace("CALL", "0123456789abcdef");
            let line = line.replace(['[', ']'], "");
            assert!(Key::parse(&line).is_ok(), "{line}");
        }
        assert_eq!(Key::parse(" layer  high "), Ok(Key::Layer(Layer::High, None)));
        let of = Key::Layer(Layer::None, Some("a".into()));
        assert_eq!(Key::parse("layer none a"), Ok(of));
    }

    #[test]
    fn what_is_no_command_is_said() {
        for line in [
            "",
            "hold on",
            "layer",
            "layer middle",
            "call",
            "call a b",
            "listen",
            "listen a-b",
            "\u{1b}[2J",
        ] {
            assert!(Key::parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn lines_are_bounded_and_end_with_the_input() {
        let mut lines = Vec::new();
        let long = "x".repeat(3 * usize::try_from(KEY_LINE_BYTES_MAX).unwrap() / 2);
        let input = [b"hold\n", long.as_bytes(), b"\n\xffmute"].concat();
        read_lines(&input[..], |line| {
            lines.push(line.trim().len());
            Ok::<_, ()>(())
        });
        let most = usize::try_from(KEY_LINE_BYTES_MAX).unwrap();
        assert_eq!(lines, [4, most, most / 2, 4 + '\u{fffd}'.len_utf8()]);
        let mut taken = 0;
        read_lines(&b"a\nb\n"[..], |_| {
            taken += 1;
            Err(())
        });
        assert_eq!(taken, 1, "nobody listens");
    }
}
