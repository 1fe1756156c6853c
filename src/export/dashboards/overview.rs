//! Is all well, and if not, where to look.

use super::{Dashboard, PANEL, Panel, Row, Shape, Unit, ask, column};

pub(super) const DASHBOARD: Dashboard = Dashboard {
    name: "overview",
    title: "clonewarden: overview",
    about: "Is all well, and if not, where to look: who acts, what lives, what is late or held, what was left behind, what it costs.",
    variables: &[],
    rows: &[NOW, CLONES, REST],
};

const NOW: Row = Row {
    title: "now",
    height: 5,
    panels: &[
        Panel {
            title: "acts",
            shape: Shape::Stat,
            width: 3,
            about: "Whether a replica holds the lease. Without one everything is decided and nothing is done.",
            queries: &[ask("max(clonewarden_leader)", "")],
            words: &[("0", "nobody", "red"), ("1", "yes", "green")],
            alert: "ClonewardenNobodyActs",
            ..PANEL
        },
        Panel {
            title: "paused",
            shape: Shape::Stat,
            width: 3,
            about: "Whether `clonewarden pause` stops every write. Clones live on past their end until `clonewarden resume`.",
            queries: &[ask("max(clonewarden_paused)", "")],
            words: &[("0", "no", "green"), ("1", "paused", "red")],
            alert: "ClonewardenPaused",
            ..PANEL
        },
        Panel {
            title: "brakes on",
            shape: Shape::Stat,
            width: 3,
            about: "Policies with more unannounced ends than they allow. None of these goes until `clonewarden brake release`.",
            queries: &[ask("sum(max by (policy) (clonewarden_brake_on))", "")],
            levels: &[(1.0, "red")],
            alert: "ClonewardenBrakeOn",
            ..PANEL
        },
        Panel {
            title: "silent for",
            shape: Shape::Stat,
            unit: Unit::Seconds,
            width: 3,
            about: "How long ago the slowest of the loops did its work. Each turns once a minute, whatever there is to do.",
            queries: &[ask(
                "max(time() - max by (loop) (clonewarden_loop_last_success_timestamp_seconds{loop=~\"plan|act|lease|state|approvals\"}))",
                "",
            )],
            levels: &[(90.0, "orange"), (180.0, "red")],
            alert: "ClonewardenSilent",
            ..PANEL
        },
        Panel {
            title: "looks again",
            shape: Shape::Stat,
            unit: Unit::FromNow,
            width: 4,
            about: "When the present plan wants to look again if nothing happens before.",
            queries: &[ask("max(clonewarden_plan_next_wakeup_timestamp_seconds) * 1000", "")],
            ..PANEL
        },
        Panel {
            title: "alerts that fire",
            shape: Shape::Table,
            about: "The alerts of deploy/monitoring/rules.yaml. Each has a page in docs/runbooks.md that says what to do.",
            queries: &[ask("count by (alertname, severity) (ALERTS{alertname=~\"Clonewarden.*\", alertstate=\"firing\"})", "series")],
            ..PANEL
        },
    ],
};

const CLONES: Row = Row {
    title: "clones",
    height: 8,
    panels: &[
        Panel {
            title: "clones by state",
            shape: Shape::Stack,
            about: "Each clone once, in the first state that applies: terminating, held, kept, expiring, broken, living.",
            queries: &[ask("sum by (state) (max by (namespace, policy, state) (clonewarden_clones))", "{{state}}")],
            ..PANEL
        },
        Panel {
            title: "used of the limits",
            shape: Shape::Bars,
            unit: Unit::Share,
            width: 6,
            about: "How much of each namespace's limits is used. At 100 % new clones are refused.",
            queries: &[ask(
                "max by (namespace, limit) (clonewarden_limit_used_clones{limit!=\"clonesPerOwner\"}) \
                 / (max by (namespace, limit) (clonewarden_limit_allowed_clones{limit!=\"clonesPerOwner\"}) > 0)",
                "{{namespace}} {{limit}}",
            )],
            levels: &[(0.9, "orange"), (1.0, "red")],
            alert: "ClonewardenCapNear",
            ..PANEL
        },
        Panel {
            title: "overdue",
            shape: Shape::Stack,
            width: 5,
            about: "Clones past their computed end that nobody has deleted, by what lets them live. `due` should go within seconds.",
            queries: &[ask("sum by (cause) (max by (policy, cause) (clonewarden_overdue_clones))", "{{cause}}")],
            alert: "ClonewardenReaperBehind",
            ..PANEL
        },
        Panel {
            title: "held",
            shape: Shape::Table,
            width: 5,
            about: "What is not known well enough to be ended or removed, by why. docs/reasons.md explains each code.",
            queries: &[ask(
                "sum by (code, kind) (max by (code, kind, policy) (clonewarden_holds and on (instance) clonewarden_leader == 1))",
                "held",
            )],
            alert: "ClonewardenHoldLasting",
            ..PANEL
        },
    ],
};

const REST: Row = Row {
    title: "left behind, and money",
    height: 8,
    panels: &[
        Panel {
            title: "orphans",
            shape: Shape::Table,
            width: 10,
            about: "What dead clones left behind and what it costs, by how far it has come. `Held` and `Marked` ones stay until somebody acts.",
            queries: &[
                ask("sum by (phase) (max by (kind, phase, policy_known) (clonewarden_orphans{phase!=\"Deleted\"}))", "orphans"),
                column("sum by (phase) (max by (kind, phase) (clonewarden_orphans_cost_usd_per_hour))", "USD an hour", Unit::Usd),
            ],
            alert: "ClonewardenOrphanOld",
            ..PANEL
        },
        Panel {
            title: "this month",
            shape: Shape::Table,
            unit: Unit::Usd,
            width: 14,
            about: "What the clones of each namespace have cost, will cost if each lives to its end, and will have cost; and the budget.",
            queries: &[
                ask("sum by (namespace) (max by (namespace, part) (clonewarden_cost_accrued_usd))", "accrued"),
                ask("max by (namespace) (clonewarden_cost_committed_usd)", "committed"),
                ask("max by (namespace) (clonewarden_cost_forecast_usd)", "forecast"),
                ask("max by (namespace) (clonewarden_budget_usd)", "budget"),
            ],
            alert: "ClonewardenBudgetNear",
            ..PANEL
        },
    ],
};
