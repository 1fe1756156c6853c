//! The command as a person or a pipeline meets it: exit codes, where words go, and what is said about bad input.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test cannot set up must fail it")]

mod apply;
mod check;
mod ci;
mod clone;
mod diff;
mod journal;
mod lint;
mod notify;
mod page;
mod pages;
mod reference;
mod simulate;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

const POLICY: &str = "apiVersion: clonewarden.io/v1alpha1
kind: ClonePolicy
metadata: {name: staging}
spec: {mode: enforce, namespaces: {names: [wordpress-staging]}}
";

const CLONE: &str = "apiVersion: kro.run/v1alpha1
kind: WordPressClone
metadata:
  name: clone-1
  namespace: wordpress-staging
  uid: c0000001-0000-4000-8000-000000000001
  resourceVersion: \"101\"
  creationTimestamp: \"2026-02-05T14:30:22Z\"
spec: {cloneId: clone-1, ttlSeconds: 7200}
";

/// A folder of its own for one test, with `policies/` and `from/`, gone when the test is over.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let place = Self(root);
        place.write("policies/staging.yaml", POLICY);
        place.write("from/wordpressclones.yaml", CLONE);
        place
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.join(path)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
        command.args(args).current_dir(&self.0).env_clear();
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// `plan` over the two folders.
    fn plan(&self, more: &[&str]) -> Ran {
        let args = ["plan", "--policies", "policies", "--from", "from", "--now", "2026-02-05T16:00:00Z"];
        self.run(&[args.as_slice(), more].concat())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap(), err: String::from_utf8(output.stderr).unwrap() }
    }
}

impl Ran {
    /// It failed with this code, said all of this on standard error, and printed no data.
    #[track_caller]
    fn refused(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        for words in said {
            assert!(self.err.contains(words), "`{words}` is not in {}", self.err);
        }
    }
}

#[test]
fn a_plan_is_data_on_standard_output() {
    let place = Place::new();
    let plan = place.plan(&["-o", "json"]);
    assert_eq!((plan.code, plan.err.as_str()), (Some(0), ""), "{plan:?}");
    let document: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(document["kind"], "Plan");
    assert_eq!(document["applicable"], false);
    assert_eq!(document["decisions"][0]["target"]["name"], "clone-1");
    let yaml: serde_json::Value = serde_saphyr::from_str(&place.plan(&["-o", "yaml"]).out).unwrap();
    assert_eq!(yaml, document);
}

#[test]
fn flags_can_be_variables() {
    let place = Place::new();
    let mut command = place.command(&["plan"]);
    command
        .env("CLONEWARDEN_POLICIES", "policies")
        .env("CLONEWARDEN_FROM", "from")
        .env("CLONEWARDEN_NOW", "2026-02-05T16:00:00Z")
        .env("CLONEWARDEN_OUTPUT", "json");
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.out, place.plan(&["-o", "json"]).out, "{ran:?}");
}

