//! Every limit of the node, with the reason for its size.
//!
//! Memory a stranger can make the node hold before it has signed in:
//! [`INCOMING_MAX`] x 10 KiB of first packets + [`CONNECTIONS_MAX`] x
//! ([`CONNECTION_WINDOW_BYTES`] + [`SEND_WINDOW_BYTES`]) at the very worst; in practice a
//! connection that has not signed in holds one header and at most one sign-in message.

mod archive;
mod door;
mod guesses;
mod load;
mod quality;
mod suspension;

pub use archive::*;
pub use door::*;
pub use guesses::*;
pub use load::*;
pub use quality::*;
pub use suspension::*;

pub mod nodes;

use crate::accounts::names::LOGIN_BYTES_MAX;
use kakehashi_wire::limits::MESSAGE_BODY_BYTES_MAX;
use std::time::Duration;

// ---- the gate: connections from terminals ----

/// A TLS handshake that takes longer is given up: an honest one needs two round trips.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// From the end of the handshake to a good sign-in, all attempts together.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a one-time password may take to be changed once it was used: to think of a new one.
pub const PASSWORD_CHANGE_TIMEOUT: Duration = Duration::from_secs(600);

/// Sign-ins one connection may try: one typing mistake, one second thought.
pub const LOGIN_ATTEMPTS_MAX: u32 = 3;

/// From the first byte of a message to its last: a message is at most 64 KiB.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests a session may make at once: a terminal that has just connected and its user's clicks.
pub const REQUESTS_BURST_MAX: u32 = 100;

/// Requests of one session a second in the long run; who asks more often is read more slowly.
pub const REQUESTS_PER_SECOND: u32 = 50;

/// A connection nothing is heard of for so long is lost: presence shows somebody who cannot be
/// reached for no longer. Terminals keep it alive three times as often, so that two packets may be
/// lost.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long what decides may take to answer that it does: a thousand of its turns.
pub const DECIDES_WITHIN: Duration = Duration::from_secs(2);

/// How long a closing session may take to hear why.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// One stream is the conversation, and nothing is listened to beside it.
pub const STREAMS_MAX: u32 = 1;

/// Bytes a stream may have under way: one message.
pub const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Bytes a connection may have under way: four messages.
pub const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes the node keeps for one connection until they are acknowledged.
pub const SEND_WINDOW_BYTES: u64 = 256 * 1024;

/// Handshakes that wait for the node: ten times what one core can do in a second.
pub const INCOMING_MAX: usize = 4096;

/// What the kernel keeps of datagrams until the porter takes them, as it counts them: 450 first
/// packets, which it takes in 10 ms. Linux keeps 90 by itself, and a first packet that is lost is
/// repeated after a second.
pub const SOCKET_QUEUE_BYTES: usize = 1024 * 1024;

/// Half-open handshakes above which an address must first prove that it is there (Retry).
pub const HALF_OPEN_MAX: usize = 512;

/// First packets kept for one handshake that has not begun: two datagrams of a ClientHello
/// with a post-quantum key share, and as much again.
pub const INCOMING_BUFFER_BYTES: u64 = 10 * 1024;

/// First packets kept for all of them: [`INCOMING_MAX`] times the above, halved, because
/// most have sent one packet only.
pub const INCOMING_BUFFER_TOTAL_BYTES: u64 = 20 * 1024 * 1024;

/// Connections of terminals to one node: all its sessions, and room for a quarter of them to come
/// back while the connections they lost still stand.
pub const CONNECTIONS_MAX: usize = SESSIONS_MAX + SESSIONS_MAX / 4;

/// Connections from one IPv4 address or IPv6 /64 unless the settings say otherwise: a shop's
/// terminals behind one address are tens, with room for all to reconnect at once, while a
/// stranger needs 98 addresses to fill the node.
pub const CONNECTIONS_PER_ADDRESS_DEFAULT: u32 = 256;

/// Lines in the log about connections that came to nothing: one in so long, with a count, so that
/// strangers write below 2 MiB a day.
pub const STRANGERS_LOG_EVERY: Duration = Duration::from_secs(10);

/// Lines in the log about requests of terminals that were refused: one in so long, with a count, as
/// of strangers.
pub const REFUSALS_LOG_EVERY: Duration = STRANGERS_LOG_EVERY;

