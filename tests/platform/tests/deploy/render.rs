//! What is rendered, without a look at any cluster.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use clonewarden_platform::Platform;
use serde_json::{Value, json};

use crate::tree::{OVERLAYS, Tree, objects, shipped};

/// Nobody's Pods are asked to be pulled anew: the tag of a release never moves. A limit on CPU would throttle whoever renews a lease.
/// Spread is asked for by topology, which is newer than anti-affinity and says the same.
const NOT_ASKED: &[&str] =
    &["--ignore-container-cpu-limit", "--ignore-test=container-image-pull-policy", "--ignore-test=deployment-has-host-podantiaffinity"];
const ASKED: &[&str] = &["--enable-optional-test=container-seccomp-profile", "--enable-optional-test=container-ports-check"];

fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Every value of an object, a line each, with where it stands.
fn leaves(at: &str, value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| leaves(&format!("{at}.{name}"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().flat_map(|(index, value)| leaves(&format!("{at}[{index}]"), value)).collect(),
        value => BTreeSet::from([format!("{at}: {value}")]),
    }
}

fn same(kustomize: &str, chart: &str) {
    let (kustomize, chart) = (objects(kustomize), objects(chart));
    let names = |all: &std::collections::BTreeMap<String, Value>| all.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&kustomize), names(&chart), "the objects (left: kustomize)");
    for (name, object) in &kustomize {
        let (kustomize, chart) = (leaves("", object), leaves("", &chart[name]));
        let other: Vec<_> = kustomize.symmetric_difference(&chart).collect();
        assert!(other.is_empty(), "{name}, kustomize's and the chart's: {other:#?}");
    }
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn chart_and_kustomize_say_the_same() {
    let tree = Tree::new("deploy-same");
    for (overlay, _) in OVERLAYS {
        let values = shipped(overlay);
        same(&tree.kustomize(&format!("deploy/overlays/{overlay}")), &tree.template("clonewarden", &texts(&values)));
        let more = [texts(&values), vec!["--set", "mode=enforce,api.enabled=true"]].concat();
        same(&tree.kustomize(&tree.enforced(overlay)), &tree.template("clonewarden", &more));
    }
}

/// `kubectl apply` takes the objects one after the other: when the daemon comes, everything that holds it is there, and what it starts with.
#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_guard_stands_before_the_daemon_runs() {
    let tree = Tree::new("deploy-order");
    for (overlay, policies) in OVERLAYS {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&tree.kustomize(&format!("deploy/overlays/{overlay}"))).unwrap();
        let place = |kind: &str, name: &str| {
            let found = documents.iter().position(|object| object["kind"] == kind && object["metadata"]["name"] == name);
            found.unwrap_or_else(|| panic!("{overlay}: no {kind} {name}"))
        };
        assert_eq!(place("Namespace", "clonewarden"), 0, "{overlay}: everything else may lie in it");
        let crds = documents.iter().filter(|object| object["kind"] == "CustomResourceDefinition").count();
        assert!(crds == 2 && documents[1..=crds].iter().all(|object| object["kind"] == "CustomResourceDefinition"), "{overlay}");
        let daemon = place("Deployment", "clonewarden");
        for name in ["clonewarden-guard", "clonewarden-guard-secrets"] {
            assert!(
                place("ValidatingAdmissionPolicy", name) < daemon && place("ValidatingAdmissionPolicyBinding", name) < daemon,
                "{overlay}: {name}"
            );
        }
        // Nothing but the webhooks comes after it: they ask it.
        let after: Vec<_> = documents[daemon + 1..].iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(after, ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"], "{overlay}");
        let policies: BTreeSet<_> = policies.iter().map(|policy| format!("{policy}.yaml")).collect();
        let there = &documents[place("ConfigMap", "clonewarden-policies")]["data"];
        assert_eq!(there.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>(), policies, "{overlay}");
    }
}

