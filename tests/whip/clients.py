"""Clients of WHIP and WHEP: aiortc, which publishes and plays, and FFmpeg's own WHIP. What is decoded is looked at.

Each publisher has a colour and a tone that nobody else has, so that a picture or a sound in a wrong place shows.
"""
import array
import asyncio
import contextlib
import fractions
import math
import sys
import tempfile
import time
import urllib.error
import urllib.request

import av
from aiortc import RTCBundlePolicy, RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from cryptography.hazmat.primitives import serialization

PEOPLE = {"alice": ((200, 30, 30), 440), "bob": ((30, 30, 200), 1000), "ffmpeg": ((30, 150, 30), 700)}
PATIENCE = 40
RATE = 48000


def picture(color, n):
    """A colour, with a stripe that moves so that no two frames are alike."""
    frame = av.VideoFrame(320, 240, "rgb24")
    stride = frame.planes[0].line_size
    row = bytearray((bytes(color) * 320).ljust(stride, b"\0"))
    stripe = bytearray(row)
    at = n * 4 % 300 * 3
    stripe[at : at + 60] = b"\xff" * 60
    frame.planes[0].update(bytes(row) * 180 + bytes(stripe) * 20 + bytes(row) * 40)
    return frame


def sound(tone, start, samples=960):
    values = (int(8000 * math.sin(2 * math.pi * tone * (start + i) / RATE)) for i in range(samples))
    frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
    frame.planes[0].update(array.array("h", values).tobytes())
    frame.sample_rate = RATE
    frame.pts = start
    frame.time_base = fractions.Fraction(1, RATE)
    return frame


class Camera(VideoStreamTrack):
    def __init__(self, color):
        super().__init__()
        self.color, self.n = color, 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = picture(self.color, self.n)
        self.n += 1
        frame.pts, frame.time_base = pts, time_base
        return frame


class Microphone(AudioStreamTrack):
    def __init__(self, tone):
        super().__init__()
        self.tone, self.sent, self.began, self.muted = tone, 0, time.monotonic(), False

    async def recv(self):
        await asyncio.sleep(max(0, self.began + self.sent / RATE - time.monotonic()))
        frame = sound(0 if self.muted else self.tone, self.sent)
        self.sent += frame.samples
        return frame


