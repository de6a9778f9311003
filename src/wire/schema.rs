//! Writes the messages as JSON Schema (docs/schema) and as tables (docs/PROTOCOL.md). `UPDATE_PROTOCOL=1 cargo test --lib wire` rewrites the
//! files, a plain run compares.

use std::fmt::Write as _;
use std::fs;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");

/// The schema of what clients say, or of what the server says.
fn schema<T: JsonSchema>(name: &str, read: bool) -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings = if read { settings.for_deserialize() } else { settings.for_serialize() };
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    schema["$id"] = json!(format!("urn:{SUBPROTOCOL}:{name}"));
    schema
}

fn client() -> Value {
    schema::<ClientMessage>("client", true)
}

fn server() -> Value {
    schema::<ServerMessage>("server", false)
}

/// Compares a file with what it has to be, or makes it that.
fn hold(file: &str, wanted: &str) {
    let path = format!("{FOLDER}/{file}");
    if std::env::var_os("UPDATE_PROTOCOL").is_some() {
        fs::write(&path, wanted).expect("the file can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/{file} is stale: run UPDATE_PROTOCOL=1 cargo test --lib wire");
}

#[test]
fn the_schemas_are_those_of_the_types() {
    hold("schema/client.json", &format!("{:#}\n", client()));
    hold("schema/server.json", &format!("{:#}\n", server()));
}

#[test]
fn the_tables_of_the_protocol_are_those_of_the_types() {
    let file = fs::read_to_string(format!("{FOLDER}/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let (client, server) = (client(), server());
    let mut text = file.clone();
    for (name, table) in [
        ("requests", variants(&client, &client, "type", &["id"])),
        ("answers", variants(&server, definition(&server, "OkResult"), "of", &[])),
        ("events", variants(&server, definition(&server, "Event"), "type", &[])),
        ("errors", errors(definition(&server, "ErrorCode"))),
        ("values", values(&client, &server)),
    ] {
        let (from, to) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let begin = text.find(&from).unwrap_or_else(|| panic!("docs/PROTOCOL.md has no `{from}`")) + from.len();
        let end = text.find(&to).unwrap_or_else(|| panic!("docs/PROTOCOL.md has no `{to}`"));
        text.replace_range(begin..end, &format!("\n{table}"));
    }
    hold("PROTOCOL.md", &text);
}

#[test]
fn whatever_is_written_in_a_table_has_been_explained() {
    let text = fs::read_to_string(format!("{FOLDER}/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let bare: Vec<_> = text.lines().filter(|line| line.starts_with("| `") && line.trim_end().ends_with("| |")).collect();
    assert!(bare.is_empty(), "without a word: {bare:?}");
}

fn definition<'a>(schema: &'a Value, name: &str) -> &'a Value {
    schema["$defs"].get(name).unwrap_or_else(|| panic!("no {name} in the schema"))
}

/// Each variant of a tagged enum: its name, what it says, its fields.
fn variants(root: &Value, of: &Value, tag: &str, but: &[&str]) -> String {
    let mut text = String::new();
    for variant in of["oneOf"].as_array().expect("variants") {
        let name = variant["properties"][tag]["const"].as_str().expect("a tag");
        let _ = writeln!(text, "#### `{name}`\n\n{}\n", sentence(variant));
        fields(&mut text, root, variant, &[but, &[tag]].concat());
    }
    text
}

/// The fields of an object, as a table; nothing where it has none.
fn fields(text: &mut String, root: &Value, object: &Value, but: &[&str]) {
    let mut all: Vec<(String, Value, bool)> = Vec::new();
    collect(root, object, &mut all);
    all.retain(|(name, ..)| !but.contains(&name.as_str()));
    if all.is_empty() {
        return;
    }
    text.push_str("| field | | |\n|---|---|---|\n");
    for (name, schema, required) in all {
        let mark = if required { "" } else { "?" };
        let _ = writeln!(text, "| `{name}`{mark} | {} | {} |", kind(&schema), sentence(&schema).replace('\n', " "));
    }
    text.push('\n');
}

/// Fields of an object, those of an object that is part of it (flattened) included.
fn collect(root: &Value, object: &Value, into: &mut Vec<(String, Value, bool)>) {
    let required = object["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in object["properties"].as_object().into_iter().flatten() {
        into.push((name.clone(), schema.clone(), required.iter().any(|r| r == name)));
    }
    if let Some(name) = object["$ref"].as_str().and_then(|at| at.strip_prefix("#/$defs/")) {
        collect(root, definition(root, name), into);
    }
}

fn sentence(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('|', "\\|")
}

/// What a value is, in a word or a link.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|at| at.strip_prefix("#/$defs/")) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(several) = schema["anyOf"].as_array() {
        let named: Vec<_> = several.iter().filter(|one| one["type"] != "null").map(kind).collect();
        return named.join(" or ");
    }
    if let Some(constant) = schema["const"].as_str() {
        return format!("`\"{constant}\"`");
    }
    if let Some(parts) = schema["prefixItems"].as_array() {
        return format!("[{}]", parts.iter().map(kind).collect::<Vec<_>>().join(", "));
    }
    let named = match &schema["type"] {
        Value::Array(several) => several.iter().find(|one| *one != "null").cloned().unwrap_or_default(),
        one => one.clone(),
    };
    match named.as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("object") => format!("names to {}", kind(&schema["additionalProperties"])),
        Some("integer" | "number") => "number".into(),
        Some(other) => other.into(),
        None => panic!("what is {schema}?"),
    }
}

fn errors(schema: &Value) -> String {
    let mut text = String::from("| code | again? | |\n|---|---|---|\n");
    for one in schema["oneOf"].as_array().expect("codes") {
        let name = one["const"].as_str().expect("a name");
        let code: ErrorCode = serde_json::from_value(json!(name)).expect("a code");
        let _ = writeln!(text, "| `{name}` | {} | {} |", if code.retryable() { "may" } else { "" }, sentence(one));
    }
    text.push('\n');
    text
}

/// Every type that messages are made of, in alphabetical order.
fn values(client: &Value, server: &Value) -> String {
    let mut all: Map<String, Value> = client["$defs"].as_object().expect("types").clone();
    // What both say is described as clients have to write it.
    for (name, schema) in server["$defs"].as_object().expect("types") {
        all.entry(name.clone()).or_insert_with(|| schema.clone());
    }
    let mut names: Vec<_> = all.keys().filter(|name| !["Event", "OkResult", "ErrorCode", "Request"].contains(&name.as_str())).cloned().collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        let schema = &all[&name];
        let root = if client["$defs"].get(&name).is_some() { client } else { server };
        let _ = writeln!(text, "#### {name}\n\n{}\n", sentence(schema));
        match (schema["oneOf"].as_array(), schema["enum"].as_array()) {
            (Some(variants), _) => choices(&mut text, root, variants),
            (None, Some(names)) => {
                let _ = writeln!(text, "One of {}.\n", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "));
            }
            (None, None) if schema["properties"].is_object() => fields(&mut text, root, schema, &[]),
            (None, None) => {
                let _ = writeln!(text, "A {}.\n", kind(schema));
            }
        }
    }
    text
}

/// One of several: names, or objects that a tag tells apart.
fn choices(text: &mut String, root: &Value, variants: &[Value]) {
    if variants.iter().all(|one| one["const"].is_string()) {
        text.push_str("| | |\n|---|---|\n");
        for one in variants {
            let _ = writeln!(text, "| `{}` | {} |", one["const"], sentence(one));
        }
        text.push('\n');
        return;
    }
    for one in variants {
        let tag = one["properties"].as_object().into_iter().flatten().find(|(_, schema)| schema["const"].is_string());
        let (said, but) = match tag {
            Some((tag, schema)) => (format!("`\"{tag}\": {}`", schema["const"]), vec![tag.as_str()]),
            None => ("Or".to_owned(), vec![]),
        };
        let _ = writeln!(text, "{said}: {}\n", sentence(one));
        fields(text, root, one, &but);
    }
}
