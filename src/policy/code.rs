//! What kinds of problems there are. The names are stable: pipelines and suppressions go by them.
//!
//! Contract: every code has a section in `docs/lint.md`, which is also what `policy lint --explain` prints.

use std::fmt;

/// The pages of all codes.
const PAGES: &str = include_str!("../../docs/lint.md");

/// What kind of problem it is. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A file or the folder cannot be read.
    Unreadable,
    /// There is no policy at all.
    NoPolicy,
    /// A file is too long to be a policy.
    TooLarge,
    /// A file is not UTF-8.
    NotUtf8,
    /// It is not YAML.
    Syntax,
    /// Aliases, nesting or sheer number of values go beyond anything a policy needs.
    TooComplex,
    /// A key is said twice in one mapping.
    DuplicateKey,
    /// A field that does not exist.
    UnknownField,
    /// A field that a later release will have.
    ReservedField,
    /// A field that must be there is not.
    MissingField,
    /// A value of the wrong type.
    WrongType,
    /// A document of a kind or version that is not ours.
    UnknownKind,
    /// A text that is not a duration.
    BadDuration,
    /// A text that is not a Kubernetes quantity.
    BadQuantity,
    /// A name that does not have the form of one.
    BadName,
    /// A value that is not one of those allowed.
    BadValue,
    /// `minimum ≤ default ≤ maximum`, or a warning before the beginning.
    TtlOrder,
    /// Two fields that do not go together, or none where one is needed.
    Contradiction,
    /// Two documents, rules or list entries with one name.
    DuplicateName,
    /// Two policies for one namespace.
    NamespaceClash,
    /// A rule names a host that does not exist.
    UnknownHost,
    /// A `when` that is no condition.
    BadCondition,
    /// Two policies may come to mean one namespace.
    SelectorOverlap,
    /// A warning that a clone with the default life gets when it is made.
    WarningAtBirth,
    /// A grace that is longer than any clone lives.
    GraceTooLong,
    /// A rule that never decides, since one before it always does.
    UnreachableRule,
    /// A rule that gives a database which a limit refuses.
    ForbiddenRule,
    /// A budget that does not bear a single clone.
    SmallBudget,
    /// A host that no rule names.
    UnusedHost,
    /// A file that holds nothing.
    EmptyFile,
    /// A price of nothing.
    FreePrice,
    /// What a test expects has not come.
    UnmetExpectation,
}

impl Code {
    /// What `policy test` alone says.
    pub const OF_TESTS: [Self; 1] = [Self::UnmetExpectation];

    /// Every code of `policy lint`, in the order of the page.
    pub const ALL: [Self; 31] = [
        Self::Unreadable,
        Self::NoPolicy,
        Self::TooLarge,
        Self::NotUtf8,
        Self::Syntax,
        Self::TooComplex,
        Self::DuplicateKey,
        Self::UnknownField,
        Self::ReservedField,
        Self::MissingField,
        Self::WrongType,
        Self::UnknownKind,
        Self::BadDuration,
        Self::BadQuantity,
        Self::BadName,
        Self::BadValue,
        Self::TtlOrder,
        Self::Contradiction,
        Self::DuplicateName,
        Self::NamespaceClash,
        Self::UnknownHost,
        Self::BadCondition,
        Self::SelectorOverlap,
        Self::WarningAtBirth,
        Self::GraceTooLong,
        Self::UnreachableRule,
        Self::ForbiddenRule,
        Self::SmallBudget,
        Self::UnusedHost,
        Self::EmptyFile,
        Self::FreePrice,
    ];

    /// The name as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NoPolicy => "no-policy",
            Self::TooLarge => "too-large",
            Self::NotUtf8 => "not-utf8",
            Self::Syntax => "syntax",
            Self::TooComplex => "too-complex",
            Self::DuplicateKey => "duplicate-key",
            Self::UnknownField => "unknown-field",
            Self::ReservedField => "reserved-field",
            Self::MissingField => "missing-field",
            Self::WrongType => "wrong-type",
            Self::UnknownKind => "unknown-kind",
            Self::BadDuration => "bad-duration",
            Self::BadQuantity => "bad-quantity",
            Self::BadName => "bad-name",
            Self::BadValue => "bad-value",
            Self::TtlOrder => "ttl-order",
            Self::Contradiction => "contradiction",
            Self::DuplicateName => "duplicate-name",
            Self::NamespaceClash => "namespace-clash",
            Self::UnknownHost => "unknown-host",
            Self::BadCondition => "bad-condition",
            Self::SelectorOverlap => "selector-overlap",
            Self::WarningAtBirth => "warning-at-birth",
            Self::GraceTooLong => "grace-too-long",
            Self::UnreachableRule => "unreachable-rule",
            Self::ForbiddenRule => "forbidden-rule",
            Self::SmallBudget => "small-budget",
            Self::UnusedHost => "unused-host",
            Self::EmptyFile => "empty-file",
            Self::FreePrice => "free-price",
            Self::UnmetExpectation => "unmet-expectation",
        }
    }

    /// Whether the set loads all the same: it means something, though hardly what its author wanted.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        matches!(
            self,
            Self::SelectorOverlap
                | Self::WarningAtBirth
                | Self::GraceTooLong
                | Self::UnreachableRule
                | Self::ForbiddenRule
                | Self::SmallBudget
                | Self::UnusedHost
                | Self::EmptyFile
                | Self::FreePrice
        )
    }

    /// The word for how bad it is: `error` or `warning`.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        if self.is_warning() { "warning" } else { "error" }
    }

    /// The code of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::OF_TESTS).find(|code| code.as_str() == name)
    }

    /// Its section in `docs/lint.md` (Markdown, without the heading): an example, why, and what to do.
    #[must_use]
    pub fn page(self) -> &'static str {
        let name = self.as_str();
        let sections = PAGES.split("\n## ").skip(1);
        sections.filter_map(|section| section.split_once('\n')).find(|(heading, _)| *heading == name).map_or("", |(_, page)| page.trim())
    }

    /// The first sentence of its page: what it is about.
    #[must_use]
    pub fn summary(self) -> &'static str {
        self.page().lines().next().unwrap_or_default()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