/// Messages that may wait for one terminal: a whole presence list of 255 pages of
/// [`PRESENCE_PAGE`] accounts, three times what a tenant has by default. A terminal that falls
/// further behind is ended, because its picture is wrong anyway.
pub const OUTBOX_MESSAGES_MAX: usize = 256;

// ---- the core ----

/// Sessions of one node.
pub const SESSIONS_MAX: usize = 20_000;

/// How long a session is kept without a connection unless the settings say otherwise: to walk from
/// one network into another, and below what people wait before they call again.
pub const GRACE_S_DEFAULT: u32 = 20;

/// The longest that may be set, in seconds: nobody is to look at a terminal as present that has
/// been gone for longer.
pub const GRACE_S_MOST: u32 = 600;

/// Ends of calls kept for a session without a connection: as many as a message names.
pub const OVER_KEPT_MAX: usize = kakehashi_wire::limits::RESUMED_CALLS_MAX;

/// Calls that became part of another and that it remembers: a quarter of what a resumed session is
/// told for each call of an account.
pub const ABSORBED_KEPT_MAX: usize =
    kakehashi_wire::limits::RESUMED_CALLS_MAX / CALLS_PER_ACCOUNT_MAX;

/// How long a resume token is good unless the settings say otherwise, in hours: over a night. A
/// session gets another at half of it.
pub const TOKEN_HOURS_DEFAULT: u32 = 12;

/// The longest that may be set, in hours: a month.
pub const TOKEN_HOURS_MOST: u32 = 720;

/// Sessions of one account at once: a person's telephone, tablet and desk, a counter with a spare,
/// and no more than a ringing call can tell in one turn.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 8;

/// Calls of one account at once, all but one of them on hold: somebody who asks a colleague about
/// one customer while a second and a third wait.
pub const CALLS_PER_ACCOUNT_MAX: usize = 4;

/// Members of one call at once: a conference in which people still know who speaks. While one round
/// takes over from another, and one more was begun in vain, it has 24 legs at a relay.
pub const CALL_MEMBERS_MAX: usize = 8;

/// Accounts that may have been members of one call by its end: its record keeps them all, each in
/// below 400 bytes, and names them by numbers of one byte.
pub const CALL_PARTIES_MAX: usize = 32;

/// How long the legs of a round stay when the next is in force: longer than its members take to
/// bind to the new ones and to hear each other there.
pub const ROUND_KEPT: Duration = Duration::from_secs(1);

/// Calls of one node: half the sessions could be calling the other half.
pub const CALLS_MAX: usize = SESSIONS_MAX / 2;

/// Inputs that may wait for the core; who sends more waits (a turn takes microseconds).
pub const INPUTS_MAX: usize = 4096;

/// Batches of outputs that may wait for the store: at 2 ms a commit, a second's worth of turns.
pub const TURNS_WAITING_MAX: usize = 1024;

/// Turns whose records are committed together: one disk flush for all of them.
pub const TURNS_PER_COMMIT_MAX: usize = 256;

/// How long the core remembers that somebody's rights ended: a sign-in that was checked just before
/// has arrived by then, or was given up; twice, since the check is not the first thing it does.
pub const REVOKED_KEPT: Duration = Duration::from_secs(2 * LOGIN_TIMEOUT.as_secs());

/// Call records that wait for a store that does not answer: an hour of three ends a second.
pub const UNSAVED_MAX: usize = 10_000;

/// How long what follows a write waits for a store that does not answer: several flushes of a slow
/// disk, or an election among the machines of a store that lose their first; and no longer than
/// people wait who press a key in a call. Past it nothing waits until the store answers again.
pub const STORE_WAIT: Duration = Duration::from_secs(2);

/// How often a change is sent anew because others were in doubt while it was under way: each time,
/// all that are in doubt are settled at once.
pub const TURNS_OF_A_WRITE_MAX: usize = 8;

/// How long the core waits before it offers a record again that the store did not take.
pub const SAVE_RETRY: Duration = Duration::from_secs(1);

/// Watchers of a tenant up to which each change of presence is told at once. With 200 of them a
/// change is 200 messages, and a call is ten changes: 2,000 messages, 10 ms of a core.
pub const PRESENCE_AT_ONCE_MAX: usize = 200;

/// How often a tenant with more watchers is told: a person does not see the difference, and a
/// thousand terminals hear four messages a second instead of one for each change.
pub const PRESENCE_PUSH_EVERY: Duration = Duration::from_millis(250);

