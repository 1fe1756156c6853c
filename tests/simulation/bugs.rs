//! Planted bugs. The product knows nothing of them: each is a planner that errs, or a [`Cluster`] between the product and the
//! sandbox that does not do what it should. The oracle must catch every one.

use crate::{bugged::Bugged, clouded::Clouded, muddled::Muddled, planners};
use clonewarden::{
    plan::{Planner, plan},
    ports::{ApiError, CloneSecret, Cloud, Cluster, DatabaseHost, Secrets, StoredSecret},
    sandbox::{
        cloud::handle::SandboxCloud,
        cluster::SandboxCluster,
        hosts::{SandboxHosts, Server},
    },
};
use futures::future::BoxFuture;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing: the product as it is.
    None,
    /// An announced end is carried out a minute and a half early.
    Early,
    /// A keep is not seen.
    OverlooksKeep,
    /// An end that has passed is carried out instead of announced.
    Unannounced,
    /// What was announced before the namespace was enforced (again) counts.
    TrustsOldAnnouncement,
    /// Audit is carried out like enforce.
    ActsInAudit,
    /// `pause` is not seen.
    IgnoresPause,
    /// A definition that is gone is not missed.
    IgnoresDefinition,
    /// The resourceVersion is left out of the preconditions.
    Unpinned,
    /// A delete that meets a conflict is repeated with the present resourceVersion.
    Forces,
    /// Late ends get a second of grace.
    NoGrace,
    /// The brake remembers nothing.
    BrakeForgets,
    /// The brake is on, and nobody obeys it.
    BrakeFails,
    /// Some clones are never deleted.
    NeverActs,
    /// The watch drops what it hears about clones.
    DeafWatch,
    /// Whatever the API server says, the lease is ours.
    TakesLease,
    /// A clone's Job is deleted first.
    Meddles,
    /// An annotation is written that belongs to somebody else.
    Scribbles,
    /// What cannot be read is taken for not said.
    Misreads,
    /// Our own clock is always trusted.
    TrustsClock,
    /// What was seen of databases in AWS once is believed for minutes, and nothing is described again.
    OldPicture,
    /// Whatever carries the tags of a dead clone's database is taken for it.
    TrustsTags,
    /// A list without the snapshots that others took is believed.
    EmptyListIsTruth,
    /// Orphans do not soak.
    NoSoak,
    /// Protection is not seen.
    DropsProtection,
    /// A veto on an `Orphan` is not seen.
    IgnoresVeto,
    /// ACK's objects are not seen.
    IgnoresClaims,
    /// No final snapshot is asked for.
    ForgetsSnapshot,
    /// ACK is told to take no final snapshot.
    TellsAckNothing,
    /// Final snapshots go at once.
    HastensSnapshots,
    /// Every snapshot is taken for ours.
    AnySnapshot,
    /// A deletion whose answer was lost counts as done.
    LostIsDone,
    /// What is in AWS is never deleted.
    LeavesAws,
    /// Every clone gets the credentials of the first.
    SharesSecrets,
    /// Secrets are made in audit, too.
    SecretInAudit,
    /// A Secret counts as made though it is not.
    ForgetsSecret,
    /// What was lived since the last checkpoint is counted twice.
    CountsTwice,
    /// A key that is gone is made anew.
    RemakesKey,
    /// With each schema that is dropped goes one that is not ours.
    DropsForeign,
    /// With each schema that is dropped goes another clone's.
    DropsAnother,
    /// What is to be dropped is said to be, and is not.
    LeavesSchemas,
    /// No schema is made.
    MakesNoSchema,
    /// Schemas are dropped in audit, too.
    DropsInAudit,
    /// Schemas that are orphans do not soak.
    SchemaNoSoak,
    /// A veto on the `Orphan` of a schema is not seen.
    DropsKept,
}

