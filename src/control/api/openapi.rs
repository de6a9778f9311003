//! docs/openapi.json, made from the types of requests and answers. `UPDATE_API=1 cargo test --lib openapi` rewrites the file, a plain run compares.

use std::collections::BTreeSet;
use std::fs;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::answer::{EgressAnswer, EgressList, MemberAnswer, MemberList, NodeAnswer, RoomAnswer, RoomList, TrackList};
use super::asked::{Entry, MuteAll, NewData, NewEgress, NewRoom, TrackChange};
use crate::control::recordings::described::{Began, ItemAnswer, ItemList, Rename, Share, Shared, What};
use crate::control::rooms::{MemberChange, RoomSettings};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

/// What is said of the whole.
const ABOUT: &str = "What a program does that runs a service on an Althing server. Where the server has keys (`auth.keys`), each request carries a token \
    whose grant `admin` is `node` (everything) or `room` (its own room alone); those about what is kept take the token of a member. A refusal is a problem \
    (RFC 9457), and has changed nothing. Signaling is described in docs/PROTOCOL.md, files and uploads of the library in docs/LIBRARY.md.";

/// A refusal.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Problem {
    /// `about:blank`: what is wrong is in `code`.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What is wrong, for programs: a code of the signaling protocol, or one that docs/LIBRARY.md names.
    code: String,
    /// What is wrong and what to do about it, for people (English).
    detail: String,
}

/// One operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// Names and what they say.
    query: &'static [(&'static str, &'static str)],
    asks: Option<Schema>,
    /// Whether it has to be said.
    asks_always: bool,
    status: u16,
    answers: Option<Schema>,
    /// Statuses of refusals, beside those of tokens.
    refusals: &'static [u16],
}

const PAGE: &[(&str, &str)] = &[("after", "What `next` was: only what comes behind that."), ("limit", "How many at most (1–100, else 50).")];

/// The two sides of the API: what it reads, and what it writes.
struct Sides {
    asked: SchemaGenerator,
    answered: SchemaGenerator,
    operations: Vec<Operation>,
}

impl Sides {
    fn new() -> Self {
        let settings = || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
        let (asked, answered) = (settings().for_deserialize().into_generator(), settings().for_serialize().into_generator());
        Self { asked, answered, operations: Vec::new() }
    }

