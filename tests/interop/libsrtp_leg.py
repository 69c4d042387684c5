"""One leg of a call played by libsrtp: seals what it sends, opens what it hears.

Reads one JSON object from standard input:
  relay           [host, port] of the shard
  key             master key and salt in hex, for what it sends
  remote_key      the same of the other member
  ssrc, payload_type, first_sequence    of the one stream it sends
  remote_ssrcs    the streams it may hear
  frames          payloads to send in hex, one every `interval` seconds
Says "greeting" to the relay in RTCP until it has heard the other member, sends its frames while it
listens, and ends when nothing has come for a second after its last frame. Prints one JSON object:
  received        for each SSRC, the payloads in hex, in order of sequence number
  rejected        packets libsrtp refused
  sent            packets sent
"""

import json
import socket
import struct
import sys
import time

import pylibsrtp

REPEAT = 0.02
SILENCE = 1.0
PATIENCE = 30.0


def session(key, direction):
    policy = pylibsrtp.Policy(
        key=bytes.fromhex(key),
        ssrc_type=direction,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    )
    policy.window_size = 1024
    return pylibsrtp.Session(policy)


class Leg:
    def __init__(self, task):
        self.task = task
        self.sending = session(task["key"], pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self.opening = session(task["remote_key"], pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(tuple(task["relay"]))
        self.received = {ssrc: {} for ssrc in task["remote_ssrcs"]}
        self.rejected = 0
        self.heard = False
        self.last_heard = time.monotonic()

    def greet(self):
        """An empty receiver report: authentic, so it teaches the relay this leg's address."""
        report = struct.pack("!BBHI", 0x80, 201, 1, self.task["ssrc"])
        self.socket.send(self.sending.protect_rtcp(report))

    def say_goodbye(self):
        report = struct.pack("!BBHI", 0x80, 201, 1, self.task["ssrc"])
        bye = struct.pack("!BBHI", 0x81, 203, 1, self.task["ssrc"])
        self.socket.send(self.sending.protect_rtcp(report + bye))

    def send(self, number, payload):
        sequence = (self.task["first_sequence"] + number) & 0xFFFF
        header = struct.pack(
            "!BBHII",
            0x80,
            self.task["payload_type"] | (0x80 if number == 0 else 0),
            sequence,
            number * 960,
            self.task["ssrc"],
        )
        self.socket.send(self.sending.protect(header + payload))

    def listen(self, until):
        """Takes what comes until the given time."""
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                packet = self.socket.recv(2048)
            except (TimeoutError, socket.timeout):
                return
            except ConnectionRefusedError:
                continue
            self.take(packet)

    def take(self, packet):
        try:
            if 192 <= packet[1] <= 223:
                self.opening.unprotect_rtcp(packet)
            else:
                plain = self.opening.unprotect(packet)
                sequence, _, ssrc = struct.unpack("!HII", plain[2:12])
                self.received[ssrc][sequence] = plain[12:].hex()
        except pylibsrtp.Error:
            self.rejected += 1
            return
        self.heard = True
        self.last_heard = time.monotonic()

    def run(self):
        deadline = time.monotonic() + PATIENCE
        while not self.heard and time.monotonic() < deadline:
            self.greet()
            self.listen(time.monotonic() + REPEAT)
        # The other side may still be waiting for a greeting that came before it had an address.
        for _ in range(10):
            self.greet()
            self.listen(time.monotonic() + REPEAT)
        due = time.monotonic()
        for number, frame in enumerate(self.task["frames"]):
            self.listen(due)
            self.send(number, bytes.fromhex(frame))
            due += self.task["interval"]
        while time.monotonic() - self.last_heard < SILENCE and time.monotonic() < deadline:
            self.listen(time.monotonic() + REPEAT)
        self.say_goodbye()


def main():
    task = json.load(sys.stdin)
    leg = Leg(task)
    leg.run()
    received = {
        str(ssrc): [packets[number] for number in sorted(packets)]
        for ssrc, packets in leg.received.items()
    }
    print(json.dumps({
        "received": received,
        "rejected": leg.rejected,
        "sent": len(task["frames"]),
    }))


main()
