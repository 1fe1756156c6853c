//! What a condition may look at, and of what type each thing is.
//!
//! Contract: the one list of names. A condition that reads anything else is refused when it is compiled: at run time a field
//! that is not there means "does not match", so a misspelt one would never match and nobody would be told.

use serde_json::Value;

/// What a condition may look at, as JSON objects.
///
/// CEL tells whole numbers from others, and so does this: whole JSON numbers are `int` (`ttlSeconds`, `schemas`, `used`, `free`),
/// all others `double`. `budget.monthly` has to be built from an `f64`, also where it is whole; the two compare, but do not add.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// `name`, `namespace`, `labels`, `annotations`, `owner` and, of `spec`, `ttlSeconds`, `useDedicatedDatabase`, `databaseSize`
    /// and `sourceUrl`, without any credentials in it.
    pub clone: Value,
    /// `name` and `labels`.
    pub namespace: Value,
    /// `set`, and in USD `monthly`, `used` (accrued and committed this month) and `left`: false and 0.0 where there is no budget;
    /// the last two are null where they are not known.
    pub budget: Value,
    /// By the names of the hosts: `schemas`, `used` and `free`.
    pub hosts: Value,
}

/// Of what type a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// True or false.
    Truth,
    /// A whole number, `int`.
    Whole,
    /// Any other number, `double`.
    Fraction,
    /// A text.
    Text,
    /// Things of one type under free names.
    Keyed(&'static Fact),
    /// These and no others.
    Fields(&'static [(&'static str, Fact)]),
}

/// The variables.
pub(super) static ROOTS: [(&str, Fact); 4] = [
    (
        "clone",
        Fact::Fields(&[
            ("name", Fact::Text),
            ("namespace", Fact::Text),
            ("labels", Fact::Keyed(&Fact::Text)),
            ("annotations", Fact::Keyed(&Fact::Text)),
            ("owner", Fact::Text),
            (
                "spec",
                Fact::Fields(&[
                    ("ttlSeconds", Fact::Whole),
                    ("useDedicatedDatabase", Fact::Truth),
                    ("databaseSize", Fact::Text),
                    ("sourceUrl", Fact::Text),
                ]),
            ),
        ]),
    ),
    ("namespace", Fact::Fields(&[("name", Fact::Text), ("labels", Fact::Keyed(&Fact::Text))])),
    ("budget", Fact::Fields(&[("monthly", Fact::Fraction), ("used", Fact::Fraction), ("left", Fact::Fraction), ("set", Fact::Truth)])),
    ("hosts", Fact::Keyed(&Fact::Fields(&[("schemas", Fact::Whole), ("used", Fact::Whole), ("free", Fact::Whole)]))),
];

/// The type of a variable.
pub(super) fn root(name: &str) -> Option<Fact> {
    ROOTS.iter().find(|(root, _)| *root == name).map(|(_, fact)| *fact)
}
