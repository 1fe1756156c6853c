//! The table of parts: what is started, with which arguments, after what, and how it is seen to be ready.
//!
//! Adding a part is one entry here and, where it is built, one in `pins::PINS`; a program that the system brings
//! (`mariadbd`, `prometheus`) needs no pin. A part that ends by itself (`Lasts::UntilDone`) prepares something for
//! those after it. Order of the table is order of the shutdown, backwards.

use anyhow::Result;

use crate::python;
use crate::site::Site;

/// Names and values of environment variables.
pub(crate) type Variables = Vec<(&'static str, String)>;

/// One part of the platform.
#[derive(Debug)]
pub(crate) struct Part {
    /// Name in messages, logs and `parts.json`.
    pub(crate) name: &'static str,
    /// What is run.
    pub(crate) program: Program,
    /// How long it runs.
    pub(crate) lasts: Lasts,
    /// Parts that are ready before this one is started.
    pub(crate) after: &'static [&'static str],
    /// Ports it is given; the first is the one that is checked and recorded.
    pub(crate) ports: &'static [&'static str],
    /// Its arguments.
    pub(crate) args: fn(&Site) -> Result<Vec<String>>,
    /// Its environment, besides PATH and a HOME of its own.
    pub(crate) env: fn(&Site) -> Result<Variables>,
    /// How it is seen to be ready: all of these, in this order. None, for one that ends: its exit code says all.
    pub(crate) ready: &'static [Ready],
}

/// Where a part's program comes from.
#[derive(Debug)]
pub(crate) enum Program {
    /// The pin of that name.
    Built(&'static str),
    /// A file in the folder of what is built under that name.
    In(&'static str, &'static str),
    /// A program in PATH, and how to get it.
    InPath { name: &'static str, install: &'static str },
}

/// How long a part runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// As long as the platform; its end is a failure.
    WithPlatform,
    /// Until its work is done, with exit code 0.
    UntilDone,
}

