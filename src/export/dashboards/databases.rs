//! Where clones' data lies, and what dead clones left behind.

use super::{Dashboard, PANEL, Panel, Row, Shape, Unit, ask, ask_or_zero, column};

pub(super) const DASHBOARD: Dashboard = Dashboard {
    name: "databases",
    title: "clonewarden: databases and orphans",
    about: "How full the shared hosts are, and what dead clones left behind: how far it has come, what it costs, what holds it.",
    variables: &[],
    rows: &[HOSTS, ORPHANS],
};

const HOSTS: Row = Row {
    title: "databases",
    height: 7,
    panels: &[
        Panel {
            title: "schemas of what there is room for",
            shape: Shape::Bars,
            unit: Unit::Share,
            width: 6,
            about: "All schemas on a shared host, also those of other clusters. When it is full, clones that would live there are refused.",
            queries: &[ask(
                "sum by (host) (max by (host, state) (clonewarden_host_schemas)) / max by (host) (clonewarden_host_schemas_allowed)",
                "{{host}}",
            )],
            levels: &[(0.8, "orange"), (0.9, "red")],
            alert: "ClonewardenHostFull",
            ..PANEL
        },
        Panel {
            title: "schemas by state",
            shape: Shape::Stack,
            width: 9,
            about: "elsewhere: of clones of other clusters. unknown: called like one of ours and in no ledger; it is never dropped.",
            queries: &[ask("max by (host, state) (clonewarden_host_schemas)", "{{host}} {{state}}")],
            ..PANEL
        },
        Panel {
            title: "connections of what is allowed",
            unit: Unit::Share,
            width: 9,
            about: "Connections of all users of a shared host. A host that runs out refuses clones that are there already.",
            queries: &[ask("max by (host) (clonewarden_host_connections) / max by (host) (clonewarden_host_connections_allowed)", "{{host}}")],
            needs: "a shared host that answers",
            ..PANEL
        },
        Panel {
            title: "size of the schemas",
            shape: Shape::Stack,
            unit: Unit::Bytes,
            width: 8,
            about: "Data and indexes of this cluster's schemas, as the server estimates them.",
            queries: &[ask("max by (host) (clonewarden_host_schemas_size_bytes)", "{{host}}")],
            ..PANEL
        },
        Panel {
            title: "every use is counted",
            shape: Shape::States,
            width: 8,
            about: "Whether the host has been seen to count every use of its schemas. While it is not, no clone on it ends because nothing uses it.",
            queries: &[ask("max by (host) (clonewarden_host_use_counted)", "{{host}}")],
            words: &[("0", "no", "orange"), ("1", "yes", "green")],
            needs: "a policy with `idle`",
            ..PANEL
        },
        Panel {
            title: "databases of their own",
            shape: Shape::Stack,
            about: "Dedicated databases of each namespace, where a policy limits them.",
            queries: &[ask("max by (namespace) (clonewarden_limit_used_clones{limit=\"dedicatedDatabases\"})", "{{namespace}}")],
            ..PANEL
        },
    ],
};

const ORPHANS: Row = Row {
    title: "left behind",
    height: 8,
    panels: &[
        Panel {
            title: "orphans now",
            shape: Shape::Table,
            width: 12,
            about: "Each kind and phase: how many, since when the oldest is known, what they cost. `kubectl get orphans` has them by name.",
            queries: &[
                ask("sum by (kind, phase) (max by (kind, phase, policy_known) (clonewarden_orphans{phase!=\"Deleted\"}))", "orphans"),
                column("max by (kind, phase) (clonewarden_orphans_oldest_age_seconds)", "oldest", Unit::Seconds),
                column("max by (kind, phase) (clonewarden_orphans_cost_usd_per_hour)", "USD an hour", Unit::Usd),
            ],
            alert: "ClonewardenOrphanOld",
            ..PANEL
        },
        Panel {
            title: "by phase",
            shape: Shape::Stack,
            width: 12,
            about: "Marked, Soaking, Due, Deleting; Held until somebody acts; Deleted: of the last day.",
            queries: &[ask("sum by (phase) (max by (kind, phase, policy_known) (clonewarden_orphans))", "{{phase}}")],
            ..PANEL
        },
        Panel {
            title: "cost an hour, by kind",
            shape: Shape::Stack,
            unit: Unit::Usd,
            about: "By the price book. What has no price counts as nothing.",
            queries: &[ask("sum by (kind) (max by (kind, phase) (clonewarden_orphans_cost_usd_per_hour))", "{{kind}}")],
            alert: "ClonewardenOrphanCost",
            ..PANEL
        },
        Panel {
            title: "nobody's",
            shape: Shape::Stat,
            width: 4,
            about: "Orphans of namespaces that no known policy governs. They are recorded and never deleted.",
            queries: &[ask_or_zero("sum(max by (kind, phase) (clonewarden_orphans{policy_known=\"false\", phase!=\"Deleted\"}))", "")],
            levels: &[(1.0, "orange")],
            needs: "an orphan that no policy governs",
            alert: "ClonewardenOrphanWithoutPolicy",
            ..PANEL
        },
        Panel {
            title: "held, by why",
            shape: Shape::Table,
            width: 12,
            about: "What is left behind and not known well enough to be removed. docs/reasons.md explains each code.",
            queries: &[ask(
                "max by (code, kind, policy) (clonewarden_holds{kind!=\"WordPressClone\"} and on (instance) clonewarden_leader == 1)",
                "held",
            )],
            alert: "ClonewardenHoldLasting",
            ..PANEL
        },
    ],
};
