//! The `when` of a placement rule: a condition in CEL over what is known about a clone that is about to be made.
//!
//! ```text
//! text ──► tokens (short and shallow?) ──► cel's parser ──► check (names, types, steps) ──► Condition ──► holds(facts)
//! ```
//!
//! Contract: pure, and bounded whatever the text and the facts: who can edit a policy or create a clone cannot stop the daemon
//! with it. A field or key that is not there means "does not match"; every other failure is [`Unsure`], and what happens then is
//! for the caller to decide.

mod check;
mod facts;
mod implies;
mod reads;
#[cfg(test)]
mod tests;
mod tokens;
mod value;

pub use facts::Facts;
pub use reads::Reads;

use super::forms;
use cel::{Context, Env, ExecutionError, ParseErrors, Value, common::ast::IdedExpr, common::types::CelBool};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, LazyLock},
};

/// CEL's standard functions and macros, without the syntax for optional values: what conditions may use of them is in `check`.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// A compiled `when`. Equality and `Debug` are by its text.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

struct Compiled {
    text: String,
    tree: IdedExpr,
    hosts: Vec<(String, Option<Range<usize>>)>,
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// One sentence.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// Which bytes of the text it is about, if that is known.
    pub at: Option<Range<usize>>,
}

/// Why a condition gave no answer, in words for people; nothing from the facts is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unsure {
    /// One sentence.
    pub message: String,
}

impl Condition {
    /// Compiles a text.
    ///
    /// # Errors
    ///
    /// If it is no CEL, names what there is not, could never match, or could take too long.
    pub fn compile(text: &str) -> Result<Self, Broken> {
        let words = tokens::scan(text)?;
        // The brackets are counted already; this is the parser's own count, should the two not agree on what is a text.
        let parser = LANGUAGE.parser().max_recursion_depth(tokens::MOST_OPEN as u16 + 1).error_recovery_limit(4);
        let (tree, info) = parser.parse_with_source_info(&words.readable).map_err(|errors| syntax(&words, &errors))?;
        let checked = check::check(&tree, Some(&check::Places { words: &words, info: &info }), check::USUAL)?;
        if checked.steps > check::MOST_STEPS {
            let message = format!("the condition may take {} steps on a clone with {} labels", checked.steps, check::USUAL.entries);
            let help = format!("{} are allowed; go through a short list, or through one thing at a time", check::MOST_STEPS);
            return Err(Broken::new(message).help(help));
        }
        Ok(Self(Arc::new(Compiled { text: text.to_owned(), tree, hosts: checked.hosts })))
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What it looks at.
    #[must_use]
    pub fn reads(&self) -> Reads {
        Reads::of(&self.0.tree)
    }

    /// Whether the other holds wherever this one does, as far as their form shows it; a no may be wrong, a yes never.
    pub(super) fn implies(&self, other: &Self) -> bool {
        implies::implies(&self.0.tree, &other.0.tree)
    }

    /// Whether it asks for a `clone.spec.ttlSeconds` outside of these bounds (seconds), between which it is by then.
    pub(super) fn asks_for_no_life(&self, bounds: (i64, i64)) -> bool {
        implies::asks_for_no_life(&self.0.tree, bounds)
    }

    /// Whether it is written out as true.
    pub(super) fn is_always(&self) -> bool {
        implies::is_literally(&self.0.tree, true)
    }

    /// Whether it is written out as false.
    pub(super) fn is_never(&self) -> bool {
        implies::is_literally(&self.0.tree, false)
    }

    /// The hosts it names, and which bytes of its text do.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&str, Option<Range<usize>>)> {
        self.0.hosts.iter().map(|(name, at)| (name.as_str(), at.clone()))
    }

    /// Whether the facts meet the condition; not, where they lack something that it looks at.
    ///
    /// # Errors
    ///
    /// If there is no answer: types that do not go together, a division by zero, facts too large to look through.
    pub fn holds(&self, facts: &Facts) -> Result<bool, Unsure> {
        self.afford(facts)?;
        // What is not known is not what is missing, nor is it nothing.
        if facts.budget.get("used").is_some_and(serde_json::Value::is_null) && self.reads().budget {
            return Err(Unsure::new("what is spent of the budget is not known".to_owned()));
        }
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        for (name, fact) in [("clone", &facts.clone), (tokens::STAND_IN, &facts.namespace), ("budget", &facts.budget), ("hosts", &facts.hosts)] {
            context.add_variable_as_val(name, value::of(fact));
        }
        match Value::resolve_val(&self.0.tree, &context) {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(truth) => Ok(*truth.inner()),
                None => Err(Unsure::new(format!("the condition gives `{}`, not true or false", value.get_type().name()))),
            },
            Err(ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(Unsure::new(words_for(&error))),
        }
    }

