//! The API's document (OpenAPI 3.1), made of what stands at the handlers and the types; and what holds for all of
//! them, said once: who may ask, what can go wrong.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::domain::{CommandId, ExportFormat, ExportOf, HostName, IdPart, PipelineId};

use super::super::entry::{Entry, Need};
use super::caller::Caller;
use super::problem::Problem;
use super::{
    LIST, access, commands, deliveries, document, events, export, holds, hosts, output, pipelines, reports, system,
};

/// What it is of.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Quarterdeck",
        description = "Runs ops and pipelines on hosts, and never loses track of what happened. Send the header \
            `Authorization: Bearer TOKEN`; `POST /api/v1/tokens`, the page “Tokens” and `quarterdeck token add` make \
            tokens. Rows carry the journal's own column names; `host` is the name. Whatever is refused is a problem \
            (RFC 9457) that names the field and the fix. Lists give their `next` page's `cursor`.",
        license(name = "MIT", identifier = "MIT"),
    ),
    servers((url = "/", description = "This dashboard")),
    paths(
        commands::start,
        commands::list,
        commands::show,
        commands::cancel,
        commands::retry,
        commands::resolve,
        commands::acknowledge,
        commands::extend,
        commands::find_out,
        commands::keep,
        commands::unkeep,
        output::read,
        pipelines::definitions,
        pipelines::preview,
        pipelines::start,
        pipelines::list,
        pipelines::show,
        pipelines::commands,
        pipelines::cancel,
        pipelines::hold,
        pipelines::go_on,
        pipelines::preview_retry,
        pipelines::retry,
        pipelines::keep,
        pipelines::unkeep,
        hosts::list,
        hosts::show,
        hosts::add,
        hosts::remove,
        hosts::test,
        hosts::accept_key,
        system::ops,
        system::state,
        system::recovery,
        system::sweep,
        holds::list,
        holds::place,
        holds::release,
        system::link,
        events::list,
        deliveries::list,
        deliveries::test,
        export::download,
        reports::make,
        reports::show,
        access::users,
        access::add_user,
        access::role,
        access::password,
        access::disable,
        access::enable,
        access::remove_totp,
        access::tokens,
        access::add_token,
        access::revoke_token,
        access::log_in,
        access::log_out,
        access::me,
        document::serve,
    ),
    components(schemas(Problem, IdPart, HostName, CommandId, PipelineId, ExportOf, ExportFormat)),
    security(("token" = [])),
    tags(
        (name = "Commands", description = "Journaled executions of one op on one host."),
        (name = "Pipelines", description = "Stages over sets of hosts."),
        (name = "Hosts", description = "The fleet."),
        (name = "Events", description = "Who did what to what, and when."),
        (name = "Dashboard", description = "The catalog, the state, and the dashboard as a whole."),
        (name = "Access", description = "People, tokens, sessions."),
    ),
)]
struct Api;

/// The document as it is served.
pub(in crate::web) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut api = Api::openapi();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token (`qd_…`), or the session that `POST /api/v1/login` gave."));
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    finish(serde_json::to_value(api).unwrap_or_default())
});

#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "readDocument", tag = "Dashboard",
    summary = "Gives this document.", description = "A page for reading it is at `/api/docs`.",
    responses((status = 200, description = "The document (OpenAPI 3.1).", body = Object)),
)]
pub(super) async fn serve(_: Caller) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(&*DOCUMENT))
}

/// Adds to every operation what it shares with others.
fn finish(mut document: Value) -> Value {
    // What a derive has no words for: one of two keys, one of three.
    document["components"]["schemas"]["HostBody"]["anyOf"] = json!([
        {"required": ["ssh"], "properties": {"ssh": {"type": "string"}, "local": {"const": false}}},
        {"required": ["local"], "properties": {"local": {"const": true}, "ssh": {"type": "null"}}},
    ]);
    document["components"]["schemas"]["PipelineBody"]["anyOf"] = json!([
        {"required": ["hosts"], "properties": {"hosts": {"minItems": 1}}},
        {"required": ["tags"], "properties": {"tags": {"minItems": 1}}},
        {"required": ["all"], "properties": {"all": {"const": true}}},
    ]);
    for entry in LIST {
        let method = entry.method.as_str().to_ascii_lowercase();
        if let Some(Value::Object(operation)) = document["paths"][entry.path].get_mut(&method) {
            shared(operation, entry);
        }
    }
    document
}

