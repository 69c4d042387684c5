//! kakehashi
fn main() {}