/// Changes of one tenant that wait; with so many they are told before their time. Eight full
/// messages for each watcher, a thirtieth of what may wait for it.
pub const PRESENCE_WAITING_MAX: usize = 8 * PRESENCE_PAGE;

/// A list of presence goes out in pages of this many entries. Halved from the
/// wire's limit so that 128-byte names stay below the body limit.
pub const PRESENCE_PAGE: usize = kakehashi_wire::limits::PRESENCE_ENTRIES_MAX / 2;

/// Calls of one account to another that come to nothing within this time are one missed call: so
/// somebody who tries again and again writes no more than once a minute.
pub const MISSED_REPEAT: Duration = Duration::from_secs(60);

/// Changes of missed calls that wait for the store; whoever has another waits, as for a record.
pub const MISSED_QUEUE_MAX: usize = 256;

// ---- the fleet: links from relays ----

/// Relays one node takes in.
pub const RELAYS_MAX: usize = 64;

/// Messages that may wait for one relay: order batches are bounded by
/// [`BATCHES_IN_FLIGHT_MAX`], the rest is the resynchronisation at link start.
pub const LINK_OUTBOX_MAX: usize = 1024;

/// Order batches a relay may leave unanswered before it gets the next: enough to fill the
/// link, few enough that a new call waits for at most four batches.
pub const BATCHES_IN_FLIGHT_MAX: usize = 4;

/// Batches beyond these that may carry removals of legs: who is suspended waits for no answer to
/// what was ordered before. 32 legs at once are 16 calls that end in one turn.
pub const BATCHES_FOR_REMOVALS: usize = 1;

/// A relay that leaves a batch unanswered for so long is treated as lost.
pub const ORDERS_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call that was taken waits for a first relay when a core has just begun: relays notice
/// a lost node within three seconds unless the settings say more, and dial the next at once.
pub const RELAYS_PATIENCE: Duration = Duration::from_secs(10);

/// How long both relays have to install a call's legs before the call is given up.
pub const LEGS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a call that has its primary waits for its standby before its terminals may send; the
/// standby stays wanted.
pub const STANDBY_TIMEOUT: Duration = Duration::from_millis(500);

/// What a leg may send unless the settings say otherwise, in kbit/s: 0.1 Mbit/s of voice, 0.5 and
/// 2.5 of camera, 4 of a shared screen, and some to repair losses.
pub const LEG_RATE_MAX_KBPS_DEFAULT: u32 = 8_000;

/// The least that may be set, in kbit/s: Opus at 32 kbit/s, and as much again of headers.
pub const LEG_RATE_MAX_KBPS_LEAST: u32 = 64;

/// The least time in which the sequence number of a stream wraps: 65,536 packets at 10,000 a
/// second, ten times what a shared screen sends. Who reports more wraps than this is mistaken.
pub const WRAP_TIME_MIN: Duration = Duration::from_millis(6_500);

/// Generations reserved in the store at each start: 2^40 orders are three years of ten thousand
/// a second, and 2^24 starts fit into 64 bits.
pub const GENERATIONS_PER_START: u64 = 1 << 40;

/// How long a relay's link may be gone before its calls get another: a process that is started
/// again is back by then, and terminals went over to the other relay within a fraction of it.
pub const LINK_PATIENCE: Duration = Duration::from_secs(2);

/// How long the members of a call wait to be told of its other relays for the store to have them:
/// one write that is not answered, the pause after it, and another.
pub const KEEP_PATIENCE: Duration = Duration::from_secs(5);

/// How long members have known a relay before another is left for it: they bind within one round
/// trip, and 1.5 s if a check is lost.
pub const HANDOVER: Duration = Duration::from_secs(2);

/// When a call that a relay has refused asks for another one again: what is full stays so for a
/// while.
pub const MEND_RETRY: Duration = Duration::from_secs(5);

/// Calls that get another relay in one turn: each draws keys for all its legs, some 20 us, and a
/// suspension waits for no more than a turn.
pub const MENDS_PER_TURN: usize = 64;

const _: () = assert!(CALL_PARTIES_MAX <= kakehashi_wire::limits::MEMBERS_PER_MESSAGE_MAX);
const _: () = assert!(STREAM_WINDOW_BYTES as usize >= MESSAGE_BODY_BYTES_MAX);
const _: () = assert!(CONNECTION_WINDOW_BYTES >= STREAMS_MAX * STREAM_WINDOW_BYTES);
const _: () = assert!(STANDBY_TIMEOUT.as_millis() < LEGS_TIMEOUT.as_millis());

