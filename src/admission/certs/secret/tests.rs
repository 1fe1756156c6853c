use super::*;
use crate::{
    admission::certs::{
        Identities,
        fake::FakeVault,
        tests::{at, fresh, names},
    },
    ports::HookKind,
    sandbox::clock::SandboxClock,
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::{sync::watch, time::advance};

const START: &str = "2026-02-05T16:30:00Z";

fn vault() -> Arc<FakeVault> {
    let vault = FakeVault::default();
    vault.held().lead = Some(SignedDuration::ZERO);
    vault.held().register(HookKind::Mutating, 1);
    vault.held().register(HookKind::Validating, 2);
    Arc::new(vault)
}

/// A replica on this vault: the task, what it publishes, and whether it is allowed to write.
fn replica(vault: &Arc<FakeVault>, fence: Fence, clock: &SandboxClock) -> (Custodian, Identities, Arc<AtomicBool>) {
    let (sender, identities) = watch::channel(None);
    let allowed = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&allowed);
    let own = Own {
        vault: Arc::clone(vault) as Arc<dyn Vault>,
        fence,
        allowed: Arc::new(move || asked.load(Ordering::Relaxed)),
        names: names(),
        configuration: CONFIGURATION.to_owned(),
    };
    (Custodian::new(own, Arc::new(clock.clone()), Publisher { sender, content: None, purpose: super::super::Purpose::Webhook }), identities, allowed)
}

fn fingerprint(identities: &Identities) -> Option<String> {
    identities.borrow().as_ref().map(|identity| identity.fingerprint.clone())
}

/// How many CAs everybody trusts, if all webhooks say the same.
fn trusted(vault: &FakeVault) -> usize {
    let held = vault.held();
    let bundles: BTreeSet<_> = held.hooks.iter().flat_map(|hook| &hook.bundles).collect();
    assert_eq!(bundles.len(), 1, "all webhooks trust the same");
    ids(bundles.first().unwrap()).len()
}

fn writes(vault: &FakeVault) -> usize {
    vault.held().writes
}

fn patches(vault: &FakeVault) -> usize {
    vault.held().patches
}

