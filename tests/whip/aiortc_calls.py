"""Publishes by WHIP and plays by WHEP with aiortc, and publishes with FFmpeg's own WHIP: what is decoded is looked at.

    python tests/whip/aiortc_calls.py <path of the server>
"""
import asyncio
import os
import socket
import subprocess
import sys
import time

import av
from aiortc import RTCBundlePolicy

from clients import PATIENCE, check, ffmpeg_publishes, http, play, publish, say, shows, until


async def calls(base):
    # Players of two pairs come first and are connected: packets that come while aiortc registers its m-lines one by one are taken
    # for those of the first m-line with their payload type. (With its default policy it leaves a second video m-line behind on
    # a transport that it has closed.)
    early = await play(base, "alice,bob", ["audio", "video", "audio", "video"], RTCBundlePolicy.MAX_COMPAT)
    apart = await play(base, "bob,alice", ["video", "video", "audio", "audio"], RTCBundlePolicy.MAX_BUNDLE)
    for player in (early, apart):
        await until("a player is connected", lambda: player.pc.connectionState == "connected", lambda: player.pc.connectionState)
    alice, bob = await publish(base, "alice"), await publish(base, "bob")
    await shows(early, [0, 1], "alice")
    await shows(early, [2, 3], "bob")
    await shows(apart, [0, 2], "bob")
    await shows(apart, [1, 3], "alice")
    sound_only = await play(base, "bob", ["audio"])
    await shows(sound_only, [0], "bob")
    fewer = await play(base, "alice,bob", ["video"])
    await shows(fewer, [0], "alice")
    for player in (apart, sound_only, fewer):
        await player.delete()
    await bob.delete()
    await asyncio.sleep(1)
    empty = early.seen[3].frames
    await asyncio.sleep(1)
    check(early.seen[3].frames <= empty + 1, "the place of one who has gone is empty")
    await shows(early, [0, 1], "alice")
    bob = await publish(base, "bob")
    await shows(early, [2, 3], "bob")
    say("one who comes back is in its old place")
    for session in (early, alice, bob):
        await session.delete()
    status, _, _ = await asyncio.to_thread(http, "DELETE", base + alice.location)
    check(status == 404, "a session that has ended is gone")


async def follows(base):
    """A player that names nobody is shown who speaks, without another description. (aiortc writes the level of its sound, RFC 6464.)"""
    alice, bob = await publish(base, "alice"), await publish(base, "bob")
    bob.microphone.muted = True
    player = await play(base, "@speaker", ["audio", "video"])
    await shows(player, [0, 1], "alice")
    alice.microphone.muted, bob.microphone.muted = True, False
    await shows(player, [0, 1], "bob")
    alice.microphone.muted, bob.microphone.muted = False, True
    await shows(player, [0, 1], "alice")
    trickled = "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"
    ice = [next(line[len(name) :] for line in player.pc.localDescription.sdp.splitlines() if line.startswith(name)) for name in ("a=ice-ufrag:", "a=ice-pwd:")]
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": player.tag}
    status, _, body = await asyncio.to_thread(http, "PATCH", base + player.location, (trickled % tuple(ice)).encode(), **fragment)
    check((status, body) == (204, ""), f"candidates are taken: {status} {body}")
    for session in (player, alice, bob):
        await session.delete()
    say("a player follows who speaks")


async def ffmpeg(base):
    try:
        av.format.ContainerFormat("whip", "w")
    except ValueError:
        return print("*** SKIPPED: this FFmpeg has no WHIP ***", flush=True)
    stop = asyncio.Event()
    publisher = asyncio.ensure_future(ffmpeg_publishes(base, stop))
    player = await play(base, "ffmpeg", ["audio", "video"])
    await shows(player, [0, 1], "ffmpeg")
    stop.set()
    await publisher
    await player.delete()


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main(server):
    port = free_port(socket.SOCK_STREAM)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ALTHING_")}
    env |= {"ALTHING_HTTP__LISTEN": f"127.0.0.1:{port}", "ALTHING_ADMIN__LISTEN": "127.0.0.1:0", "ALTHING_MEDIA__PORT": "0", "ALTHING_TURN__ENABLED": "false", "ALTHING_LOG__LEVEL": "error"}
    base = f"http://127.0.0.1:{port}"
    child = subprocess.Popen([server], env=env)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                check(http("GET", f"{base}/healthz")[0] == 200, "the server is well")
                break
            except OSError:
                check(child.poll() is None and time.monotonic() < end, "the server starts")
                await asyncio.sleep(0.1)
        await calls(base)
        await follows(base)
        await ffmpeg(base)
        check(child.poll() is None, "the server is still there")
    finally:
        child.terminate()
        child.wait()
    print("aiortc and FFmpeg: all is well", flush=True)


asyncio.run(main(sys.argv[1]))
