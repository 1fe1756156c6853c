//! What lives, how long still, and what ends it or does not.

use super::{Dashboard, PANEL, Panel, Row, Shape, Unit, Variable, WEBHOOK, ask, ask_or_zero};

pub(super) const DASHBOARD: Dashboard = Dashboard {
    name: "clones",
    title: "clonewarden: clones",
    about: "What lives and how long still; what is late, why, and what new clones meet.",
    variables: &[Variable { label: "policy", metric: "clonewarden_policy_info" }, Variable { label: "namespace", metric: "clonewarden_clones" }],
    rows: &[LIVES, ENDS, BIRTHS],
};

const LIVES: Row = Row {
    title: "lives",
    height: 8,
    panels: &[
        Panel {
            title: "clones",
            shape: Shape::Stat,
            width: 3,
            about: "All of them, whatever their state.",
            queries: &[ask("sum(max by (namespace, policy, state) (clonewarden_clones{namespace=~\"$namespace\", policy=~\"$policy\"}))", "")],
            ..PANEL
        },
        Panel {
            title: "by state",
            shape: Shape::Stack,
            width: 9,
            about: "Each clone once, in the first state that applies: terminating, held, kept, expiring, broken, living.",
            queries: &[ask(
                "sum by (state) (max by (namespace, policy, state) (clonewarden_clones{namespace=~\"$namespace\", policy=~\"$policy\"}))",
                "{{state}}",
            )],
            alert: "ClonewardenClonesBroken",
            ..PANEL
        },
        Panel {
            title: "limits",
            shape: Shape::Table,
            width: 12,
            about: "What each limit allows and how much of it is used; of clonesPerOwner, by the owner who has most.",
            queries: &[
                ask("max by (namespace, policy, limit) (clonewarden_limit_used_clones{namespace=~\"$namespace\", policy=~\"$policy\"})", "used"),
                ask(
                    "max by (namespace, policy, limit) (clonewarden_limit_allowed_clones{namespace=~\"$namespace\", policy=~\"$policy\"})",
                    "allowed",
                ),
            ],
            alert: "ClonewardenCapNear",
            ..PANEL
        },
    ],
};

const ENDS: Row = Row {
    title: "ends",
    height: 8,
    panels: &[
        Panel {
            title: "longest overdue",
            shape: Shape::Stat,
            unit: Unit::Seconds,
            width: 4,
            about: "How long the oldest overdue clone has been so, whatever lets it live.",
            queries: &[ask_or_zero("max(clonewarden_overdue_oldest_seconds{policy=~\"$policy\"})", "")],
            levels: &[(120.0, "orange"), (900.0, "red")],
            alert: "ClonewardenReaperBehind",
            ..PANEL
        },
        Panel {
            title: "overdue by what lets them live",
            shape: Shape::Stack,
            about: "due: being deleted. grace: a later end is announced. audit, brake, pause, held: they stay until that is over.",
            queries: &[ask("sum by (cause) (max by (policy, cause) (clonewarden_overdue_clones{policy=~\"$policy\"}))", "{{cause}}")],
            alert: "ClonewardenReaperBehind",
            ..PANEL
        },
        Panel {
            title: "next ends",
            shape: Shape::Table,
            unit: Unit::Seconds,
            width: 12,
            about: "The twenty that end next. Not those that are kept or terminating; none where there are more than `--clone-metrics`.",
            queries: &[ask(
                "bottomk(20, max by (namespace, name) (clonewarden_clone_expires_timestamp_seconds{namespace=~\"$namespace\"})) - time()",
                "ends in",
            )],
            ..PANEL
        },
        Panel {
            title: "deletions",
            width: 8,
            about: "Deletions of clones and of what they left behind, by how they ended. `conflict` is judged anew, `failed` is tried again.",
            queries: &[ask("sum by (outcome) (increase(clonewarden_actions_total{action=\"delete\"}[$__rate_interval]))", "{{outcome}}")],
            alert: "ClonewardenActionsFailing",
            ..PANEL
        },
        Panel {
            title: "how late ends were",
            unit: Unit::Seconds,
            about: "How long after the announced and computed end the API server had accepted the deletion. A gap: nothing ended.",
            queries: &[
                ask("histogram_quantile(0.5, sum by (le) (rate(clonewarden_expiry_lateness_seconds_bucket[$__rate_interval])))", "half within"),
                ask("histogram_quantile(0.99, sum by (le) (rate(clonewarden_expiry_lateness_seconds_bucket[$__rate_interval])))", "99 % within"),
            ],
            ..PANEL
        },
        Panel {
            title: "what a person should look at",
            shape: Shape::Table,
            about: "Alerts of the present plan by code, from a value that cannot be read to a clone that hangs. docs/reasons.md explains each.",
            queries: &[ask("max by (code, policy) (clonewarden_decisions{action=\"alert\", policy=~\"$policy|\"})", "how many")],
            ..PANEL
        },
    ],
};

const BIRTHS: Row = Row {
    title: "births",
    height: 8,
    panels: &[
        Panel {
            title: "reviews",
            unit: Unit::PerSecond,
            width: 9,
            about: "How the webhook judged clones that were created or changed. `audit`: let in; under enforce it may not have been.",
            queries: &[ask(
                "sum by (phase, outcome) (rate(clonewarden_admission_reviews_total{outcome!=\"forwarded\"}[$__rate_interval]))",
                "{{phase}} {{outcome}}",
            )],
            needs: WEBHOOK,
            ..PANEL
        },
        Panel {
            title: "refused, by why",
            shape: Shape::Bars,
            width: 9,
            about: "Refusals in the time shown; the first of a code after a start of the daemon does not count. docs/admission.md explains each code.",
            queries: &[ask("sum by (code) (increase(clonewarden_admission_reviews_total{outcome=\"refused\"}[$__range])) > 0", "{{code}}")],
            needs: "the webhook (`--webhook-listen`) and a refusal",
            ..PANEL
        },
        Panel {
            title: "promised places",
            width: 6,
            about: "Places that are promised to clones which were not seen yet. They count against the limits until the clone is seen.",
            queries: &[ask("max(clonewarden_admission_reservations)", "promised")],
            needs: WEBHOOK,
            ..PANEL
        },
    ],
};
