use super::*;
use crate::{
    admission::certs::{
        Identities, Material, Purpose,
        tests::{at, fresh},
    },
    sandbox::clock::SandboxClock,
};
use std::{fs, os::unix::fs::symlink};
use tokio::sync::watch;

const START: &str = "2026-02-05T16:30:00Z";

/// A folder as the kubelet mounts a Secret: links to `..data`, itself a link to a version.
struct Mounted(PathBuf);

impl Mounted {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("clonewarden-certs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for part in [CA, CERTIFICATE, KEY] {
            symlink(Path::new(DATA).join(part), folder.join(part)).unwrap();
        }
        Self(folder)
    }

    fn swap(&self, version: &str, material: &Material) {
        let folder = self.0.join(version);
        fs::create_dir(&folder).unwrap();
        for (name, part) in [(CA, &material.ca), (CERTIFICATE, &material.certificate), (KEY, &material.key)] {
            fs::write(folder.join(name), part).unwrap();
        }
        symlink(version, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join(DATA)).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn follower(mounted: &Mounted) -> (Follower, Identities) {
    let (sender, identities) = watch::channel(None);
    (
        Follower::new(mounted.0.clone(), Arc::new(SandboxClock::new(at(START))), Publisher { sender, content: None, purpose: Purpose::Webhook }),
        identities,
    )
}

fn fingerprint(identities: &Identities) -> Option<String> {
    identities.borrow().as_ref().map(|identity| identity.fingerprint.clone())
}

#[tokio::test]
async fn a_swapped_link_is_noticed_and_a_broken_version_changes_nothing() {
    let mounted = Mounted::new("swap");
    let (mut follower, mut identities) = follower(&mounted);
    follower.turn().await;
    assert!(fingerprint(&identities).is_none() && !follower.told.news("content", "`ca.crt` cannot be read: entity not found"));

    let (one, two) = (fresh(at(START)).material().unwrap(), fresh(at(START)).material().unwrap());
    mounted.swap("..1", &one);
    follower.turn().await;
    let first = fingerprint(&identities);
    assert!(first.is_some() && identities.has_changed().unwrap());
    identities.mark_unchanged();
    follower.turn().await;
    mounted.swap("..2", &one);
    follower.turn().await;
    assert!(!identities.has_changed().unwrap(), "the same content is no change");

    mounted.swap("..3", &Material { key: two.key.clone(), ..one.clone() });
    follower.turn().await;
    assert_eq!(fingerprint(&identities), first);
    assert!(!follower.told.news("content", "`tls.key` is not the key of the certificate in `tls.crt`"), "told, and once");
    mounted.swap("..4", &Material { ca: Vec::new(), ..one });
    follower.turn().await;
    assert_eq!(fingerprint(&identities), first);

    mounted.swap("..5", &two);
    follower.turn().await;
    assert!(fingerprint(&identities).is_some_and(|second| Some(second) != first));
    fs::remove_file(mounted.0.join(DATA)).unwrap();
    follower.turn().await;
    assert!(fingerprint(&identities).is_some(), "unmounted: what is in use stays");
}

#[tokio::test]
async fn a_plain_folder_is_read_as_well() {
    let mounted = Mounted::new("plain");
    let material = fresh(at(START)).material().unwrap();
    for (name, part) in [(CA, &material.ca), (CERTIFICATE, &material.certificate), (KEY, &material.key)] {
        fs::remove_file(mounted.0.join(name)).unwrap();
        fs::write(mounted.0.join(name), part).unwrap();
    }
    let (mut follower, identities) = follower(&mounted);
    follower.turn().await;
    assert!(fingerprint(&identities).is_some());
}

#[tokio::test]
async fn a_certificate_for_callers_needs_no_ca_and_no_name_of_ours() {
    let mounted = Mounted::new("callers");
    let (sender, identities) = watch::channel(None);
    let publisher = Publisher { sender, content: None, purpose: Purpose::Callers };
    let mut follower = Follower::new(mounted.0.clone(), Arc::new(SandboxClock::new(at(START))), publisher);
    let (one, two) = (fresh(at(START)).material().unwrap(), fresh(at(START)).material().unwrap());
    mounted.swap("..1", &Material { ca: b"nobody reads this".to_vec(), ..one.clone() });
    follower.turn().await;
    let first = fingerprint(&identities);
    assert!(first.is_some());
    mounted.swap("..2", &Material { key: two.key.clone(), ..one });
    follower.turn().await;
    assert_eq!(fingerprint(&identities), first, "a key of another certificate changes nothing");
    mounted.swap("..3", &two);
    follower.turn().await;
    assert!(fingerprint(&identities).is_some_and(|second| Some(second) != first));
    let late = fresh(at("2020-01-01T00:00:00Z")).material().unwrap();
    mounted.swap("..4", &late);
    follower.turn().await;
    assert_ne!(fingerprint(&identities), first);
    assert!(!follower.told.news("content", "the certificate in `tls.crt` is not valid now"), "told");
}
