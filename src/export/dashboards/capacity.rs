//! How much room there is and how much of it is used.

use super::{Dashboard, PANEL, Panel, Row, Shape, Unit, ask};

/// What panels about nodes and quotas need: somebody who makes Pods and counts them.
const CLUSTER: &str = "a cluster with nodes (the demo has none)";

pub(super) const DASHBOARD: Dashboard = Dashboard {
    name: "capacity",
    title: "clonewarden: capacity",
    about: "How much room there is and how much of it is used: limits, quotas, shared hosts, nodes, autoscalers.",
    variables: &[],
    rows: &[BOUNDS, NODES, SCALING],
};

const BOUNDS: Row = Row {
    title: "what bounds clones",
    height: 8,
    panels: &[
        Panel {
            title: "clones of what a namespace may have",
            shape: Shape::Bars,
            unit: Unit::Share,
            about: "Clones and dedicated databases against the caps of the policies. At 100 % new ones are refused.",
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
            title: "quota used",
            shape: Shape::Bars,
            unit: Unit::Share,
            about: "What is used of the ResourceQuota of each namespace. At 100 % Pods of new clones are not made.",
            queries: &[ask(
                "max by (namespace, resource) (clonewarden_quota_used) / (max by (namespace, resource) (clonewarden_quota_allowed) > 0)",
                "{{namespace}} {{resource}}",
            )],
            levels: &[(0.8, "orange"), (0.95, "red")],
            needs: "a policy with `quota`, and a cluster that counts it",
            ..PANEL
        },
        Panel {
            title: "room on shared hosts",
            shape: Shape::Bars,
            about: "How many more schemas each shared database host has room for.",
            queries: &[ask(
                "max by (host) (clonewarden_host_schemas_allowed) - sum by (host) (max by (host, state) (clonewarden_host_schemas))",
                "{{host}}",
            )],
            alert: "ClonewardenHostFull",
            ..PANEL
        },
    ],
};

const NODES: Row = Row {
    title: "nodes",
    height: 8,
    panels: &[
        Panel {
            title: "on spot",
            shape: Shape::Stat,
            unit: Unit::Share,
            width: 4,
            about: "Which share of the nodes is of spot capacity.",
            queries: &[ask(
                "max by (capacity) (clonewarden_nodes{capacity=\"spot\"}) / ignoring (capacity) sum(max by (capacity) (clonewarden_nodes))",
                "",
            )],
            needs: CLUSTER,
            ..PANEL
        },
        Panel {
            title: "nodes by capacity",
            shape: Shape::Stack,
            width: 8,
            about: "Spot nodes by the labels of EKS and Karpenter; every other one is on demand.",
            queries: &[ask("max by (capacity) (clonewarden_nodes)", "{{capacity}}")],
            needs: CLUSTER,
            ..PANEL
        },
        Panel {
            title: "CPU, in cores",
            width: 12,
            about: "What Pods may ask for on all nodes together, and what Pods of clones ask for. Other Pods are not looked at.",
            queries: &[
                ask("sum by (resource) (max by (capacity, resource) (clonewarden_nodes_allocatable{resource=\"cpu\"}))", "allocatable"),
                ask("max by (resource) (clonewarden_clones_requested{resource=\"cpu\"})", "asked for by clones"),
            ],
            needs: CLUSTER,
            ..PANEL
        },
        Panel {
            title: "memory",
            unit: Unit::Bytes,
            width: 12,
            about: "The same for memory.",
            queries: &[
                ask("sum by (resource) (max by (capacity, resource) (clonewarden_nodes_allocatable{resource=\"memory\"}))", "allocatable"),
                ask("max by (resource) (clonewarden_clones_requested{resource=\"memory\"})", "asked for by clones"),
            ],
            needs: CLUSTER,
            ..PANEL
        },
        Panel {
            title: "Pods",
            width: 12,
            about: "How many Pods the nodes take, and how many clones have.",
            queries: &[
                ask("sum by (resource) (max by (capacity, resource) (clonewarden_nodes_allocatable{resource=\"pods\"}))", "allocatable"),
                ask("max by (resource) (clonewarden_clones_requested{resource=\"pods\"})", "of clones"),
            ],
            needs: CLUSTER,
            ..PANEL
        },
    ],
};

const SCALING: Row = Row {
    title: "autoscalers",
    height: 7,
    panels: &[
        Panel {
            title: "HorizontalPodAutoscalers",
            shape: Shape::Stat,
            width: 6,
            about: "How many there are in governed namespaces.",
            queries: &[ask("sum(max by (namespace) (clonewarden_autoscalers))", "")],
            needs: "a HorizontalPodAutoscaler in a governed namespace",
            ..PANEL
        },
        Panel {
            title: "replicas",
            width: 18,
            about: "Replicas that there are, that are wanted, and above which none goes, of all autoscalers of a namespace together.",
            queries: &[ask("max by (namespace, which) (clonewarden_autoscaler_replicas)", "{{namespace}} {{which}}")],
            needs: "a HorizontalPodAutoscaler in a governed namespace",
            ..PANEL
        },
    ],
};
