//! One run's own folder: ports, keys, tokens, configuration files, and the programs that parts are started with.
//!
//! Everything a part needs to be started a second time, with the same arguments on the same port, comes from here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::compile::{Built, yaml_files};
use crate::kubeconfig::{self, USERS};
use crate::mariadb;
use crate::parts::PARTS;
use crate::pins;

/// Ports come in blocks below the range the kernel gives to outgoing connections (32768 and up): there, a part that
/// is down for a moment could lose its port to any client.
const FIRST_PORT: u16 = 20_000;
const PORTS_IN_BLOCK: u16 = 50;
const BLOCKS: u16 = 200;

/// A run's folder and what is decided in it.
#[derive(Debug)]
pub(crate) struct Site {
    dir: PathBuf,
    ports: BTreeMap<&'static str, u16>,
    folders: BTreeMap<&'static str, PathBuf>,
    /// Held for as long as the ports are ours.
    _block: File,
}

impl Site {
    /// Makes the folder, takes ports and writes every file that a part reads.
    pub(crate) fn new(built: &[Built]) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("clonewarden-platform-{}-{}", std::process::id(), random_hex(4)?));
        let mut builder = fs::DirBuilder::new();
        // Tokens and keys of the cluster are in here.
        builder.mode(0o700).create(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        for folder in ["bin", "logs", "kubeconfigs"] {
            fs::create_dir(dir.join(folder))?;
        }
        let mut folders = BTreeMap::new();
        for part in built {
            if let Some(program) = &part.program {
                symlink(program, dir.join("bin").join(part.name)).with_context(|| format!("cannot link {} into {}", part.name, dir.display()))?;
            }
            folders.insert(part.name, part.folder.clone());
        }
        let (ports, block) = take_ports()?;
        let site = Self { dir, ports, folders, _block: block };
        site.write_files()?;
        Ok(site)
    }

    /// The run's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path in the run's folder, as text for an argument list.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    /// A file or folder in the place of what was built, as text.
    pub(crate) fn files_of(&self, pin: &str, into: &str) -> Result<String> {
        let folder = self.folders.get(pin).with_context(|| format!("`{pin}` is not built: add it to PINS in pins.rs"))?;
        Ok(folder.join(into).to_string_lossy().into_owned())
    }

    /// The port called `name` in the parts table.
    pub(crate) fn port(&self, name: &str) -> Result<u16> {
        self.ports.get(name).copied().with_context(|| format!("no part has a port called `{name}`: name it in `ports`"))
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn address(&self, name: &str) -> Result<String> {
        Ok(format!("127.0.0.1:{}", self.port(name)?))
    }

    /// The address of the AWS endpoint.
    pub(crate) fn aws_endpoint(&self) -> Result<String> {
        Ok(format!("http://{}", self.address("aws")?))
    }

    /// The kubeconfig of a fixed user.
    pub(crate) fn kubeconfig(&self, user: &str) -> String {
        self.path(&format!("kubeconfigs/{}", kubeconfig::file_name(user)))
    }

    fn write_files(&self) -> Result<()> {
        let write = |name: &str, text: &str| kubeconfig::write_private(&self.dir.join(name), text.as_bytes());
        let mut users = Vec::new();
        for user in USERS {
            users.push((user.clone(), random_hex(16)?));
        }
        write("tokens.csv", &kubeconfig::token_file(&users))?;
        let server = format!("https://{}", self.address("kube-apiserver")?);
        for (user, token) in &users {
            let text = kubeconfig::text(&server, &self.dir.join("apiserver/apiserver.crt"), user.name, token);
            kubeconfig::write_private(Path::new(&self.kubeconfig(user.name)), text.as_bytes())?;
        }
        let (private, public) = signing_key()?;
        write("service-account.key", &private)?;
        write("service-account.pub", &public)?;
        write("audit-policy.yaml", AUDIT_POLICY)?;
        write("nodes.json", &nodes())?;
        write("egress.yaml", &egress(&self.path(SERVICES)))?;
        mariadb::write_files(&self.dir, &random_hex(16)?, &random_hex(16)?)?;
        let mut stages = String::new();
        for file in yaml_files(Path::new(&self.files_of("kwok", "stages")?))? {
            let stage = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let of_pods = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pod-"));
            stages.push_str("---\n");
            stages.push_str(&if of_pods { stage.replace(MATCHES, &format!("{MATCHES}{NOT_OURS}")) } else { stage });
        }
        write("stages.yaml", &stages)
    }
}