// ---- the store ----

/// Longest key in bytes: the longest of ours is a tenant prefix and a login ID, below 200.
pub const STORE_KEY_BYTES_MAX: usize = 512;

/// Largest value in bytes: the largest record of ours is below 4 KiB; etcd takes 1.5 MiB.
pub const STORE_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Compares of one transaction, and likewise its puts and deletes together: etcd's own default
/// limit of each (`--max-txn-ops`).
pub const STORE_OPERATIONS_MAX: usize = 128;

/// Of these compares, those that whoever writes alone needs: of the fence and of the turn.
pub const FENCE_COMPARES: usize = 2;

/// Bytes of keys and values of one transaction: two thirds of what etcd takes as one request by
/// default (`--max-request-bytes`, 1.5 MiB), which leaves a third for how it spells them.
pub const STORE_TRANSACTION_BYTES_MAX: usize = 1024 * 1024;

/// How long a node waits that finds another bringing the store forward, before it looks again: a
/// page is read and written in less.
pub const SCHEMA_RETRY: Duration = Duration::from_millis(500);

/// Entries one range answers: 1,000 records of below 1 KiB are below 1 MiB.
pub const STORE_RANGE_ENTRIES_MAX: usize = 1000;

/// Transactions that wait for the writer; whoever comes later waits to be let into the queue.
pub const STORE_QUEUE_MAX: usize = 1024;

/// Transactions that share one commit: more would not make an fsync cheaper, only later.
pub const STORE_BATCH_MAX: usize = 256;

/// Ranges that hold a thread at the same time; each takes microseconds unless the disk is slow.
pub const STORE_READERS_MAX: usize = 8;

/// Keys that wait to be read; whoever comes later waits to be let into the queue.
pub const STORE_GETS_MAX: usize = 1024;

/// Keys read in one transaction: half a millisecond of reading out of the cache.
pub const STORE_GETS_AT_ONCE: usize = 256;

/// Reads of one asker that are under way at the same time: 20,000 members of calls are read in four
/// seconds if each takes two round trips between sites.
pub const STORE_READS_AT_ONCE: usize = 256;

/// Bytes of pages that the store keeps in memory: a tenant of 10,000 accounts is below 8 MiB.
pub const STORE_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Changes kept for watchers that join late; who is further behind lists anew.
pub const STORE_HISTORY_EVENTS_MAX: usize = 4096;

/// Bytes of changes kept for watchers that join late: the count above at 4 KiB each.
pub const STORE_HISTORY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Changes that may wait for one watcher; who is further behind lists anew.
pub const STORE_WATCH_EVENTS_MAX: usize = 1024;

/// Members of a cluster that may be named: etcd advises against more than seven.
pub const STORE_MEMBERS_MAX: usize = 9;

/// A member that cannot be connected to for so long is passed over: a round trip across a
/// continent, three times.
pub const STORE_CONNECT_TIMEOUT: Duration = Duration::from_millis(600);

/// How long one member may take to answer: twice what a flush takes on a disk that is busy.
pub const STORE_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a member is waited for until the next is asked the same, if it only reads: twenty round
/// trips between sites.
pub const STORE_REPEAT_AFTER: Duration = Duration::from_millis(300);

/// How often a read tries the first of the settings again while another member is asked: it waits
/// for [`STORE_REPEAT_AFTER`] then if that one is still away.
pub const STORE_HOME_AGAIN: Duration = Duration::from_secs(10);

/// How long a request tries, all members together, before its asker hears that the store does not
/// answer: an election after a leader's death takes one to two seconds.
pub const STORE_REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Pause before the members are asked once more.
pub const STORE_RETRY: Duration = Duration::from_millis(100);

/// Bytes of one answer of a cluster: a page that is larger is asked for again in halves.
pub const STORE_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How often a watch of a cluster asks whether it still stands. Two askings without a word, and it
/// goes on at another member.
pub const STORE_WATCH_PROGRESS: Duration = Duration::from_secs(2);

/// How often a watch of a cluster is compared with what the store holds: releases of etcd have lost
/// events. A change that was lost is known after this and [`STORE_WATCH_GRACE`].
pub const STORE_WATCH_CHECK: Duration = Duration::from_secs(30);

/// Changes of a watch after which it is compared with the store before its time: 8 MiB of keys.
pub const STORE_WATCH_UNCHECKED_MAX: usize = 65_536;

