//! Packets at an index the caller knows, without state: what a relay needs that seals for each
//! receiver, and that answers a request for a lost packet out of a cache.

use crate::aead::Forged;
use crate::error::SrtpError;
use crate::index::{PacketIndex, RtcpIndex};
use crate::keys::SessionKeys;
use crate::rtcp::{self, IndexWord, RtcpPrivacy};
use crate::rtp::{self, RtpLayout};

/// Opens into `out` an RTP packet that was accepted before, at its known `index`, and gives the
/// bytes of the plain packet. No replay window is asked or moved: whoever calls this has kept the
/// packet since a [`StreamOpener`](crate::StreamOpener) accepted it.
///
/// # Errors
/// [`SrtpError::Forged`] if packet and index do not belong together, [`SrtpError::NoRoom`] if
/// `out` is shorter than the plain packet, or as for any packet. `out` has no meaning then.
pub fn reopen_rtp(
    keys: &SessionKeys,
    packet: &[u8],
    index: PacketIndex,
    out: &mut [u8],
) -> Result<usize, SrtpError> {
    let layout = RtpLayout::protected(packet)?;
    let out = out.get_mut(..layout.plain_bytes).ok_or(SrtpError::NoRoom)?;
    rtp::open_into(keys.rtp(), layout, index, packet, out).map_err(|Forged| SrtpError::Forged)?;
    Ok(layout.plain_bytes)
}

/// Protects the RTP packet in the first `plain_bytes` of `buffer` at `index`, in place; gives its
/// new length, [`RTP_OVERHEAD_BYTES`](crate::RTP_OVERHEAD_BYTES) more. The SSRC is the header's.
///
/// Nothing here remembers what was sealed. **The caller vouches that one index with one SSRC seals
/// one content only**, header included: the same bytes again give the same packet and reveal
/// nothing; other bytes under the same nonce would give away both and the means to forge.
///
/// # Errors
/// [`SrtpError::WrongSequence`] if the header's sequence number is not that of `index`, or as for
/// [`StreamSealer::protect_rtp`](crate::StreamSealer::protect_rtp). The buffer is unchanged then.
pub fn seal_rtp_at(
    keys: &SessionKeys,
    index: PacketIndex,
    buffer: &mut [u8],
    plain_bytes: usize,
) -> Result<usize, SrtpError> {
    let layout = RtpLayout::plain(buffer, plain_bytes)?;
    if layout.sequence != index.sequence() {
        return Err(SrtpError::WrongSequence);
    }
    Ok(rtp::seal(keys.rtp(), layout, index, buffer))
}

/// Encrypts the RTCP packet in the first `plain_bytes` of `buffer` at `index`, in place; gives its
/// new length, [`RTCP_OVERHEAD_BYTES`](crate::RTCP_OVERHEAD_BYTES) more. The SSRC is the header's.
/// The caller vouches for the index as in [`seal_rtp_at`].
///
/// # Errors
/// As for [`StreamSealer::protect_rtcp`](crate::StreamSealer::protect_rtcp). The buffer is
/// unchanged then.
pub fn seal_rtcp_at(
    keys: &SessionKeys,
    index: RtcpIndex,
    buffer: &mut [u8],
    plain_bytes: usize,
) -> Result<usize, SrtpError> {
    let ssrc = rtcp::sealable(buffer, plain_bytes)?;
    let word = IndexWord { index, privacy: RtcpPrivacy::Encrypted };
    Ok(rtcp::seal(keys.as_ref(), ssrc, word, buffer, plain_bytes))
}
