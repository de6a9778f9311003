"""Drives every operation of docs/openapi.json against a real server, and holds each answer to what is described, and signaling to docs/schema.

    python tests/api/operations.py <path of the server>

The description is looked at by openapi-spec-validator first. Members are there by the signaling socket, and publish by WHIP with an offer of a
browser (nothing has to flow for a room to have tracks).
"""
import base64
import contextlib
import hashlib
import hmac
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from websockets.sync.client import connect

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "operations are driven with this key"
PATIENCE = 20


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(sub, **grants):
    head, claims = {"alg": "HS256", "typ": "JWT", "kid": "main"}, {"sub": sub, "exp": int(time.time()) + 600, "grants": grants}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    return text + "." + encoded(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


class Description:
    """docs/openapi.json."""

    def __init__(self):
        self.document = json.loads((ROOT / "docs/openapi.json").read_text())
        validate(self.document)
        resource = Resource.from_contents(self.document, default_specification=DRAFT202012)
        self.registry = Registry().with_resource("urn:api", resource)
        self.operations = {}
        for path, item in self.document["paths"].items():
            pattern = re.compile("^" + re.sub(r"\\\{[a-z]+\\\}", "[^/]+", re.escape(path)) + "$")
            for method, operation in item.items():
                if method != "parameters":
                    self.operations[operation["operationId"]] = (method.upper(), path, pattern, operation)
        self.driven, self.refused = {}, set()

    def check(self, schema, value, what):
        # References begin at the document.
        schema = json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))
        errors = list(Draft202012Validator(schema, registry=self.registry).iter_errors(value))
        if errors:
            sys.exit(f"{what}: {value} is not as described: {errors[0].message} at {list(errors[0].absolute_path)}")

    def answered(self, method, path, body, status, headers, text):
        """The operation that was driven; its answer is one that is described, in status and in form."""
        path = path.split("?")[0]
        # A path that is written out comes before one with something in braces.
        found = sorted((op[1].count("{"), id) for id, op in self.operations.items() if op[0] == method and op[2].match(path))
        check(found, f"{method} {path} is no described operation")
        id = found[0][1]
        operation = self.operations[id][3]
        if body is not None and status < 400:
            self.check(operation["requestBody"]["content"]["application/json"]["schema"], body, f"the request of {id}")
        answer = operation["responses"].get(str(status))
        check(answer, f"{id}: the status {status} is not described: {text}")
        kind = (headers.get("Content-Type") or "").split(";")[0]
        if "content" not in answer:
            check(text == "", f"{id}: {status} has no body, and got {text}")
        else:
            check(kind in answer["content"], f"{id}: {status} comes as {kind}")
            self.check(answer["content"][kind]["schema"], json.loads(text), f"{id} ({status})")
        if status < 400:
            self.driven[id] = self.driven.get(id, 0) + 1
        else:
            check(json.loads(text)["status"] == status, f"{id}: the problem says another status: {text}")
            self.refused.add((id, status))
        return id


def check(good, why):
    if not good:
        sys.exit(why)


class Server:
    def __init__(self, binary, folder, events):
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {
            "http.listen": f"127.0.0.1:{self.port}", "admin.listen": "127.0.0.1:0", "media.port": "0", "media.bind": "127.0.0.1", "media.workers": "1",
            "turn.enabled": "false", "auth.keys.main": SECRET, "recording.enabled": "true", "recording.folder": folder, "recording.minimum_free_mib": "1",
            "jobs.ffmpeg": "", "events.enabled": "true", "events.folder": events,
            "whip_out.allow_hosts": "127.0.0.1", "whip_out.allow_http": "true", "whip_out.allow_networks": "127.0.0.0/8",
        }
        arguments = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        self.process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.api, self.base = Description(), f"http://127.0.0.1:{self.port}"
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                return check(urllib.request.urlopen(self.base + "/readyz", timeout=1).status == 200, "it is not ready")
            time.sleep(0.05)
        sys.exit("the server does not come up")

    def raw(self, method, path, data=None, bearer=None, **headers):
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def ask(self, method, path, body=None, bearer=None, status=200, **headers):
        """An operation, with the status that it has to have; what it says."""
        data = None if body is None else json.dumps(body).encode()
        if data:
            headers["Content-Type"] = "application/json"
        got, answer, text = self.raw(method, path, data, bearer, **headers)
        check(got == status, f"{method} {path}: {got} instead of {status}: {text}")
        self.api.answered(method, path, body, got, answer, text)
        return json.loads(text) if text else None

    def join(self, room, name, **more):
        return Member(self.port, room, token(name, room=room, join=True, publish=["microphone", "camera"], subscribe=True, chat=True, **more))