/// How long changes that were seen in the store may take to be told by its watch.
pub const STORE_WATCH_GRACE: Duration = Duration::from_secs(5);

// ---- accounts ----

/// Tenants of one cell.
pub const TENANTS_MAX: u32 = 10_000;

/// Accounts of one tenant unless its record says otherwise.
pub const ACCOUNTS_PER_TENANT_DEFAULT: u32 = 10_000;

/// Terminals of one tenant at once unless its policy says otherwise: two for each account.
pub const TERMINALS_PER_TENANT_DEFAULT: u32 = 2 * ACCOUNTS_PER_TENANT_DEFAULT;

/// Calls of one tenant at once unless its policy says otherwise: all its accounts in pairs.
pub const CALLS_PER_TENANT_DEFAULT: u32 = ACCOUNTS_PER_TENANT_DEFAULT / 2;

/// Days for which records of ended calls are kept unless the tenant's policy says otherwise: a
/// year, for bills and complaints.
pub const RECORDS_DAYS_DEFAULT: u32 = 365;

/// The most days that a tenant may ask for: ten years, the longest that books are kept.
pub const RECORDS_DAYS_MAX: u32 = 3_660;

/// How often records that are older than their tenant's policy are removed.
pub const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// Programs that one tenant's policy may name: its terminals come from a handful of makers.
pub const SOFTWARE_PER_TENANT_MAX: usize = 16;

/// Desks that a tenant's policy may name for one role: who needs more of its hundred has "all".
pub const DESKS_NAMED_MAX: usize = 32;

/// Opening times of one day: a morning, an afternoon, an evening, and one to spare.
pub const SPANS_PER_DAY_MAX: usize = 4;

/// Shortest password that a person may choose, in characters (NIST SP 800-63B-4: 15 where the
/// password is the only factor).
pub const PASSWORD_CHARACTERS_MIN: usize = 15;

/// Characters that must be left of a password without what everybody uses. Fewer are guessed within
/// minutes by who knows what that is.
pub const PASSWORD_OWN_CHARACTERS_MIN: usize = 6;

/// Memory of one password hash in KiB: 19 MiB with two passes and one lane is the second of the
/// equivalent choices for Argon2id in OWASP's Password Storage Cheat Sheet.
pub const HASH_KIB: u32 = 19_456;

/// Passes of one password hash; see [`HASH_KIB`].
pub const HASH_PASSES: u32 = 2;

/// Lanes of one password hash; see [`HASH_KIB`].
pub const HASH_LANES: u32 = 1;

/// Of so many password checks one is a stranger's if any waits, whatever devices wait that their
/// accounts know.
pub const HASHES_PER_STRANGER: usize = 4;

/// Password checks that may wait per worker, of known devices and of strangers each: at about 30 ms
/// each, half a second of waiting.
pub const HASH_QUEUE_PER_WORKER: usize = 16;

/// What one password hash takes on a slow core, for the advice when to try again.
pub const HASH_MS_ESTIMATE: u32 = 50;

// ---- desks ----

/// Desks of one tenant: a large company's departments.
pub const DESKS_PER_TENANT_MAX: usize = 100;

const _: () = assert!(DESKS_PER_TENANT_MAX <= kakehashi_wire::limits::DESKS_PER_AGENT_MAX);

/// Agents of one desk: their login IDs fit a request of the API, their records half a value.
pub const AGENTS_PER_DESK_MAX: usize = 200;

const _: () = assert!(AGENTS_PER_DESK_MAX * (LOGIN_BYTES_MAX + 3) + 1024 <= API_BODY_BYTES_MAX);
const _: () = assert!(AGENTS_PER_DESK_MAX * (LOGIN_BYTES_MAX + 64) <= STORE_VALUE_BYTES_MAX / 2);

/// Calls that wait at one desk unless its settings say otherwise.
pub const DESK_QUEUE_DEFAULT: u32 = 50;

/// Calls that may be let wait at one desk: each is told of its place once a second at most.
pub const DESK_QUEUE_MAX: u32 = 500;

/// How long an agent rings before the next one does, in seconds, unless set otherwise: five rings.
pub const DESK_RING_DEFAULT_S: u32 = 20;

/// The shortest that may be set: who is not faster than this is not asked.
pub const DESK_RING_MIN_S: u32 = 3;

/// The longest that may be set: a caller who waits longer for one agent has hung up.
pub const DESK_RING_MAX_S: u32 = 120;

