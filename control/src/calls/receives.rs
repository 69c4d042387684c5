//! Who receives what in a call: the one place where hold, mute, screens and layers meet. Pure.

use super::{CallMedia, Member};
use kakehashi_wire::media::StreamKind;
use kakehashi_wire::relay::Subscription;
use kakehashi_wire::terminal::Layer;

/// What a member lets out, and takes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manner {
    /// It is in the call and does not hold it, or is about to be.
    pub takes_part: bool,
    /// It does not only listen.
    pub speaks: bool,
    /// Nobody is to receive its voice.
    pub muted: bool,
    /// Its screen, if it has one, is to be received.
    pub sharing: bool,
}

/// What the `receiver`th of `members` receives: each stream under its own name.
pub fn subscriptions(members: &[Member], media: &CallMedia, receiver: usize) -> Vec<Subscription> {
    let Some(own) = members.get(receiver) else { return Vec::new() };
    let mut received = Vec::new();
    for (nth, member) in members.iter().enumerate().filter(|(nth, _)| *nth != receiver) {
        let mut cameras = 0;
        for stream in media.streams(nth) {
            let layer = match stream.kind {
                StreamKind::Camera => {
                    cameras += 1;
                    if cameras == 1 { Layer::High } else { Layer::Low }
                }
                StreamKind::Audio | StreamKind::Screen => Layer::None,
            };
            let is_only = media.cameras(nth) == 1;
            let chosen = own.layer(nth).map(|chosen| {
                let any = is_only && chosen != Layer::None;
                any || chosen == layer
            });
            if receives(own.manner(), member.manner(), stream.kind, chosen.unwrap_or(true)) {
                received.push(Subscription { source: stream.ssrc, shown_as: stream.ssrc });
            }
        }
    }
    received
}

/// The same if it is less than everything. A leg of which nothing is said receives all there is.
pub fn limits(members: &[Member], media: &CallMedia, receiver: usize) -> Option<Vec<Subscription>> {
    let received = subscriptions(members, media, receiver);
    let others = (0..members.len()).filter(|nth| *nth != receiver);
    let all: usize = others.map(|nth| media.streams(nth).len()).sum();
    (received.len() < all).then_some(received)
}

/// Whether a member receives a stream of another's. `chosen`: it wants it, if it is a camera.
const fn receives(receiver: Manner, sender: Manner, kind: StreamKind, chosen: bool) -> bool {
    if !receiver.takes_part || !sender.takes_part || !sender.speaks {
        return false;
    }
    match kind {
        StreamKind::Audio => !sender.muted,
        StreamKind::Camera => chosen,
        StreamKind::Screen => sender.sharing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    const EXPECTED: &str = "
receiver sender | audio camera screen
in       in     | yes   yes    yes
in       muted  | -     yes    yes
in       closed | yes   yes    -
in       held   | -     -      -
muted    in     | yes   yes    yes
closed   in     | yes   yes    yes
held     in     | -     -      -
held     held   | -     -      -
listens  in     | yes   yes    yes
in       listens | -     -      -
";

    const IN: Manner = Manner { takes_part: true, speaks: true, muted: false, sharing: true };

    #[test]
    fn who_receives_what_is_as_printed() {
        let manner = |name| match name {
            "held" => Manner { takes_part: false, ..IN },
            "muted" => Manner { muted: true, ..IN },
            "closed" => Manner { sharing: false, ..IN },
            "listens" => Manner { speaks: false, ..IN },
            _ => IN,
        };
        let pairs = [
            ("in", "in"),
            ("in", "muted"),
            ("in", "closed"),
            ("in", "held"),
            ("muted", "in"),
            ("closed", "in"),
            ("held", "in"),
            ("held", "held"),
            ("listens", "in"),
            ("in", "listens"),
        ];
        let mut table = String::from("\nreceiver sender | audio camera screen");
        for (receiver, sender) in pairs {
            let cell = |kind| {
                if receives(manner(receiver), manner(sender), kind, true) { "yes" } else { "-" }
            };
            let [audio, camera, screen] =
                [StreamKind::Audio, StreamKind::Camera, StreamKind::Screen].map(cell);
            write!(table, "\n{receiver:8} {sender:6} | {audio:5} {camera:6} {screen}").unwrap();
        }
        table.push('\n');
        assert_eq!(table, EXPECTED, "the table changed; printed it is:{table}");
        let all = manner("in");
        assert!(!receives(all, all, StreamKind::Camera, false), "a layer that was not chosen");
        assert!(receives(all, all, StreamKind::Audio, false), "layers are of cameras alone");
    }
}
