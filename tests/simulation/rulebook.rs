//! The policies of a story: as the oracle reads them, and the same as the product loads them.

use crate::rules::{Rule, Scope};
use clonewarden::{
    model::Span,
    policy::{BrakeRules, ClonePolicy, DatabaseHost, Endpoint, Limits, Mode, Namespaces, OrphanRules, Policies, Ttl},
    rng::Rng,
};
use std::{collections::BTreeMap, sync::Arc};

/// The shared host, as clones name it.
pub(crate) const HOST: &str = "db.example.com";

impl Rule {
    /// Rules for orphans that make sense in a world in which clones live for minutes.
    pub(crate) fn hasten_orphans(&mut self, dice: &mut Rng) {
        let mut pick = |low, high| i64::try_from(dice.between(low, high)).unwrap();
        (self.soak, self.observations, self.kept_for) = (pick(30, 90), pick(1, 3), pick(60, 240));
        self.final_snapshot = pick(0, 9) > 1;
        (self.deletes, self.percent) = (pick(3, 12).unsigned_abs() as usize, pick(40, 100).unsigned_abs() as usize);
    }
}

pub(crate) fn first_rules(rng: &mut Rng) -> Vec<Rule> {
    let mut rule = |name, scope| {
        let mut pick = |low, high| i64::try_from(rng.between(low, high)).unwrap();
        let maximum = pick(300, 1_500);
        Rule {
            name,
            scope,
            enforce: pick(0, 9) > 1,
            default: pick(60, 300),
            minimum: pick(10, 60),
            maximum,
            grace: pick(60, 90),
            deletes: usize::try_from(pick(2, 6)).unwrap(),
            percent: usize::try_from(pick(10, 90)).unwrap(),
            per: pick(200, 600),
            soak: 3_600,
            observations: 3,
            final_snapshot: true,
            kept_for: 7 * 86_400,
        }
    };
    vec![rule("production", Scope::Name("prod")), rule("staging", Scope::Label("staging")), rule("review", Scope::Label("review"))]
}

/// The same rules as the product loads them, with a shared database host or without.
pub(crate) fn product(rules: &[Rule], revision: u32, hosted: bool) -> Policies {
    let policy = |rule: &Rule| ClonePolicy {
        name: Arc::from(rule.name),
        file: "sim.yaml".to_owned(),
        line: 1,
        lines: Default::default(),
        mode: if rule.enforce { Mode::Enforce } else { Mode::Audit },
        namespaces: match rule.scope {
            Scope::Name(name) => Namespaces::Names(vec![name.to_owned()]),
            Scope::Label(value) => Namespaces::Selector(BTreeMap::from([("env".to_owned(), value.to_owned())])),
        },
        ttl: Ttl {
            default: Span::seconds(rule.default),
            minimum: Span::seconds(rule.minimum),
            maximum: Span::seconds(rule.maximum),
            warnings: vec![Span::seconds(120), Span::seconds(30)],
            grace: Span::seconds(rule.grace),
        },
        idle: None,
        limits: Limits::default(),
        quota: BTreeMap::new(),
        limit_range: None,
        databases: Vec::new(),
        budget: None,
        orphans: OrphanRules {
            soak: Span::seconds(rule.soak),
            observations: u32::try_from(rule.observations).unwrap(),
            final_snapshot: rule.final_snapshot,
            snapshots_kept_for: Span::seconds(rule.kept_for),
        },
        brake: BrakeRules {
            deletes: u32::try_from(rule.deletes).unwrap(),
            percent: u32::try_from(rule.percent).unwrap(),
            per: Span::seconds(rule.per),
        },
    };
    Policies {
        revision: format!("sha256:{revision}").into(),
        policies: rules.iter().map(|rule| Arc::new(policy(rule))).collect(),
        hosts: if hosted { vec![host()] } else { Vec::new() },
        prices: clonewarden::policy::prices::built_in(),
    }
}

fn host() -> DatabaseHost {
    DatabaseHost {
        name: "h".to_owned(),
        file: "sim.yaml".to_owned(),
        line: 1,
        endpoint: Endpoint::new(HOST, 3306),
        schemas: 100,
        credentials_dir: Some("/etc/h".to_owned()),
        rds: None,
        cost_per_hour: None,
    }
}