/// One thing that is true of a part that is ready. Each must be so of a restarted part too, and not left over from the
/// one before it.
#[derive(Debug)]
pub(crate) enum Ready {
    /// `GET http://127.0.0.1:<first port><path>` answers 200.
    Http(&'static str),
    /// The same by https, anonymously and without a look at the certificate; the answer contains this, where it is said.
    Https(&'static str, Option<&'static str>),
    /// Whoever connects to the first port is greeted: the server speaks first.
    Greets,
    /// kubectl with these arguments succeeds and its output contains this, where it is said.
    Kubectl(&'static [&'static str], Option<&'static str>),
}

fn no_env(_: &Site) -> Result<Variables> {
    Ok(Vec::new())
}

macro_rules! args {
    ($($arg:expr),* $(,)?) => { Ok(vec![$($arg.to_string()),*]) };
}

/// Every part, in an order in which each comes after what it needs.
pub(crate) const PARTS: &[Part] = &[
    Part {
        name: "etcd",
        program: Program::Built("etcd"),
        lasts: Lasts::WithPlatform,
        after: &[],
        ports: &["etcd", "etcd-peer"],
        args: |site| {
            let client = format!("http://{}", site.address("etcd")?);
            let peer = format!("http://{}", site.address("etcd-peer")?);
            args![
                format!("--data-dir={}", site.path("etcd")),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=default={peer}"),
                // A killed etcd keeps what it wrote (the kernel has it); only a lost machine would not.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ]
        },
        env: no_env,
        ready: &[Ready::Http("/readyz")],
    },
    Part {
        name: "kube-apiserver",
        program: Program::Built("kube-apiserver"),
        lasts: Lasts::WithPlatform,
        after: &["etcd"],
        ports: &["kube-apiserver"],
        args: |site| {
            args![
                format!("--etcd-servers=http://{}", site.address("etcd")?),
                // It makes its own serving certificate in there, for 127.0.0.1.
                format!("--cert-dir={}", site.path("apiserver")),
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
                format!("--secure-port={}", site.port("kube-apiserver")?),
                "--service-cluster-ip-range=10.0.0.0/24",
                format!("--egress-selector-config-file={}", site.path("egress.yaml")),
                "--service-account-issuer=https://kubernetes.default.svc",
                format!("--service-account-key-file={}", site.path("service-account.pub")),
                format!("--service-account-signing-key-file={}", site.path("service-account.key")),
                format!("--token-auth-file={}", site.path("tokens.csv")),
                "--authorization-mode=RBAC",
                format!("--audit-policy-file={}", site.path("audit-policy.yaml")),
                format!("--audit-log-path={}", site.path("audit.log")),
                "--audit-log-format=json",
                // One file: a rotated log would hide calls from a test that reads it.
                "--audit-log-maxsize=100000",
            ]
        },
        env: no_env,
        ready: &[Ready::Kubectl(&["get", "--raw=/readyz"], None)],
    },
    Part {
        name: "crds",
        program: Program::Built("kubectl"),
        lasts: Lasts::UntilDone,
        after: &["kube-apiserver"],
        ports: &[],
        args: |site| {
            args![
                "create",
                // The files are the projects' own and pinned; the check would fetch the whole OpenAPI document first.
                "--validate=false",
                format!("--filename={}", site.files_of("kro", "crds")?),
                format!("--filename={}", site.files_of("ack-rds", "crds")?),
            ]
        },
        env: |site| Ok(vec![("KUBECONFIG", site.kubeconfig("admin"))]),
        ready: &[Ready::Kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"], None)],
    },
    Part {
        name: "kube-controller-manager",
        program: Program::Built("kube-controller-manager"),
        lasts: Lasts::WithPlatform,
        after: &["kube-apiserver"],
        ports: &["kube-controller-manager"],
        args: |site| {
            args![
                format!("--kubeconfig={}", site.kubeconfig("system:kube-controller-manager")),
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                format!("--secure-port={}", site.port("kube-controller-manager")?),
                "--use-service-account-credentials=false",
                format!("--service-account-private-key-file={}", site.path("service-account.key")),
                format!("--root-ca-file={}", site.path("apiserver/apiserver.crt")),
                // There is no cloud and no network here. node-lifecycle stays on: it takes the not-ready taint off the
                // nodes, and without it no Pod is ever scheduled.
                "--controllers=*,-node-ipam-controller,-node-route-controller,-service-lb-controller,-cloud-node-lifecycle-controller",
                "--node-monitor-period=1s",
                // The default of 20 a second would stretch the end of many clones at once.
                "--kube-api-qps=300",
                "--kube-api-burst=600",
            ]
        },
        env: no_env,
        ready: &[
            // It serves from the first moment, but names its controllers only once it has built them.
            Ready::Https("/healthz?verbose", Some("garbage-collector-controller ok")),
            // Their work: without this account no Pod can be created in the namespace.
            Ready::Kubectl(&["get", "serviceaccount", "default", "--namespace=default"], None),
        ],
    },
    Part {
        name: "kube-scheduler",
        program: Program::Built("kube-scheduler"),
        lasts: Lasts::WithPlatform,
        after: &["kube-apiserver"],
        ports: &["kube-scheduler"],
        args: |site| {
            args![
                format!("--kubeconfig={}", site.kubeconfig("system:kube-scheduler")),
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                format!("--secure-port={}", site.port("kube-scheduler")?),
                "--kube-api-qps=300",
                "--kube-api-burst=600",
            ]
        },
        env: no_env,
        ready: &[Ready::Https("/readyz", None)],
    },
    Part {
        name: "kwok",
        program: Program::Built("kwok"),
        lasts: Lasts::WithPlatform,
        after: &["kube-apiserver"],
        ports: &["kwok"],
        args: |site| {
            args![
                format!("--kubeconfig={}", site.kubeconfig("kwok")),
                "--manage-all-nodes",
                format!("--config={}", site.path("stages.yaml")),
                format!("--server-address={}", site.address("kwok")?),
            ]
        },
        env: no_env,
        ready: &[Ready::Http("/healthz")],
    },
    Part {
        name: "nodes",
        program: Program::Built("kubectl"),
        lasts: Lasts::UntilDone,
        after: &["kwok", "kube-controller-manager"],
        ports: &[],
        args: |site| args!["create", "--validate=false", format!("--filename={}", site.path("nodes.json"))],
        env: |site| Ok(vec![("KUBECONFIG", site.kubeconfig("admin"))]),
        // Ready, and without a taint that keeps Pods away.
        ready: &[Ready::Kubectl(
            &["get", "nodes", "--output=jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status}{.spec.taints[*].key};{end}"],
            Some("True;True;True;"),
        )],
    },
    Part {
        name: "kro",
        program: Program::Built("kro"),
        lasts: Lasts::WithPlatform,
        after: &["crds"],
        ports: &["kro", "kro-metrics"],
        args: |site| {
            args![
                format!("--health-probe-bind-address={}", site.address("kro")?),
                format!("--metrics-bind-address={}", site.address("kro-metrics")?),
                // Its defaults (3 s a step, one clone at a time) only cost the tests time.
                "--instance-requeue-interval=500ms",
                "--dynamic-controller-concurrent-reconciles=8",
            ]
        },
        env: |site| Ok(vec![("KUBECONFIG", site.kubeconfig("kro"))]),
        ready: &[Ready::Http("/readyz")],
    },
    Part {
        name: "aws",
        program: Program::In(python::AWS.0, "bin/python"),
        lasts: Lasts::WithPlatform,
        // It needs nothing of it. But its start is two seconds of work, and everything else waits for the API server's.
        after: &["kube-apiserver"],
        ports: &["aws"],
        args: |site| args![python::AWS.sources().join("server.py").display(), site.port("aws")?],
        // Or it would write into the source tree.
        env: |_| Ok(vec![("PYTHONDONTWRITEBYTECODE", "1".to_owned())]),
        ready: &[Ready::Http("/control/ready")],
    },
    Part {
        name: "ack",
        program: Program::Built("ack-rds"),
        lasts: Lasts::WithPlatform,
        // It asks AWS who it is, and ends when there is no answer.
        after: &["crds", "aws"],
        ports: &["ack", "ack-metrics"],
        args: |site| {
            let aws = site.aws_endpoint()?;
            args![
                "--aws-region=us-east-1",
                format!("--aws-endpoint-url={aws}"),
                format!("--aws-identity-endpoint-url={aws}"),
                "--allow-unsafe-aws-endpoint-urls",
                // Accounts per namespace, by a ConfigMap in a namespace that is not here.
                "--enable-carm=false",
                format!("--healthz-addr={}", site.address("ack")?),
                format!("--metrics-addr={}", site.address("ack-metrics")?),
                // One at a time would make each clone wait for all others.
                "--reconcile-default-max-concurrent-syncs=8",
                // What its Helm chart writes, and what tells which object an instance comes from. None of these keys is
                // one that a clone's own tags have.
                "--resource-tags=services.k8s.aws/controller-version=%CONTROLLER_SERVICE%-%CONTROLLER_VERSION%,\
                 services.k8s.aws/namespace=%K8S_NAMESPACE%,app.kubernetes.io/managed-by=%MANAGED_BY%,\
                 kro.run/kro-version=%KRO_VERSION%,services.k8s.aws/resource-name=%K8S_RESOURCE_NAME%,\
                 services.k8s.aws/cluster=platform",
            ]
        },
        // No AWS_CA_BUNDLE: with one, its client for a plain endpoint does not start.
        env: |site| {
            Ok(vec![
                ("KUBECONFIG", site.kubeconfig("ack-rds")),
                ("AWS_ACCESS_KEY_ID", "testing".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "testing".to_owned()),
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ])
        },
        ready: &[Ready::Http("/readyz")],
    },
    Part {
        name: "mariadb-data",
        program: Program::InPath { name: "mariadb-install-db", install: "apt-get install mariadb-server" },
        lasts: Lasts::UntilDone,
        // It needs nothing of it, and waits like `aws`.
        after: &["kube-apiserver"],
        ports: &[],
        args: |site| {
            let data = format!("--datadir={}", site.path("mariadb"));
            args!["--no-defaults", data, "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M"]
        },
        env: no_env,
        ready: &[],
    },
    Part {
        name: "mariadb",
        program: Program::InPath { name: "mariadbd", install: "apt-get install mariadb-server" },
        lasts: Lasts::WithPlatform,
        after: &["mariadb-data"],
        ports: &["mariadb"],
        args: |site| {
            args![
                "--no-defaults",
                "--user=root",
                format!("--datadir={}", site.path("mariadb")),
                format!("--port={}", site.port("mariadb")?),
                "--bind-address=127.0.0.1",
                format!("--socket={}", site.path("mariadb.sock")),
                format!("--ssl-cert={}", site.path("mariadb.crt")),
                format!("--ssl-key={}", site.path("mariadb.key")),
                format!("--init-file={}", site.path("mariadb.sql")),
                "--skip-name-resolve",
                "--performance-schema=ON",
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=8M",
                // A killed server keeps what it wrote (the kernel has it); only a lost machine would not.
                "--innodb-flush-log-at-trx-commit=2",
            ]
        },
        env: no_env,
        ready: &[Ready::Greets],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::PINS;

    #[test]
    fn names_are_unique_and_each_part_comes_after_what_it_needs() {
        for (index, part) in PARTS.iter().enumerate() {
            for need in part.after {
                assert!(PARTS[..index].iter().any(|other| other.name == *need), "{} needs {need} before it", part.name);
            }
            assert_eq!(PARTS.iter().filter(|other| other.name == part.name).count(), 1, "{}", part.name);
        }
    }

    #[test]
    fn ports_are_unique_and_start_with_the_parts_own_name() {
        let all: Vec<_> = PARTS.iter().flat_map(|part| part.ports).collect();
        for port in &all {
            assert_eq!(all.iter().filter(|other| other == &port).count(), 1, "{port}");
        }
        for part in PARTS {
            assert!(part.ports.iter().all(|port| port.starts_with(part.name)), "{}", part.name);
            let checked_by_port = part.ready.iter().any(|ready| matches!(ready, Ready::Http(_) | Ready::Https(..) | Ready::Greets));
            assert!(!checked_by_port || !part.ports.is_empty(), "{} is checked on a port it does not have", part.name);
        }
    }

    #[test]
    fn built_programs_are_pinned_and_what_ends_is_not_checked_on_a_port() {
        for part in PARTS {
            if let Program::Built(pin) = part.program {
                assert!(PINS.iter().any(|entry| entry.name == pin && entry.package.is_some()), "{pin} is not built");
            }
            if part.lasts == Lasts::UntilDone {
                assert!(part.ready.iter().all(|ready| matches!(ready, Ready::Kubectl(..))), "{}", part.name);
            }
        }
    }
}
