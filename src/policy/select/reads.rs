//! What a condition looks at, so that its answer can be kept for as long as that stays the same.

use super::tokens::STAND_IN;
use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

/// Which of the facts that differ from clone to clone a condition looks at, beside labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// `clone.name`.
    pub name: bool,
    /// `clone.owner`, or an annotation, in which the owner stands too.
    pub owner: bool,
    /// `clone.spec.ttlSeconds`.
    pub ttl: bool,
    /// `clone.spec.sourceUrl`.
    pub source: bool,
    /// The database that is asked for: `clone.spec.useDedicatedDatabase`, `clone.spec.databaseSize`.
    pub wish: bool,
    /// `hosts`.
    pub hosts: bool,
    /// `budget`.
    pub budget: bool,
}

impl Reads {
    /// What a tree looks at. Whatever is looked at as a whole is looked at in all its parts.
    pub(super) fn of(tree: &IdedExpr) -> Self {
        let mut reads = Self::default();
        reads.walk(tree);
        reads
    }

    /// What either looks at.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            name: self.name || other.name,
            owner: self.owner || other.owner,
            ttl: self.ttl || other.ttl,
            source: self.source || other.source,
            wish: self.wish || other.wish,
            hosts: self.hosts || other.hosts,
            budget: self.budget || other.budget,
        }
    }

    fn walk(&mut self, node: &IdedExpr) {
        let mut path = Vec::new();
        if descend(node, &mut path) {
            return self.note(&path);
        }
        match &node.expr {
            Expr::Select(select) => self.walk(&select.operand),
            Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).for_each(|part| self.walk(part)),
            Expr::List(list) => list.elements.iter().for_each(|part| self.walk(part)),
            Expr::Comprehension(turns) => {
                [&turns.iter_range, &turns.accu_init, &turns.loop_cond, &turns.loop_step, &turns.result].into_iter().for_each(|part| self.walk(part));
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }

    fn note(&mut self, path: &[&str]) {
        match path {
            ["clone"] => (self.name, self.owner, self.ttl, self.source, self.wish) = (true, true, true, true, true),
            ["clone", "name", ..] => self.name = true,
            ["clone", "owner" | "annotations", ..] => self.owner = true,
            ["clone", "spec"] => (self.ttl, self.source, self.wish) = (true, true, true),
            ["clone", "spec", "ttlSeconds", ..] => self.ttl = true,
            ["clone", "spec", "sourceUrl", ..] => self.source = true,
            ["clone", "spec", "useDedicatedDatabase" | "databaseSize", ..] => self.wish = true,
            ["hosts", ..] => self.hosts = true,
            ["budget", ..] => self.budget = true,
            _ => {}
        }
    }
}

/// Puts together `a.b['c']`; not, where a name is not written out.
pub(super) fn descend<'a>(node: &'a IdedExpr, path: &mut Vec<&'a str>) -> bool {
    match &node.expr {
        Expr::Ident(name) => {
            path.push(if name == STAND_IN { "namespace" } else { name });
            true
        }
        Expr::Select(select) if descend(&select.operand, path) => {
            path.push(&select.field);
            true
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] if descend(of, path) => {
                path.push(name.inner());
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;

    #[test]
    fn what_a_condition_looks_at_is_found_in_every_form() {
        for (text, looks_at) in [
            ("clone.labels['team'] == 'web' && namespace.name == 'x'", ""),
            ("clone.spec.useDedicatedDatabase", "wish"),
            ("clone.spec['databaseSize'] == 'x' || clone.spec.sourceUrl == 'y'", "source wish"),
            ("clone.name.startsWith('x')", "name"),
            ("clone['name'] == 'x'", "name"),
            ("clone['n\\x61me'] == 'x'", "name"),
            ("has(clone.owner)", "owner"),
            ("clone.annotations.exists(key, key == 'x')", "owner"),
            ("clone.labels.exists(key, clone.labels[key] == clone.owner)", "owner"),
            ("clone.spec.ttlSeconds > 3600", "ttl"),
            ("clone.spec['ttlSeconds'] > 3600", "ttl"),
            ("clone.spec.exists(key, key == 'x')", "ttl source wish"),
            ("clone.exists(key, key == 'x')", "name owner ttl source wish"),
            ("hosts.one.free > 3", "hosts"),
            ("hosts.exists(host, hosts[host].free > 0)", "hosts"),
            ("budget.set ? clone.owner == 'a' : clone.name in ['b']", "name owner budget"),
        ] {
            let reads = Condition::compile(text).unwrap().reads();
            let words = [
                ("name", reads.name),
                ("owner", reads.owner),
                ("ttl", reads.ttl),
                ("source", reads.source),
                ("wish", reads.wish),
                ("hosts", reads.hosts),
                ("budget", reads.budget),
            ];
            let said: Vec<&str> = words.into_iter().filter_map(|(word, is)| is.then_some(word)).collect();
            assert_eq!(said.join(" "), looks_at, "{text}");
        }
    }
}
