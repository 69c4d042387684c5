//! `kakehashi-terminal`: the reference terminal as a program.
fn main() {}
