//! What is known about a value before there is one.

use crate::policy::select::facts::Fact;
use std::fmt;

/// The shape of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// It may be anything.
    Unknown,
    /// There is none: what an empty list holds.
    Empty,
    /// That of a fact.
    Fact(Fact),
    /// A list of at most so many.
    List { item: Box<Shape>, length: u64 },
}

impl From<Fact> for Shape {
    fn from(fact: Fact) -> Self {
        Self::Fact(fact)
    }
}

impl Shape {
    /// Whether it may turn out to be of this type.
    pub(super) fn may_be(&self, fact: Fact) -> bool {
        matches!(self, Self::Unknown | Self::Empty) || *self == Self::Fact(fact)
    }

    pub(super) fn may_be_number(&self) -> bool {
        self.may_be(Fact::Whole) || self.may_be(Fact::Fraction)
    }

    /// Whether the two may turn out to be of one type; all numbers are, where they are compared.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown | Self::Empty, _) | (_, Self::Unknown | Self::Empty) => true,
            (Self::List { item, .. }, Self::List { item: other, .. }) => item.meets(other),
            (Self::Fact(Fact::Keyed(_) | Fact::Fields(_)), Self::Fact(Fact::Keyed(_) | Fact::Fields(_))) => true,
            _ => self == other || (self.may_be_number() && other.may_be_number()),
        }
    }

    /// What is known of a value that has one of two shapes.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Empty, shape) | (shape, Self::Empty) => shape,
            (Self::List { item, length }, Self::List { item: other, length: longer }) => {
                Self::List { item: Box::new(item.or(*other)), length: length.max(longer) }
            }
            (shape, other) if shape == other => shape,
            _ => Self::Unknown,
        }
    }

    /// How many entries have to be looked at to see all of it.
    pub(super) fn weight(&self, entries: u64) -> u64 {
        match self {
            Self::Unknown | Self::Fact(Fact::Keyed(_) | Fact::Fields(_)) => entries,
            Self::List { item, length } => item.weight(entries).max(1).saturating_mul(*length),
            Self::Empty | Self::Fact(_) => 0,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown | Self::Empty => "something unknown",
            Self::Fact(Fact::Truth) => "true or false",
            Self::Fact(Fact::Whole) => "a whole number",
            Self::Fact(Fact::Fraction) => "a number with a fraction",
            Self::Fact(Fact::Text) => "a text",
            Self::Fact(Fact::Keyed(_) | Fact::Fields(_)) => "a mapping",
            Self::List { .. } => "a list",
        })
    }
}
