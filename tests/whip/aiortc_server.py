"""A WHIP server made of aiortc, to which a node sends a call: what arrives there is decoded and looked at.

    python tests/whip/aiortc_server.py <path of the node> [<file for rows>]

aiortc is the client as well that publishes into the node, in a colour and with a tone of its own; in between is the node alone. Rows are JSON, one
a line: name, value, unit, reach, pass.
"""
import array
import asyncio
import contextlib
import fractions
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import av
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack

COLOR, TONE, RATE = (200, 30, 30), 440, 48000
PATIENCE = 30
TOKEN = "a-token-of-the-other-server"
ROWS = []


class Camera(VideoStreamTrack):
    n = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(320, 240, "rgb24")
        stride = frame.planes[0].line_size
        row = bytearray((bytes(COLOR) * 320).ljust(stride, b"\0"))
        stripe = bytearray(row)
        at = self.n * 4 % 300 * 3
        stripe[at : at + 60] = b"\xff" * 60
        frame.planes[0].update(bytes(row) * 180 + bytes(stripe) * 20 + bytes(row) * 40)
        self.n += 1
        frame.pts, frame.time_base = pts, time_base
        return frame


class Microphone(AudioStreamTrack):
    sent, began = 0, None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0, self.began + self.sent / RATE - time.monotonic()))
        values = (int(8000 * math.sin(2 * math.pi * TONE * (self.sent + i) / RATE)) for i in range(960))
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(array.array("h", values).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += 960
        return frame


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")


def say(what):
    print(f"  [{time.monotonic() - BEGAN:5.1f} s] {what}", flush=True)


def row(name, value, unit, reach=None, holds=None):
    ROWS.append({"row": name, "value": round(value, 3), "unit": unit, "reach": reach, "pass": holds})
    say(f"{name}: {value:.3g} {unit}")


async def until(what, look, within=PATIENCE):
    """Waits, and says how long it took."""
    begun = time.monotonic()
    while not (found := look()):
        check(time.monotonic() - begun < within, f"not within {within} s: {what}")
        await asyncio.sleep(0.05)
    say(what)
    return found


class Arrived:
    """What one session of the server has received: frames that were decoded, and whether they are what was sent."""

    def __init__(self):
        self.frames = {"audio": 0, "video": 0}
        self.color, self.samples, self.pc, self.deleted = None, [], RTCPeerConnection(), False

        @self.pc.on("track")
        def on_track(track):
            asyncio.ensure_future(self.decode(track))

    async def decode(self, track):
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.frames[track.kind] += 1
                if track.kind == "video":
                    pixels = frame.to_rgb().planes[0]
                    at = (frame.height // 4) * pixels.line_size + frame.width // 2 * 3
                    self.color = tuple(bytes(pixels)[at : at + 3])
                else:
                    channels = len(frame.layout.channels)
                    self.samples = (self.samples + list(array.array("h", bytes(frame.planes[0])[: frame.samples * channels * 2]))[::channels])[-RATE:]

    def is_right(self):
        rises = sum(1 for a, b in zip(self.samples, self.samples[1:]) if a < 0 <= b)
        color = self.color is not None and all(abs(a - b) < 40 for a, b in zip(self.color, COLOR))
        return color and len(self.samples) == RATE and abs(rises - TONE) < 25


class Server:
    """WHIP (RFC 9725) by hand: one POST, one DELETE."""

    def __init__(self):
        self.sessions, self.refused, self.down = [], 0, False

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split("\r\n")[0].split(" ")
            fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            status, more, answer = await self.answer(method, path, fields, body.decode())
            lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(answer)}", "Connection: close", *more, "", answer]
            writer.write("\r\n".join(lines).encode())
            await writer.drain()
        writer.close()

    async def answer(self, method, path, fields, body):
        if self.down:
            return "503 Service Unavailable", [], ""
        if fields.get("authorization") != f"Bearer {TOKEN}":
            self.refused += 1
            return "401 Unauthorized", [], ""
        if method == "DELETE":
            session = self.sessions[int(path.rsplit("/", 1)[1])]
            session.deleted = True
            await session.pc.close()
            return "200 OK", [], ""
        check(method == "POST" and fields.get("content-type") == "application/sdp", f"{method} {path} is WHIP")
        session = Arrived()
        await session.pc.setRemoteDescription(RTCSessionDescription(body, "offer"))
        await session.pc.setLocalDescription(await session.pc.createAnswer())
        self.sessions.append(session)
        location = f"Location: /session/{len(self.sessions) - 1}"
        return "201 Created", ["Content-Type: application/sdp", location], session.pc.localDescription.sdp


def http(method, url, body=None):
    kind = "application/json" if isinstance(body, dict) else "application/sdp"
    data = json.dumps(body) if isinstance(body, dict) else body
    request = urllib.request.Request(url, data=data and data.encode(), method=method, headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def publish(base, codec):
    """Publishes into the node by WHIP, in this codec alone."""
    pc = RTCPeerConnection()
    pc.addTrack(Microphone())
    pc.addTrack(Camera())
    wanted = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == f"video/{codec}"]
    pc.getTransceivers()[1].setCodecPreferences(wanted)
    await pc.setLocalDescription(await pc.createOffer())
    status, answer = await asyncio.to_thread(http, "POST", f"{base}/whip/room/{codec.lower()}", pc.localDescription.sdp)
    check(status == 201, f"the node takes a publisher: {status} {answer}")
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await until(f"the publisher of {codec} is connected", lambda: pc.connectionState == "connected")
    return pc


async def send(base, member, port, token=TOKEN):
    asked = {"member": member, "url": f"http://127.0.0.1:{port}/whip", "token": token}
    status, answer = await asyncio.to_thread(http, "POST", f"{base}/api/v1/rooms/room/egress", asked)
    check(status == 201, f"it is sent elsewhere: {status} {answer}")
    return f"{base}/api/v1/rooms/room/egress/{json.loads(answer)['egress']}"


async def state(place):
    return json.loads((await asyncio.to_thread(http, "GET", place))[1])


async def calls(base, server, port):
    for codec in ("VP8", "H264"):
        publisher = await publish(base, codec)
        begun, before = time.monotonic(), len(server.sessions)
        place = await send(base, codec.lower(), port)
        session = await until("the other server is called", lambda: len(server.sessions) > before and server.sessions[before])
        await until("a picture is decoded there", lambda: session.frames["video"] > 0)
        row(f"egress to aiortc, {codec}: order to first picture", time.monotonic() - begun, "s", "≤ 3 s", time.monotonic() - begun <= 3)
        await until("picture and tone are those that were sent", session.is_right)
        counted, since = dict(session.frames), time.monotonic()
        await asyncio.sleep(5)
        span = time.monotonic() - since
        video, audio = ((session.frames[kind] - counted[kind]) / span for kind in ("video", "audio"))
        row(f"egress to aiortc, {codec}: pictures decoded", video, "1/s", "≥ 27 of 30", video >= 27)
        row(f"egress to aiortc, {codec}: frames of sound decoded", audio, "1/s", "≥ 48 of 50", audio >= 48)
        if codec == "VP8":
            # The other server ends everything without a word by HTTP.
            lost = time.monotonic()
            await session.pc.close()
            again = await until("the other server is called again", lambda: len(server.sessions) > before + 1 and server.sessions[before + 1])
            await until("a picture is decoded there again", lambda: again.frames["video"] > 0)
            row("egress to aiortc: a server that has closed has a picture again", time.monotonic() - lost, "s", "≤ 5 s", time.monotonic() - lost <= 5)
            session = again
        check((await state(place))["state"] == "live", "it is live")
        await asyncio.to_thread(http, "DELETE", place)
        await until("the other server hears the end", lambda: session.deleted)
        await publisher.close()
    publisher = await publish(base, "VP8")
    place = await send(base, "vp8", port, "another-token")
    end = time.monotonic() + PATIENCE
    while (seen := await state(place))["state"] != "failed":
        check(time.monotonic() < end, f"a refusal is final: {seen}")
        await asyncio.sleep(0.1)
    row("egress to aiortc: tries of a token that is refused", server.refused, "", "1", server.refused == 1)
    check((seen["reason"], seen["status"]) == ("refused", 401), f"and has a name: {seen}")
    await publisher.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main(node, rows=None):
    server, port, whip = Server(), free_port(), free_port()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", whip)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ALTHING_")}
    env |= {
        "ALTHING_HTTP__LISTEN": f"127.0.0.1:{port}",
        "ALTHING_ADMIN__LISTEN": "127.0.0.1:0",
        "ALTHING_MEDIA__PORT": "0",
        "ALTHING_TURN__ENABLED": "false",
        "ALTHING_LOG__LEVEL": "error",
        "ALTHING_WHIP_OUT__ALLOW_HOSTS": "127.0.0.1",
        "ALTHING_WHIP_OUT__ALLOW_HTTP": "true",
        # aiortc offers the addresses of this machine's interfaces, loopback excepted.
        "ALTHING_WHIP_OUT__ALLOW_NETWORKS": "0.0.0.0/0,::/0",
    }
    base = f"http://127.0.0.1:{port}"
    child = subprocess.Popen([node], env=env)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                check((await asyncio.to_thread(http, "GET", f"{base}/healthz"))[0] == 200, "the node is well")
                break
            except OSError:
                check(child.poll() is None and time.monotonic() < end, "the node starts")
                await asyncio.sleep(0.1)
        await calls(base, server, whip)
        check(child.poll() is None, "the node is still there")
    finally:
        child.terminate()
        child.wait()
        listener.close()
    if rows:
        with open(rows, "w") as file:
            file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in ROWS)
    missed = [one["row"] for one in ROWS if one["pass"] is False]
    check(not missed, f"not reached: {missed}")
    print("aiortc as a WHIP server: all is well", flush=True)


BEGAN = time.monotonic()
asyncio.run(main(*sys.argv[1:]))
