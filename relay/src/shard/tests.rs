//! A whole shard on its own thread: woken, ordered, stopped.

use super::*;
