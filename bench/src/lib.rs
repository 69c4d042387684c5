//! Nothing but a place for `bench/benches`: what single steps of a packet's or a message's way
//! cost.
