//! The limits of what nodes are to each other.

use super::API_CONNECTIONS_MAX;
use std::time::Duration;

/// Nodes of one cell: two or three sites with two or three each, and one more.
pub const NODES_MAX: usize = 9;

/// How often nodes say to each other that they are alive.
pub const NODE_BEAT: Duration = Duration::from_millis(200);

/// A node that nothing is heard of for so long is dead: two beats may be lost or late.
pub const NODE_DEAD_AFTER: Duration = Duration::from_millis(600);

/// When QUIC itself ends a link between nodes on which nothing comes.
pub const NODE_IDLE: Duration = Duration::from_secs(2);

/// How long a lead that was just heard of may take to be heard: links are to be made first.
pub const NEW_LEAD_PATIENCE: Duration = Duration::from_secs(2);

/// How long a lead that fails to begin its core tries again before it gives the lead up: longer
/// than a store takes to find another leader of its own.
pub const LEAD_BEGIN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a lead that is alive may take to begin before others claim the next term: it may not be
/// able to give it up. Long enough to read what the store has of a full cell.
pub const LEAD_BEGIN_MOST: Duration = Duration::from_secs(60);

/// How long a node that could not begin lets others lead.
pub const UNFIT_WAIT: Duration = Duration::from_secs(10);

/// How long each node lets the one before it try to lead first: several round trips to the store.
pub const RANK_PATIENCE: Duration = Duration::from_millis(100);

/// A store that answers within this was in reach all the time; its members may have to find another
/// leader first, which takes one to two seconds.
pub const LOOK_PROMPT: Duration = Duration::from_secs(1);

/// After a look at the store that was not answered, when it is looked at again.
pub const LOOK_WAIT: Duration = Duration::from_millis(500);

/// How long a node that was cut off lets a lead that is well be heard: links are to be made first.
pub const REJOIN_PATIENCE: Duration = Duration::from_secs(2);

/// Between two claims of one node, at first and at most; it doubles, so that two nodes that do not
/// hear each other do not take the lead from each other all the time.
pub const CLAIM_WAIT_LEAST: Duration = Duration::from_millis(500);

/// See [`CLAIM_WAIT_LEAST`].
pub const CLAIM_WAIT_MOST: Duration = Duration::from_secs(8);

/// A lead that is heard for so long has settled: the next claim is the first again.
pub const LEAD_SETTLED: Duration = Duration::from_secs(60);

/// How long a core that leads no longer may take to give the relays' links back.
pub const TAKE_BACK_PATIENCE: Duration = Duration::from_millis(100);

/// After a failure, when who leads is read again.
pub const LEAD_WATCH_RETRY: Duration = Duration::from_millis(500);

/// Between two attempts to reach a node.
pub const NODE_DIAL_EVERY: Duration = Duration::from_millis(200);

/// How long each attempt may take: several round trips across a continent. QUIC itself would send a
/// first packet that was lost again only after one, three, and seven seconds.
pub const NODE_DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Messages that may wait for a link between nodes: a second of what 8,000 terminals hear. At
/// 1 KiB each, of which few are longer, it is 8 MiB a link.
pub const NODE_QUEUE_MAX: usize = 8_192;

/// What may wait for a node's switch or office.
pub const NODE_EVENTS_MAX: usize = 4_096;

/// Requests of one session that a lead has not answered; one more is refused.
pub const ASKED_MAX: usize = 16;

/// Messages that hand one session over: itself, presence, and what it asked.
pub const HAND_OVER_MESSAGES_MAX: usize = ASKED_MAX + 2;

/// How long what terminals ask waits for a lead: a dead one is noticed and replaced in half of it.
pub const LEADLESS_PATIENCE: Duration = Duration::from_secs(3);

/// How long operators wait for one.
pub const OPERATOR_PATIENCE: Duration = Duration::from_secs(10);

/// What operators at one node may ask the lead at once: as much as they have connections.
pub const OPERATOR_ASKS_MAX: usize = API_CONNECTIONS_MAX;

/// Suspensions and the like that are written, and that no lead has been told of when their operator
/// waits no longer. A lead that begins reads of them in the store; these are for one that goes on.
pub const REVOCATIONS_OWED_MAX: usize = 256;

/// Bytes of the rows of one look at the lead: 20,000 sessions or 10,000 calls.
pub const ROWS_TOTAL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Sessions whose rights one node reads in the store at the same time, when another leads: 20,000
/// of them take two seconds at 1 ms a read, and the store has room for others beside.
pub const RIGHTS_READ_AT_ONCE: usize = 16;

/// Wrong guesses that may wait until the other nodes are told of them, and that a node which was
/// cut off is told of later: seconds of what a node's cores can find out.
pub const GUESSES_TO_TELL_MAX: usize = 256;

/// Lists of accounts that one node has read at the same time.
pub const LISTS_AT_ONCE: usize = 4;

const _: () = assert!(LEAD_BEGIN_MOST.as_secs() >= 2 * LEAD_BEGIN_PATIENCE.as_secs());
const _: () = assert!(UNFIT_WAIT.as_secs() > NEW_LEAD_PATIENCE.as_secs());
const _: () = assert!(REJOIN_PATIENCE.as_millis() > NODE_DIAL_EVERY.as_millis());
const _: () = assert!(NODE_DEAD_AFTER.as_millis() >= 3 * NODE_BEAT.as_millis());
const _: () = assert!(HAND_OVER_MESSAGES_MAX < NODE_QUEUE_MAX);
