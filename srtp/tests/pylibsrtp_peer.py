"""libsrtp behind a pipe: one request a line on stdin, one answer a line on stdout.

    open NAME SUITE IN|OUT WINDOW KEY+SALT   ->  ok
    protect | unprotect | protect_rtcp | unprotect_rtcp NAME PACKET   ->  ok PACKET | refused REASON

Names are words, bytes are hexadecimal. Ends with its input.
"""

import sys

import pylibsrtp
from pylibsrtp import Policy

SUITES = {
    "128": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "256": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
DIRECTIONS = {"in": Policy.SSRC_ANY_INBOUND, "out": Policy.SSRC_ANY_OUTBOUND}
REASONS = {
    "replay check failed (bad index)": "replayed",
    "replay check failed (index too old)": "too_old",
    "authentication failure": "forged",
}
OPERATIONS = ("protect", "unprotect", "protect_rtcp", "unprotect_rtcp")


def answer(sessions, words):
    """Carries out one request."""
    if words[0] == "open":
        name, suite, direction, window, key = words[1:]
        policy = Policy(
            key=bytes.fromhex(key),
            ssrc_type=DIRECTIONS[direction],
            srtp_profile=SUITES[suite],
        )
        policy.window_size = int(window)
        sessions[name] = pylibsrtp.Session(policy)
        return "ok"
    operation, name, packet = words
    if operation not in OPERATIONS:
        raise ValueError("unknown request " + operation)
    try:
        result = getattr(sessions[name], operation)(bytes.fromhex(packet))
    except pylibsrtp.Error as error:
        return "refused " + REASONS.get(str(error), str(error))
    return "ok " + result.hex()


def main():
    """Answers until the input ends."""
    print("ready pylibsrtp", pylibsrtp.__version__, flush=True)
    sessions = {}
    for line in sys.stdin:
        print(answer(sessions, line.split()), flush=True)


if __name__ == "__main__":
    main()