    /// Whether it can be evaluated on facts of this size. Those of the usual size need not be counted out.
    fn afford(&self, facts: &Facts) -> Result<(), Unsure> {
        let mut size = check::USUAL;
        [&facts.clone, &facts.namespace, &facts.budget, &facts.hosts].into_iter().for_each(|fact| size.add(fact));
        if size == check::USUAL {
            return Ok(());
        }
        let checked = check::check(&self.0.tree, None, size).map_err(|broken| Unsure::new(broken.message))?;
        if checked.steps > check::MOST_STEPS {
            let value::Size { entries, longest } = size;
            let most = check::MOST_STEPS;
            let message =
                format!("{} steps may be needed to look through {entries} entries of up to {longest} bytes; {most} are allowed", checked.steps);
            return Err(Unsure::new(message));
        }
        Ok(())
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.0.text).finish()
    }
}

impl Unsure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl Broken {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, at: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn at(mut self, at: Range<usize>) -> Self {
        self.at = Some(at);
        self
    }

    fn unknown(what: &str, name: &str, near: Option<&str>) -> Self {
        let broken = Self::new(format!("there is no {what} `{name}` here"));
        match near {
            Some(near) => broken.help(format!("did you mean `{near}`?")),
            None => broken,
        }
    }

    fn unknown_among<'k>(what: &str, name: &str, known: impl Iterator<Item = &'k str>) -> Self {
        let known: Vec<&str> = known.collect();
        match forms::nearest(name, known.iter().copied()) {
            Some(near) => Self::unknown(what, name, Some(near)),
            None => Self::unknown(what, name, None).help(format!("known here: {}", super::yaml::list(&known))),
        }
    }
}

/// What the parser found, in words that do not come from a grammar: of its lists of tokens only the place is of use.
fn syntax(words: &tokens::Words<'_>, errors: &ParseErrors) -> Broken {
    let help = "conditions are written in CEL, as in `clone.labels['team'] == 'web'`";
    let Some(error) = errors.errors.first() else { return Broken::new("the condition cannot be read").help(help) };
    let number = |number: isize| usize::try_from(number).unwrap_or_default();
    let (line, column) = (number(error.pos.0), number(error.pos.1));
    let word = if line == 0 { None } else { words.at(words.offset(line, column)).map(|(_, word)| word.clone()) };
    let own = Some(error.msg.as_str()).filter(|message| !message.starts_with("Syntax error") && line > 0 && !message.contains('\n'));
    let unread = error.msg.contains("token recognition") && word.as_ref().is_some_and(|word| word.sort == tokens::Sort::Text);
    match (word, own) {
        (Some(word), _) if unread => {
            let help = "write a backslash as `\\\\`, or put `r` before the text";
            Broken::new("the text holds an escape that CEL does not know").help(help).at(word.range)
        }
        (Some(word), Some(own)) => Broken::new(own.replace(tokens::STAND_IN, "namespace")).help(help).at(word.range),
        (Some(word), None) => Broken::new(format!("`{}` is not expected here", words.written(&word))).help(help).at(word.range),
        (None, _) if line > 0 => Broken::new("the condition ends where more is expected").help(help).at(words.end()),
        (None, _) => Broken::new("the condition cannot be read").help(help),
    }
}

/// The sign of an operator as it is written, of the name that the library has for it.
fn sign(name: &str) -> &str {
    name.trim_matches(['_', '@'])
}

/// What went wrong in an evaluation. The library's own words hold the values themselves, which a stranger may have written.
fn words_for(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(wrong) => {
            format!("`{}` cannot be applied to {}", sign(wrong.function()), wrong.argument_types().join(" and "))
        }
        ExecutionError::UnexpectedType { got, want } => format!("{want} is needed where {got} is"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "there is a division by zero".to_owned(),
        ExecutionError::Overflow(..) => "a number is out of range".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list has no entry of that number".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` cannot be made of what it is given"),
        ExecutionError::ValuesNotComparable(..) => "two values cannot be compared".to_owned(),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => format!("`{operator}` cannot be applied to what is on its two sides"),
        _ => "the condition cannot be evaluated".to_owned(),
    }
}
