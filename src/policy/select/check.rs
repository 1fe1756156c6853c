//! What is wrong with a condition that parses, and what it may cost at most.
//!
//! Contract: a tree that passes names only what there is, holds no node that the interpreter cannot evaluate, and takes at most
//! [`MOST_STEPS`] steps on facts of the given size. Types are followed as far as they are known, so that what could never match
//! is told to whoever writes it, not found out by whoever waits for it.

mod functions;
mod shape;

use super::{
    Broken,
    facts::{self, Fact},
    tokens::{STAND_IN, Words},
    value::Size,
};
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use shape::Shape;
use std::ops::Range;

/// The most steps. One is an operation on a value, about a tenth of a microsecond in a release build: a thousand clones that are
/// placed at once wait a second at the very worst.
pub(super) const MOST_STEPS: u64 = 10_000;
/// The size of the facts that a condition must be able to afford when it is compiled: far more labels than a clone has.
pub(super) const USUAL: Size = Size { entries: 100, longest: 4_096 };
/// Texts are compared and searched in steps of this many bytes.
const TEXT_STEP: usize = 4_096;
/// Each level is a frame of the interpreter, kilobytes in a debug build.
const MOST_DEPTH: usize = 24;
/// The most `all`, `exists`, `exists_one`, `map` and `filter`.
const MOST_LOOPS: usize = 4;
/// How many of those may stand within each other.
const MOST_NESTED: usize = 2;
/// The most `+` that are written: what bounds the length of texts that are put together.
const MOST_PLUSES: usize = 8;
/// What a turn of a loop costs besides its body: a scope and two variables.
const TURN: u64 = 4;
/// What it costs to put two texts together, each perhaps put together before.
const PLUS: u64 = 8;
/// How the crate calls what a loop has gathered.
const GATHERED: &str = "@result";

/// What the nodes of a tree are in the text.
pub(super) struct Places<'a> {
    pub(super) words: &'a Words<'a>,
    pub(super) info: &'a SourceInfo,
}

/// What has been found out about a condition.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// How many steps it takes at most.
    pub(super) steps: u64,
    /// The hosts it names, and where.
    pub(super) hosts: Vec<(String, Option<Range<usize>>)>,
}

/// Checks a tree; without `places` problems are told without where.
pub(super) fn check(expr: &IdedExpr, places: Option<&Places<'_>>, size: Size) -> Result<Checked, Broken> {
    let entries = u64::try_from(size.entries).unwrap_or(u64::MAX);
    let unit = u64::try_from(size.longest.div_ceil(TEXT_STEP).max(1)).unwrap_or(u64::MAX);
    let mut walk = Walk { places, entries, unit, times: 1, bound: Vec::new(), nested: 0, loops: 0, pluses: 0, checked: Checked::default() };
    let shape = walk.node(expr, 0)?;
    if !shape.may_be(Fact::Truth) {
        let help = "compare it with something, as in `clone.owner == 'ada'`";
        return Err(Broken::new(format!("the condition is {shape}, not true or false")).help(help));
    }
    Ok(walk.checked)
}

struct Walk<'a> {
    places: Option<&'a Places<'a>>,
    /// How many entries a mapping may have.
    entries: u64,
    /// What one step costs, by the length of texts.
    unit: u64,
    /// How often the node at hand is evaluated.
    times: u64,
    /// The variables of the loops around.
    bound: Vec<(&'a str, Shape)>,
    nested: usize,
    loops: usize,
    pluses: usize,
    checked: Checked,
}

impl<'a> Walk<'a> {
    fn spend(&mut self, steps: u64) {
        let cost = steps.saturating_mul(self.times).saturating_mul(self.unit);
        self.checked.steps = self.checked.steps.saturating_add(cost);
    }