/// Whoever copies an overlay sees where the image is said, and what is said there goes into the Deployment.
#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn an_overlay_says_where_the_image_is() {
    let tree = Tree::new("deploy-image");
    for (overlay, _) in OVERLAYS {
        let file = tree.path(&format!("deploy/overlays/{overlay}/kustomization.yaml"));
        let text = fs::read_to_string(&file).unwrap();
        let ours = text.replacen("newName: clonewarden\n", "newName: registry.example.com/clonewarden\n", 1);
        assert_ne!(text, ours);
        fs::write(&file, ours).unwrap();
        let all = objects(&tree.kustomize(&format!("deploy/overlays/{overlay}")));
        let image = &all["Deployment clonewarden/clonewarden"]["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(*image, format!("registry.example.com/clonewarden:{}", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_chart_goes_into_another_namespace_with_everything_that_names_it() {
    let tree = Tree::new("deploy-elsewhere");
    let rendered = tree.template("elsewhere", &["--set", "api.enabled=true,monitoring.enabled=true,longestTtlSeconds=7200"]);
    for (name, object) in objects(&rendered) {
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "elsewhere", "{name}");
        let text = object.to_string();
        for left in ["serviceaccount:clonewarden:", "\"namespace\":\"clonewarden\"", "clonewarden.svc"] {
            assert!(!text.contains(left), "{name} still says {left}");
        }
    }
    assert!(rendered.matches("system:serviceaccount:elsewhere:clonewarden").count() >= 5);
    assert!(rendered.contains("from 1 to 7200") && rendered.contains("ttlSeconds <= 7200") && rendered.contains("clonewarden-api.elsewhere.svc"));
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn every_value_that_is_said_is_taken_and_every_other_is_refused() {
    let tree = Tree::new("deploy-values");
    let set = "replicas=3,image.repository=r.example.com/cw,image.tag=x,settings.aws-regions=us-east-1,settings.log-format=text,\
               databaseHosts.one=secret,serviceAccount.annotations.a=b,podAnnotations.c=d,nodeSelector.e=f,priorityClassName=high,\
               extraEnv[0].name=HTTPS_PROXY,extraEnv[0].value=http://p,extraVolumes[0].name=v,extraVolumeMounts[0].name=v,\
               extraVolumeMounts[0].mountPath=/v,resources.limits.memory=1Gi,imagePullSecrets[0].name=pull,tolerations[0].operator=Exists,\
               monitoring.enabled=true,monitoring.labels.release=mine,monitoring.namespace=watch,namespaces={one,two}";
    let all = objects(&tree.template("clonewarden", &["--set", &set.split_whitespace().collect::<String>()]));
    let deployment = &all["Deployment clonewarden/clonewarden"];
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!((&deployment["spec"]["replicas"], &container["image"]), (&json!(3), &json!("r.example.com/cw:x")));
    let env: Vec<_> = container["env"].as_array().unwrap().iter().map(|one| (one["name"].as_str().unwrap(), one["value"].as_str())).collect();
    let wanted = [
        ("CLONEWARDEN_AWS_REGIONS", Some("us-east-1")),
        ("CLONEWARDEN_LOG_FORMAT", Some("text")),
        ("HTTPS_PROXY", Some("http://p")),
        ("POD_IP", None),
        ("POD_NAME", None),
    ];
    assert_eq!(env, wanted);
    assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 3);
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "secret");
    assert_eq!(
        (&pod["nodeSelector"]["e"], &pod["priorityClassName"], &pod["imagePullSecrets"][0]["name"]),
        (&json!("f"), &json!("high"), &json!("pull"))
    );
    assert_eq!(
        (&container["resources"], &pod["tolerations"][0]["operator"]),
        (
            &json!({
                "requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
                "limits": {"memory": "1Gi", "ephemeral-storage": "64Mi"},
            }),
            &json!("Exists")
        )
    );
    assert_eq!(deployment["spec"]["template"]["metadata"]["annotations"], json!({"c": "d"}));
    assert_eq!(all["ServiceAccount clonewarden/clonewarden"]["metadata"]["annotations"], json!({"a": "b"}));
    assert_eq!(all["PrometheusRule clonewarden/clonewarden"]["metadata"]["labels"]["release"], "mine");
    let scraped = &all["NetworkPolicy clonewarden/clonewarden-metrics"]["spec"]["ingress"][0]["from"][0]["namespaceSelector"];
    assert_eq!(scraped["matchLabels"]["kubernetes.io/metadata.name"], "watch");
    let selector = &all["MutatingWebhookConfiguration null/clonewarden"]["webhooks"][0]["namespaceSelector"];
    assert_eq!(selector["matchExpressions"][0]["values"], json!(["one", "two"]));

    let off = "crds.install=false,networkPolicy.enabled=false,webhooks.enabled=false,replicas=1";
    let names: Vec<String> = objects(&tree.template("clonewarden", &["--set", off])).into_keys().collect();
    for kind in ["CustomResourceDefinition", "NetworkPolicy", "WebhookConfiguration", "PodDisruptionBudget", "ServiceMonitor", "ConfigMap"] {
        assert!(!names.iter().any(|name| name.split(' ').next().unwrap().ends_with(kind)), "{kind} in {names:?}");
    }

    let wrong = [
        ("replica=3", "replica"),
        ("replicas=many", "/replicas"),
        ("mode=Enforce", "/mode"),
        ("namespaces=one", "/namespaces"),
        ("namespaces={}", "/namespaces"),
        ("namespaces={Two}", "/namespaces/0"),
        ("settings.aws-region=us-east-1", "aws-region"),
        ("settings.policies=/elsewhere", "policies"),
        ("settings.sweep-every=5", "/settings/sweep-every"),
        ("image.digest=sha256:1", "/image/digest"),
        ("policies.staging=x", "staging"),
        ("databaseHosts.Host=secret", "Host"),
        ("longestTtlSeconds=0", "/longestTtlSeconds"),
        ("monitoring.enabled=perhaps", "/monitoring/enabled"),
        ("spreadOverNodes=always", "/spreadOverNodes"),
        ("resources.limit.memory=1Gi", "limit"),
        ("extraVolumeMounts[0].name=v", "/extraVolumeMounts/0"),
    ];
    for (set, said) in wrong {
        let output = tree.helm(&["template", "clonewarden", "deploy/chart", "--set", set]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{set}: {error}");
    }
}

