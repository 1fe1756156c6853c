//! Who reaches whom. The platform has no network for Pods, so the policies are read here, by the rules of the API, and the strict way: an
//! `ipBlock` holds for a Pod, too, if the Pod's address is in it.

use std::net::Ipv4Addr;

use clonewarden_platform::Platform;
use serde_json::Value;

use crate::{ENVIRONMENTS, rendered};

/// Every port that anything listens on here, and one that nobody is let through to.
const PORTS: [u64; 7] = [22, 53, 80, 443, 3306, 8000, 8443];

/// One end of a connection. Without a namespace of clones nothing here holds it back.
struct End {
    name: String,
    namespace: &'static str,
    labels: Vec<(&'static str, &'static str)>,
    address: Ipv4Addr,
}

fn ends() -> Vec<End> {
    let end = |name: &str, namespace, labels: &[(&'static str, &'static str)], address| End {
        name: name.to_owned(),
        namespace,
        labels: labels.to_vec(),
        address: Ipv4Addr::from(address),
    };
    let mut all = vec![
        end("kube-dns", "kube-system", &[("k8s-app", "kube-dns")], [10, 0, 130, 1]),
        end("clonewarden", "clonewarden", &[("app.kubernetes.io/name", "clonewarden")], [10, 0, 130, 2]),
        // It calls itself what is let in elsewhere.
        end("stranger", "elsewhere", &[("app", "wp-k8s-service"), ("k8s-app", "kube-dns")], [10, 0, 130, 3]),
        end("balancer", "", &[], [10, 0, 17, 4]),
        end("site", "", &[], [93, 184, 216, 34]),
        end("metadata", "", &[], [169, 254, 169, 254]),
        end("db-staging", "", &[], [10, 0, 65, 5]),
        end("db-production", "", &[], [10, 0, 82, 5]),
    ];
    for (environment, namespace, third) in [("staging", "wordpress-staging", 140), ("production", "wordpress-production", 141)] {
        let mut pod = |name: &str, labels: &[(&'static str, &'static str)], last| {
            all.push(end(&format!("{name}-{environment}"), namespace, labels, [10, 0, third, last]));
        };
        pod("clone", &[("app", "wordpress-clone"), ("clone-id", "one")], 1);
        pod("other-clone", &[("app", "wordpress-clone"), ("clone-id", "two")], 2);
        pod("service", &[("app", "wp-k8s-service")], 3);
        pod("anything", &[], 4);
    }
    all
}

/// Every connection that may be made, as `from > to port protocol`, between ends of which one is in a namespace of clones.
fn reachable(objects: &[Value]) -> Vec<String> {
    let policies: Vec<_> = objects.iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
    let (ends, mut found) = (ends(), Vec::new());
    for from in &ends {
        for to in ends.iter().filter(|to| to.name != from.name && (governed(from) || governed(to))) {
            for port in PORTS {
                for protocol in ["TCP", "UDP"] {
                    let passes = |end, other, direction| lets(&policies, end, other, direction, port, protocol);
                    if passes(from, to, "Egress") && passes(to, from, "Ingress") {
                        found.push(format!("{} > {} {port} {protocol}", from.name, to.name));
                    }
                }
            }
        }
    }
    found.sort();
    found
}

fn governed(end: &End) -> bool {
    end.namespace.starts_with("wordpress-")
}

/// Whether the policies of one end let the other through.
fn lets(policies: &[&Value], end: &End, other: &End, direction: &str, port: u64, protocol: &str) -> bool {
    let selects = |policy: &&&Value| {
        let types = policy["spec"]["policyTypes"].as_array().unwrap();
        policy["metadata"]["namespace"] == end.namespace
            && fits(&policy["spec"]["podSelector"], &end.labels)
            && types.iter().any(|one| one == direction)
    };
    let (rules, peers) = if direction == "Egress" { ("egress", "to") } else { ("ingress", "from") };
    let holding: Vec<_> = policies.iter().filter(selects).collect();
    let through = |rule: &Value| {
        let ports = rule["ports"].as_array().unwrap();
        ports.iter().any(|one| one["port"] == port && one["protocol"] == protocol)
            && rule[peers].as_array().unwrap().iter().any(|peer| is_peer(peer, other, end.namespace))
    };
    holding.is_empty() || holding.iter().flat_map(|policy| policy["spec"][rules].as_array().into_iter().flatten()).any(through)
}

