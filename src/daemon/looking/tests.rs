//! Every host is looked at in its turn, under each name that it has.

use super::*;
use crate::{
    daemon::lease::Fence,
    model::{
        Snapshot, Source,
        schema::{HostFacts, LedgerRow, SchemaOrder},
        usage::{HostUse, Memory},
    },
    policy::load_files,
    ports::HostError,
    sandbox::clock::SandboxClock,
};
use futures::{FutureExt, future::BoxFuture};

/// Hosts that have nothing on them.
struct Bare;

impl DatabaseHost for Bare {
    fn look<'a>(&'a self, _: &'a crate::policy::DatabaseHost) -> BoxFuture<'a, Result<HostFacts, HostError>> {
        async { Ok(HostFacts::default()) }.boxed()
    }
    fn usage<'a>(&'a self, _: &'a crate::policy::DatabaseHost) -> BoxFuture<'a, Result<HostUse, HostError>> {
        async { Ok(HostUse::default()) }.boxed()
    }
    fn note_use<'a>(&'a self, _: &'a crate::policy::DatabaseHost, _: &'a [(String, Memory)]) -> BoxFuture<'a, Result<(), HostError>> {
        panic!("a look writes nothing")
    }
    fn make_schema<'a>(&'a self, _: &'a crate::policy::DatabaseHost, _: &'a SchemaOrder) -> BoxFuture<'a, Result<(), HostError>> {
        panic!("a look makes nothing")
    }
    fn drop_schema<'a>(&'a self, _: &'a crate::policy::DatabaseHost, _: &'a str, _: &'a LedgerRow) -> BoxFuture<'a, Result<(), HostError>> {
        panic!("a look drops nothing")
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_has_two_names_is_looked_at_under_both_for_ever() {
    let host = |name: &str| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: {name}}}\n\
             spec: {{endpoint: db.example.com, schemas: 5, credentialsDir: /etc/h}}\n---\n"
        )
    };
    let policy = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";
    let text = format!("{}{}{policy}", host("one"), host("other"));
    let policies = load_files(vec![("p.yaml".to_owned(), text.into_bytes())]).unwrap();
    let (_keep, following) = watch::channel(Arc::new(policies));
    let clock = Arc::new(SandboxClock::new("2026-02-05T14:30:22Z".parse().unwrap()));
    let mut vitals = Vitals::default();
    vitals.fence = Fence::open();
    let looking = Looking {
        hosts: Arc::new(Bare),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        vitals: vitals.clone(),
        policies: following,
        every: Duration::from_secs(300),
        asked: Arc::default(),
        wake: Arc::default(),
    };
    let task = tokio::spawn(looking.run());
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    let mut snapshot = Snapshot::default();
    vitals.store.hosts.add_to(&mut snapshot);
    for name in ["one", "other"] {
        assert_eq!(snapshot.evidence.lack(&Source::Host(Arc::from(name)), clock.now()), None, "{name}");
    }
    task.abort();
}
