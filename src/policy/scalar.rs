//! Single values as they stand in a file, read without ever failing: what is wrong with one is kept beside its place, so that
//! every wrong value of a document is reported at once and not only the first.

use super::code::Code;
use crate::model::Span;
use rust_decimal::Decimal;
use schemars::{Schema, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};
use std::{fmt, marker::PhantomData};

/// A value of any type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    /// A text, quoted or not.
    Text(String),
    /// A whole number.
    Whole(i128),
    /// Any other number, in its shortest decimal form.
    Number(String),
    /// `true` or `false`.
    Truth(bool),
    /// Nothing at all, or `null`.
    Nothing,
    /// A list.
    List,
    /// A mapping.
    Mapping,
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "the text `{text}`"),
            Self::Whole(number) => write!(f, "the number `{number}`"),
            Self::Number(number) => write!(f, "the number `{number}`"),
            Self::Truth(truth) => write!(f, "`{truth}`"),
            Self::Nothing => f.write_str("nothing"),
            Self::List => f.write_str("a list"),
            Self::Mapping => f.write_str("a mapping"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar::Truth(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Whole(number.into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Whole(number.into()))
            }
            fn visit_i128<E>(self, number: i128) -> Result<Scalar, E> {
                Ok(Scalar::Whole(number))
            }
            fn visit_u128<E>(self, number: u128) -> Result<Scalar, E> {
                Ok(i128::try_from(number).map_or_else(|_| Scalar::Number(number.to_string()), Scalar::Whole))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                // The shortest decimal that reads back as the same float: what was written, up to fifteen digits.
                Ok(Scalar::Number(number.to_string()))
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_none<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::List)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Scalar, A::Error> {
                while mapping.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Mapping)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Why a value is not what its field takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mismatch {
    /// It is of another type; what the field takes, and what it got.
    Type(&'static str, Scalar, Option<String>),
    /// It is of the right type, but not allowed.
    Value(Code, String, Option<String>),
}

/// What a field can take.
pub(super) trait Read: Sized {
    /// Reads a value.
    fn read(scalar: Scalar) -> Result<Self, Mismatch>;

    /// What an editor may take for one. It refuses nothing that `read` takes.
    fn schema() -> Schema;
}

impl Read for String {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        let help = match &scalar {
            Scalar::Text(text) => return Ok(text.clone()),
            Scalar::Whole(number) => Some(format!("put it in quotes: \"{number}\"")),
            Scalar::Number(_) => Some("put it in quotes".to_owned()),
            Scalar::Truth(truth) => Some(format!("put it in quotes: \"{truth}\"")),
            Scalar::Nothing | Scalar::List | Scalar::Mapping => None,
        };
        Err(Mismatch::Type("a text", scalar, help))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string"})
    }
}

impl Read for bool {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        match scalar {
            Scalar::Truth(truth) => Ok(truth),
            other => Err(Mismatch::Type("`true` or `false`", other, None)),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "boolean"})
    }
}

impl Read for u32 {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        match scalar {
            Scalar::Whole(number) => Self::try_from(number).map_err(|_| {
                let message = if number < 0 { format!("`{number}` is less than zero") } else { format!("`{number}` is too large") };
                Mismatch::Value(Code::BadValue, message, None)
            }),
            Scalar::Text(text) if text.parse::<Self>().is_ok() => {
                let help = format!("write it without quotes: {text}");
                Err(Mismatch::Type("a whole number", Scalar::Text(text), Some(help)))
            }
            other => Err(Mismatch::Type("a whole number", other, None)),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
    }
}

impl Read for Span {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        match scalar {
            Scalar::Text(text) => text.parse().map_err(|error: crate::model::duration::BadSpan| {
                let error = error.to_string();
                let (message, help) = error.split_once("; ").unwrap_or((&error, ""));
                Mismatch::Value(Code::BadDuration, message.to_owned(), Some(help.to_owned()).filter(|help| !help.is_empty()))
            }),
            Scalar::Whole(number) => Err(Mismatch::Value(
                Code::BadDuration,
                format!("`{number}` is not a duration: the unit is missing"),
                Some("write it as `90m`, `2h`, `7d` or `2w`".to_owned()),
            )),
            other => Err(Mismatch::Type("a duration such as `90m`, `2h` or `7d`", other, None)),
        }
    }

    fn schema() -> Schema {
        // All that jiff takes has a number with a unit behind it; the rest is for lint to say.
        json_schema!({"type": "string", "pattern": "[0-9].*[A-Za-z]", "examples": ["90m", "2h", "7d"]})
    }
}