fn is_peer(peer: &Value, other: &End, own: &str) -> bool {
    if let Some(block) = peer.get("ipBlock") {
        let except = block["except"].as_array().into_iter().flatten();
        return holds(block["cidr"].as_str().unwrap(), other.address)
            && !except.map(|one| one.as_str().unwrap()).any(|one| holds(one, other.address));
    }
    let there = match peer.get("namespaceSelector") {
        Some(selector) => !other.namespace.is_empty() && fits(selector, &[("kubernetes.io/metadata.name", other.namespace)]),
        None => other.namespace == own,
    };
    there && peer.get("podSelector").is_none_or(|selector| fits(selector, &other.labels))
}

fn fits(selector: &Value, labels: &[(&str, &str)]) -> bool {
    assert!(selector.get("matchExpressions").is_none(), "not read here: {selector}");
    let wanted = selector["matchLabels"].as_object();
    wanted.into_iter().flatten().all(|(key, value)| labels.iter().any(|(name, said)| name == key && *value == **said))
}

fn holds(cidr: &str, address: Ipv4Addr) -> bool {
    let (network, bits) = cidr.split_once('/').unwrap();
    let mask = u32::MAX.checked_shl(32 - bits.parse::<u32>().unwrap()).unwrap_or(0);
    u32::from(network.parse::<Ipv4Addr>().unwrap()) & mask == u32::from(address) & mask
}

/// Everything that is meant to pass. What is not here must not.
fn meant() -> Vec<String> {
    let mut all = Vec::new();
    for environment in ENVIRONMENTS {
        let tcp = |from: &str, to: &str, port: u64| format!("{from} > {to} {port} TCP");
        let clones = [format!("clone-{environment}"), format!("other-clone-{environment}")];
        let service = format!("service-{environment}");
        for clone in &clones {
            all.extend([tcp("balancer", clone, 80), tcp(&service, clone, 80)]);
            all.extend([tcp(clone, &format!("db-{environment}"), 3306), tcp(clone, "site", 80), tcp(clone, "site", 443)]);
        }
        all.extend([tcp("balancer", &service, 8000), tcp(&service, "clonewarden", 8443)]);
        // The API server and AWS have no address to be named by: on 443 it reaches whatever does not defend itself.
        all.extend(ends().iter().filter(|end| !governed(end) && end.name != "metadata").map(|end| tcp(&service, &end.name, 443)));
        for pod in clones.iter().chain([&service, &format!("anything-{environment}")]) {
            all.extend([tcp(pod, "kube-dns", 53), format!("{pod} > kube-dns 53 UDP")]);
        }
    }
    all.sort();
    all
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn staging_and_production_do_not_reach_each_other() {
    let (_, objects) = rendered(&Platform::attach().unwrap(), ".");
    let (found, meant) = (reachable(&objects), meant());
    let odd = found.iter().filter(|one| !meant.contains(one)).map(|one| format!("+ {one}"));
    let lost = meant.iter().filter(|one| !found.contains(one)).map(|one| format!("- {one}"));
    let differs: Vec<_> = odd.chain(lost).collect();
    assert!(differs.is_empty(), "what passes is not what is meant to:\n{}", differs.join("\n"));
    for one in &found {
        assert!(!(one.contains("-staging") && one.contains("-production")) || one.ends_with("443 TCP") && one.contains("> db-"), "{one}");
    }
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn no_policy_is_there_for_nothing() {
    let (_, objects) = rendered(&Platform::attach().unwrap(), ".");
    let policies = objects.iter().filter(|object| object["kind"] == "NetworkPolicy");
    assert_eq!(policies.clone().count(), 8);
    let whole = reachable(&objects);
    for left_out in policies {
        let rest: Vec<_> = objects.iter().filter(|object| *object != left_out).cloned().collect();
        assert_ne!(reachable(&rest), whole, "without {}", left_out["metadata"]);
    }
    // The whole VPC as one block, which looks as if it meant the databases.
    let mut wide = objects;
    for policy in wide.iter_mut().filter(|object| object["kind"] == "NetworkPolicy" && object["metadata"]["name"] == "clones") {
        policy["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"] = "10.0.0.0/16".into();
    }
    assert!(reachable(&wide).contains(&"clone-staging > db-production 3306 TCP".to_owned()));
}
