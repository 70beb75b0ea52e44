//! Details of an event as a reader takes them: one line for each value, its keys joined by dots.

use serde_json::Value;

/// Keys and values, in the order of the document; `a.b.0` is the first element of `b` in `a`. What is empty is left away.
#[must_use]
pub fn flattened(details: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    walk(String::new(), details, &mut lines);
    lines
}

/// The same without what stands under a key of the document itself.
#[must_use]
pub fn flattened_without(details: &Value, left_out: &str) -> Vec<(String, String)> {
    let Value::Object(map) = details else {
        return flattened(details);
    };
    let mut lines = Vec::new();
    for (name, value) in map.iter().filter(|(name, _)| *name != left_out) {
        walk(name.clone(), value, &mut lines);
    }
    lines
}

fn walk(key: String, value: &Value, lines: &mut Vec<(String, String)>) {
    let below = |name: &str| match key.as_str() {
        "" => name.to_owned(),
        key => format!("{key}.{name}"),
    };
    match value {
        Value::Null => {}
        Value::Object(map) => map.iter().for_each(|(name, value)| walk(below(name), value, lines)),
        // A list of words reads as one line.
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let words: Vec<String> = items.iter().map(plain).collect();
            if !words.is_empty() {
                lines.push((key, words.join(", ")));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(below(&index.to_string()), item, lines);
            }
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => lines.push((key, plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_details_become_lines_with_dotted_keys() {
        let details =
            json!({"a": {"b": 1, "c": [{"d": "x"}, {"d": "y"}]}, "e": ["u", 2, true], "f": null, "g": [], "h": false});
        let lines: Vec<String> = flattened(&details)
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(lines, ["a.b=1", "a.c.0.d=x", "a.c.1.d=y", "e=u, 2, yes", "h=no"]);
        assert_eq!(flattened(&json!("alone")), [(String::new(), "alone".to_owned())]);
        assert_eq!(flattened_without(&details, "a"), flattened(&details)[3..]);
        assert_eq!(flattened_without(&json!("alone"), "a"), flattened(&json!("alone")));
    }
}
