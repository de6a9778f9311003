"""Has aiortc (an endpoint without transport-wide feedback and simulcast) take the answers of `examples/answer`.

    python tests/tools/check_aiortc.py <path of the example's binary> [folder to keep the offers in]
"""
import asyncio
import json
import subprocess
import sys

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

LOCAL = {"ufrag": "ours1234", "pwd": "p" * 24, "fingerprint": ":".join(["AB"] * 32), "candidates": ["127.0.0.1:9"]}


async def exchange(pc, child, name):
    await pc.setLocalDescription(await pc.createOffer())
    sdp = pc.localDescription.sdp
    child.stdin.write(json.dumps({"sdp": sdp, **LOCAL}) + "\n")
    child.stdin.flush()
    answer = json.loads(child.stdout.readline())
    if "error" in answer:
        sys.exit(f"{name}: {answer['error']}")
    await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    print("ok", name)
    if len(sys.argv) > 2:
        with open(f"{sys.argv[2]}/aiortc-{name}.sdp", "w", newline="") as file:
            file.write(sdp)


async def main():
    child = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pc = RTCPeerConnection()
    pc.addTrack(AudioStreamTrack())
    pc.addTrack(VideoStreamTrack())
    await exchange(pc, child, "sendrecv")
    pc.addTransceiver("audio", direction="recvonly")
    pc.addTransceiver("video", direction="recvonly")
    await exchange(pc, child, "slots-added")
    child.stdin.close()
    try:
        await asyncio.wait_for(pc.close(), 3)
    except asyncio.TimeoutError:
        pass  # it waits for a handshake that will not come


asyncio.run(main())
