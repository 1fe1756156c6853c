//! JSON as CEL sees it, where it stands: no text and no mapping is copied.
//!
//! Contract: the same JSON gives the same answer every time. The crate's own maps go through their keys in an order that
//! changes from run to run; these go through them sorted. A field that is `null` is a field that is not there, as in Kubernetes.

use cel::{
    ExecutionError,
    common::{
        traits::{self, Container, Indexer, Iterable, Sizer},
        types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, Kind, MAP_TYPE, Type},
        value::{CowVal, Val},
    },
};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The CEL value of a JSON value. Whole numbers that fit into 64 bits are `int`, all others `double`.
pub(super) fn of<'v>(json: &'v Value) -> Box<dyn Val + 'v> {
    match json {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Box::new(CelInt::from(whole)),
            None => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(of).collect::<Vec<Box<dyn Val + 'v>>>())),
        Value::Object(map) => Box::new(Object { map, keys: OnceLock::new() }),
    }
}

/// How much there is: the entries of the largest mapping or list, and the bytes of the longest text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) entries: usize,
    pub(super) longest: usize,
}

impl Size {
    /// Adds what there is in a value.
    pub(super) fn add(&mut self, json: &Value) {
        match json {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.longest = self.longest.max(text.len()),
            Value::Array(items) => {
                self.entries = self.entries.max(items.len());
                items.iter().for_each(|item| self.add(item));
            }
            Value::Object(map) => {
                self.entries = self.entries.max(map.len());
                for (key, value) in map {
                    self.longest = self.longest.max(key.len());
                    self.add(value);
                }
            }
        }
    }
}

/// A mapping.
#[derive(Debug)]
struct Object<'v> {
    map: &'v Map<String, Value>,
    /// Its keys, sorted, once something goes through them: those are lent out as values.
    keys: OnceLock<Vec<CelString<'v>>>,
}

impl<'v> Object<'v> {
    fn entry(&self, key: &str) -> Option<&'v Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn keys(&self) -> &[CelString<'v>] {
        self.keys.get_or_init(|| {
            let present = self.map.iter().filter(|(_, value)| !value.is_null());
            let mut keys: Vec<CelString<'v>> = present.map(|(key, _)| CelString::from(key.as_str())).collect();
            keys.sort_unstable();
            keys
        })
    }
}

impl Val for Object<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let (Some(sizer), Some(indexer)) = (other.as_sizer(), other.as_indexer()) else { return false };
        let same = |key: &CelString<'_>| {
            let ours = self.entry(key.inner()).map(of);
            ours.is_some_and(|ours| indexer.get(key).is_ok_and(|theirs| ours.equals(theirs.as_ref())))
        };
        other.get_type().kind() == Kind::Map && sizer.size() == self.size() && self.keys().iter().all(same)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(Object { map: self.map, keys: OnceLock::new() })
    }
}

impl Container for Object<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.entry(text(key)?).is_some())
    }
}

impl Indexer for Object<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let key = text(key)?;
        self.entry(key).map(|value| CowVal::Owned(of(value))).ok_or_else(|| ExecutionError::no_such_key(key))
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let key = text(key)?;
        self.entry(key).map(|value| -> Box<dyn Val + 'w> { of(value) }).ok_or_else(|| ExecutionError::no_such_key(key))
    }
}

/// A key; those of JSON are texts, and a number is a mistake rather than a key that is missing.
fn text<'k>(key: &'k (dyn Val + 'k)) -> Result<&'k str, ExecutionError> {
    let wrong = || ExecutionError::UnexpectedType { got: key.get_type().name().to_owned(), want: "string".to_owned() };
    key.downcast_ref::<CelString>().map(CelString::inner).ok_or_else(wrong)
}

impl Iterable for Object<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Keys(self.keys().iter()))
    }
}

impl Sizer for Object<'_> {
    fn size(&self) -> CelInt {
        i64::try_from(self.keys().len()).unwrap_or(i64::MAX).into()
    }
}

struct Keys<'b, 'v>(std::slice::Iter<'b, CelString<'v>>);

impl<'b, 'v: 'w, 'w> traits::Iterator<'b, 'w> for Keys<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|key| -> &'b (dyn Val + 'w) { key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mappings_are_equal_by_what_they_hold() {
        let (a, b, c) = (json!({"x": 1, "y": {"z": "t"}}), json!({"y": {"z": "t"}, "x": 1.0, "gone": null}), json!({"x": 1}));
        assert!(of(&a).equals(of(&b).as_ref()) && of(&b).equals(of(&a).as_ref()));
        assert!(!of(&a).equals(of(&c).as_ref()) && !of(&c).equals(of(&a).as_ref()));
        assert!(!of(&a).equals(of(&json!("x")).as_ref()) && !of(&a).equals(of(&json!([1])).as_ref()));
    }

    #[test]
    fn keys_come_sorted_and_null_is_not_there() {
        let value = json!({"b": 1, "a": null, "c": 3, "": 0});
        let object = of(&value);
        let (mut keys, mut seen) = (object.as_iterable().unwrap().iter(), Vec::new());
        while let Some(key) = keys.next() {
            seen.push(key.downcast_ref::<CelString>().unwrap().inner().to_owned());
        }
        assert_eq!(seen, ["", "b", "c"]);
        assert_eq!(*object.as_sizer().unwrap().size(), 3);
    }

    #[test]
    fn size_is_that_of_the_largest_part() {
        let mut size = Size::default();
        size.add(&json!({"labels": {"a": "12345", "b": "", "c": 1}, "list": [1, [1, 2, 3, 4]]}));
        assert_eq!(size, Size { entries: 4, longest: 6 });
    }
}
