//! The image: what is in it, and that it runs from that alone, as a container runtime would start it.
//!
//! `deploy/image/build` makes it, and `CLONEWARDEN_IMAGE` names the folder that it made. Root is needed, to be somebody else in another
//! root file system. The stage of `tests/stages` does it all; by hand:
//! `clonewarden-platform run -- env CLONEWARDEN_IMAGE="$PWD/target/image" cargo test -p clonewarden-platform --test image -- --ignored`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by a panic, and so do its helpers")]

#[path = "../common/mod.rs"]
mod common;
mod name_server;
mod root;

use clonewarden_platform::Platform;
use common::wait;
use name_server::NameServer;
use root::Root;
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Where the API server is in a Pod, by name.
const API: &str = "kubernetes.default.svc";
const NAMESPACE: &str = "image";
/// Nobody listens there.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The folder with the image.
fn image() -> PathBuf {
    PathBuf::from(
        std::env::var_os("CLONEWARDEN_IMAGE").unwrap_or_else(|| panic!("CLONEWARDEN_IMAGE is not set: run deploy/image/build, name its folder")),
    )
}

/// A blob of the image, which is what its digest says.
fn blob(descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let path = image().join("oci/blobs/sha256").join(digest);
    let bytes = fs::read(&path).unwrap();
    let is: String = ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(is, digest);
    assert_eq!(descriptor["size"], bytes.len());
    path
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The image's manifest.
fn manifest() -> Value {
    let index = json_of(&image().join("oci/index.json"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    let descriptor = &index["manifests"][0];
    assert_eq!(descriptor["digest"], fs::read_to_string(image().join("digest")).unwrap().trim());
    assert_eq!(descriptor["annotations"]["org.opencontainers.image.ref.name"], env!("CARGO_PKG_VERSION"));
    json_of(&blob(descriptor))
}

/// The one layer of the image, an archive.
fn layer() -> PathBuf {
    let layers = manifest()["layers"].clone();
    assert_eq!(layers.as_array().unwrap().len(), 1);
    blob(&layers[0])
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What does not depend on the binary, as `tar` lists it: kind and mode, owner, size, date, name.
const LISTED: [&str; 11] = [
    "-rwxr-xr-x 0/0 clonewarden",
    "drwxr-xr-x 0/0 etc/",
    "drwxr-xr-x 0/0 etc/clonewarden/",
    "lrwxrwxrwx 0/0 etc/clonewarden/database-ca.pem -> ../ssl/rds/global-bundle.pem",
    "-rw-r--r-- 0/0 etc/nsswitch.conf",
    "drwxr-xr-x 0/0 etc/ssl/",
    // Alone: the daemon trusts for every connection whatever else lies here, too.
    "drwxr-xr-x 0/0 etc/ssl/certs/",
    "-rw-r--r-- 0/0 etc/ssl/certs/ca-certificates.crt",
    "drwxr-xr-x 0/0 etc/ssl/rds/",
    "-rw-r--r-- 0/0 etc/ssl/rds/global-bundle.pem",
    "",
];

#[test]
#[ignore = "needs the image: deploy/image/build, and its folder in CLONEWARDEN_IMAGE"]
fn it_holds_the_binary_and_whom_that_trusts_and_nothing_else() {
    let listing = said(Command::new("tar").env("TZ", "UTC").args(["--list", "--verbose", "--numeric-owner", "--gzip", "--file"]).arg(layer()));
    let config = json_of(&blob(&manifest()["config"]));
    let created = config["created"].as_str().unwrap().get(..16).unwrap().replace('T', " ");
    let mut listed: Vec<String> = Vec::new();
    for line in listing.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [mode, owner, _, day, time, name @ ..] = words.as_slice() else { panic!("{line}") };
        // One date for all: that of the commit.
        assert_eq!(format!("{day} {time}"), created, "{line}");
        listed.push(format!("{mode} {owner} {}", name.join(" ")));
    }
    listed.push(String::new());
    assert_eq!(listed, LISTED);
}

#[test]
#[ignore = "needs the image: deploy/image/build, and its folder in CLONEWARDEN_IMAGE"]
fn it_is_nobody_s_and_says_what_it_is() {
    let config = json_of(&blob(&manifest()["config"]));
    let revision = said(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")));
    assert_eq!((&config["os"], &config["config"]["User"]), (&json!("linux"), &json!("65532:65532")));
    assert_eq!((&config["config"]["Entrypoint"], &config["config"]["Cmd"]), (&json!(["/clonewarden"]), &Value::Null));
    assert_eq!(config["config"]["ExposedPorts"], json!({"8080/tcp": {}, "9443/tcp": {}}));
    let labels = &config["config"]["Labels"];
    for (label, value) in
        [("title", "clonewarden"), ("version", env!("CARGO_PKG_VERSION")), ("revision", revision.trim()), ("licenses", "Apache-2.0")]
    {
        assert_eq!(labels[format!("org.opencontainers.image.{label}")], value, "{label}");
    }
    // A setting there would go before what a person writes into the daemon's file.
    let variables = config["config"]["Env"].as_array().unwrap();
    assert!(variables.iter().all(|variable| variable.as_str().unwrap().starts_with("PATH=")), "{variables:?}");
}

/// What a page of the daemon says: the status and the body.
fn page(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|error| error.to_string())?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| format!("no status in `{answer}`"))?;
    Ok((status, answer))
}

#[test]
#[ignore = "needs the platform, the image and root: see the top of the file"]
fn the_daemon_runs_from_its_root_file_system_alone_and_finds_the_api_server_by_name() {
    let platform = Platform::attach().unwrap();
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "clonewarden", "namespace": NAMESPACE}}),
        // Its rights are for others to try.
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "image"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "clonewarden", "namespace": NAMESPACE}]}),
    ] {
        platform.kubectl_with_input(&["apply", "-f", "-"], &object.to_string()).unwrap();
    }
    let root = Root::unpack(&layer(), "daemon");
    let account = "var/run/secrets/kubernetes.io/serviceaccount";
    root.put(&format!("{account}/token"), &platform.kubectl(&["create", "token", "clonewarden", "--namespace", NAMESPACE]).unwrap());
    root.put(&format!("{account}/namespace"), NAMESPACE);
    root.put(&format!("{account}/ca.crt"), &fs::read_to_string(platform.ca()).unwrap());
    // A database whose certificate is none of RDS'.
    let host = platform.mariadb().unwrap();
    for file in ["username", "password"] {
        root.put(&format!("etc/clonewarden/hosts/shared/{file}"), &fs::read_to_string(host.credentials.join(file)).unwrap());
    }
    let kind = |kind: &str, name: &str, spec: &Value| {
        json!({"apiVersion": "clonewarden.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
    };
    let spec = json!({"endpoint": "localhost", "port": host.port, "schemas": 1, "credentialsDir": "/etc/clonewarden/hosts/shared"});
    root.put("etc/clonewarden/policies/shared.yaml", &kind("DatabaseHost", "shared", &spec));
    root.put("etc/clonewarden/policies/image.yaml", &kind("ClonePolicy", "image", &json!({"namespaces": {"names": [NAMESPACE]}})));

    // First DNS alone knows where the API server is; then a line in /etc/hosts does, and DNS says something else.
    for (hosts, dns) in [("127.0.0.1 localhost\n".to_owned(), Ipv4Addr::LOCALHOST), (format!("127.0.0.1 localhost {API}\n"), ELSEWHERE)] {
        let name_server = NameServer::start(API, dns);
        root.put("etc/hosts", &hosts);
        root.put("etc/resolv.conf", &format!("nameserver {}\nsearch {NAMESPACE}.svc.cluster.local\noptions ndots:5\n", name_server.address()));
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let daemon = root.start(
            &["run", "--policies", "/etc/clonewarden/policies", "--listen", &address.to_string()],
            &[("KUBERNETES_SERVICE_HOST", API), ("KUBERNETES_SERVICE_PORT", &platform.api_port().unwrap().to_string())],
        );
        for path in ["/healthz", "/readyz"] {
            wait(path, Duration::from_secs(60), || match page(address, path) {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}; {}", daemon.said())),
            });
        }
        assert_eq!(name_server.was_asked(), dns == Ipv4Addr::LOCALHOST, "{hosts}");
        // The bundle was read, without a flag, and this is not in it; one that cannot be read or used has other words.
        wait("the database is not trusted", Duration::from_secs(30), || match page(address, "/view/v1") {
            Ok((200, view)) if view.contains("no answer: TLS: ") && view.contains("UnknownIssuer") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        // As strictly as it is meant to run: else all this shows less than it says.
        for (field, value) in [("Uid", "65532 65532 65532 65532"), ("CapEff", "0000000000000000"), ("NoNewPrivs", "1")] {
            assert_eq!(daemon.status(field), value, "{field}");
        }
        assert!(daemon.root_options().split(',').any(|option| option == "ro"), "{}", daemon.root_options());
        assert!(daemon.end().success());
    }
}

#[test]
#[ignore = "needs the platform, the image and root: see the top of the file"]
fn it_trusts_the_web_by_the_certificates_it_brings() {
    // The API server's certificate is nobody's of the web; that it is refused for that, and for nothing else, shows that there are some.
    let platform = Platform::attach().unwrap();
    let root = Root::unpack(&layer(), "trust");
    root.put("etc/hosts", "127.0.0.1 localhost\n");
    root.put("etc/clonewarden/url", &format!("https://localhost:{}/", platform.api_port().unwrap()));
    root.put("etc/clonewarden/told.yaml", "receivers: [{name: pager, kind: webhook, urlFile: /etc/clonewarden/url}]\ndefault: [pager]\n");
    let refused = |root: &Root| root.run(&["notify", "test", "--notifications", "/etc/clonewarden/told.yaml"]);
    let text = refused(&root);
    assert!(text.contains("UnknownIssuer"), "{text}");
    root.remove("etc/ssl");
    let text = refused(&root);
    assert!(text.contains("no certificates"), "{text}");
}
