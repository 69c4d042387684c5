//! A call whose end was not heard.

use super::{Goal, Note, Runner};
use anyhow::{Result, anyhow};
use kakehashi_wire::id::CallId;

impl Runner {
    /// A call ended while there was no connection to hear it.
    pub(super) async fn on_lost(&mut self, call: CallId) -> Result<()> {
        if self.ringing.take_if(|ringing| ringing.call == call).is_some() {
            self.voice.say(&Note::Lost { call: &call.to_string() });
            return self.count_call().await;
        }
        let voice = self.voice;
        let Some(current) = self.of_call(call) else { return Ok(()) };
        voice.say(&Note::Lost { call: &call.to_string() });
        current.ended = true;
        if let Some(media) = &current.media {
            media.leave();
            return Ok(());
        }
        let why = format!(
            "the call with {} did not come about: the connection to control was lost before it \
             began; call again",
            current.with
        );
        self.current = self.aside.take();
        if let Goal::Call { .. } = self.goal {
            return self.stop(Err(anyhow!(why))).await;
        }
        self.voice.say(&Note::Trouble { why: &why });
        self.count_call().await
    }
}
