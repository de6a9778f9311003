//! Writes the messages as TypeScript. `UPDATE_TYPES=1 cargo test` rewrites the file, a plain run compares.

use std::fs;
use std::path::Path;

use ts_rs::{Config, TS};

use super::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web/sdk/src/wire.ts");

/// The TypeScript of every message, in the order of reading.
fn generate() -> String {
    let config = Config::new();
    let mut text = String::from("// The signaling messages. Generated from src/wire by `UPDATE_TYPES=1 cargo test`; do not edit.\n");
    text += &format!("\nexport const VERSION = {VERSION};\nexport const SUBPROTOCOL = {SUBPROTOCOL:?};\n");
    add::<ClientMessage>(&mut text, &config);
    add::<Request>(&mut text, &config);
    add::<Tile>(&mut text, &config);
    add::<PublishLine>(&mut text, &config);
    add::<ServerMessage>(&mut text, &config);
    add::<OkResult>(&mut text, &config);
    add::<WelcomeFeatures>(&mut text, &config);
    add::<Limits>(&mut text, &config);
    add::<PairMids>(&mut text, &config);
    add::<SlotPair>(&mut text, &config);
    add::<ErrorCode>(&mut text, &config);
    add::<Event>(&mut text, &config);
    add::<LeaveReason>(&mut text, &config);
    add::<RecordingEnd>(&mut text, &config);
    add::<ByeReason>(&mut text, &config);
    add::<Way>(&mut text, &config);
    add::<IceServer>(&mut text, &config);
    add::<Policy>(&mut text, &config);
    add::<Signal>(&mut text, &config);
    add::<DirectAbility>(&mut text, &config);
    add::<DirectState>(&mut text, &config);
    add::<CandidateType>(&mut text, &config);
    add::<DirectProtocol>(&mut text, &config);
    add::<CallId>(&mut text, &config);
    add::<CallMedia>(&mut text, &config);
    add::<RejectReason>(&mut text, &config);
    add::<CallEnd>(&mut text, &config);
    add::<PersonInfo>(&mut text, &config);
    add::<MemberId>(&mut text, &config);
    add::<TrackNumber>(&mut text, &config);
    add::<Source>(&mut text, &config);
    add::<Grants>(&mut text, &config);
    add::<LibraryGrant>(&mut text, &config);
    add::<RecordingInfo>(&mut text, &config);
    add::<RecordingPause>(&mut text, &config);
    add::<EgressInfo>(&mut text, &config);
    add::<TrackInfo>(&mut text, &config);
    add::<MemberInfo>(&mut text, &config);
    add::<Reaction>(&mut text, &config);
    add::<Knocker>(&mut text, &config);
    add::<Priority>(&mut text, &config);
    add::<TrackQuality>(&mut text, &config);
    add::<QualityLevel>(&mut text, &config);
    add::<QualityLimit>(&mut text, &config);
    add::<VideoCodec>(&mut text, &config);
    add::<ChatMessage>(&mut text, &config);
    add::<DataPayload>(&mut text, &config);
    add::<DataEnd>(&mut text, &config);
    text
}

/// Adds one type, laid out with a field and its comment on lines of their own.
fn add<T: TS>(text: &mut String, config: &Config) {
    let whole = Request::inline_flattened(config);
    let declaration = format!("{}export {}", T::docs().unwrap_or_default(), T::decl(config).replace(&whole, "Request"));
    let declaration = declaration.replace("/**\n * ", "/** ").replace("\n */\n", " */\n").replace("} | {", "}\n| {");
    text.push('\n');
    for line in declaration.lines() {
        let line = line.trim_end();
        let indent = match line {
            _ if line.starts_with("export") || text.ends_with("\n\n") => "",
            _ if line.starts_with('|') => "  ",
            _ => "    ",
        };
        text.push_str(indent);
        text.push_str(line);
        text.push('\n');
    }
}

#[test]
fn the_typescript_types_are_those_of_the_server() {
    let wanted = generate();
    if std::env::var_os("UPDATE_TYPES").is_some() {
        fs::create_dir_all(Path::new(FILE).parent().expect("a folder")).expect("the folder can be made");
        fs::write(FILE, &wanted).expect("the file can be written");
    }
    let found = fs::read_to_string(FILE).unwrap_or_default();
    assert_eq!(found, wanted, "web/sdk/src/wire.ts is stale: run UPDATE_TYPES=1 cargo test");
}
