//! Every sealed packet, by key and nonce: one nonce under one key has one content. And every life
//! of a sealed leg: one epoch has one key, and begins once.

use kakehashi_wire::id::{Generation, LegId};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};

/// A relay, its incarnation, a leg, and the order that began its life there.
pub(crate) type Life = (usize, u64, LegId, Generation);

/// The ledger of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Key, kind of packet and source, index: a print of the packet.
    packets: HashMap<(u64, (u8, u32), u64), u64>,
    lives: BTreeMap<Life, u64>,
    /// The process of a relay in which a life began.
    begun: BTreeMap<Life, u64>,
    pub(crate) entries: usize,
}

/// A print of bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

impl Ledger {
    /// A packet was sealed with `key`.
    pub(crate) fn sealed(&mut self, key: u64, of: (u8, u32), packet: &[u8]) -> Result<(), String> {
        let index = match of.0 {
            // No stream of a run is long enough to wrap, so its number is its index.
            0 => packet
                .get(2..)
                .and_then(|rest| rest.first_chunk())
                .map(|it| u16::from_be_bytes(*it).into()),
            _ => packet.last_chunk().map(|it| u64::from(u32::from_be_bytes(*it) & 0x7fff_ffff)),
        };
        let Some(index) = index else { return Err("a packet without an index".into()) };
        let print = hash(packet);
        self.entries += 1;
        let known = *self.packets.entry((key, of, index)).or_insert(print);
        if known == print {
            return Ok(());
        }
        Err(format!("source {:08x}, kind {}, index {index} seals two contents", of.1, of.0))
    }

    /// A leg has this life, which `begins` in that process of its relay or goes on.
    pub(crate) fn live(
        &mut self,
        life: Life,
        begins: Option<u64>,
        secret: u64,
    ) -> Result<(), String> {
        if let Some(process) = begins {
            let before = self.begun.insert(life, process);
            if before.is_some_and(|before| before != process) {
                return Err(format!("{life:?} began twice"));
            }
        }
        let known = *self.lives.entry(life).or_insert(secret);
        if known == secret { Ok(()) } else { Err(format!("{life:?} has two keys")) }
    }
}
