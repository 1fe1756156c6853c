//! JSON as CBOR (RFC 8949), as far as calls need it. Numbers under `Timestamp` are moments, which have a tag.

use serde_json::Value;

/// The bytes of a value.
pub(crate) fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, &mut out);
    out
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(set) => out.push(if *set { 0xf5 } else { 0xf4 }),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => head(0, whole, out),
            None => {
                out.push(0xfb);
                out.extend(number.as_f64().unwrap().to_be_bytes());
            }
        },
        Value::String(text) => {
            head(3, text.len() as u64, out);
            out.extend(text.as_bytes());
        }
        Value::Array(all) => {
            head(4, all.len() as u64, out);
            all.iter().for_each(|one| put(one, out));
        }
        Value::Object(fields) => {
            head(5, fields.len() as u64, out);
            for (name, value) in fields {
                put(&Value::String(name.clone()), out);
                if name == "Timestamp" {
                    out.push(0xc1);
                }
                put(value, out);
            }
        }
    }
}

/// The type and the length, always in eight bytes.
fn head(kind: u8, length: u64, out: &mut Vec<u8>) {
    out.push(kind << 5 | 27);
    out.extend(length.to_be_bytes());
}