/// What leaves the daemon's Pods by the NetworkPolicy that ships: an address for each thing that it talks to, and what is none of these.
#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_daemon_reaches_what_it_needs_in_every_kind_of_cluster() {
    let tree = Tree::new("deploy-reach");
    let all = objects(&tree.kustomize("deploy/overlays/one-cluster"));
    let egress = all["NetworkPolicy clonewarden/clonewarden"]["spec"]["egress"].as_array().unwrap();
    let reaches = |address: &str, port: u16, protocol: &str| {
        egress.iter().any(|rule| {
            let blocks = rule["to"].as_array().map(|to| to.iter().filter_map(|peer| peer["ipBlock"]["cidr"].as_str()).collect::<Vec<_>>());
            // Every block here is of one address.
            let there = blocks.is_none_or(|blocks| blocks.iter().any(|block| block.rsplit_once('/').unwrap().0 == address));
            there && rule["ports"].as_array().unwrap().iter().any(|one| one["port"] == port && one["protocol"] == protocol)
        })
    };
    for port in [443, 6443, 8443, 16443] {
        assert!(reaches("10.0.0.1", port, "TCP"), "an API server on {port}");
    }
    for (port, protocol) in [(53, "UDP"), (53, "TCP"), (5353, "UDP"), (5353, "TCP")] {
        assert!(reaches("10.96.0.10", port, protocol), "DNS on {port}");
    }
    assert!(reaches("10.0.5.5", 3306, "TCP"), "a shared host");
    for credentials in ["169.254.170.23", "fd00:ec2::23", "169.254.169.254", "fd00:ec2::254"] {
        assert!(reaches(credentials, 80, "TCP"), "{credentials}");
    }
    for (address, port) in [("10.0.0.1", 80), ("10.0.0.1", 22), ("10.0.0.1", 8080), ("169.254.170.24", 80)] {
        assert!(!reaches(address, port, "TCP"), "{address}:{port}");
    }
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn linters_have_nothing_against_it() {
    let tree = Tree::new("deploy-lint");
    let values = shipped("production");
    tree.helm_ok(&[vec!["lint", "--strict", "deploy/chart"], texts(&values)].concat());

    let rendered: Vec<Value> = objects(&tree.kustomize(&tree.enforced("production"))).into_values().collect();
    let (passed, said) = score(&rendered);
    assert!(passed, "{said}");
    // It does look: each of these is missed.
    let without = |kind: &str| rendered.iter().filter(|object| object["kind"] != kind).cloned().collect::<Vec<_>>();
    let changed = |pointer: &str| {
        let mut all = rendered.clone();
        let deployment = all.iter_mut().find(|object| object["kind"] == "Deployment").unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        assert!(deployment.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).is_some(), "{pointer}");
        all
    };
    for (objects, missed) in [
        (without("NetworkPolicy"), "NetworkPolicy"),
        (without("PodDisruptionBudget"), "PodDisruptionBudget"),
        (changed("/spec/template/spec/containers/0/readinessProbe"), "readinessProbe"),
        (changed("/spec/template/spec/containers/0/securityContext"), "security context"),
        (changed("/spec/template/spec/containers/0/resources"), "limit"),
    ] {
        let (passed, said) = score(&objects);
        assert!(!passed && said.contains(missed), "{missed}: {said}");
    }
}

/// Whether kube-score has nothing critical to say, and what it says.
fn score(objects: &[Value]) -> (bool, String) {
    let mut command = Command::new(Platform::attach().unwrap().program("kube-score"));
    command.args(["score", "--kubernetes-version=v1.30", "--output-format=ci"]).args(NOT_ASKED).args(ASKED).arg("-");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for object in objects {
        writeln!(stdin, "---\n{object}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success() && said.contains("[OK]"), said)
}