    fn add(&mut self, method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> &mut Operation {
        let refusals = if path.contains('{') { &[404][..] } else { &[][..] };
        let operation = Operation { method, path, id, summary, query: &[], asks: None, asks_always: true, status: 204, answers: None, refusals };
        self.operations.push(operation);
        self.operations.last_mut().expect("the one that was added")
    }

    fn asked<T: JsonSchema>(&mut self) -> Option<Schema> {
        Some(self.asked.subschema_for::<T>())
    }

    fn answered<T: JsonSchema>(&mut self) -> Option<Schema> {
        Some(self.answered.subschema_for::<T>())
    }
}

/// Every operation, in the order of reading.
fn operations() -> Sides {
    let mut api = Sides::new();
    let answers = api.answered::<NodeAnswer>();
    let at = api.add("get", "/api/v1/node", "getNode", "The server: its version, and how much there is of everything.");
    (at.answers, at.status) = (answers, 200);
    let at = api.add("get", "/api/v1/openapi.json", "getOpenapi", "This description. It needs no token.");
    (at.answers, at.status) = (Some(json!({ "type": "object" }).try_into().expect("a schema")), 200);

    let kept = json!({
        "type": "object",
        "required": ["events", "after", "more"],
        "properties": {
            "events": { "type": "array", "items": { "type": "object" }, "description": "Events as docs/EVENTS.md has them, oldest first." },
            "after": { "type": "string", "description": "Where the next page begins." },
            "more": { "type": "boolean", "description": "Whether there may be more at present." },
        },
    });
    let at =
        api.add("get", "/api/v1/events", "listEvents", "What happened in rooms, as webhooks are told it; of one room, if the token is its alone.");
    at.query = &[
        ("after", "What `after` was: only what comes behind that; 0 for the oldest that is kept."),
        ("room", "Only this room's."),
        ("limit", "How many at most (1–1000, else 100)."),
    ];
    (at.answers, at.status, at.refusals) = (Some(kept.try_into().expect("a schema")), 200, &[400, 404]);

    let answers = api.answered::<RoomList>();
    let at = api.add("get", "/api/v1/rooms", "listRooms", "Rooms, the oldest first.");
    (at.query, at.answers, at.status, at.refusals) = (PAGE, answers, 200, &[400]);
    let (asks, answers) = (api.asked::<NewRoom>(), api.answered::<RoomAnswer>());
    let why =
        "Makes a room before anybody has come. It ends when it has been empty for `empty_seconds`. A room that nobody makes is made by joining it.";
    let at = api.add("post", "/api/v1/rooms", "createRoom", why);
    (at.asks, at.asks_always, at.answers, at.status, at.refusals) = (asks, false, answers.clone(), 201, &[400, 409, 413, 422, 503]);
    let at = api.add("get", "/api/v1/rooms/{room}", "getRoom", "A room.");
    (at.answers, at.status) = (answers.clone(), 200);
    let asks = api.asked::<RoomSettings>();
    let at = api.add(
        "patch",
        "/api/v1/rooms/{room}",
        "changeRoom",
        "Changes a room: what is not mentioned stays. Who is inside stays, whatever the limits are now.",
    );
    (at.asks, at.answers, at.status, at.refusals) = (asks, answers, 200, &[400, 404, 409, 413]);
    api.add("delete", "/api/v1/rooms/{room}", "endRoom", "Ends a room: everybody inside is told (`bye`, reason `ended`).");
    let asks = api.asked::<NewData>();
    let why = "Sends data to members: to all of them or to some. They see the token's `sub` as its sender.";
    let at = api.add("post", "/api/v1/rooms/{room}/data", "sendData", why);
    (at.asks, at.refusals) = (asks, &[400, 404, 409, 413, 422]);
    let asks = api.asked::<Entry>();
    let why = "Lets somebody in who knocks at the locked room, or sends them away.";
    let at = api.add("put", "/api/v1/rooms/{room}/knocking/{member}", "admitKnocker", why);
    (at.asks, at.refusals) = (asks, &[400, 404, 413]);

    let answers = api.answered::<MemberList>();
    let at = api.add("get", "/api/v1/rooms/{room}/members", "listMembers", "Members of a room, in the order of their coming.");
    (at.query, at.answers, at.status, at.refusals) = (PAGE, answers, 200, &[400, 404]);
    let answers = api.answered::<MemberAnswer>();
    let at = api.add("get", "/api/v1/rooms/{room}/members/{member}", "getMember", "A member.");
    (at.answers, at.status) = (answers.clone(), 200);
    let asks = api.asked::<MemberChange>();
    let why = "Changes a member: its name, what is said of it, what it may do. Everybody is told (`member_changed`), and the member itself of its grants \
        (`granted`). It holds until the member leaves: when it joins again its token counts.";
    let at = api.add("patch", "/api/v1/rooms/{room}/members/{member}", "changeMember", why);
    (at.asks, at.answers, at.status, at.refusals) = (asks, answers, 200, &[400, 404, 413]);
    let at =
        api.add("delete", "/api/v1/rooms/{room}/members/{member}", "removeMember", "Removes a member, and refuses its identity for the room's life.");
    at.query = &[("may_return", "`true`: its identity may come again.")];
    at.refusals = &[400, 404, 413];

    let answers = api.answered::<TrackList>();
    let at =
        api.add("get", "/api/v1/rooms/{room}/tracks", "listTracks", "Tracks that are published through the server, in the order of their beginning.");
    (at.query, at.answers, at.status, at.refusals) = (PAGE, answers, 200, &[400, 404]);
    let asks = api.asked::<TrackChange>();
    let why = "Stops forwarding a track, or allows it again. It holds for the same source when its member publishes it again.";
    let at = api.add("patch", "/api/v1/rooms/{room}/tracks/{track}", "muteTrack", why);
    (at.asks, at.refusals) = (asks, &[400, 404, 413]);
    let asks = api.asked::<MuteAll>();
    let why = "The same of a source of everybody who is there.";
    let at = api.add("post", "/api/v1/rooms/{room}/mute", "muteAll", why);
    (at.asks, at.refusals) = (asks, &[400, 404, 409, 413, 422]);

    let answers = api.answered::<EgressList>();
    let why = "What of a room is sent to servers elsewhere. The token's grant is `admin` or `record`, as for the three below.";
    let at = api.add("get", "/api/v1/rooms/{room}/egress", "listEgress", why);
    (at.answers, at.status) = (answers, 200);
    let (asks, answers) = (api.asked::<NewEgress>(), api.answered::<EgressAnswer>());
    let why = "Sends a member's camera and microphone, or its screen, to a server elsewhere by WHIP (docs/WHIP.md). Everybody inside is told first. It \
        is tried again when the other server is lost, and ends when the member leaves.";
    let at = api.add("post", "/api/v1/rooms/{room}/egress", "beginEgress", why);
    (at.asks, at.answers, at.status, at.refusals) = (asks, answers.clone(), 201, &[400, 404, 409, 413, 422, 503]);
    let at = api.add("get", "/api/v1/rooms/{room}/egress/{egress}", "getEgress", "Something that is sent elsewhere: how it stands.");
    (at.answers, at.status) = (answers, 200);
    api.add("delete", "/api/v1/rooms/{room}/egress/{egress}", "endEgress", "Ends it, here and there.");

    let (asks, answers) = (api.asked::<What>(), api.answered::<Began>());
    let why = "Has the room recorded. The token's grant is `admin` or `record`; everybody inside is told first.";
    let at = api.add("post", "/api/v1/rooms/{room}/recording", "beginRecording", why);
    (at.asks, at.asks_always, at.answers, at.status, at.refusals) = (asks, false, answers, 201, &[400, 404, 409, 413, 422, 503]);
    let at = api.add("delete", "/api/v1/rooms/{room}/recording", "endRecording", "Ends the recording.");
    at.refusals = &[404, 409];
    let answers = api.answered::<ItemList>();
    let at = api.add("get", "/api/v1/library", "listLibrary", "What is kept of a room, newest first. The token's grant is `library`, or `admin`.");
    at.query = &[
        ("room", "Which room."),
        ("kind", "Only `recording`, `screenshot`, `audio` or `video`."),
        ("after", "What `next` was: only what comes behind that."),
        ("limit", "How many at most (1–100, else 50)."),
    ];
    (at.answers, at.status, at.refusals) = (answers, 200, &[400, 404, 503]);
    let answers = api.answered::<ItemAnswer<'_>>();
    let at = api.add("get", "/api/v1/library/{item}", "getItem", "Something that is kept, with links to its files that are good for twelve hours.");
    (at.answers, at.status, at.refusals) = (answers.clone(), 200, &[404, 503]);
    let asks = api.asked::<Rename>();
    let at = api.add("patch", "/api/v1/library/{item}", "renameItem", "Gives it another title.");
    (at.asks, at.answers, at.status, at.refusals) = (asks, answers, 200, &[400, 404, 409, 503]);
    let at = api.add("delete", "/api/v1/library/{item}", "deleteItem", "Deletes it with all of its files.");
    at.refusals = &[404, 409, 503];
    let (asks, answers) = (api.asked::<Share>(), api.answered::<Shared>());
    let at = api.add("post", "/api/v1/library/{item}/share", "shareItem", "Makes a link that shows it to whoever has it, for a while.");
    (at.asks, at.answers, at.status, at.refusals) = (asks, answers, 200, &[400, 404]);
    api
}

/// The whole description.
fn document() -> Value {
    let Sides { mut asked, mut answered, operations } = operations();
    let problem = answered.subschema_for::<Problem>();
    let mut paths = Map::new();
    for operation in &operations {
        let path = paths.entry(operation.path).or_insert_with(|| parameters(operation.path)).as_object_mut().expect("a path");
        path.insert(operation.method.to_owned(), described(operation, &problem));
    }
    let mut schemas = asked.take_definitions(true);
    for (name, schema) in answered.take_definitions(true) {
        let before = schemas.insert(name.clone(), schema.clone());
        assert!(before.is_none_or(|before| before == schema), "{name} is read otherwise than it is written: give one of the two another name");
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Althing", "version": env!("CARGO_PKG_VERSION"), "summary": "The HTTP API of an SFU for WebRTC", "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" } },
        "servers": [{ "url": "/", "description": "This server." }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "A token as docs/API.md says. None is asked for where the server has no keys." } }
        }
    })
}

