//! Whether one condition holds wherever another does, and whether one can hold at all, as far as their form shows it.
//!
//! Contract: never a wrong yes. `&&` and `||` are taken apart, everything else is compared part by part. CEL's two operators do not
//! mind an error on one side if the other decides, so what follows for truths follows for conditions.

use super::reads::descend;
use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

/// More steps than this are not taken: a condition has at most two hundred words, and few share their parts.
const MOST_STEPS: u32 = 300;

/// Whether `then` holds wherever `given` does.
pub(super) fn implies(given: &IdedExpr, then: &IdedExpr) -> bool {
    Prover { left: MOST_STEPS }.implies(given, then)
}

/// Whether it is written out as this truth.
pub(super) fn is_literally(node: &IdedExpr, truth: bool) -> bool {
    matches!(&node.expr, Expr::Literal(LiteralValue::Boolean(said)) if *said.inner() == truth)
}

/// Whether it asks for a `clone.spec.ttlSeconds` that is never there: when a condition is judged, that has been brought between these
/// bounds, in seconds.
pub(super) fn asks_for_no_life(node: &IdedExpr, bounds: (i64, i64)) -> bool {
    if let Some((one, other)) = operands(node, operators::LOGICAL_AND) {
        return asks_for_no_life(one, bounds) || asks_for_no_life(other, bounds);
    }
    if let Some((one, other)) = operands(node, operators::LOGICAL_OR) {
        return asks_for_no_life(one, bounds) && asks_for_no_life(other, bounds);
    }
    let (least, most) = bounds;
    // Each sign with the one that says the same the other way round.
    let signs = [
        (operators::LESS, operators::GREATER, &(|asked| least >= asked) as &dyn Fn(i64) -> bool),
        (operators::LESS_EQUALS, operators::GREATER_EQUALS, &|asked| least > asked),
        (operators::GREATER, operators::LESS, &|asked| most <= asked),
        (operators::GREATER_EQUALS, operators::LESS_EQUALS, &|asked| most < asked),
        (operators::EQUALS, operators::EQUALS, &|asked| asked < least || asked > most),
    ];
    signs.into_iter().any(|(sign, mirrored, never)| {
        let asked = operands(node, sign).and_then(|(one, other)| asked_life(one, other));
        let asked = asked.or_else(|| operands(node, mirrored).and_then(|(one, other)| asked_life(other, one)));
        asked.is_some_and(never)
    })
}

/// The number beside `clone.spec.ttlSeconds`.
fn asked_life(field: &IdedExpr, number: &IdedExpr) -> Option<i64> {
    let mut path = Vec::new();
    let is_life = descend(field, &mut path) && path == ["clone", "spec", "ttlSeconds"];
    match &number.expr {
        Expr::Literal(LiteralValue::Int(number)) if is_life => Some(*number.inner()),
        _ => None,
    }
}

struct Prover {
    left: u32,
}

impl Prover {
    fn implies(&mut self, given: &IdedExpr, then: &IdedExpr) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        if same(given, then) || is_literally(given, false) || is_literally(then, true) {
            return true;
        }
        // What loses nothing comes first; of the rest either way may be the one that leads on.
        if let Some((one, other)) = operands(then, operators::LOGICAL_AND) {
            return self.implies(given, one) && self.implies(given, other);
        }
        if let Some((one, other)) = operands(given, operators::LOGICAL_OR) {
            return self.implies(one, then) && self.implies(other, then);
        }
        let of_given = operands(given, operators::LOGICAL_AND).is_some_and(|(one, other)| self.implies(one, then) || self.implies(other, then));
        of_given || operands(then, operators::LOGICAL_OR).is_some_and(|(one, other)| self.implies(given, one) || self.implies(given, other))
    }
}