fn shared(operation: &mut Map<String, Value>, entry: &Entry) {
    if operation.get("description") == Some(&json!("")) {
        operation.remove("description");
    }
    for parameter in operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        never_null(&mut parameter["schema"]);
    }
    let body = operation.get_mut("requestBody");
    let has_body = body.is_some();
    if let Some(body) = body {
        never_null(&mut body["content"]["application/json"]["schema"]);
    }
    let takes = match entry.need {
        Need::Open => {
            operation.insert("security".to_owned(), json!([]));
            "nothing".to_owned()
        }
        Need::May(ask) => ask.to_string(),
    };
    operation.insert("x-takes".to_owned(), json!(takes));
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let read = has_body || parameters.into_iter().flatten().any(|given| given["in"] != "path");
    let changes = entry.method != Method::GET;
    let errors = [
        (read, "400", "The request cannot be read."),
        (entry.need != Need::Open, "401", "Who asks is not known."),
        (entry.need != Need::Open, "403", "Whoever asks may not do that."),
        (entry.path.contains('{'), "404", "There is no such thing."),
        (has_body, "413", "The body is larger than 64 KiB."),
        (entry.method == Method::POST, "415", "The body is not JSON."),
        (read, "422", "A value cannot be taken; `field` names it."),
        (true, "500", "The dashboard failed."),
        (
            changes,
            "503",
            "The journal cannot be written now; nothing was changed.",
        ),
    ];
    let Some(Value::Object(responses)) = operation.get_mut("responses") else {
        return;
    };
    for (given, status, description) in errors {
        if given && !responses.contains_key(status) {
            let mut answer = json!({"description": description, "content": problem()});
            if status == "401" {
                answer["headers"]["WWW-Authenticate"] = json!({"schema": {"type": "string"}});
            }
            responses.insert(status.to_owned(), answer);
        }
    }
    // Where rows say why everything was refused, the state may still refuse the whole.
    if let Some(Value::Object(content)) = responses.get_mut("409").map(|answer| &mut answer["content"])
        && let Value::Object(problem) = problem()
    {
        content.extend(problem);
    }
}

fn problem() -> Value {
    json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}})
}

/// What can be left away is never `null`.
fn never_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("oneOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_slice() {
            *schema = only.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_documented_and_nothing_else_is() {
        let listed: BTreeSet<String> = LIST
            .iter()
            .map(|entry| format!("{} {}", entry.method, entry.path))
            .collect();
        let paths = DOCUMENT["paths"].as_object().expect("paths");
        let documented: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("operations").keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        assert_eq!(listed, documented);
    }

    #[test]
    fn every_operation_says_what_it_is_what_it_takes_and_what_goes_wrong() {
        assert_eq!(DOCUMENT["openapi"], "3.1.0");
        let mut ids = BTreeSet::new();
        for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let at = format!("{method} {path}");
                let id = operation["operationId"].as_str().expect(&at);
                assert!(ids.insert(id.to_owned()), "{at}: {id} is there twice");
                let summary = operation["summary"].as_str().expect(&at);
                assert!(summary.ends_with('.') && summary.len() > 10, "{at}: {summary}");
                for name in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                    let name = name.trim_end_matches('}');
                    let parameters = operation["parameters"].as_array().expect(&at);
                    assert!(parameters.iter().any(|given| given["name"] == name), "{at}: {name}");
                }
                let responses = operation["responses"].as_object().expect(&at);
                assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
                for (status, answer) in responses {
                    assert!(
                        answer["description"].as_str().is_some_and(|text| !text.is_empty()),
                        "{at} {status}"
                    );
                    if status.starts_with(['4', '5']) {
                        let schema = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                        assert_eq!(schema, "#/components/schemas/Problem", "{at} {status}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(keys) => {
                    if let Some(Value::String(to)) = keys.get("$ref") {
                        found.insert(to.clone());
                    }
                    keys.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let mut found = BTreeSet::new();
        walk(&DOCUMENT, &mut found);
        assert!(found.len() > 20);
        for to in found {
            assert!(DOCUMENT.pointer(to.trim_start_matches('#')).is_some(), "{to}");
        }
    }
}