/// What stands in braces in a path.
fn parameters(path: &str) -> Value {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let described = named.map(|name| {
        let (schema, says) = match name {
            "track" => (json!({ "type": "integer", "minimum": 0 }), "The track's number."),
            "member" => (json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }), "The member's identity."),
            "egress" => (json!({ "type": "string" }), "The session's identity."),
            "item" => (json!({ "type": "string" }), "The item's identity."),
            _ => (json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }), "The room's name."),
        };
        json!({ "name": name, "in": "path", "required": true, "description": says, "schema": schema })
    });
    let parameters: Vec<_> = described.collect();
    if parameters.is_empty() { json!({}) } else { json!({ "parameters": parameters }) }
}

fn described(operation: &Operation, problem: &Schema) -> Value {
    let Operation { method, id, summary, query, asks, asks_always, status, answers, refusals, .. } = operation;
    let query = query.iter().map(|(name, says)| {
        let schema = match *name {
            "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 50 }),
            "may_return" => json!({ "type": "boolean", "default": false }),
            _ => json!({ "type": "string" }),
        };
        json!({ "name": name, "in": "query", "required": *name == "room", "description": says, "schema": schema })
    });
    let mut parameters: Vec<_> = query.collect();
    let may_come_again = *method == "post" && *id != "shareItem";
    if may_come_again {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
            "description": "Drawn for this request: one that comes again with the same key within an hour is answered as the first time and not carried out again.",
        }));
    }
    let mut responses = Map::new();
    let mut good = json!({ "description": if answers.is_some() { "As asked for." } else { "It is done." } });
    if let Some(schema) = answers {
        good["content"] = json!({ "application/json": { "schema": schema } });
    }
    responses.insert(status.to_string(), good);
    let tokens: &[u16] = if *id == "getOpenapi" { &[] } else { &[401, 403] };
    let slow: &[u16] = if asks.is_some() { &[408] } else { &[] };
    let refusals: BTreeSet<u16> = refusals.iter().chain(tokens).chain(slow).copied().collect();
    for refusal in refusals {
        let says = match refusal {
            400 => "The request says what it should not.",
            401 => "There is no token where one is needed, or it is not valid.",
            403 => "The token does not allow this.",
            404 => "There is no such thing (any more).",
            408 => "The request did not come in time.",
            409 => "It is not as it would have to be, or the same request is being carried out.",
            413 => "Something is longer or more than may be.",
            422 => "The Idempotency-Key is that of another request.",
            _ => "Not at present: try again later.",
        };
        responses.insert(refusal.to_string(), json!({ "description": says, "content": { "application/problem+json": { "schema": problem } } }));
    }
    let mut whole = json!({ "operationId": id, "summary": summary, "responses": responses });
    if !parameters.is_empty() {
        whole["parameters"] = parameters.into();
    }
    if let Some(schema) = asks {
        whole["requestBody"] = json!({ "required": asks_always, "content": { "application/json": { "schema": schema } } });
    }
    if *id == "getOpenapi" {
        whole["security"] = json!([]);
    }
    whole
}