async fn turns(custodian: &mut Custodian, times: usize) {
    for _ in 0..times {
        custodian.turn().await;
        advance(EVERY).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_holder_makes_it_and_everybody_uses_it() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    let (mut standby, seen, _) = replica(&vault, Fence::default(), &clock);
    assert!(!standby.turn().await);
    assert!(vault.held().secret.is_none() && fingerprint(&seen).is_none(), "who does not hold the lease writes nothing");

    let (mut holder, identities, _) = replica(&vault, Fence::open(), &clock);
    assert!(holder.turn().await);
    assert_eq!((writes(&vault), patches(&vault), trusted(&vault)), (1, 2, 1));
    let identity = identities.borrow().clone().unwrap();
    assert_eq!(vault.held().hooks[1].bundles[1], identity.ca_bundle.as_bytes());
    standby.turn().await;
    assert_eq!(fingerprint(&seen), fingerprint(&identities));

    turns(&mut holder, 100).await;
    assert_eq!((writes(&vault), patches(&vault)), (1, 2), "nothing is written without need");
    vault.held().hooks[1].bundles[0] = b"somebody else's".to_vec();
    holder.turn().await;
    assert_eq!((writes(&vault), patches(&vault), trusted(&vault)), (1, 3, 1), "what somebody overwrote is put back");
    let shown = format!("{:?} {:?}", vault.held().secret, holder.used);
    assert!(shown.contains("tls.key") && !shown.contains("BEGIN") && !shown.contains("45, 45"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_before_it_ends_and_a_paused_holder_waits() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    let (mut holder, identities, allowed) = replica(&vault, Fence::open(), &clock);
    turns(&mut holder, 5).await;
    let first = fingerprint(&identities);
    advance(Duration::from_secs(60 * 86_400)).await;
    allowed.store(false, Ordering::Relaxed);
    turns(&mut holder, 5).await;
    assert_eq!((fingerprint(&identities), writes(&vault)), (first.clone(), 1));
    allowed.store(true, Ordering::Relaxed);
    turns(&mut holder, 3).await;
    assert_eq!(writes(&vault), 1, "a pause may have lasted for long: what was seen before it is no proof");
    turns(&mut holder, 3).await;
    assert_ne!(fingerprint(&identities), first);
    assert_eq!((writes(&vault), trusted(&vault)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_cannot_be_trusted_renews_nothing() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    let (mut holder, identities, _) = replica(&vault, Fence::open(), &clock);
    for lead in [None, Some(SignedDuration::from_secs(31)), Some(SignedDuration::from_secs(-31))] {
        vault.held().lead = lead;
        holder.turn().await;
        assert!(vault.held().secret.is_none(), "{lead:?}");
    }
    vault.held().lead = Some(SignedDuration::from_secs(-30));
    holder.turn().await;
    let first = fingerprint(&identities);
    assert!(first.is_some());
    clock.set_skew(SignedDuration::from_hours(24 * 365 * 6));
    vault.held().lead = Some(clock.skew());
    turns(&mut holder, 10).await;
    assert_eq!((fingerprint(&identities), writes(&vault)), (first, 1), "the clock jumped by years: all goes on");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_deleted_changes_nothing_until_the_new_ca_is_trusted() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    let (mut holder, identities, _) = replica(&vault, Fence::open(), &clock);
    let (mut standby, seen, _) = replica(&vault, Fence::default(), &clock);
    turns(&mut holder, 5).await;
    turns(&mut standby, 1).await;
    let first = fingerprint(&identities);

    vault.held().secret = None;
    standby.turn().await;
    assert_eq!(fingerprint(&seen), first);
    holder.turn().await;
    assert_eq!((fingerprint(&identities), trusted(&vault)), (first.clone(), 2), "the new CA stands beside the one in use");
    standby.turn().await;
    assert_eq!(fingerprint(&seen), first);
    advance(EVERY).await;
    turns(&mut holder, 3).await;
    assert_eq!(fingerprint(&identities), first, "30 s are not over");
    turns(&mut holder, 2).await;
    assert_ne!(fingerprint(&identities), first, "the new CA has taken over");
    assert_eq!(trusted(&vault), 2, "the other replica may not have heard of it");
    advance(Duration::from_secs(3600)).await;
    turns(&mut holder, 2).await;
    assert_eq!(trusted(&vault), 1);
    turns(&mut standby, 1).await;
    assert_eq!(fingerprint(&seen), fingerprint(&identities));
}

#[tokio::test(start_paused = true)]
async fn a_broken_secret_is_repaired_from_what_is_in_use() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    let (mut holder, identities, _) = replica(&vault, Fence::open(), &clock);
    turns(&mut holder, 5).await;
    let first = fingerprint(&identities);
    let good = vault.held().secret.clone().unwrap().data;
    let junk = |key: &str| -> BTreeMap<String, Vec<u8>> {
        let mut data = good.clone();
        data.insert(key.to_owned(), b"junk".to_vec());
        data
    };

    // Its certificate: the one in use is put back, so that nobody who starts is left without one.
    vault.held().put(junk("tls.crt"));
    let (mut standby, seen, _) = replica(&vault, Fence::default(), &clock);
    standby.turn().await;
    assert!(fingerprint(&seen).is_none() && !standby.told.news("content", "`tls.crt` holds no certificate"), "told, and once");
    turns(&mut holder, 1).await;
    assert_eq!(fingerprint(&identities), first);
    assert_eq!(vault.held().secret.clone().unwrap().data, good);
    standby.turn().await;
    assert_eq!(fingerprint(&seen), first);

    // Its CAs: the one in use stays trusted, and a new one signs.
    vault.held().put(junk("ca.crt"));
    turns(&mut holder, 1).await;
    assert_eq!((fingerprint(&identities), trusted(&vault)), (first.clone(), 2));
    turns(&mut holder, 5).await;
    assert_ne!(fingerprint(&identities), first);

    // What somebody else keeps in it stays.
    let mut more = vault.held().secret.clone().unwrap().data;
    more.insert("note".to_owned(), b"ours".to_vec());
    more.remove("ca.key");
    vault.held().put(more);
    turns(&mut holder, 2).await;
    let data = vault.held().secret.clone().unwrap().data;
    assert_eq!(data.get("note").unwrap(), b"ours");
    assert!(data.contains_key("ca.key"));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_changes_nothing() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    let (mut holder, identities, _) = replica(&vault, Fence::open(), &clock);
    turns(&mut holder, 5).await;
    let first = fingerprint(&identities);
    vault.held().trouble = Some(ApiError::Unavailable("no answer".to_owned()));
    turns(&mut holder, 5).await;
    assert_eq!(fingerprint(&identities), first);
    vault.held().trouble = None;
    assert!(holder.sightings.held(Duration::MAX).is_empty(), "nobody knows what was trusted meanwhile");
}

#[tokio::test(start_paused = true)]
async fn without_webhooks_there_is_a_certificate_all_the_same() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    vault.held().hooks.clear();
    let (mut holder, identities, _) = replica(&vault, Fence::open(), &clock);
    turns(&mut holder, 5).await;
    assert!(fingerprint(&identities).is_some());
    vault.held().register(HookKind::Mutating, 3);
    turns(&mut holder, 1).await;
    assert_eq!(trusted(&vault), 1);
}

/// Two that believe they hold the lease: compare-and-swap leaves one certificate, and both come to use it.
#[tokio::test(start_paused = true)]
async fn two_writers_end_with_one_certificate() {
    let (vault, clock) = (vault(), SandboxClock::new(at(START)));
    let (mut one, first, _) = replica(&vault, Fence::open(), &clock);
    let (mut two, second, _) = replica(&vault, Fence::open(), &clock);
    let (none, _) = (one.own.vault.read_secret(SECRET).await.unwrap(), two.turn().await);
    one.renew(none).await;
    assert_eq!((fingerprint(&first), writes(&vault)), (None, 1), "who lost uses nothing of what it made");
    turns(&mut one, 2).await;
    turns(&mut two, 2).await;
    assert_eq!(fingerprint(&first), fingerprint(&second));
    assert_eq!(writes(&vault), 1);
}

#[test]
fn what_stands_in_no_bundle_is_no_ca() {
    let material = fresh(at(START)).material().unwrap();
    assert_eq!(ids(&material.ca).len(), 1);
    assert!(ids(b"").is_empty() && ids(&material.key).is_empty());
}