    /// Where a node stands: `shift` words after (or before) the one that the parser calls its place.
    fn place(&self, node: &IdedExpr, shift: isize) -> Option<Range<usize>> {
        let places = self.places?;
        let (start, _) = places.info.offset_for(node.id)?;
        let (index, _) = places.words.at(usize::try_from(start).ok()?)?;
        places.words.get(index.checked_add_signed(shift)?).map(|word| word.range.clone())
    }

    fn broken(&self, node: &IdedExpr, shift: isize, message: impl Into<String>) -> Broken {
        Broken { at: self.place(node, shift), ..Broken::new(message) }
    }

    fn node(&mut self, node: &'a IdedExpr, depth: usize) -> Result<Shape, Broken> {
        if depth > MOST_DEPTH {
            let help = "split the rule in several: the first one that matches wins";
            return Err(self.broken(node, 0, format!("the condition is nested more than {MOST_DEPTH} levels deep")).help(help));
        }
        let depth = depth + 1;
        self.spend(1);
        match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => {
                let operand = self.node(&select.operand, depth)?;
                if !select.test {
                    self.host(&select.operand, &select.field, self.place(node, 1));
                }
                // Of `has(a.b)` the parser keeps where `has` stands, not the dot.
                let at = match (&select.operand.expr, select.test) {
                    (Expr::Ident(_), true) => self.place(&select.operand, 2),
                    (Expr::Select(_), true) => self.place(&select.operand, 3),
                    _ => self.place(node, 1),
                };
                let field = field(operand, &select.field, at)?;
                Ok(if select.test { Fact::Truth.into() } else { field })
            }
            Expr::Call(call) => self.call(node, call, depth),
            Expr::List(list) => {
                let mut item = Shape::Empty;
                for element in &list.elements {
                    item = item.or(self.node(element, depth)?);
                }
                Ok(Shape::List { item: Box::new(item), length: list.elements.len() as u64 })
            }
            Expr::Comprehension(comprehension) => self.comprehension(node, comprehension, depth),
            Expr::Map(_) | Expr::Struct(_) => Err(self.broken(node, 0, "a condition has no use for `{…}`").help("write a list: `['a', 'b']`")),
            Expr::Unspecified => Err(self.broken(node, 0, "this cannot be read")),
        }
    }

    fn literal(&self, node: &IdedExpr, literal: &LiteralValue) -> Result<Shape, Broken> {
        match literal {
            LiteralValue::Boolean(_) => Ok(Fact::Truth.into()),
            LiteralValue::Int(_) => Ok(Fact::Whole.into()),
            LiteralValue::Double(_) => Ok(Fact::Fraction.into()),
            LiteralValue::String(_) => Ok(Fact::Text.into()),
            LiteralValue::Null => {
                let help = "a field without a value is missing: ask `has(clone.owner)`, or `'team' in clone.labels`";
                Err(self.broken(node, 0, "nothing is ever `null` here").help(help))
            }
            LiteralValue::UInt(_) => Err(self.broken(node, 0, "whole numbers are written without `u`")),
            LiteralValue::Bytes(_) => Err(self.broken(node, 0, "there are no bytes here").help("write a text, without `b` before it")),
        }
    }

    fn variable(&self, node: &IdedExpr, name: &str) -> Result<Shape, Broken> {
        if let Some((_, shape)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return Ok(shape.clone());
        }
        let name = if name == STAND_IN { "namespace" } else { name };
        facts::root(name).map(Shape::Fact).ok_or_else(|| {
            let bound = self.bound.iter().map(|(bound, _)| *bound).filter(|bound| *bound != GATHERED);
            let known = facts::ROOTS.iter().map(|(root, _)| *root).chain(bound);
            Broken { at: self.place(node, 0), ..Broken::unknown_among("variable", name, known) }
        })
    }

    /// Notes a host that is named.
    fn host(&mut self, operand: &IdedExpr, name: &str, at: Option<Range<usize>>) {
        let bound = self.bound.iter().any(|(bound, _)| *bound == "hosts");
        if !bound && matches!(&operand.expr, Expr::Ident(variable) if variable == "hosts") {
            self.checked.hosts.push((name.to_owned(), at));
        }
    }

    fn index(&mut self, node: &'a IdedExpr, of: &'a IdedExpr, by: &'a IdedExpr, depth: usize) -> Result<Shape, Broken> {
        let (shape, key) = (self.node(of, depth)?, self.node(by, depth)?);
        if let Expr::Literal(LiteralValue::String(name)) = &by.expr {
            self.host(of, name.inner(), self.place(by, 0));
            return field(shape, name.inner(), self.place(by, 0));
        }
        match shape {
            Shape::Unknown => Ok(Shape::Unknown),
            Shape::Fact(Fact::Keyed(item)) if key.may_be(Fact::Text) => Ok(Shape::Fact(*item)),
            Shape::List { item, .. } if key.may_be(Fact::Whole) => Ok(*item),
            Shape::Fact(Fact::Fields(_)) => Err(self.broken(node, 1, "the name of a field has to be written here, in quotes")),
            other => Err(self.broken(node, 1, format!("{other} cannot be looked up by {key}"))),
        }
    }

    fn comprehension(&mut self, node: &'a IdedExpr, loop_: &'a ComprehensionExpr, depth: usize) -> Result<Shape, Broken> {
        self.loops += 1;
        if self.loops > MOST_LOOPS || self.nested >= MOST_NESTED {
            let message = format!("a condition may go through lists {MOST_LOOPS} times in all, and {MOST_NESTED} deep");
            return Err(self.broken(node, -1, message).help("split the rule in several: the first one that matches wins"));
        }
        let variable = loop_.iter_var.as_str();
        if variable == STAND_IN || facts::root(variable).is_some() {
            let message = format!("`{}` is a variable already", if variable == STAND_IN { "namespace" } else { variable });
            return Err(self.broken(node, 1, message).help("give what you go through another name, such as `x`"));
        }
        let (item, length) = match self.node(&loop_.iter_range, depth)? {
            Shape::List { item, length } => (*item, length),
            Shape::Fact(Fact::Keyed(_) | Fact::Fields(_)) => (Fact::Text.into(), self.entries),
            Shape::Unknown => (Shape::Unknown, self.entries),
            other => return Err(self.broken(node, -1, format!("{other} cannot be gone through")).help("go through `clone.labels`, or a list")),
        };
        let begin = self.node(&loop_.accu_init, depth)?;
        let (times, known) = (self.times, self.bound.len());
        self.nested += 1;
        self.times = times.saturating_mul(length);
        self.bound.extend([(GATHERED, begin), (variable, item)]);
        self.spend(TURN);
        self.node(&loop_.loop_cond, depth)?;
        let gathered = match self.node(&loop_.loop_step, depth)? {
            Shape::List { item, .. } => Shape::List { item, length },
            other => other,
        };
        self.bound.truncate(known);
        self.bound.push((GATHERED, gathered));
        self.times = times;
        self.nested -= 1;
        let result = self.node(&loop_.result, depth)?;
        self.bound.truncate(known);
        Ok(result)
    }
}

/// A field of something, by a name that is written.
fn field(shape: Shape, name: &str, at: Option<Range<usize>>) -> Result<Shape, Broken> {
    match shape {
        Shape::Unknown => Ok(Shape::Unknown),
        Shape::Fact(Fact::Keyed(item)) => Ok(Shape::Fact(*item)),
        Shape::Fact(Fact::Fields(fields)) => {
            let known = fields.iter().find(|(field, _)| *field == name).map(|(_, fact)| Shape::Fact(*fact));
            known.ok_or_else(|| Broken { at, ..Broken::unknown_among("field", name, fields.iter().map(|(field, _)| *field)) })
        }
        other => Err(Broken { at, ..Broken::new(format!("{other} has no field `{name}`")) }),
    }
}