class Protocol:
    """docs/schema: what clients and the server say."""

    def __init__(self):
        schemas = {name: json.loads((ROOT / f"docs/schema/{name}.json").read_text()) for name in ("client", "server")}
        for schema in schemas.values():
            Draft202012Validator.check_schema(schema)
        self.validators = {name: Draft202012Validator(schema) for name, schema in schemas.items()}
        self.messages = 0

    def hold(self, who, message):
        self.messages += 1
        for error in self.validators[who].iter_errors(message):
            sys.exit(f"what the {who} says is not as described: {message}: {error.message}")

    def snapshots(self):
        """Every message that there is, as tests of the server write it; and that something else is refused."""
        for file, who in [("requests", "client"), ("answers", "server"), ("events", "server")]:
            text = (ROOT / f"src/wire/snapshots/althing__wire__tests__{file}_are_written_so.snap").read_text()
            for line in text.split("---\n", 2)[2].splitlines():
                message = json.loads(line)
                self.hold(who, message)
                check(not self.validators[who].is_valid({**message, "type": "dance"}), f"a {message['type']} that dances is taken for good")


PROTOCOL = Protocol()


class Member:
    """Somebody at a signaling socket."""

    def __init__(self, port, room, bearer):
        self.opened = contextlib.ExitStack()
        self.socket = self.opened.enter_context(connect(f"ws://127.0.0.1:{port}/ws", subprotocols=["althing.v1"]))
        self.next, self.events = 0, []
        self.ask(type="hello", versions=[1])
        self.joined = self.ask(type="join", room=room, token=bearer, knock=True)

    def ask(self, **request):
        self.next += 1
        PROTOCOL.hold("client", {"id": self.next, **request})
        self.socket.send(json.dumps({"id": self.next, **request}))
        while True:
            message = self.heard()
            if message["type"] == "event":
                self.events.append(message["event"])
            elif message.get("id") == self.next:
                return message

    def told(self, kind):
        while True:
            for event in self.events:
                if event["type"] == kind:
                    self.events.remove(event)
                    return event
            self.events.append(self.heard()["event"])

    def heard(self):
        message = json.loads(self.socket.recv(timeout=PATIENCE))
        PROTOCOL.hold("server", message)
        return message


def keep(folder, id, room):
    """Puts a finished recording there."""
    place = pathlib.Path(folder) / id
    place.mkdir(parents=True)
    ada = {"member": "ada", "name": "Ada"}
    file = {"name": "0001.webm", "member": "ada", "screen": False, "container": "webm", "video": "vp8", "audio": "opus", "size": [640, 360], "at": 0,
            "length": 1000000, "bytes": 4, "lost": 0, "state": "complete"}
    manifest = {"schema": 1, "id": id, "room": room, "kind": "recording", "by": ada, "state": "finished", "began": 1795750000000, "ended": 1795750001000,
                "members": [ada], "files": [file]}
    (place / "0001.webm").write_bytes(b"webm")
    (place / "manifest.json").write_text(json.dumps(manifest))


