"""One client of WHIP or WHEP, for `make prove-whip`.

    python tests/whip/client.py aiortc|ffmpeg publish <base> <room> <name> <r,g,b> <tone>   until its standard input ends
    python tests/whip/client.py aiortc play <base> <room> <what> <r,g,b> <tone>    says what was decoded, as JSON, once it is that colour and tone
"""
import asyncio
import json
import sys

import clients
from clients import PEOPLE, check, ffmpeg_publishes, play, publish, shows

# Browsers beside it, on two cores: what is slow is not wrong.
clients.PATIENCE = 60
KIND, WHAT, BASE, ROOM, NAME = sys.argv[1:6]
PEOPLE[NAME] = (tuple(int(value) for value in sys.argv[6].split(",")), int(sys.argv[7]))


async def publishes():
    """Until whoever started this has no more use for it."""
    ended = asyncio.to_thread(sys.stdin.read)
    if KIND == "aiortc":
        session = await publish(BASE, NAME, ROOM)
        await ended
        await session.delete()
    else:
        stop = asyncio.Event()
        publisher = asyncio.ensure_future(ffmpeg_publishes(BASE, stop, ROOM, NAME))
        await asyncio.wait([publisher, asyncio.ensure_future(ended)], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await publisher


async def plays():
    player = await play(BASE, NAME, ["audio", "video"], room=ROOM)
    await shows(player, [0, 1], NAME)
    await player.delete()
    print(json.dumps({"frames": player.seen[1].frames, "heard": player.seen[0].frames, "colour": player.seen[1].color, "tone": round(player.seen[0].tone())}))


check(WHAT in ("publish", "play"), f"{WHAT} is what nobody does")
asyncio.run(publishes() if WHAT == "publish" else plays())