def http(method, url, body=b"", **headers):
    request = urllib.request.Request(url, data=body or None, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


class Session:
    """A peer connection whose offer was posted."""

    def __init__(self, base, policy=RTCBundlePolicy.BALANCED):
        configuration = RTCConfiguration(bundlePolicy=policy)
        self.base, self.pc, self.location, self.answer, self.tag = base, RTCPeerConnection(configuration), None, "", None

    async def post(self, path):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        offer = self.pc.localDescription.sdp.encode()
        status, headers, body = await asyncio.to_thread(http, "POST", self.base + path, offer, **{"Content-Type": "application/sdp"})
        if status != 201:
            sys.exit(f"POST {path}: {status} {body}")
        self.location, self.answer, self.tag = headers["Location"], body, headers["ETag"]
        await self.pc.setRemoteDescription(RTCSessionDescription(body, "answer"))
        return self

    async def delete(self):
        status, _, body = await asyncio.to_thread(http, "DELETE", self.base + self.location)
        check(status == 200, f"DELETE: {status} {body}")
        await self.close()

    async def close(self):
        try:
            await asyncio.wait_for(self.pc.close(), 5)
        except asyncio.TimeoutError:
            pass


async def publish(base, name, room="room"):
    session = Session(base)
    color, tone = PEOPLE[name]
    session.microphone = Microphone(tone)
    session.pc.addTrack(session.microphone)
    session.pc.addTrack(Camera(color))
    await session.post(f"/whip/{room}/{name}")
    check("a=sendrecv" in session.pc.localDescription.sdp and session.answer.count("a=recvonly") == 2, "what offers both ways is answered one way")
    return session


class Seen:
    """What has come on one m-line, the last second of it looked at."""

    def __init__(self, track):
        self.frames, self.color, self.samples = 0, None, array.array("h")
        self.task = asyncio.ensure_future(self.follow(track))

    async def follow(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.frames += 1
            if track.kind == "video":
                rgb = frame.reformat(format="rgb24")
                at = 40 * rgb.planes[0].line_size + 30 * 3
                self.color = tuple(bytes(rgb.planes[0])[at : at + 3])
            else:
                self.samples.extend(array.array("h", bytes(frame.planes[0])[: frame.samples * 4])[::2])
                del self.samples[:-RATE]

    def tone(self):
        """By counting where the wave goes up through zero."""
        rises = sum(1 for a, b in zip(self.samples, self.samples[1:]) if a < 0 <= b)
        return rises * RATE / len(self.samples) if len(self.samples) == RATE else 0

    def __str__(self):
        broken = self.task.exception() if self.task.done() else ""
        return f"{self.frames} frames, {self.color or f'{self.tone():.0f} Hz'} {broken}"

    def is_of(self, name):
        color, tone = PEOPLE[name]
        if self.color is not None:
            return all(abs(a - b) < 40 for a, b in zip(self.color, color))
        return abs(self.tone() - tone) < 25


async def play(base, members, kinds, policy=RTCBundlePolicy.BALANCED, room="room"):
    session = Session(base, policy)
    for kind in kinds:
        session.pc.addTransceiver(kind, direction="recvonly")
    await session.post(f"/whep/{room}/{members}")
    check(session.answer.count("a=sendonly") == len(kinds), "each m-line is answered")
    session.seen = [Seen(t.receiver.track) for t in session.pc.getTransceivers()]
    return session


async def until(what, look, state):
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            sys.exit(f"FAILED, not within {PATIENCE} s: {what}: {state()}")
        await asyncio.sleep(0.1)
    say(what)


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")


def say(what):
    print(f"  [{time.monotonic() - BEGAN:5.1f} s] {what}", file=sys.stderr, flush=True)


async def shows(player, lines, name):
    seen = [player.seen[i] for i in lines]
    before = [s.frames for s in seen]
    right = lambda: all(s.frames >= b + 40 and s.is_of(name) for s, b in zip(seen, before))
    await until(f"m-lines {lines} of the player are {name}'s", right, lambda: [str(s) for s in seen])


@contextlib.contextmanager
def certificate():
    """FFmpeg with GnuTLS makes a certificate on P-224, which neither browsers nor this server take: it is given one on P-256."""
    made = RTCCertificate.generateCertificate()
    encoded = serialization.Encoding.PEM
    key = made._key.private_bytes(encoded, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.TemporaryDirectory() as folder:
        paths = {"cert_file": f"{folder}/cert.pem", "key_file": f"{folder}/key.pem"}
        for name, data in (("cert_file", made._cert.public_bytes(encoded)), ("key_file", key)):
            with open(paths[name], "wb") as file:
                file.write(data)
        yield paths


async def ffmpeg_publishes(base, stop, room="room", name="ffmpeg"):
    """FFmpeg is the server of DTLS (`setup:passive`), offers no candidates, and names its RTX SSRC in a group only."""
    color, tone = PEOPLE[name]

    def run():
        with certificate() as options, av.open(f"{base}/whip/{room}/{name}", "w", format="whip", options=options) as out:
            video = out.add_stream("libx264", rate=15, options={"profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "g": "15", "bf": "0"})
            video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
            audio = out.add_stream("libopus", rate=RATE, layout="stereo")
            resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
            began, n, sent = time.monotonic(), 0, 0
            while not stop.is_set():
                while sent / RATE <= n / 15:
                    for frame in resampler.resample(sound(tone, sent)):
                        out.mux(audio.encode(frame))
                    sent += 960
                frame = picture(color, n)
                frame.pts, frame.time_base = n, fractions.Fraction(1, 15)
                out.mux(video.encode(frame))
                n += 1
                time.sleep(max(0, began + n / 15 - time.monotonic()))

    await asyncio.to_thread(run)


BEGAN = time.monotonic()