def drive(server):
    node, ask = token("backend", admin="node"), server.ask
    own, stranger = token("backend", admin="room", room="hall"), token("eve", room="hall", join=True)
    check(ask("GET", "/api/v1/openapi.json")["openapi"] == "3.1.0", "it describes itself")

    # Whoever asks needs the right.
    ask("GET", "/api/v1/node", status=401)
    ask("GET", "/api/v1/node", bearer="a.b.c", status=401)
    ask("GET", "/api/v1/node", bearer=own, status=403)
    ask("GET", "/api/v1/rooms", bearer=stranger, status=403)
    check(ask("GET", "/api/v1/node", bearer=node)["rooms"] == 0, "nobody is there")

    # A room, made twice with one key, and in vain with another.
    settings = {"policy": "sfu", "members": 3, "tracks": 2, "publish_kbps": 900, "library_mib": 64, "empty_seconds": 60, "metadata": "a lesson"}
    made = ask("POST", "/api/v1/rooms", {"name": "hall", "settings": settings}, node, 201, **{"Idempotency-Key": "make-hall"})
    # What happened in it is on the disk a moment later.
    deadline = time.monotonic() + 10
    while not (happened := ask("GET", "/api/v1/events?room=hall", bearer=own))["events"]:
        check(time.monotonic() < deadline, "nothing is written of the room")
        time.sleep(0.05)
    check(happened["events"][0]["type"] == "room.created" and happened["events"][0]["room"] == "hall", "it was made")
    ask("GET", "/api/v1/events", bearer=own, status=403)
    ask("GET", "/api/v1/events?limit=0", bearer=node, status=400)
    again = ask("POST", "/api/v1/rooms", {"name": "hall", "settings": settings}, node, 201, **{"Idempotency-Key": "make-hall"})
    check(made == again, f"another answer: {again}")
    ask("POST", "/api/v1/rooms", {"name": "other"}, node, 422, **{"Idempotency-Key": "make-hall"})
    ask("POST", "/api/v1/rooms", {"name": "hall"}, node, 409)
    ask("POST", "/api/v1/rooms", {"name": "a/b"}, node, 400)
    ask("POST", "/api/v1/rooms", {"name": "x", "settings": {"polices": "sfu"}}, node, 400)
    ask("POST", "/api/v1/rooms", {"name": "x", "settings": {"metadata": "x" * 2000}}, node, 413)
    for key in ({}, {"Idempotency-Key": "large-1"}):
        ask("POST", "/api/v1/rooms", {"name": "x", "settings": {"metadata": "x" * 200_000}}, node, 413, **key)
    ask("POST", "/api/v1/rooms", {"name": "x"}, own, 403)
    check((made["policy"], made["limits"], made["metadata"]) == ("sfu", {"members": 3, "tracks": 2, "publish_kbps": 900, "library_mib": 64}, "a lesson"), f"another room: {made}")
    drawn = ask("POST", "/api/v1/rooms", None, node, 201)
    for _ in range(3):
        ask("POST", "/api/v1/rooms", {}, node, 201)
    first = ask("GET", "/api/v1/rooms?limit=2", bearer=node)
    rest = ask("GET", f"/api/v1/rooms?limit=100&after={first['next']}", bearer=node)
    check([room["name"] for room in first["rooms"]] == ["hall", drawn["name"]] and len(rest["rooms"]) == 3 and "next" not in rest, f"pages: {first} {rest}")
    ask("GET", "/api/v1/rooms?limit=101", bearer=node, status=400)
    wrong = ask("GET", "/api/v1/rooms?after=yesterday", bearer=node, status=400)["detail"]
    check("after" in wrong and "deserialize" not in wrong, f"which part of the query is wrong, in plain words: {wrong}")
    ask("GET", "/api/v1/rooms/nowhere", bearer=node, status=404)
    ask("GET", "/api/v1/rooms/hall", bearer=token("backend", admin="room", room="other"), status=403)

    # Members.
    ada = server.join("hall", "ada", moderate=True)
    check(ada.joined["result"]["metadata"] == "a lesson", f"{ada.joined}")
    bob = server.join("hall", "bob")
    check([m["member"] for m in ask("GET", "/api/v1/rooms/hall/members", bearer=own)["members"]] == ["ada", "bob"], "both are listed")
    joined = {ask("GET", "/api/v1/rooms/hall/members/ada", bearer=own)["joined"] for _ in range(50)}
    check(len(joined) == 1, f"she came once, whenever that is asked for: {joined}")
    page = ask("GET", "/api/v1/rooms/hall/members?limit=1", bearer=own)
    check(ask("GET", f"/api/v1/rooms/hall/members?after={page['next']}", bearer=own)["members"][0]["member"] == "bob", "the second page")
    changed = ask("PATCH", "/api/v1/rooms/hall/members/bob", {"name": "Robert", "attributes": {"seat": "7"}, "grants": {"chat": False, "publish": []}}, own)
    check((changed["name"], changed["grants"]["chat"], changed["attributes"]) == ("Robert", False, {"seat": "7"}), f"{changed}")
    check(ada.told("member_changed")["member"]["name"] == "Robert", "others are told")
    check(bob.told("granted")["grants"]["publish"] == [], "and bob, of what he may do")
    check(bob.ask(type="chat", text="hi")["code"] == "forbidden", "which holds")
    ask("PATCH", "/api/v1/rooms/hall/members/bob", {"metadata": "x" * 2000}, own, 413)
    ask("PATCH", "/api/v1/rooms/hall/members/bob", {"nickname": "x"}, own, 400)
    ask("PATCH", "/api/v1/rooms/hall/members/eve", {}, own, 404)
    ask("GET", "/api/v1/rooms/hall/members/bob", bearer=own)
    ask("GET", "/api/v1/rooms/hall/members/eve", bearer=own, status=404)

    # Data.
    ask("POST", "/api/v1/rooms/hall/data", {"topic": "bell", "payload": {"text": "ding"}}, own, 204, **{"Idempotency-Key": "bell-1"})
    ask("POST", "/api/v1/rooms/hall/data", {"topic": "bell", "payload": {"text": "ding"}}, own, 204, **{"Idempotency-Key": "bell-1"})
    ask("POST", "/api/v1/rooms/hall/data", {"to": ["bob"], "payload": {"base64": "AAE="}, "lossy": True}, own, 204)
    check(ada.told("data") == {"type": "data", "from": "backend", "topic": "bell", "payload": {"text": "ding"}}, "everybody hears the bell")
    bob.told("data")
    check(bob.told("data")["payload"] == {"base64": "AAE="}, "and bob more")
    check(not [e for e in ada.events if e["type"] == "data"], "which rings once")
    ask("POST", "/api/v1/rooms/hall/data", {"payload": {"base64": "?"}}, own, 400)
    ask("POST", "/api/v1/rooms/hall/data", {"payload": {"text": "x" * 20000}}, own, 413)

    # Tracks, and what is recorded of them.
    offer = (ROOT / "tests/sdp/offers/chromium-join.sdp").read_bytes()
    whip = token("cam", room="hall", join=True, publish=["microphone", "camera", "screen", "screen_audio"])
    status, _, text = server.raw("POST", "/whip/hall/cam", offer, whip, **{"Content-Type": "application/sdp"})
    check(status == 201, f"WHIP: {status} {text}")
    tracks = ask("GET", "/api/v1/rooms/hall/tracks", bearer=own)["tracks"]
    check({track["member"] for track in tracks} == {"cam"} and len(tracks) == 2, f"{tracks}")
    page = ask("GET", "/api/v1/rooms/hall/tracks?limit=1", bearer=own)
    check(ask("GET", f"/api/v1/rooms/hall/tracks?after={page['next']}", bearer=own)["tracks"][0] == tracks[1], "the second page")
    ask("PATCH", f"/api/v1/rooms/hall/tracks/{tracks[0]['track']}", {"muted": True}, own, 204)
    check(ada.told("track") and ask("GET", "/api/v1/rooms/hall/tracks", bearer=own)["tracks"][0]["muted_by_moderator"], "it is muted")
    ask("PATCH", "/api/v1/rooms/hall/tracks/1000000", {"muted": True}, own, 404)
    ask("PATCH", "/api/v1/rooms/hall/tracks/x", {"muted": True}, own, 404)
    ask("PATCH", f"/api/v1/rooms/hall/tracks/{tracks[0]['track']}", {}, own, 400)
    ask("POST", "/api/v1/rooms/hall/mute", {"source": "microphone", "muted": False}, own, 204)
    ask("POST", "/api/v1/rooms/hall/mute", {"source": "telescope", "muted": False}, own, 400)
    check(not any(t["muted_by_moderator"] for t in ask("GET", "/api/v1/rooms/hall/tracks", bearer=own)["tracks"]), "it is not muted any more")
    recorder = token("rec", room="hall", join=True, record=True)
    key = {"Idempotency-Key": "record-1"}
    began = ask("POST", "/api/v1/rooms/hall/recording", {"sources": ["camera"]}, recorder, 201, **key)
    check(ask("POST", "/api/v1/rooms/hall/recording", {"sources": ["camera"]}, recorder, 201, **key) == began, "it begins once")
    check(ada.told("recording")["recording"]["recording"] == began["id"], "everybody is told")
    check(ask("GET", "/api/v1/rooms/hall", bearer=own)["recording"]["recording"] == began["id"], "and programs see it")
    ask("POST", "/api/v1/rooms/hall/recording", None, recorder, 409)
    ask("DELETE", "/api/v1/rooms/hall/recording", bearer=token("backend", admin="room", room="other"), status=403)
    ask("DELETE", "/api/v1/rooms/hall/recording", bearer=node, status=204)
    ask("DELETE", "/api/v1/rooms/hall/recording", bearer=recorder, status=409)
    ask("POST", "/api/v1/rooms/hall/recording", None, stranger, 403)

    # What is sent elsewhere: nobody answers there, so it is tried again until it is ended. `record` is enough, as `admin` is.
    path, sent = "/api/v1/rooms/hall/egress", {"member": "cam", "url": "http://127.0.0.1:9/whip", "token": "theirs"}
    began = ask("POST", path, sent, recorder, 201, **{"Idempotency-Key": "send-cam"})
    check(ask("POST", path, sent, recorder, 201, **{"Idempotency-Key": "send-cam"}) == began, "it begins once")
    check([it["egress"] for it in ada.told("egress")["sessions"]] == [began["egress"]], "everybody is told")
    check(ask("GET", path, bearer=own)["sessions"][0]["host"] == "127.0.0.1", "and programs see it")
    ask("GET", f"{path}/{began['egress']}", bearer=own)
    ask("GET", path, bearer=stranger, status=403)
    ask("POST", path, sent, stranger, 403)
    ask("POST", path, {**sent, "url": "http://10.0.0.1/"}, own, 403)
    ask("POST", path, {**sent, "url": "nowhere"}, own, 400)
    ask("POST", path, {**sent, "member": "nobody"}, own, 404)
    ask("DELETE", f"{path}/{began['egress']}", bearer=own, status=204)
    ask("DELETE", f"{path}/{began['egress']}", bearer=own, status=404)
    ask("GET", f"{path}/{began['egress']}", bearer=own, status=404)
    check(ada.told("egress")["sessions"] == [], "and that it is over")

    # What the room is given while it goes on; its door.
    room = ask("PATCH", "/api/v1/rooms/hall", {"locked": True, "metadata": "an exam", "members": 5, "policy": "auto"}, own)
    check((room["locked"], room["metadata"], room["limits"]["members"], room["policy"]) == (True, "an exam", 5, "auto"), f"{room}")
    check(ada.told("room")["metadata"] == "an exam" and ada.told("locked")["locked"], "everybody is told")
    ask("PATCH", "/api/v1/rooms/hall", {"members": 0}, own, 413)
    ask("PATCH", "/api/v1/rooms/hall", {"policy": "p2p"}, own, 409)
    dan = server.join("hall", "dan")
    check(dan.joined["code"] == "locked", f"{dan.joined}")
    check([p["member"] for p in ask("GET", "/api/v1/rooms/hall", bearer=own)["knocking"]] == ["dan"], "he knocks")
    ask("PUT", "/api/v1/rooms/hall/knocking/dan", {"admitted": True}, own, 204)
    ask("PUT", "/api/v1/rooms/hall/knocking/dan", {"admitted": True}, own, 404)
    check(server.join("hall", "dan").joined["type"] == "ok", "and comes in")

    # Who goes, and may come again or not.
    ask("DELETE", "/api/v1/rooms/hall/members/bob?may_return=true", bearer=own, status=204)
    check(bob.told("bye")["reason"] == "kicked" and server.join("hall", "bob").joined["type"] == "ok", "bob may come again")
    ask("DELETE", "/api/v1/rooms/hall/members/bob", bearer=own, status=204)
    check(server.join("hall", "bob").joined["code"] == "kicked", "and then not")
    ask("DELETE", "/api/v1/rooms/hall/members/bob", bearer=own, status=404)
    ask("DELETE", "/api/v1/rooms/hall/members/ada?may_return=perhaps", bearer=own, status=400)

    # What is kept.
    viewer, manager = token("ada", room="old", join=True, library="view"), token("ada", room="old", join=True, library="manage")
    items = ask("GET", "/api/v1/library?room=old&limit=1", bearer=viewer)["items"]
    check(items[0]["id"] == "5f0c", f"{items}")
    ask("GET", "/api/v1/library?room=old&limit=0", bearer=viewer, status=400)
    ask("GET", "/api/v1/library/5f0c", bearer=viewer)
    ask("GET", "/api/v1/library/none", bearer=viewer, status=404)
    check(ask("PATCH", "/api/v1/library/5f0c", {"title": "Old"}, manager)["title"] == "Old", "it has a title")
    ask("PATCH", "/api/v1/library/5f0c", {"title": "Old"}, viewer, 403)
    ask("POST", "/api/v1/library/5f0c/share", {"seconds": 60}, manager)
    ask("POST", "/api/v1/library/5f0c/share", {"seconds": 0}, manager, 400)
    check(ask("GET", "/api/v1/library?room=old", bearer=node)["items"][0]["id"] == "5f0c", "whoever administers the node manages what is kept")
    ask("DELETE", "/api/v1/library/5f0c", bearer=node, status=204)

    # The end, and what is beside.
    ask("DELETE", "/api/v1/rooms/hall", bearer=own, status=204)
    check(ada.told("bye")["reason"] == "ended", "everybody is told")
    ask("DELETE", "/api/v1/rooms/hall", bearer=own, status=404)
    for method, path, status in [("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/rooms", 405), ("POST", "/api/v1/rooms/hall/members", 405), ("GET", "/api/v1", 404),
                                 ("GET", "/api/v1/rooms/%ff", 400), ("PUT", "/api/v1/library/5f0c", 405)]:
        got, headers, text = server.raw(method, path, b"" if method != "GET" else None, node)
        check(got == status and headers["Content-Type"] == "application/problem+json", f"{method} {path}: {got} {headers['Content-Type']} {text}")
    page = {"Origin": "https://evil.example"}
    got, headers, _ = server.raw("GET", "/api/v1/node", None, node, **page)
    check(got == 403 and headers["Access-Control-Allow-Origin"] is None, "pages of strangers see nothing")


def main():
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as events:
        keep(folder, "5f0c", "old")
        server = Server(sys.argv[1], folder, events)
        try:
            drive(server)
        finally:
            server.process.terminate()
            server.process.wait(PATIENCE)
    missing = set(server.api.operations) - set(server.api.driven)
    check(not missing, f"not driven: {missing}")
    PROTOCOL.snapshots()
    refusals = len(server.api.refused)
    print(f"{len(server.api.driven)} operations driven, {sum(server.api.driven.values())} answers and {refusals} kinds of refusals as described, and {PROTOCOL.messages} signaling messages")


main()
