//! Media in files: Ogg Opus (RFC 7845) and IVF with VP8 or VP9.
//!
//! **Bytes in, frames out, and back; the files themselves are handed in as readers and writers.**

pub mod ivf;
pub mod ogg;

use std::io::{self, Read};

/// Fills `buffer` as far as the input goes; gives the bytes read.
fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
