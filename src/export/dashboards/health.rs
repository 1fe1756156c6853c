//! Whether the daemon itself does its work.

use super::{API_SERVER, Dashboard, PANEL, Panel, Row, SERVICE, Shape, Unit, WEBHOOK, WEBHOOK_OR_SERVICE, ask};

pub(super) const DASHBOARD: Dashboard = Dashboard {
    name: "health",
    title: "clonewarden: the daemon's own health",
    about: "Whether the daemon does its work: who acts, what each loop did last, what is known of the world, what its requests come to.",
    variables: &[],
    rows: &[ITSELF, KNOWN, REQUESTS],
};

const ITSELF: Row = Row {
    title: "itself",
    height: 8,
    panels: &[
        Panel {
            title: "who acts",
            shape: Shape::States,
            width: 9,
            about: "Each replica: whether it holds the lease. Every one plans; exactly one should act.",
            queries: &[ask("max by (instance) (clonewarden_leader)", "{{instance}}")],
            words: &[("0", "stands by", "blue"), ("1", "acts", "green")],
            alert: "ClonewardenNobodyActs",
            ..PANEL
        },
        Panel {
            title: "policies in force",
            shape: Shape::Table,
            width: 15,
            about: "By how many replicas. Two revisions for long: one of them does not get the rollout.",
            queries: &[ask("count by (policy, mode, commit, revision) (clonewarden_policy_info)", "replicas")],
            alert: "ClonewardenPoliciesDiffer",
            ..PANEL
        },
        Panel {
            title: "since each loop did its work",
            unit: Unit::Seconds,
            width: 9,
            about: "plan, act, lease and state: a minute at most. A sweep over AWS: `--sweep-every`. One that never did is not shown.",
            queries: &[ask("time() - max by (loop) (clonewarden_loop_last_success_timestamp_seconds{loop!~\"mirror/.*\"} > 0)", "{{loop}}")],
            alert: "ClonewardenSilent",
            ..PANEL
        },
        Panel {
            title: "how long planning takes",
            unit: Unit::Seconds,
            about: "Making a plan of the whole world, without carrying it out.",
            queries: &[
                ask("histogram_quantile(0.5, sum by (le) (rate(clonewarden_plan_duration_seconds_bucket[$__rate_interval])))", "half within"),
                ask("histogram_quantile(0.99, sum by (le) (rate(clonewarden_plan_duration_seconds_bucket[$__rate_interval])))", "99 % within"),
            ],
            ..PANEL
        },
        Panel {
            title: "memory",
            unit: Unit::Bytes,
            width: 7,
            about: "Resident memory of each replica.",
            queries: &[ask("process_resident_memory_bytes and on (instance) clonewarden_leader", "{{instance}}")],
            ..PANEL
        },
    ],
};

const KNOWN: Row = Row {
    title: "what is known of the world",
    height: 10,
    panels: &[
        Panel {
            title: "evidence",
            shape: Shape::States,
            width: 18,
            about: "Whether everything that a source has was seen. What needs a source that is not known whole is held.",
            queries: &[ask(
                "max by (source) (clonewarden_evidence_complete and on (instance) clonewarden_leader == 1) unless max by (source) (clonewarden_evidence_absent) == 1",
                "{{source}}",
            )],
            words: &[("0", "not whole", "red"), ("1", "whole", "green")],
            alert: "ClonewardenEvidenceMissing",
            ..PANEL
        },
        Panel {
            title: "clock ahead of the API server's",
            unit: Unit::Seconds,
            width: 6,
            about: "Over 30 s, or unknown (no line), nothing ends.",
            queries: &[ask("max by (instance) (clonewarden_clock_skew_seconds)", "{{instance}}")],
            ..PANEL
        },
    ],
};

const REQUESTS: Row = Row {
    title: "requests",
    height: 8,
    panels: &[
        Panel {
            title: "to the API server",
            unit: Unit::PerSecond,
            about: "By how they ended. About two a second while nothing happens.",
            queries: &[ask("sum by (outcome) (rate(clonewarden_api_requests_total[$__rate_interval]))", "{{outcome}}")],
            needs: API_SERVER,
            ..PANEL
        },
        Panel {
            title: "to AWS",
            unit: Unit::PerSecond,
            about: "By how they ended. forbidden: the IAM policy. throttled: somebody else asks a lot. cut: an answer that was not whole.",
            queries: &[ask("sum by (outcome) (rate(clonewarden_aws_requests_total[$__rate_interval]))", "{{outcome}}")],
            needs: "AWS (`--aws-regions`)",
            alert: "ClonewardenSweepSilent",
            ..PANEL
        },
        Panel {
            title: "how long answers take (99 % within)",
            unit: Unit::Seconds,
            about: "Reviews of the webhook, and requests to the HTTP API; `get` with what it waited for the clone.",
            queries: &[
                ask(
                    "histogram_quantile(0.99, sum by (phase, le) (rate(clonewarden_admission_review_duration_seconds_bucket[$__rate_interval])))",
                    "review: {{phase}}",
                ),
                ask(
                    "histogram_quantile(0.99, sum by (route, le) (rate(clonewarden_service_request_duration_seconds_bucket[$__rate_interval])))",
                    "API: {{route}}",
                ),
            ],
            needs: WEBHOOK_OR_SERVICE,
            ..PANEL
        },
        Panel {
            title: "requests for the page and its JSON",
            unit: Unit::PerSecond,
            about: "By how they ended. An open page asks every 2 s, mostly to hear that nothing has changed. refused: no token, or not the right one.",
            queries: &[ask("sum by (route, outcome) (rate(clonewarden_page_requests_total[$__rate_interval]))", "{{route}}: {{outcome}}")],
            ..PANEL
        },
        Panel {
            title: "answers of the HTTP API",
            unit: Unit::PerSecond,
            about: "By route and status.",
            queries: &[ask("sum by (route, code) (rate(clonewarden_service_requests_total[$__rate_interval]))", "{{route}} {{code}}")],
            needs: SERVICE,
            ..PANEL
        },
        Panel {
            title: "the webhook's certificate ends",
            shape: Shape::Stat,
            unit: Unit::FromNow,
            about: "It is renewed 30 days before. After its end no clone can be created.",
            queries: &[ask("min(clonewarden_webhook_certificate_expires_timestamp_seconds) * 1000", "")],
            needs: WEBHOOK,
            alert: "ClonewardenCertificateEnding",
            ..PANEL
        },
    ],
};