fn operands<'a>(node: &'a IdedExpr, operator: &str) -> Option<(&'a IdedExpr, &'a IdedExpr)> {
    match &node.expr {
        Expr::Call(call) if call.func_name == operator => match call.args.as_slice() {
            [one, other] => Some((one, other)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether two trees are the same but for the numbers of their nodes.
fn same(one: &IdedExpr, other: &IdedExpr) -> bool {
    let all = |ones: &[IdedExpr], others: &[IdedExpr]| ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| same(one, other));
    match (&one.expr, &other.expr) {
        (Expr::Ident(one), Expr::Ident(other)) => one == other,
        (Expr::Literal(one), Expr::Literal(other)) => one == other,
        (Expr::Select(one), Expr::Select(other)) => one.field == other.field && one.test == other.test && same(&one.operand, &other.operand),
        (Expr::List(one), Expr::List(other)) => all(&one.elements, &other.elements),
        (Expr::Call(one), Expr::Call(other)) => {
            let targets = match (&one.target, &other.target) {
                (None, None) => true,
                (Some(one), Some(other)) => same(one, other),
                _ => false,
            };
            one.func_name == other.func_name && targets && all(&one.args, &other.args)
        }
        (Expr::Comprehension(one), Expr::Comprehension(other)) => {
            let parts = |turns: &'_ ComprehensionExpr| (turns.iter_var.clone(), turns.iter_var2.clone(), turns.accu_var.clone());
            let same_parts = [
                (&one.iter_range, &other.iter_range),
                (&one.accu_init, &other.accu_init),
                (&one.loop_cond, &other.loop_cond),
                (&one.loop_step, &other.loop_step),
                (&one.result, &other.result),
            ];
            parts(one) == parts(other) && same_parts.into_iter().all(|(one, other)| same(one, other))
        }
        // Conditions hold no others.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use crate::policy::Facts;
    use proptest::prelude::*;
    use serde_json::json;

    fn implies(given: &str, then: &str) -> bool {
        Condition::compile(given).unwrap().implies(&Condition::compile(then).unwrap())
    }

    #[test]
    fn what_follows_is_found() {
        let (a, b, c) = ("clone.labels['a'] == 'x'", "clone.owner == 'b'", "clone.labels.exists(k, k == 'c')");
        for (given, then) in [
            (a.to_owned(), a.to_owned()),
            (c.to_owned(), c.to_owned()),
            (format!("{a} && {b}"), a.to_owned()),
            (format!("{b} && {c} && {a}"), format!("{a} && {b}")),
            (a.to_owned(), format!("{b} || {a}")),
            (format!("({a} || {b}) && {c}"), format!("{b} || {a}")),
            (format!("{a} && {b}"), format!("({a} || {c}) && ({b} || {c})")),
            ("false".to_owned(), a.to_owned()),
            (a.to_owned(), "true".to_owned()),
        ] {
            assert!(implies(&given, &then), "{given} => {then}");
        }
    }

    #[test]
    fn what_does_not_follow_is_not() {
        let (a, b) = ("clone.labels['a'] == 'x'", "clone.owner == 'b'");
        for (given, then) in [
            (a.to_owned(), b.to_owned()),
            (a.to_owned(), format!("{a} && {b}")),
            (format!("{a} || {b}"), a.to_owned()),
            (a.to_owned(), "clone.labels['a'] == 'y'".to_owned()),
            (a.to_owned(), "clone.labels['b'] == 'x'".to_owned()),
            (a.to_owned(), "clone.annotations['a'] == 'x'".to_owned()),
            ("has(clone.owner)".to_owned(), "clone.owner == ''".to_owned()),
            (format!("!({a})"), a.to_owned()),
        ] {
            assert!(!implies(&given, &then), "{given} => {then}");
        }
    }

    #[test]
    fn a_life_that_no_clone_has_is_found() {
        let asks = |text: &str| Condition::compile(text).unwrap().asks_for_no_life((900, 86_400));
        for never in [
            "clone.spec.ttlSeconds > 86400",
            "86400 < clone.spec.ttlSeconds",
            "clone.spec['ttlSeconds'] >= 86401",
            "clone.spec.ttlSeconds < 900",
            "clone.spec.ttlSeconds <= 899",
            "899 >= clone.spec.ttlSeconds",
            "clone.spec.ttlSeconds == 60",
            "clone.owner == 'x' && clone.spec.ttlSeconds > 90000",
            "clone.spec.ttlSeconds > 90000 || clone.spec.ttlSeconds < 60",
        ] {
            assert!(asks(never), "{never}");
        }
        for some in [
            "clone.spec.ttlSeconds >= 86400",
            "clone.spec.ttlSeconds <= 900",
            "clone.spec.ttlSeconds > 60",
            "clone.spec.ttlSeconds != 60",
            "!(clone.spec.ttlSeconds > 90000)",
            "clone.spec.ttlSeconds > 90000 || clone.owner == 'x'",
            "clone.spec.ttlSeconds == 7200",
            "hosts.mysql.free > 90000",
        ] {
            assert!(!asks(some), "{some}");
        }
    }

    #[test]
    fn a_long_chain_is_given_up_in_time() {
        let chain = |sign: &str| (0..12).map(|n| format!("clone.name=='{n}'")).collect::<Vec<_>>().join(sign);
        assert!(!implies(&chain("&&").replace('0', "x"), &format!("{} || clone.name == 'y'", chain("||").replace('=', "!=").replace("!=!=", "!="))));
    }

    fn condition() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "clone.labels['a'] == 'x'",
            "clone.labels['b'] == 'x'",
            "clone.owner == 'x'",
            "int(clone.name) > 1",
            "true",
            "false",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(3, 12, 2, |inner| {
            (inner.clone(), prop::sample::select(vec!["&&", "||"]), inner).prop_map(|(one, sign, other)| format!("({one}) {sign} ({other})"))
        })
    }

    proptest! {
        /// Whatever the facts, errors and what is missing included.
        #[test]
        fn a_yes_is_never_wrong(given in condition(), then in condition(), a: Option<bool>, b: Option<bool>, owner: Option<bool>, name in prop::sample::select(vec!["1", "2", "x"])) {
            let (Ok(given), Ok(then)) = (Condition::compile(&given), Condition::compile(&then)) else { return Ok(()) };
            let word = |said: Option<bool>| said.map(|said| if said { "x" } else { "y" });
            let mut clone = json!({"name": name, "labels": {}});
            for (key, said) in [("a", word(a)), ("b", word(b))] {
                said.into_iter().for_each(|said| clone["labels"][key] = json!(said));
            }
            word(owner).into_iter().for_each(|said| clone["owner"] = json!(said));
            let facts = Facts { clone, namespace: json!({}), budget: json!({}), hosts: json!({}) };
            if given.implies(&then) && given.holds(&facts) == Ok(true) {
                prop_assert_eq!(then.holds(&facts), Ok(true));
            }
        }
    }
}
