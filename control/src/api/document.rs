//! The API described for programs: OpenAPI 3.1, made of the table of routes and of `schemas.json`.

use super::routes::{ROUTES, Route, Verb, What};
use serde_json::{Map, Value, json};

/// What requests and answers look like (JSON Schema, draft 2020-12).
const SCHEMAS: &str = include_str!("schemas.json");

/// The document.
pub(super) fn document() -> String {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| path(route));
        path[method(route.verb)] = operation(route);
    }
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("invariant: a test reads the file");
    let problem = content("Problem", "application/problem+json");
    let refusal = |(status, why, _): (&str, &str, Applies)| {
        (status.to_owned(), json!({ "description": why, "content": problem }))
    };
    let refusals: Map<String, Value> = REFUSALS.into_iter().map(refusal).collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kakehashi",
            "version": "1",
            "summary": "What operators and administrators of tenants do.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "https://localhost:4435" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": refusals,
            "schemas": schemas,
        },
    });
    let mut text = serde_json::to_string_pretty(&document).expect("invariant: it is JSON");
    text.push('\n');
    text
}

fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Delete => "delete",
    }
}

/// What all operations at a path have in common: its names.
fn path(route: &Route) -> Value {
    let names = route.path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
    let parameter =
        |name| json!({ "name": name, "in": "path", "required": true, "schema": schema(name) });
    json!({ "parameters": names.map(parameter).collect::<Vec<_>>() })
}

fn content(name: &str, kind: &str) -> Value {
    json!({ kind: { "schema": schema(name) } })
}

fn operation(route: &Route) -> Value {
    let parameter = |name: &&str| json!({ "name": name, "in": "query", "schema": schema(name) });
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.text,
        "responses": {
            "200": {
                "description": "It was done.",
                "content": content(route.answer, "application/json"),
            },
        },
    });
    for (status, ..) in REFUSALS.into_iter().filter(|(.., applies)| applies(route)) {
        let answer = format!("#/components/responses/{status}");
        operation["responses"][status] = json!({ "$ref": answer });
    }
    if !route.query.is_empty() {
        operation["parameters"] = route.query.iter().map(parameter).collect();
    }
    if let Some(body) = route.body {
        let content = content(body, "application/json");
        let required = !route.is_body_optional;
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    if is_open(route) {
        operation["security"] = json!([]);
    }
    operation
}

/// Whether a route can be answered so.
type Applies = fn(&Route) -> bool;

/// What else than 200 is answered, why, and by which routes. `detail` says more, and what to do.
const REFUSALS: [(&str, &str, Applies); 11] = [
    ("400", "It cannot be as it was asked.", |_| true),
    ("401", "Nobody is known by the token.", |route| !is_open(route)),
    ("403", "Whoever asks may not.", |route| is_act(route) || matches!(route.what, What::SignIn)),
    ("404", "There is no such thing, or not for whoever asks.", is_act),
    ("408", "The body did not come in time.", |route| route.body.is_some()),
    ("409", "What is there is in the way.", |route| is_act(route) && route.body.is_some()),
    ("411", "The body has no Content-Length.", |_| true),
    ("413", "The body is too long.", |_| true),
    ("415", "The body is not said to be JSON.", |route| route.body.is_some()),
    ("500", "Something failed that has nothing to do with the request.", |_| true),
    ("503", "Not now; `Retry-After` says when.", |_| true),
];

fn is_open(route: &Route) -> bool {
    matches!(route.what, What::Document | What::SignIn)
}

fn is_act(route: &Route) -> bool {
    matches!(route.what, What::Ask(_))
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Where the document stands for readers.
    const FILE: &str = "src/api/openapi.json";

    #[test]
    fn the_document_that_is_kept_is_the_one_that_is_served() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        if std::env::var_os("KAKEHASHI_WRITE_OPENAPI").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        let how = "KAKEHASHI_WRITE_OPENAPI=1 cargo test -p kakehashi-control api::document";
        assert!(kept == document(), "{FILE} is not what the table says. To write it: {how}");
    }

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                let target = members.get("$ref").and_then(Value::as_str);
                found.extend(target.and_then(|it| it.strip_prefix("#/components/schemas/")));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_there_and_used() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut used = BTreeSet::new();
        references(&document, &mut used);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let there: BTreeSet<_> = schemas.keys().map(String::as_str).collect();
        assert_eq!(used, there);
    }

    #[test]
    fn routes_have_names_of_their_own_and_say_what_they_do() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
        let places: BTreeSet<_> =
            ROUTES.iter().map(|route| (route.path, method(route.verb))).collect();
        assert_eq!((names.len(), places.len()), (ROUTES.len(), ROUTES.len()));
        for route in ROUTES {
            assert!(route.text.ends_with('.') && route.path.starts_with("/v1/"), "{}", route.name);
        }
    }
}
