//! The operators and functions that a condition may use.

use super::{Broken, CallExpr, Expr, Fact, GATHERED, IdedExpr, MOST_PLUSES, PLUS, STAND_IN, Shape, Walk, operators};

/// How each function is called, and each of the parser's macros, which are functions to whoever writes them.
const FORMS: [(&str, &str); 13] = [
    ("size", "size(clone.labels)"),
    ("contains", "clone.name.contains('shop')"),
    ("startsWith", "clone.name.startsWith('pr-')"),
    ("endsWith", "clone.owner.endsWith('@example.com')"),
    ("int", "int(clone.labels['priority'])"),
    ("double", "double(clone.spec.ttlSeconds)"),
    ("string", "string(clone.spec.ttlSeconds)"),
    ("has", "has(clone.owner)"),
    ("all", "clone.labels.all(x, x != 'spare')"),
    ("exists", "clone.labels.exists(x, x.startsWith('team/'))"),
    ("exists_one", "clone.labels.exists_one(x, x.startsWith('team/'))"),
    ("map", "clone.labels.map(x, clone.labels[x])"),
    ("filter", "clone.labels.filter(x, x.startsWith('team/'))"),
];

impl<'a> Walk<'a> {
    pub(super) fn call(&mut self, node: &'a IdedExpr, call: &'a CallExpr, depth: usize) -> Result<Shape, Broken> {
        if call.target.is_some() {
            return self.function(node, call, depth);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::INDEX, [of, by]) => self.index(node, of, by, depth),
            (operators::CONDITIONAL, [test, yes, no]) => {
                let test = self.node(test, depth)?;
                self.truth(node, "?", &[&test])?;
                Ok(self.node(yes, depth)?.or(self.node(no, depth)?))
            }
            (name @ (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE | operators::NEGATE), [operand]) => {
                let operand = self.node(operand, depth)?;
                match name {
                    operators::NEGATE if operand.may_be_number() => Ok(operand),
                    operators::NEGATE => Err(self.broken(node, 0, format!("`-` needs a number after it, not {operand}"))),
                    _ => self.truth(node, "!", &[&operand]),
                }
            }
            (name, [left, right]) if is_operator(name) => {
                let gathers = matches!(&left.expr, Expr::Ident(name) if name == GATHERED);
                let (left, right) = (self.node(left, depth)?, self.node(right, depth)?);
                self.operator(node, name, (left, right), gathers)
            }
            _ => self.function(node, call, depth),
        }
    }

    /// What needs true or false, and gives it.
    fn truth(&self, node: &IdedExpr, sign: &str, operands: &[&Shape]) -> Result<Shape, Broken> {
        match operands.iter().find(|operand| !operand.may_be(Fact::Truth)) {
            None => Ok(Fact::Truth.into()),
            Some(wrong) => Err(self.broken(node, 0, format!("`{sign}` needs true or false, not {wrong}"))),
        }
    }

    fn operator(&mut self, node: &IdedExpr, name: &str, (left, right): (Shape, Shape), gathers: bool) -> Result<Shape, Broken> {
        let sign = super::super::sign(name);
        let mixed = |walk: &Self, message: String| {
            let broken = walk.broken(node, 0, message);
            Err(match (&left, &right) {
                (Shape::Fact(Fact::Text), Shape::Fact(Fact::Truth)) | (Shape::Fact(Fact::Truth), Shape::Fact(Fact::Text)) => {
                    broken.help("the values of labels are texts: write 'true' in quotes")
                }
                (Shape::Fact(Fact::Text), other) | (other, Shape::Fact(Fact::Text)) if other.may_be_number() => {
                    broken.help("turn the text into a number with `int(…)`, or write the number in quotes")
                }
                (left, right) if left.may_be_number() && right.may_be_number() => broken.help("turn the whole number into one with `double(…)`"),
                _ => broken,
            })
        };
        match name {
            operators::LOGICAL_AND | operators::LOGICAL_OR => self.truth(node, sign, &[&left, &right]),
            operators::EQUALS | operators::NOT_EQUALS => {
                self.spend(left.weight(self.entries).min(right.weight(self.entries)));
                if !left.meets(&right) {
                    return mixed(self, format!("{left} is never equal to {right}"));
                }
                Ok(Fact::Truth.into())
            }
            operators::IN => {
                self.spend(if matches!(right, Shape::List { .. } | Shape::Unknown) { right.weight(self.entries) } else { 0 });
                let item = match &right {
                    Shape::List { item, .. } => (**item).clone(),
                    Shape::Fact(Fact::Keyed(_) | Fact::Fields(_)) => Fact::Text.into(),
                    Shape::Unknown => Shape::Unknown,
                    other => return Err(self.broken(node, 0, format!("`in` needs a list or a mapping after it, not {other}"))),
                };
                if !left.meets(&item) {
                    return mixed(self, format!("{left} is never among what `in` looks through here"));
                }
                Ok(Fact::Truth.into())
            }
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
                let ordered = |shape: &Shape| shape.may_be_number() || shape.may_be(Fact::Text);
                if !ordered(&left) || !ordered(&right) || !left.meets(&right) {
                    return mixed(self, format!("`{sign}` cannot compare {left} with {right}"));
                }
                Ok(Fact::Truth.into())
            }
            _ => {
                let plus = name == operators::ADD;
                if plus && !gathers {
                    self.spend(PLUS.saturating_add(left.weight(self.entries)).saturating_add(right.weight(self.entries)));
                    self.pluses += 1;
                    if self.pluses > MOST_PLUSES {
                        return Err(self.broken(node, 0, format!("the condition has more than {MOST_PLUSES} `+`")));
                    }
                }
                match (&left, &right) {
                    (Shape::List { item, length }, Shape::List { item: other, length: more }) if plus => {
                        Ok(Shape::List { item: Box::new((**item).clone().or((**other).clone())), length: length.saturating_add(*more) })
                    }
                    (Shape::Unknown | Shape::Empty, _) | (_, Shape::Unknown | Shape::Empty) => Ok(Shape::Unknown),
                    (Shape::Fact(Fact::Text), Shape::Fact(Fact::Text)) if plus => Ok(left),
                    (Shape::Fact(Fact::Fraction), Shape::Fact(Fact::Fraction)) if name != operators::MODULO => Ok(left),
                    (Shape::Fact(Fact::Whole), Shape::Fact(Fact::Whole)) => Ok(left),
                    _ => mixed(self, format!("`{sign}` cannot be applied to {left} and {right}")),
                }
            }
        }
    }

    fn function(&mut self, node: &'a IdedExpr, call: &'a CallExpr, depth: usize) -> Result<Shape, Broken> {
        let name = if call.func_name == STAND_IN { "namespace" } else { &*call.func_name };
        let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) else {
            let unknown = match name {
                "matches" => Broken::new("there are no regular expressions here").help("use `contains`, `startsWith` or `endsWith`"),
                _ => Broken::unknown_among("function", name, FORMS.iter().map(|(known, _)| *known)),
            };
            return Err(Broken { at: self.place(node, -1), ..unknown });
        };
        let wrong = |walk: &Self| walk.broken(node, -1, format!("`{name}` cannot be called like this")).help(format!("write it as `{form}`"));
        // The parser has made something else of these where they are called as they should be.
        if matches!(name, "has" | "all" | "exists" | "exists_one" | "map" | "filter") {
            return Err(wrong(self));
        }
        let target = call.target.as_ref().map(|target| self.node(target, depth)).transpose()?;
        let mut arguments = Vec::new();
        for argument in &call.args {
            arguments.push(self.node(argument, depth)?);
        }
        let scalar = |shape: &Shape| shape.weight(1) == 0 || *shape == Shape::Unknown;
        match (name, target.as_ref(), arguments.as_slice()) {
            ("size", Some(sized), []) | ("size", None, [sized]) if sized.weight(1) > 0 || sized.may_be(Fact::Text) || is_list(sized) => {
                self.spend(sized.weight(self.entries));
                Ok(Fact::Whole.into())
            }
            ("contains" | "startsWith" | "endsWith", Some(text), [part]) if text.may_be(Fact::Text) && part.may_be(Fact::Text) => {
                self.spend(1);
                Ok(Fact::Truth.into())
            }
            ("int", None, [from]) if from.may_be_number() || from.may_be(Fact::Text) => Ok(Fact::Whole.into()),
            ("double", None, [from]) if from.may_be_number() || from.may_be(Fact::Text) => Ok(Fact::Fraction.into()),
            ("string", None, [from]) if scalar(from) => Ok(Fact::Text.into()),
            _ => Err(wrong(self)),
        }
    }
}

fn is_list(shape: &Shape) -> bool {
    matches!(shape, Shape::List { .. })
}

/// Whether the parser makes calls of this name for a sign between two operands.
fn is_operator(name: &str) -> bool {
    const SIGNS: [&str; 14] = [
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::IN,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
        operators::ADD,
        operators::SUBSTRACT,
        operators::MULTIPLY,
        operators::DIVIDE,
        operators::MODULO,
    ];
    SIGNS.contains(&name)
}
