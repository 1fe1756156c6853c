//! Changes to an object under review: made on a copy, so that what is judged next sees them, and kept as a JSON patch.

use serde_json::{Map, Value, json};

/// An object with the changes made to it so far.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    object: Value,
    patch: Vec<Value>,
}

impl Edit {
    pub(super) fn of(object: &Value) -> Self {
        Self { object: object.clone(), patch: Vec::new() }
    }

    /// The object as it is by now.
    pub(super) fn object(&self) -> &Value {
        &self.object
    }

    /// The changes, as operations of RFC 6902.
    pub(super) fn into_patch(self) -> Vec<Value> {
        self.patch
    }

    /// Sets a field; mappings on the way are made where they are missing. Setting what is there already changes nothing.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut here = &mut self.object;
        let mut pointer = String::new();
        for parent in parents {
            pointer.push('/');
            pointer.push_str(&escaped(parent));
            if !here.get(parent).is_some_and(Value::is_object) {
                let Some(fields) = here.as_object_mut() else { return };
                fields.insert((*parent).to_owned(), Value::Object(Map::new()));
                self.patch.push(json!({"op": "add", "path": pointer, "value": {}}));
            }
            let Some(next) = here.get_mut(parent) else { return };
            here = next;
        }
        let Some(fields) = here.as_object_mut() else { return };
        if fields.get(*last) != Some(&value) {
            // `add` replaces what is there, too.
            self.patch.push(json!({"op": "add", "path": format!("{pointer}/{}", escaped(last)), "value": value}));
            fields.insert((*last).to_owned(), value);
        }
    }

    /// Takes a field away, if it is there.
    pub(super) fn unset(&mut self, path: &[&str]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut here = &mut self.object;
        for parent in parents {
            let Some(next) = here.get_mut(parent) else { return };
            here = next;
        }
        if here.as_object_mut().is_some_and(|fields| fields.shift_remove(*last).is_some()) {
            let pointer = path.iter().fold(String::new(), |pointer, part| pointer + "/" + &escaped(part));
            self.patch.push(json!({"op": "remove", "path": pointer}));
        }
    }
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_says_what_was_done_and_nothing_else() {
        let mut edit = Edit::of(&json!({"metadata": {"name": "clone-1"}, "spec": {"databaseSize": "db.t3.micro", "ttlSeconds": 7200}}));
        edit.set(&["spec", "ttlSeconds"], json!(7200));
        edit.set(&["metadata", "annotations", "clonewarden.io/owner"], json!("ada"));
        edit.set(&["metadata", "annotations", "clonewarden.io/reservation"], json!("r1"));
        edit.unset(&["spec", "databaseSize"]);
        edit.unset(&["spec", "serverless", "minACU"]);
        assert_eq!(edit.object().pointer("/metadata/annotations/clonewarden.io~1owner"), Some(&json!("ada")));
        let patch = edit.into_patch();
        assert_eq!(
            patch,
            [
                json!({"op": "add", "path": "/metadata/annotations", "value": {}}),
                json!({"op": "add", "path": "/metadata/annotations/clonewarden.io~1owner", "value": "ada"}),
                json!({"op": "add", "path": "/metadata/annotations/clonewarden.io~1reservation", "value": "r1"}),
                json!({"op": "remove", "path": "/spec/databaseSize"}),
            ]
        );
    }

    #[test]
    fn what_is_no_mapping_is_replaced_on_the_way_and_nothing_panics() {
        let mut edit = Edit::of(&json!({"metadata": {"annotations": null}}));
        edit.set(&["metadata", "annotations", "a"], json!("b"));
        assert_eq!(edit.object(), &json!({"metadata": {"annotations": {"a": "b"}}}));
        let mut edit = Edit::of(&json!("no object"));
        edit.set(&["a"], json!(1));
        edit.unset(&["a"]);
        assert!(edit.into_patch().is_empty());
    }
}
