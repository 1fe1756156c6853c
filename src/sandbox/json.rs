//! Small ways about in an object's JSON, for the side that owns the truth.

use serde_json::{Map, Value};

/// The text at a path of keys (`/metadata/name`, none of them with a slash in it); empty where there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    let found = path.split('/').skip(1).try_fold(object, |here, key| here.get(key));
    found.and_then(Value::as_str).unwrap_or_default()
}

/// A label or annotation (`map` is `labels` or `annotations`).
#[must_use]
pub fn entry<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
}

/// A map under `metadata` or at the top, made if it is not there. Something else in its place gives way.
pub fn map_mut<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut here = object;
    for part in path {
        let map = here.as_object_mut()?;
        here = map.entry(*part).or_insert_with(|| Value::Object(Map::new()));
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
    }
    here.as_object_mut()
}

/// Sets a value in a map; `None` takes it away.
pub fn set(object: &mut Value, path: &[&str], key: &str, value: Option<Value>) {
    let Some(map) = map_mut(object, path) else { return };
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value);
        }
        None => {
            map.shift_remove(key);
        }
    }
}

/// Whether the object carries this finalizer.
#[must_use]
pub fn has_finalizer(object: &Value, name: &str) -> bool {
    finalizers(object).iter().any(|finalizer| finalizer.as_str() == Some(name))
}

/// Its finalizers.
#[must_use]
pub fn finalizers(object: &Value) -> &[Value] {
    let list = object.get("metadata").and_then(|metadata| metadata.get("finalizers"));
    list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Takes a finalizer away.
pub fn drop_finalizer(object: &mut Value, name: &str) {
    let left: Vec<Value> = finalizers(object).iter().filter(|finalizer| finalizer.as_str() != Some(name)).cloned().collect();
    set(object, &["metadata"], "finalizers", (!left.is_empty()).then_some(Value::Array(left)));
}

/// Puts a finalizer on.
pub fn add_finalizer(object: &mut Value, name: &str) {
    let mut all = finalizers(object).to_vec();
    all.push(name.into());
    set(object, &["metadata"], "finalizers", Some(Value::Array(all)));
}

/// Whether somebody has deleted it already.
#[must_use]
pub fn terminating(object: &Value) -> bool {
    object.get("metadata").and_then(|metadata| metadata.get("deletionTimestamp")).is_some_and(|date| !date.is_null())
}

/// Whether it has every label that a selector asks for: `key`, `key=value`, with commas between.
#[must_use]
pub fn selected(object: &Value, selector: Option<&str>) -> bool {
    selector.unwrap_or_default().split(',').filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
        Some((key, value)) => entry(object, "labels", key) == Some(value),
        None => entry(object, "labels", part).is_some(),
    })
}
