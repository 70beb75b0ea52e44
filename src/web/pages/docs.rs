//! The API for readers: a page drawn from its document, so that neither says what the other does not.

use std::sync::LazyLock;

use actix_web::http::header::HOST;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde_json::Value;

use super::super::api::DOCUMENT;
use super::super::error::Problem;
use super::super::frame::{Frame, html};
use super::super::guard::is_secure;
use super::super::{Visitor, Web};

#[derive(Template)]
#[template(path = "api/docs.html")]
struct DocsPage {
    frame: Frame,
    docs: &'static Docs,
    /// Where it is, as the browser asked for it.
    url: String,
}

struct Docs {
    says: Prose,
    groups: Vec<Group>,
    types: Vec<TypeView>,
}

struct Group {
    name: String,
    says: Prose,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    says: Prose,
    takes: String,
    parameters: Vec<Field>,
    body: Option<Kind>,
    needs_body: bool,
    answers: Vec<AnswerView>,
}

struct AnswerView {
    status: String,
    says: Prose,
    bodies: Vec<Kind>,
}

/// A parameter, or a key of an object.
struct Field {
    name: String,
    required: bool,
    /// `query`, `path`, `header`; none for a key.
    place: Option<String>,
    kind: Kind,
    says: Prose,
    limits: Option<String>,
}

struct TypeView {
    name: String,
    says: Prose,
    kind: Kind,
    limits: Option<String>,
    fields: Vec<Field>,
}

/// A type in words: `list of`, `CommandRow`, `or none`.
#[derive(Default)]
struct Kind {
    before: String,
    name: String,
    after: String,
    /// Whether the name is one of the types below.
    links: bool,
}

/// Text of the document, in which what stands between backticks is code.
struct Prose(String);

impl Prose {
    fn of(value: &Value) -> Self {
        Self(text(value))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its pieces, and of each whether it is code.
    fn pieces(&self) -> impl Iterator<Item = (bool, &str)> {
        self.0.split('`').enumerate().map(|(at, piece)| (at % 2 == 1, piece))
    }
}

pub(in crate::web) async fn show(
    web: Data<Web>,
    visitor: ReqData<Visitor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    // The door has let this name through: it is one of ours.
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let scheme = if is_secure(&web, &request) { "https" } else { "http" };
    html(&DocsPage {
        frame: Frame::new(&web, &visitor, "api", "API"),
        docs: &DOCS,
        url: format!("{scheme}://{}", host.unwrap_or("127.0.0.1")),
    })
}

static DOCS: LazyLock<Docs> = LazyLock::new(|| read(&DOCUMENT));

fn read(document: &Value) -> Docs {
    let mut groups: Vec<Group> = items(&document["tags"])
        .map(|tag| Group {
            name: text(&tag["name"]),
            says: Prose::of(&tag["description"]),
            operations: Vec::new(),
        })
        .collect();
    for (path, item) in keys(&document["paths"]) {
        for (method, operation) in keys(item) {
            let group = groups
                .iter_mut()
                .find(|group| operation["tags"][0] == group.name.as_str());
            if let Some(group) = group {
                group.operations.push(read_operation(path, method, operation));
            }
        }
    }
    let types = keys(&document["components"]["schemas"]).map(|(name, schema)| TypeView {
        name: name.clone(),
        says: Prose::of(&schema["description"]),
        kind: kind(schema),
        limits: limits(schema),
        fields: fields(schema),
    });
    Docs {
        says: Prose::of(&document["info"]["description"]),
        groups,
        types: types.collect(),
    }
}

fn read_operation(path: &str, method: &str, operation: &Value) -> Operation {
    let parameters = items(&operation["parameters"]).map(|given| Field {
        name: text(&given["name"]),
        required: given["required"] == true,
        place: given["in"].as_str().map(str::to_owned),
        kind: kind(&given["schema"]),
        says: Prose::of(&given["description"]),
        limits: limits(&given["schema"]),
    });
    let answers = keys(&operation["responses"]).map(|(status, answer)| AnswerView {
        status: status.clone(),
        says: Prose::of(&answer["description"]),
        bodies: keys(&answer["content"])
            .map(|(media, body)| match media.as_str() {
                "application/octet-stream" => plain("bytes"),
                _ => kind(&body["schema"]),
            })
            .collect(),
    });
    let body = &operation["requestBody"];
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        says: Prose::of(&operation["description"]),
        takes: text(&operation["x-takes"]),
        parameters: parameters.collect(),
        body: body
            .is_object()
            .then(|| kind(&body["content"]["application/json"]["schema"])),
        needs_body: body["required"] == true,
        answers: answers.collect(),
    }
}

