//! What clones cost, what that is of the budget, and how far the estimate is from the bill.

use super::{BILL, Dashboard, PANEL, Panel, Row, Shape, Unit, Variable, ask, ask_or_zero};

pub(super) const DASHBOARD: Dashboard = Dashboard {
    name: "cost",
    title: "clonewarden: cost and budget",
    about: "What clones cost now and this month (UTC), what that is of the budget, and how far the estimate is from the bill. docs/money.md says how it is reckoned.",
    variables: &[Variable { label: "namespace", metric: "clonewarden_cost_accrued_usd" }],
    rows: &[MONTH, RATE, TRUST],
};

const MONTH: Row = Row {
    title: "this month",
    height: 8,
    panels: &[
        Panel {
            title: "accrued and committed, of the budget",
            shape: Shape::Bars,
            unit: Unit::Share,
            width: 7,
            about: "What is spent, and what those who live will still cost. Over 100 % new clones meet `budget.atLimit`; none is ended for money.",
            queries: &[ask(
                "(sum by (namespace) (max by (namespace, part) (clonewarden_cost_accrued_usd{namespace=~\"$namespace\"})) \
                 + max by (namespace) (clonewarden_cost_committed_usd)) / max by (namespace) (clonewarden_budget_usd)",
                "{{namespace}}",
            )],
            levels: &[(0.8, "orange"), (1.0, "red")],
            alert: "ClonewardenBudgetExceeded",
            ..PANEL
        },
        Panel {
            title: "by namespace",
            shape: Shape::Table,
            unit: Unit::Usd,
            width: 11,
            about: "estimated: how much of what is accrued is, since nobody watched when clones went.",
            queries: &[
                ask("sum by (namespace) (max by (namespace, part) (clonewarden_cost_accrued_usd{namespace=~\"$namespace\"}))", "accrued"),
                ask("max by (namespace) (clonewarden_cost_estimated_usd{namespace=~\"$namespace\"})", "estimated"),
                ask("max by (namespace) (clonewarden_cost_committed_usd{namespace=~\"$namespace\"})", "committed"),
                ask("max by (namespace) (clonewarden_cost_forecast_usd{namespace=~\"$namespace\"})", "forecast"),
                ask("max by (namespace) (clonewarden_budget_usd{namespace=~\"$namespace\"})", "budget"),
            ],
            alert: "ClonewardenBudgetNear",
            ..PANEL
        },
        Panel {
            title: "saved, by why",
            shape: Shape::Bars,
            unit: Unit::Usd,
            width: 6,
            about: "What was reaped this month would have cost so much until it would have ended otherwise.",
            queries: &[ask("sum by (why) (max by (namespace, why) (clonewarden_saved_usd{namespace=~\"$namespace\"}))", "{{why}}")],
            needs: "a clone that was reaped and has a price",
            ..PANEL
        },
        Panel {
            title: "accrued, and forecast",
            unit: Unit::Usd,
            width: 24,
            about: "How the month goes: what is spent, and what it will have cost when it is over as it has gone until then.",
            queries: &[
                ask("sum(max by (namespace, part) (clonewarden_cost_accrued_usd{namespace=~\"$namespace\"}))", "accrued"),
                ask("sum(max by (namespace) (clonewarden_cost_forecast_usd{namespace=~\"$namespace\"}))", "forecast"),
                ask("sum(max by (namespace, policy) (clonewarden_budget_usd{namespace=~\"$namespace\"}))", "budgets"),
            ],
            ..PANEL
        },
    ],
};

const RATE: Row = Row {
    title: "an hour",
    height: 8,
    panels: &[
        Panel {
            title: "clones, by part",
            shape: Shape::Stack,
            unit: Unit::Usd,
            about: "What clones cost an hour: databases (or shares of hosts), storage, compute (shares of nodes), fixed (parts of the platform).",
            queries: &[ask("sum by (part) (max by (namespace, part) (clonewarden_cost_usd_per_hour{namespace=~\"$namespace\"}))", "{{part}}")],
            ..PANEL
        },
        Panel {
            title: "clones, by namespace",
            shape: Shape::Stack,
            unit: Unit::Usd,
            about: "The same, by who causes it.",
            queries: &[ask(
                "sum by (namespace) (max by (namespace, part) (clonewarden_cost_usd_per_hour{namespace=~\"$namespace\"}))",
                "{{namespace}}",
            )],
            ..PANEL
        },
        Panel {
            title: "what no clone bears",
            shape: Shape::Stack,
            unit: Unit::Usd,
            about: "Paid for and taken by nobody: free room on nodes (compute), free schemas of hosts, places that nobody lives in (fixed).",
            queries: &[ask("max by (part) (clonewarden_cost_unallocated_usd_per_hour)", "{{part}}")],
            ..PANEL
        },
    ],
};

const TRUST: Row = Row {
    title: "how far it can be trusted",
    height: 8,
    panels: &[
        Panel {
            title: "counted up to",
            shape: Shape::Stat,
            unit: Unit::FromNow,
            width: 4,
            about: "The oldest ledger of the month. It is written once a minute; what is not known is not counted until it is.",
            queries: &[ask("min(max by (namespace) (clonewarden_cost_counted_timestamp_seconds{namespace=~\"$namespace\"})) * 1000", "")],
            alert: "ClonewardenCostsNotCounted",
            ..PANEL
        },
        Panel {
            title: "the estimate, off the bill",
            unit: Unit::Share,
            about: "0.1 is ten percent too much, -1 is all of it missing. What lies on a shared host is estimated and carries no tag.",
            queries: &[ask("max by (namespace, month) (clonewarden_cost_drift_ratio{namespace=~\"$namespace\"})", "{{namespace}} {{month}}")],
            needs: BILL,
            alert: "ClonewardenCostDrift",
            ..PANEL
        },
        Panel {
            title: "billed, by service",
            shape: Shape::Bars,
            unit: Unit::Usd,
            about: "What AWS has billed for the days that are over, this month and the last. AWS corrects the last days.",
            queries: &[ask("topk(12, max by (month, service) (clonewarden_billing_actual_usd))", "{{month}} {{service}}")],
            needs: BILL,
            ..PANEL
        },
        Panel {
            title: "requests for the bill",
            shape: Shape::Stat,
            width: 4,
            about: "Requests to Cost Explorer in the time shown. AWS bills $0.01 for each.",
            queries: &[ask_or_zero("sum(increase(clonewarden_billing_calls_total[$__range]))", "")],
            needs: BILL,
            ..PANEL
        },
    ],
};
