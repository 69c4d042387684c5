//! Tests of the core: whole calls without a socket.