#[test]
fn without_now_the_newest_file_dates_the_plan() {
    let place = Place::new();
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_770_308_000);
    let earlier = at - std::time::Duration::from_secs(86_400);
    place.write("from/jobs.yaml", "apiVersion: v1\nkind: List\nitems: []\n");
    place.write("from/notes.txt", "later than all, and not read");
    for (file, time) in [("from/wordpressclones.yaml", earlier), ("from/jobs.yaml", at)] {
        fs::File::options().write(true).open(place.0.join(file)).unwrap().set_modified(time).unwrap();
    }
    let plan = place.run(&["plan", "--policies", "policies", "--from", "from", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(document["now"], "2026-02-05T16:13:20Z", "{plan:?}");
    assert_eq!(document["evidence"][0]["observedAt"], "2026-02-05T16:13:20Z");
}

#[test]
fn the_document_of_the_api_is_printed_as_it_is_kept() {
    let place = Place::new();
    let ran = place.run(&["api", "openapi"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out == include_str!("../../deploy/openapi.json"), "deploy/openapi.json is another one");
    let view = place.run(&["api", "view-openapi"]);
    assert_eq!((view.code, view.err.as_str()), (Some(0), ""));
    assert!(view.out == include_str!("../../deploy/view-openapi.json"), "deploy/view-openapi.json is another one");
    place.run(&["run", "--policies", "policies", "--api-listen", "127.0.0.1:0"]).refused(2, &["--api-listen: it needs a certificate"]);
}

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::new();
    place.run(&["plan", "--polices", "policies"]).refused(2, &["--polices", "--policies"]);
    place.run(&["plna"]).refused(2, &["plna", "plan"]);
    place.run(&["plan", "--from", "from"]).refused(2, &["--policies"]);
    place.run(&["plan", "--policies", "policies", "--from", "from", "-o", "xml"]).refused(2, &["xml", "json"]);
    place.run(&["pause"]).refused(2, &["--reason"]);
    place.run(&["pause", "--reason", ""]).refused(2, &["--reason"]);
    place.run(&["explain", "clone-1", "--policies", "policies", "--from", "from"]).refused(2, &["NAMESPACE/NAME"]);
    place.plan(&["--cluster-id", "no spaces please"]).refused(2, &["is not a cluster id"]);
    place.run(&[]).refused(2, &["Usage"]);
}

#[test]
fn now_is_an_rfc_3339_date_with_an_offset_and_only_for_files() {
    let place = Place::new();
    for odd in ["yesterday", "2026-02-05", "2026-02-05T16:00:00", "2026-02-05T16:00:00+01:00[Europe/Berlin]", ""] {
        let ran = place.run(&["plan", "--policies", "policies", "--from", "from", "--now", odd]);
        ran.refused(2, &["RFC 3339", "2026-02-05T16:30:22Z"]);
    }
    place.run(&["plan", "--policies", "policies", "--now", "2026-02-05T16:00:00Z"]).refused(2, &["--from"]);
    let offset = place.run(&["plan", "--policies", "policies", "--from", "from", "--now", "2026-02-05T17:00:00+01:00", "-o", "json"]);
    assert!(offset.out.contains("\"now\": \"2026-02-05T16:00:00Z\""), "{offset:?}");
}

#[test]
fn a_file_that_does_not_parse_is_shown_with_its_position() {
    let place = Place::new();
    place.write("from/jobs.yaml", "items:\n- {kind: Job\n- broken\n");
    place.write("from/pods.json", "{\n  \"items\": [nope]\n}\n");
    let ran = place.plan(&[]);
    ran.refused(2, &["from/jobs.yaml:", "from/pods.json:2:", "\"items\": [nope]", "error:"]);
    assert_eq!(ran.err.matches("error:").count(), 2, "{ran:?}");
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn duplicate_keys_and_empty_json_do_not_parse() {
    let place = Place::new();
    place.write("from/x.yml", "kind: Job\nkind: Pod\n");
    place.write("from/y.json", "");
    place.plan(&[]).refused(2, &["from/x.yml:2:1", "from/y.json:1:1", "is empty"]);
}

#[test]
fn a_broken_policy_is_shown_with_its_position() {
    let place = Place::new();
    place.write("policies/other.yaml", POLICY.replace("staging", "other").replace("mode: enforce", "mode: enforced"));
    place.plan(&[]).refused(2, &["policies/other.yaml:4:", "enforced"]);
    for command in [&["policy", "lint", "policies"][..], &["policy", "lint", "--policies", "policies"]] {
        place.run(command).refused(1, &["policies/other.yaml:4:", "enforced"]);
    }
}

#[test]
fn lint_says_what_it_found() {
    let place = Place::new();
    let ran = place.run(&["policy", "lint", "policies"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("staging.yaml:3: policy `staging` (enforce) for wordpress-staging"), "{ran:?}");
}

#[test]
fn a_folder_without_files_or_without_itself_is_refused() {
    let place = Place::new();
    place.remove("from/wordpressclones.yaml");
    place.plan(&[]).refused(2, &["`from` holds no .yaml, .yml or .json file", "kubectl get"]);
    place.write("from/.hidden.yaml", CLONE);
    place.plan(&[]).refused(2, &["holds no"]);
    place.run(&["plan", "--policies", "policies", "--from", "nowhere"]).refused(2, &["nowhere"]);
    place.run(&["plan", "--policies", "nowhere", "--from", "from"]).refused(2, &["nowhere"]);
}

#[test]
fn what_is_not_read_is_noted_on_standard_error() {
    let place = Place::new();
    place.write("from/notes.txt", "hello");
    place.write("from/.gitignore", "*");
    place.write("from/sub/jobs.yaml", "not: read");
    place.write("from/secrets.yaml", "apiVersion: v1\nkind: SecretList\nitems: [{metadata: {name: a}}, {metadata: {name: b}}]\n");
    place.write("from/values.yaml", "replicas: 1\n");
    let ran = place.plan(&["-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for note in
        ["`notes.txt` is neither JSON nor YAML", "`sub` is a folder", "2 of kind `Secret` ignored", "`values.yaml` holds something that is neither"]
    {
        assert!(ran.err.contains(note), "`{note}` is not in {}", ran.err);
    }
    assert!(!ran.err.contains("gitignore"), "{ran:?}");
}

#[test]
fn files_that_contradict_each_other_are_both_named() {
    let place = Place::new();
    place.write("from/again.yaml", CLONE.replace("ttlSeconds: 7200", "ttlSeconds: 60"));
    place.plan(&[]).refused(2, &["WordPressClone `wordpress-staging/clone-1`", "`again.yaml`", "`wordpressclones.yaml`"]);
    place.write("from/again.yaml", CLONE.replace("c0000001", "c0000002"));
    place.plan(&[]).refused(2, &["another uid", "`again.yaml`", "`wordpressclones.yaml`"]);
    place.write("from/again.yaml", CLONE);
    assert_eq!(place.plan(&[]).code, Some(0));
}

#[test]
fn nobody_sees_colours_without_a_terminal() {
    let place = Place::new();
    assert!(!place.plan(&[]).out.contains('\u{1b}'));
    let mut command = place.command(&["plan", "--policies", "policies", "--from", "from"]);
    let ran = Ran::from(command.env("NO_COLOR", "1").env("TERM", "xterm-256color").output().unwrap());
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn text_from_a_cluster_cannot_move_the_cursor() {
    let place = Place::new();
    place.write("from/wordpressclones.yaml", CLONE.replace("  namespace:", "  annotations: {clonewarden.io/keep: \"\\e[2Jyes\"}\n  namespace:"));
    for ran in [place.plan(&[]), place.run(&["explain", "wordpress-staging/clone-1", "--policies", "policies", "--from", "from"])] {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.out.contains('\u{1b}') && ran.out.contains("\\u{1b}[2Jyes"), "{ran:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::new();
    let clones: String = (0..3_000)
        .map(|number| format!("---\n{}", CLONE.replace("clone-1", &format!("clone-{number}")).replace("c0000001", &format!("c{number:07}"))))
        .collect();
    place.write("from/wordpressclones.yaml", clones);
    let mut command = place.command(&["plan", "--policies", "policies", "--from", "from", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn explain_says_when_there_is_nothing_to_tell() {
    let place = Place::new();
    let ran = place.run(&["explain", "wordpress-staging/clone-9", "--policies", "policies", "--from", "from"]);
    ran.refused(1, &["no clone `wordpress-staging/clone-9`"]);
}

#[test]
fn without_a_cluster_the_way_to_files_is_shown() {
    let place = Place::new();
    let mut command = place.command(&["plan", "--policies", "policies"]);
    let ran = Ran::from(command.env("KUBECONFIG", "/nowhere/config").env("HOME", &place.0).output().unwrap());
    ran.refused(2, &["--from DIR", "caused by"]);
    assert_eq!(ran.err.matches("error:").count(), 1, "{ran:?}");
}

/// Whoever runs the daemon with the credentials of another account has made a mistake, and deletes nothing there.
#[test]
fn the_credentials_of_another_account_end_the_daemon() {
    let place = Place::new();
    place.write(
        "kubeconfig",
        "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: \"http://127.0.0.1:9\"}}], \
         contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}]}",
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let answer = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>210987654321</Account></GetCallerIdentityResult>\
                      </GetCallerIdentityResponse>";
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 8192]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        }
    });
    let mut command = place.command(&["run", "--policies", "policies", "--aws-regions", "us-east-1", "--aws-account", "123456789012"]);
    command.env("KUBECONFIG", "kubeconfig").env("AWS_ENDPOINT_URL", url).env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
    let ran = Ran::from(command.output().unwrap());
    ran.refused(2, &["error: the credentials belong to account 210987654321, not to 123456789012 (`--aws-account`)"]);
}

/// The manifests under `deploy/base/crds` are what `clonewarden crds` prints. After a change of the types:
/// `clonewarden crds` into the two files, split at `---`.
#[test]
fn the_crds_that_are_deployed_are_those_that_the_types_say() {
    let ran = Place::new().run(&["crds"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base/crds");
    let documents: Vec<&str> = ran.out.split("---\n").collect();
    for (name, printed) in ["orphans.yaml", "cloneusages.yaml"].iter().zip(&documents) {
        let deployed = fs::read_to_string(folder.join(name)).unwrap();
        assert!(deployed == *printed, "deploy/base/crds/{name} is not what `clonewarden crds` prints");
    }
    assert_eq!(documents.len(), 2);
}

/// What the API server asks of a schema: every node has a type, money is no number, and the status is a subresource.
#[test]
fn the_crds_are_structural() {
    fn walk(path: &str, schema: &serde_json::Value) {
        assert!(schema["type"].is_string(), "{path} has no type");
        assert!(schema["type"] != "number", "{path} is a float");
        for keyword in ["$ref", "anyOf", "oneOf", "allOf", "definitions", "$defs"] {
            assert!(schema.get(keyword).is_none(), "{path} uses {keyword}");
        }
        if path.split('.').count() > 1 && !path.ends_with(']') {
            assert!(schema["description"].is_string() || ["spec", "status"].contains(&path), "{path} has no description");
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property);
        }
        if let Some(items) = schema.get("items") {
            walk(&format!("{path}[]"), items);
        }
    }
    let printed = Place::new().run(&["crds"]).out;
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&printed).unwrap();
    assert_eq!(documents.len(), 2);
    for crd in documents {
        assert_eq!((crd["apiVersion"].as_str(), crd["kind"].as_str()), (Some("apiextensions.k8s.io/v1"), Some("CustomResourceDefinition")));
        assert_eq!((crd["spec"]["group"].as_str(), crd["spec"]["scope"].as_str()), (Some("clonewarden.io"), Some("Cluster")));
        let version = &crd["spec"]["versions"][0];
        assert_eq!(version["name"], "v1alpha1");
        assert!(version["subresources"]["status"].is_object());
        assert!(version["additionalPrinterColumns"].as_array().unwrap().len() >= 6);
        walk("", &version["schema"]["openAPIV3Schema"]);
    }
}