impl Read for Decimal {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        let bad = |text: &str| {
            let help = "write it as `12.50`, without currency, exponent or thousands separator";
            Mismatch::Value(Code::BadValue, format!("`{text}` is not a decimal number"), Some(help.to_owned()))
        };
        match scalar {
            // `From<i128>` panics beyond 96 bits.
            Scalar::Whole(number) => Self::try_from_i128_with_scale(number, 0).map_err(|_| bad(&number.to_string())),
            Scalar::Number(text) => Self::from_str_exact(&text).map_err(|_| bad(&text)),
            Scalar::Text(text) => {
                // The parser would take `1_000` too.
                let strange = text.contains('_') || text.starts_with('+');
                Self::from_str_exact(&text).ok().filter(|_| !strange).ok_or_else(|| bad(&text))
            }
            other => Err(Mismatch::Type("a decimal number", other, None)),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": ["string", "number"], "pattern": "^-?[0-9]*[.]?[0-9]+$"})
    }
}

/// One of a few words.
pub(super) trait Choice: Sized + Copy + 'static {
    /// The words and what they mean.
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Choice> Read for T {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let Scalar::Text(text) = scalar else {
            return Err(Mismatch::Type("a word", scalar, Some(format!("one of {}", super::yaml::list(&words)))));
        };
        if let Some((_, choice)) = T::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*choice);
        }
        let help = super::forms::nearest(&text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        let message = format!("`{text}` is none of {}", super::yaml::list(&words));
        Err(Mismatch::Value(Code::BadValue, message, help))
    }

    fn schema() -> Schema {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({"enum": words})
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Location,
}

/// A field with a single value: not said, said wrong, or said.
#[derive(Debug, Clone)]
pub(super) struct Leaf<T>(pub(super) Option<At<Result<T, Mismatch>>>);

/// A field with a list of single values.
#[derive(Debug, Clone)]
pub(super) struct List<T>(pub(super) Option<At<Result<Vec<Leaf<T>>, Mismatch>>>);

/// A mapping from free names to single values.
#[derive(Debug, Clone)]
pub(super) struct Entries<T>(pub(super) At<Vec<(Leaf<String>, Leaf<T>)>>);

impl<T> Leaf<T> {
    /// Whether the file says it at all.
    pub(super) fn is_said(&self) -> bool {
        self.0.is_some()
    }
}

impl<T> Default for Leaf<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// Where a value is written; for an alias that is where its anchor stands.
fn written<T>(spanned: &Spanned<T>) -> Location {
    if spanned.defined == Location::UNKNOWN { spanned.referenced } else { spanned.defined }
}

impl<'de, T: Read> Deserialize<'de> for Leaf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Scalar>::deserialize(deserializer)?;
        let at = written(&spanned);
        Ok(Self(Some(At { value: T::read(spanned.value), at })))
    }
}

impl<'de, T: Read> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Items<T>>::deserialize(deserializer)?;
        let at = written(&spanned);
        Ok(Self(Some(At { value: spanned.value.0, at })))
    }
}

struct Items<T>(Result<Vec<Leaf<T>>, Mismatch>);

impl<'de, T: Read> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Many<T>(PhantomData<T>);
        impl<T> Many<T> {
            fn not<E>(scalar: Scalar) -> Result<Items<T>, E> {
                let help = match &scalar {
                    Scalar::Text(text) => Some(format!("write it as `[{text}]`")),
                    _ => None,
                };
                Ok(Items(Err(Mismatch::Type("a list", scalar, help))))
            }
        }
        impl<'de, T: Read> Visitor<'de> for Many<T> {
            type Value = Items<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Items(Ok(items)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Items<T>, E> {
                Self::not(Scalar::Text(text.to_owned()))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Items<T>, E> {
                Self::not(Scalar::Truth(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Items<T>, E> {
                Self::not(Scalar::Whole(number.into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Items<T>, E> {
                Self::not(Scalar::Whole(number.into()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Items<T>, E> {
                Self::not(Scalar::Number(number.to_string()))
            }
            fn visit_unit<E>(self) -> Result<Items<T>, E> {
                Self::not(Scalar::Nothing)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Items<T>, A::Error> {
                while mapping.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Self::not(Scalar::Mapping)
            }
        }
        deserializer.deserialize_any(Many(PhantomData))
    }
}

impl<'de, T: Read> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Pairs<T>>::deserialize(deserializer)?;
        let at = written(&spanned);
        Ok(Self(At { value: spanned.value.0, at }))
    }
}

struct Pairs<T>(Vec<(Leaf<String>, Leaf<T>)>);

impl<'de, T: Read> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Many<T>(PhantomData<T>);
        impl<'de, T: Read> Visitor<'de> for Many<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping (`name: value` lines)")
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Pairs<T>, E> {
                Err(E::invalid_type(serde::de::Unexpected::Other("nothing"), &self))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = mapping.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Many(PhantomData))
    }
}
