//! A root file system, unpacked, with what a kubelet mounts into it, and processes that see nothing else.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::common::wait;

/// Whom the image runs as.
const USER: u32 = 65532;
/// A static binary takes its random numbers from there.
const DEVICES: [&str; 3] = ["null", "random", "urandom"];
/// As a container of Pod security `restricted`: another root, mounted read-only, another user, no rights and no way to get any; and what
/// every runtime puts there (`DEVICES` and `/proc`).
const ENTER: &str = r#"mount --bind "$0" "$0" && mount --bind /proc "$0/proc" &&
    for device in $(ls "$0/dev"); do mount --bind "/dev/$device" "$0/dev/$device" || exit; done &&
    mount -o remount,bind,ro "$0" && exec setpriv --no-new-privs chroot --userspec=65532:65532 "$0" /clonewarden "$@""#;

/// An unpacked image; gone when this is dropped.
pub(crate) struct Root(PathBuf);

impl Root {
    /// Unpacks the layer, with the owners and modes that it says.
    pub(crate) fn unpack(layer: &Path, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--preserve-permissions", "--same-owner", "--numeric-owner", "--gzip", "--file"]).arg(layer);
        assert!(tar.arg("--directory").arg(&folder).status().unwrap().success());
        fs::create_dir(folder.join("proc")).unwrap();
        fs::create_dir(folder.join("dev")).unwrap();
        for device in DEVICES {
            fs::write(folder.join("dev").join(device), "").unwrap();
        }
        Self(folder)
    }

    /// Puts a file there that the user of the image may read and others may not, as mounted Secrets are.
    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        chown(&path, Some(USER), Some(USER)).unwrap();
    }

    /// Takes a folder away.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_dir_all(self.0.join(path)).unwrap();
    }

    fn enter(&self, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER]).arg(&self.0).args(args);
        // Nothing of this machine's, neither proxies nor certificates.
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end; returns what it said.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.enter(args).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Starts the binary.
    pub(crate) fn start(&self, args: &[&str], variables: &[(&str, &str)]) -> Process {
        let said = self.0.with_extension("log");
        let log = fs::File::create(&said).unwrap();
        let child = self.enter(args).envs(variables.iter().copied()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Process { child, said }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process of the image; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    said: PathBuf,
}

impl Process {
    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        let mut text = String::new();
        let _ = fs::File::open(&self.said).and_then(|mut file| file.read_to_string(&mut text));
        text
    }

    /// What the kernel says of it.
    pub(crate) fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// How its root is mounted.
    pub(crate) fn root_options(&self) -> String {
        let mounts = fs::read_to_string(format!("/proc/{}/mounts", self.child.id())).unwrap();
        let root = mounts.lines().find_map(|line| line.split_once(" / ")).unwrap().1;
        root.split(' ').nth(1).unwrap().to_owned()
    }

    /// Ends it as a kubelet does; returns how it ended.
    pub(crate) fn end(mut self) -> std::process::ExitStatus {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let look = || self.child.try_wait().map_err(|error| error.to_string())?.ok_or_else(|| "it still runs".to_owned());
        wait("it ends at SIGTERM", Duration::from_secs(10), look).0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.said);
    }
}