/// The keys of an object; those of its parts, where it is put together.
fn fields(schema: &Value) -> Vec<Field> {
    let mut all: Vec<Field> = Vec::new();
    for part in items(&schema["allOf"]) {
        match part["$ref"].as_str() {
            Some(to) => all.push(Field {
                name: "…".to_owned(),
                required: false,
                place: None,
                kind: named(to),
                says: Prose("All that this type has.".to_owned()),
                limits: None,
            }),
            None => all.extend(fields(part)),
        }
    }
    all.extend(keys(&schema["properties"]).map(|(name, of)| Field {
        name: name.clone(),
        required: items(&schema["required"]).any(|required| required == name.as_str()),
        place: None,
        kind: kind(of),
        says: Prose::of(&of["description"]),
        limits: limits(of),
    }));
    all
}

fn kind(schema: &Value) -> Kind {
    if let Some(to) = schema["$ref"].as_str() {
        return named(to);
    }
    let choices: Vec<&Value> = items(&schema["oneOf"]).collect();
    if !choices.is_empty() {
        let some: Vec<&&Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
        let none = if some.len() < choices.len() { " or none" } else { "" };
        return match some.as_slice() {
            [one] => {
                let mut kind = kind(one);
                kind.after.push_str(none);
                kind
            }
            several => {
                let words: Vec<String> = several.iter().map(|choice| words(choice)).collect();
                plain(&format!("{}{none}", words.join(" or ")))
            }
        };
    }
    if schema["items"].is_object() {
        let mut kind = kind(&schema["items"]);
        kind.before.insert_str(0, "list of ");
        return kind;
    }
    plain(&words(schema))
}

/// What has no name of its own.
fn words(schema: &Value) -> String {
    if let Some(to) = schema["$ref"].as_str() {
        return named(to).name;
    }
    let word = |name: &str| match name {
        "null" => "none".to_owned(),
        "integer" => "whole number".to_owned(),
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "list".to_owned(),
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => word(name),
        Value::Array(names) => {
            let names: Vec<String> = names.iter().filter_map(Value::as_str).map(word).collect();
            names.join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    }
}

/// What a value has to be besides its type.
fn limits(schema: &Value) -> Option<String> {
    let mut said: Vec<String> = Vec::new();
    let allowed: Vec<&str> = items(&schema["enum"]).filter_map(Value::as_str).collect();
    if !allowed.is_empty() {
        said.push(format!("one of {}", allowed.join(", ")));
    }
    for (key, words) in [
        ("minimum", "from"),
        ("maximum", "up to"),
        ("minLength", "characters, at least"),
        ("maxLength", "characters, at most"),
        ("maxItems", "items, at most"),
        ("format", "format"),
    ] {
        match &schema[key] {
            Value::Number(number) if number.as_i64() == Some(i64::MAX) => {}
            Value::Number(number) => said.push(format!("{words} {number}")),
            Value::String(name) if name.starts_with("int") => {}
            Value::String(name) => said.push(format!("{words} {name}")),
            Value::Bool(value) => said.push(format!("{words} {value}")),
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
    }
    let example = schema["example"].as_str().or_else(|| schema["examples"][0].as_str());
    if let Some(example) = example {
        said.push(format!("for example {example}"));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

fn named(to: &str) -> Kind {
    Kind {
        name: to.rsplit('/').next().unwrap_or(to).to_owned(),
        links: true,
        ..Kind::default()
    }
}

fn plain(name: &str) -> Kind {
    Kind {
        name: name.to_owned(),
        ..Kind::default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn keys(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::super::api::DOCUMENT;
    use super::*;

    #[test]
    fn every_operation_and_every_type_is_on_the_page() {
        let on_page: usize = DOCS.groups.iter().map(|group| group.operations.len()).sum();
        let documented: usize = keys(&DOCUMENT["paths"]).map(|(_, item)| keys(item).count()).sum();
        assert_eq!(on_page, documented);
        assert!(DOCS.groups.iter().all(|group| !group.operations.is_empty()));
        for operation in DOCS.groups.iter().flat_map(|group| &group.operations) {
            assert!(
                !operation.summary.is_empty() && !operation.takes.is_empty(),
                "{}",
                operation.id
            );
            for kind in operation.answers.iter().flat_map(|answer| &answer.bodies) {
                assert!(
                    !kind.links || DOCS.types.iter().any(|known| known.name == kind.name),
                    "{}",
                    kind.name
                );
            }
        }
        let row = DOCS
            .types
            .iter()
            .find(|known| known.name == "CommandRow")
            .expect("rows");
        let names: Vec<&str> = row.fields.iter().map(|field| field.name.as_str()).collect();
        for column in [
            "id",
            "host",
            "op",
            "status",
            "finished_at",
            "exit_code",
            "output_sha256",
        ] {
            assert!(names.contains(&column), "{column}");
        }
    }
}
