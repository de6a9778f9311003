#!/usr/bin/env python3
"""Records what a browser sends as a trace: when packets of which size came.

    sudo tests/tools/record_trace.py PORT SECONDS [OPUS_PAYLOAD_TYPE] > trace.txt

Reads datagrams to UDP port PORT on the loopback device, keeps RTP of one sender, and prints a line a packet:
microseconds since the first packet, bytes of the RTP packet (without SRTP's tag of 16 bytes), marker, kind.
Start it while a browser is in a call with a server whose media port is PORT. Its first packets, in which the browser still
looks for its rate, are best left out by starting late.
"""
import socket
import struct
import sys
import time

port, seconds = int(sys.argv[1]), float(sys.argv[2])
opus = int(sys.argv[3]) if len(sys.argv) > 3 else 111
SO_TIMESTAMPNS = 35
receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
receiver.bind(("lo", 0))
receiver.settimeout(0.5)
first, sender, end, kinds = None, None, time.time() + seconds, {}
while time.time() < end:
    try:
        packet, ancillary, _, address = receiver.recvmsg(70_000, 128)
    except TimeoutError:
        continue
    # Loopback shows each packet twice: as sent (4) and as received (0).
    if address[2] != 0 or len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != 17:
        continue
    header = (packet[0] & 15) * 4
    source, target = struct.unpack("!HH", packet[header : header + 4])
    rtp = packet[header + 8 :]
    if target != port or len(rtp) < 28 or rtp[0] >> 6 != 2 or 192 <= rtp[1] <= 223:
        continue
    sender = sender or source
    if source != sender:
        continue
    seconds_at, nanos = struct.unpack("qq", ancillary[0][2])
    at = seconds_at * 1_000_000 + nanos // 1_000
    first = first or at
    kind = "audio" if rtp[1] & 127 == opus else "video"
    print(at - first, len(rtp) - 16, rtp[1] >> 7, kind)