/// How long an agent is left alone after a call, in seconds, unless set otherwise: a short note.
pub const DESK_WRAP_UP_DEFAULT_S: u32 = 10;

/// The longest that may be set: an hour of paper work.
pub const DESK_WRAP_UP_MAX_S: u32 = 3600;

/// How long a call waits before it ends unanswered, in seconds, unless set otherwise.
pub const DESK_WAIT_DEFAULT_S: u32 = 900;

/// The longest that may be set: nobody waits for longer than two hours.
pub const DESK_WAIT_MAX_S: u32 = 7200;

/// How much the latest call changes what a desk's calls are expected to take: one eighth, so that
/// one long call in a row of short ones is not taken for the rule.
pub const DESK_TALK_SHARE: u32 = 8;

/// How often callers are told of their places at most: people read no faster.
pub const QUEUE_NEWS_EVERY: Duration = Duration::from_secs(1);

/// How long a call waits that would overflow to a desk that is full, before it tries again.
pub const OVERFLOW_RETRY: Duration = Duration::from_secs(2);

/// How long an agent who let a call pass is offered none at least: with the wrap-up time at zero
/// the same agent would ring again at once.
pub const PASSED_PAUSE: Duration = Duration::from_secs(5);

// ---- call records ----

/// Ended calls of one tenant kept in the store while no archive takes them: about 1 KiB each, so
/// below 10 MiB per tenant.
pub const CALL_RECORDS_PER_TENANT_MAX: usize = 10_000;

/// Ended calls of one tenant written between two prunings: it exceeds its limit by at most this
/// much.
pub const CALL_RECORDS_PRUNE_EVERY: u32 = 256;

/// How often ended calls are taken from the store into the archive: a tenant that has a call now
/// and then writes 50,000 objects a year, and what is in the store meanwhile is nothing.
pub const RECORDS_SHIP_EVERY: Duration = Duration::from_secs(600);

/// Ended calls of one segment of the archive, and at how many of them those in the store need not
/// wait: each is compared and removed in one fenced transaction.
pub const RECORDS_PER_SEGMENT_MAX: usize = 120;
const _: () = assert!(RECORDS_PER_SEGMENT_MAX + FENCE_COMPARES <= STORE_OPERATIONS_MAX);

/// Bytes of one segment of the archive: 120 of the longest records, of 32 parties each, are less.
pub const RECORDS_SEGMENT_BYTES_MAX: usize = 2 * 1024 * 1024;
const _: () =
    assert!(RECORDS_SEGMENT_BYTES_MAX + STORE_VALUE_BYTES_MAX <= ARCHIVE_OBJECT_BYTES_MAX);

// ---- the audit log ----

/// Longest text of one field of an audit record in bytes: a login ID has at most 64, the reason of
/// a refusal is cut to it.
pub const AUDIT_WORDS_BYTES_MAX: usize = 160;

/// Acts that wait for the log's writer, 1 KiB each; the next one is refused. At 100 a flush of
/// 10 ms this is a tenth of a second of waiting.
pub const AUDIT_QUEUE_MAX: usize = 1024;

/// Records that share one flush: below [`STORE_OPERATIONS_MAX`] with the head beside them.
pub const AUDIT_BATCH_MAX: usize = 100;

const _: () = assert!(AUDIT_BATCH_MAX + 2 <= STORE_OPERATIONS_MAX);

/// How long acts that are alike share a record, and how far checkpoints are apart.
pub const AUDIT_MINUTE: Duration = Duration::from_secs(60);

/// Kinds of acts that have a record of their own in one minute; the rest share one. Guessing
/// without end at ever new names thus writes 256 records of 400 bytes a minute, 150 MB a day.
pub const AUDIT_SHARES_MAX: usize = 256;

/// Checkpoints in the file beside the store, of 260 bytes each. The last one vouches for all
/// records before it; the others are for when it is damaged.
pub const AUDIT_CHECKPOINTS_KEPT: usize = 256;

/// Records verified for one request: below a second on a slow core.
pub const AUDIT_VERIFIED_AT_ONCE: usize = 20_000;

/// Calls whose set-up is timed at once: more than begin in ten seconds. Those beyond are set up
/// like any other and not timed. About 100 B each.
pub const SET_UPS_TIMED_MAX: usize = 10_000;

/// How often the core says how much there is of what: a walk over all calls and sessions, about a
/// millisecond for 100,000.
pub const TALLY_EVERY: Duration = Duration::from_secs(1);
