//! What a test needs of the programs it starts: their end with the test's at the latest, and their
//! lines as they come, with a deadline.

use std::io::{BufRead, BufReader, Read};
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A program that is killed when dropped: however a test ends, it leaves none behind.
pub struct Program(Child);

impl Program {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let started = command.spawn();
        Self(started.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }
}

impl Deref for Program {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The lines a program has printed, collected by a thread.
#[derive(Clone)]
pub struct Lines(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Collects what comes out of `output`.
    pub fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let shared = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                shared.change(|collected| collected.lines.push(line));
            }
            shared.change(|collected| collected.ended = true);
        });
        lines
    }

    fn change(&self, change: impl FnOnce(&mut Collected)) {
        let (collected, changed) = &*self.0;
        change(&mut collected.lock().expect("collecting does not panic"));
        changed.notify_all();
    }

    /// Waits for the first line that contains `text`.
    ///
    /// # Panics
    /// If the program ends or `within` passes before.
    pub fn until(&self, text: &str, within: Duration) -> String {
        let (collected, changed) = &*self.0;
        let guard = collected.lock().expect("collecting does not panic");
        let found = |collected: &Collected| {
            collected.lines.iter().find(|line| line.contains(text)).cloned()
        };
        let (guard, _) = changed
            .wait_timeout_while(guard, within, |collected| {
                found(collected).is_none() && !collected.ended
            })
            .expect("collecting does not panic");
        found(&guard).unwrap_or_else(|| {
            panic!("no line with `{text}` within {within:?}; so far:\n{}", guard.lines.join("\n"))
        })
    }

    /// Waits until there is nothing more to come.
    ///
    /// # Panics
    /// If `within` passes before.
    pub fn until_end(&self, within: Duration) {
        let (collected, changed) = &*self.0;
        let guard = collected.lock().expect("collecting does not panic");
        let (guard, _) = changed
            .wait_timeout_while(guard, within, |collected| !collected.ended)
            .expect("collecting does not panic");
        let so_far = guard.lines.join("\n");
        assert!(guard.ended, "no end within {within:?}; so far:\n{so_far}");
    }

    /// All lines so far.
    pub fn so_far(&self) -> String {
        self.0.0.lock().expect("collecting does not panic").lines.join("\n")
    }
}

/// Waits without anything to wait on: for processes and kernels that give no sign.
#[expect(clippy::disallowed_methods, reason = "the one place where tests sleep")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