/// Who did what, of every request, once: the tests' proof of what was and was not called.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

/// Where the conditions begin on which kwok does something to a Pod.
const MATCHES: &str = "    matchExpressions:\n";
/// Pods of clonewarden's own Deployment are left to the tests, which run them: a kubelet would not call one ready before it is.
const NOT_OURS: &str = "    - {key: '.metadata.labels[\"app.kubernetes.io/name\"]', operator: NotIn, values: [clonewarden]}\n";
/// The socket behind which a test may play the network of the cluster.
pub(crate) const SERVICES: &str = "services.sock";

/// Whatever the API server sends to a Service goes by HTTP CONNECT through that socket. While nobody listens there, no Service answers.
fn egress(socket: &str) -> String {
    let connection = serde_json::json!({"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": socket}}});
    let selections = serde_json::json!([{"name": "cluster", "connection": connection}]);
    let config = serde_json::json!({"apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration", "egressSelections": selections});
    format!("{config:#}\n")
}

/// Four nodes that are what their label says (a t3.2xlarge has 8 vCPU and 32 GiB): room for 128 clones of 250m / 512Mi.
fn nodes() -> String {
    let node = |name: &str, zone: &str, capacity: &str| {
        let room = serde_json::json!({"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"});
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "node.kubernetes.io/instance-type": "t3.2xlarge",
                    "topology.kubernetes.io/region": "us-east-1",
                    "topology.kubernetes.io/zone": zone,
                    "karpenter.sh/capacity-type": capacity,
                },
            },
            "status": {"capacity": room, "allocatable": room},
        })
    };
    let items = [
        node("node-1", "us-east-1a", "on-demand"),
        node("node-2", "us-east-1b", "spot"),
        node("node-3", "us-east-1c", "spot"),
        node("node-4", "us-east-1a", "spot"),
    ];
    format!("{:#}\n", serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

/// Takes a block of ports for this run: no other run takes it while the lock lives, and each port was free just now.
fn take_ports() -> Result<(BTreeMap<&'static str, u16>, File)> {
    let names: Vec<_> = PARTS.iter().flat_map(|part| part.ports).copied().collect();
    let locks = pins::cache_root()?.join("ports");
    fs::create_dir_all(&locks)?;
    for block in 0..BLOCKS {
        let path = locks.join(block.to_string());
        let lock = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        if lock.try_lock().is_err() {
            continue;
        }
        let first = FIRST_PORT + block * PORTS_IN_BLOCK;
        let free: Vec<_> = (first..first + PORTS_IN_BLOCK).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).collect();
        if free.len() >= names.len() {
            return Ok((names.into_iter().zip(free).collect(), lock));
        }
    }
    bail!("no free ports between {FIRST_PORT} and {}: stop something that listens there", FIRST_PORT + BLOCKS * PORTS_IN_BLOCK)
}

fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    SystemRandom::new().fill(&mut buffer).map_err(|_| anyhow::anyhow!("the system gave no random bytes"))?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A P-256 key pair for service-account tokens, as the two PEM files the API server reads. It takes the public half
/// from a file of its own: out of a PKCS#8 file it only reads RSA.
fn signing_key() -> Result<(String, String)> {
    // SubjectPublicKeyInfo of an uncompressed P-256 point, up to the point itself.
    const SPKI: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
        0x03, 0x42, 0x00,
    ];
    let failed = |what: &str| anyhow::anyhow!("cannot make the service-account key: {what}");
    let random = SystemRandom::new();
    let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| failed("no random bytes"))?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref(), &random).map_err(|error| failed(&error.to_string()))?;
    let mut public = SPKI.to_vec();
    public.extend_from_slice(pair.public_key().as_ref());
    Ok((pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", &public)))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text: Vec<char> = base64(der).chars().collect();
    let lines: Vec<String> = text.chunks(64).map(|line| line.iter().collect()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            out.push(if digit > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_the_standard_says() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_signing_key_is_two_pem_files() {
        let (private, public) = signing_key().unwrap();
        assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{private}");
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"), "{public}");
        assert!(public.lines().all(|line| line.len() <= 64), "{public}");
    }

    #[test]
    fn the_nodes_are_a_list_with_room_and_both_capacity_types() {
        let list: serde_json::Value = serde_json::from_str(&nodes()).unwrap();
        let types: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|n| n["metadata"]["labels"]["karpenter.sh/capacity-type"].as_str().unwrap()).collect();
        assert_eq!(types, ["on-demand", "spot", "spot", "spot"]);
    }
}