impl Bug {
    /// Every bug, and the promise that it breaks.
    pub(crate) const PLANTED: [(Self, &'static str); 44] = [
        (Self::Early, "I1"),
        (Self::OverlooksKeep, "I1"),
        (Self::Unannounced, "I1"),
        (Self::TrustsOldAnnouncement, "I1"),
        (Self::TrustsClock, "I1"),
        (Self::Forces, "I1"),
        (Self::ActsInAudit, "I2"),
        (Self::IgnoresPause, "I2"),
        (Self::IgnoresDefinition, "I2"),
        (Self::Unpinned, "I3"),
        (Self::NoGrace, "I4"),
        (Self::BrakeForgets, "I5"),
        (Self::BrakeFails, "I5"),
        (Self::NeverActs, "I6"),
        (Self::DeafWatch, "I6"),
        (Self::TakesLease, "I7"),
        (Self::Meddles, "I8"),
        (Self::Scribbles, "I8"),
        (Self::Misreads, "I9"),
        (Self::OldPicture, "A3"),
        (Self::TrustsTags, "A1"),
        (Self::EmptyListIsTruth, "A1"),
        (Self::CountsTwice, "M1"),
        (Self::NoSoak, "A2"),
        (Self::DropsProtection, "A3"),
        (Self::IgnoresVeto, "A3"),
        (Self::IgnoresClaims, "A4"),
        (Self::ForgetsSnapshot, "A5"),
        (Self::TellsAckNothing, "A5"),
        (Self::HastensSnapshots, "A6"),
        (Self::AnySnapshot, "A6"),
        (Self::LostIsDone, "A7"),
        (Self::LeavesAws, "A7"),
        (Self::SharesSecrets, "S3"),
        (Self::SecretInAudit, "S1"),
        (Self::ForgetsSecret, "S3"),
        (Self::RemakesKey, "S2"),
        (Self::DropsForeign, "H1"),
        (Self::DropsAnother, "H2"),
        (Self::LeavesSchemas, "H4"),
        (Self::MakesNoSchema, "H4"),
        (Self::DropsInAudit, "H3"),
        (Self::SchemaNoSoak, "H3"),
        (Self::DropsKept, "H3"),
    ];

    /// Whether it shows only where there is AWS.
    pub(crate) fn is_in_aws(self) -> bool {
        self.breaks('A')
    }

    /// Whether it shows only where there is a shared database host.
    pub(crate) fn is_on_host(self) -> bool {
        self.breaks('H')
    }

    fn breaks(self, promises: char) -> bool {
        Self::PLANTED.iter().any(|(bug, promise)| *bug == self && promise.starts_with(promises))
    }

    pub(crate) fn hosts(self, inner: SandboxHosts, server: &Arc<Mutex<Server>>) -> Arc<dyn DatabaseHost> {
        match self {
            Self::DropsForeign | Self::DropsAnother | Self::LeavesSchemas => Arc::new(Muddled { inner, server: Arc::clone(server), bug: self }),
            _ => Arc::new(inner),
        }
    }

    pub(crate) fn cloud(self, handle: SandboxCloud) -> Arc<dyn Cloud> {
        if self.is_in_aws() { Arc::new(Clouded::new(handle, self)) } else { Arc::new(handle) }
    }

    pub(crate) fn secrets(self, handle: SandboxCluster) -> Arc<dyn Secrets> {
        match self {
            Self::SharesSecrets | Self::ForgetsSecret => Arc::new(Careless { inner: handle, bug: self, first: Mutex::default() }),
            _ => Arc::new(handle),
        }
    }

    pub(crate) fn planner(self) -> Planner {
        match self {
            Self::Early => planners::early,
            Self::OverlooksKeep => planners::overlooks_keep,
            Self::Unannounced => planners::unannounced,
            Self::TrustsOldAnnouncement => planners::trusts_old_announcement,
            Self::ActsInAudit => planners::acts_in_audit,
            Self::IgnoresDefinition => planners::ignores_definition,
            Self::NoGrace => planners::no_grace,
            Self::BrakeForgets => planners::brake_forgets,
            Self::BrakeFails => planners::brake_fails,
            Self::NeverActs => planners::never_acts,
            Self::Misreads => planners::misreads,
            Self::NoSoak => planners::no_soak,
            Self::SchemaNoSoak => planners::schemas_do_not_soak,
            Self::IgnoresVeto | Self::DropsKept => planners::ignores_veto,
            Self::MakesNoSchema => planners::makes_no_schema,
            Self::DropsInAudit => planners::drops_in_audit,
            Self::IgnoresClaims => planners::ignores_claims,
            Self::LeavesAws => planners::leaves_aws,
            Self::SecretInAudit => planners::secret_in_audit,
            Self::CountsTwice => planners::counts_twice,
            Self::RemakesKey => planners::remakes_key,
            _ => plan,
        }
    }

    pub(crate) fn cluster(self, handle: SandboxCluster) -> Arc<dyn Cluster> {
        match self {
            Self::IgnoresPause
            | Self::Unpinned
            | Self::Forces
            | Self::DeafWatch
            | Self::TakesLease
            | Self::Meddles
            | Self::Scribbles
            | Self::TrustsClock
            | Self::IgnoresClaims
            | Self::IgnoresVeto
            | Self::DropsKept
            | Self::TellsAckNothing => Arc::new(Bugged::new(handle, self)),
            _ => Arc::new(handle),
        }
    }
}

/// Makes Secrets as nobody should.
struct Careless {
    inner: SandboxCluster,
    bug: Bug,
    first: Mutex<Option<CloneSecret>>,
}

impl Secrets for Careless {
    fn read_secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<StoredSecret>, ApiError>> {
        self.inner.read_secret(name)
    }

    fn write_secret<'a>(
        &'a self,
        name: &'a str,
        data: BTreeMap<String, Vec<u8>>,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<StoredSecret, ApiError>> {
        self.inner.write_secret(name, data, version)
    }

    fn make_secret<'a>(&'a self, secret: &'a CloneSecret) -> BoxFuture<'a, Result<(), ApiError>> {
        if self.bug == Bug::ForgetsSecret {
            return Box::pin(std::future::ready(Ok(())));
        }
        let data = self.first.lock().unwrap().get_or_insert_with(|| secret.clone()).data.clone();
        let secret = CloneSecret { data, ..secret.clone() };
        Box::pin(async move { self.inner.make_secret(&secret).await })
    }
}