#[test]
fn the_description_is_that_of_the_types() {
    let wanted = format!("{:#}\n", document());
    if std::env::var_os("UPDATE_API").is_some() {
        fs::write(FILE, &wanted).expect("the file can be written");
    }
    let found = fs::read_to_string(FILE).unwrap_or_default();
    assert!(found == wanted, "docs/openapi.json is stale: run UPDATE_API=1 cargo test --lib openapi");
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let source = |name: &str| fs::read_to_string(format!("{}/src/control/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a source file");
    let routes = |text: &str| -> BTreeSet<String> {
        let quoted = text.match_indices(".route(\"/api/v1/").map(|(at, _)| text[at + 8..].split('"').next().unwrap_or_default());
        quoted.filter(|path| !path.ends_with("{*rest}") && !path.ends_with('/')).map(|path| path.replace("{id}", "{item}")).collect()
    };
    let described: BTreeSet<String> = operations().operations.iter().map(|operation| operation.path.to_owned()).collect();
    let own = routes(&source("api/mod.rs"));
    assert!(own.len() > 8 && own.is_subset(&described), "not described: {:?}", own.difference(&described));
    let library: BTreeSet<String> =
        ["mod", "orders", "made", "uploads"].iter().flat_map(|f| routes(&source(&format!("recordings/{f}.rs")))).collect();
    // Bytes by signed links, jobs and tus are for clients, not for programs that administer: docs/LIBRARY.md has them.
    assert!(described.is_subset(&own.union(&library).cloned().collect()), "described, and not there");
    let ids: BTreeSet<_> = operations().operations.iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), operations().operations.len(), "each operation has a name of its own");
}
