//! What speaks against judging a thing an orphan, or against its going as one.

use crate::model::names;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Why a thing may not be judged an orphan, or not go as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// A living clone has the name of the dead owner.
    NamesakeLives(Box<str>),
    /// Our tags are on it, but its identifier is not the one derived from them: restores inherit tags.
    InheritedTags(Box<str>),
    /// Something is left of an earlier life of its identifier, with another resource id: somebody restored it.
    Restored,
    /// Another living object in the cluster claims it.
    Claimed(Box<str>),
    /// Nobody said which cluster this is, so nothing in AWS can be proven to be ours.
    ClusterIdUnknown,
    /// The RGD writes another cluster id than ours, or a placeholder.
    ClusterIdMismatch(Box<str>),
    /// The credentials are of this account, and another one was swept before.
    AccountChanged(Box<str>),
    /// This database was made for a clone that never was in this cluster.
    ClusterIdShared(Box<str>),
    /// An object of ours stands for a database in AWS that is not proven to be ours.
    ClaimsForeign(Box<str>),
    /// An object stands for a database in AWS, where nothing is known of it: this region is not swept.
    RegionNotSwept(Box<str>),
    /// It carries KRO's labels, and seems to be a person's copy.
    CopiedLabels,
    /// It is called like a final snapshot of ours, and neither its tags nor an `Orphan` say so.
    Unclaimed,
    /// It had our tags, and has none now.
    TagsGone,
    /// Its deletion protection is on, or not known to be off.
    Protected,
    /// Somebody vetoed it.
    Vetoed,
    /// AWS takes no final snapshot of it in this state, and the policy wants one.
    SnapshotImpossible(Box<str>),
    /// AWS is doing something to it at present: its state.
    Busy(Box<str>),
    /// The Aurora cluster cannot go before these instances in it have.
    WaitsForMembers(Vec<String>),
    /// An instance of the Aurora cluster that is not ours.
    MemberNotOurs(Box<str>),
    /// The Aurora cluster that the instance is in does not go now: it would be left without instances.
    WaitsForCluster(Box<str>),
    /// The Job that made the Pod is there, and would make another.
    GoesWithJob(Box<str>),
    /// AWS, or a controller, has been deleting it since then without coming to an end.
    StuckDeleting(Timestamp),
    /// The date until which a snapshot is kept cannot be read.
    ExpiryUnreadable(Box<str>),
    /// The database that the snapshot was taken of is there, or one that was restored to its identifier.
    StillNeeded(Box<str>),
    /// A schema has the name of a clone's, and nothing says that it is ours: what it has instead.
    SchemaForeign(Box<str>),
    /// An `Orphan` tells of a schema on this host, and no policy file names the host any more, or its credentials.
    HostNotGoverned(Box<str>),
    /// A row of ours is about a clone whose schema has another name: its UID.
    RowDisagrees(Box<str>),
}

impl Doubt {
    /// The code: CamelCase, each with a line in the docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NamesakeLives(_) => "NamesakeLives",
            Self::InheritedTags(_) => "InheritedTags",
            Self::Restored => "Restored",
            Self::Claimed(_) => "Claimed",
            Self::ClusterIdUnknown => "ClusterIdUnknown",
            Self::ClusterIdMismatch(_) => "ClusterIdMismatch",
            Self::AccountChanged(_) => "AccountChanged",
            Self::ClusterIdShared(_) => "ClusterIdShared",
            Self::ClaimsForeign(_) => "ClaimsForeign",
            Self::RegionNotSwept(_) => "RegionNotSwept",
            Self::CopiedLabels => "CopiedLabels",
            Self::Unclaimed => "Unclaimed",
            Self::TagsGone => "TagsGone",
            Self::Protected => "Protected",
            Self::Vetoed => "Vetoed",
            Self::SnapshotImpossible(_) => "SnapshotImpossible",
            Self::Busy(_) => "Busy",
            Self::WaitsForMembers(_) => "WaitsForMembers",
            Self::MemberNotOurs(_) => "MemberNotOurs",
            Self::WaitsForCluster(_) => "WaitsForCluster",
            Self::GoesWithJob(_) => "GoesWithJob",
            Self::StuckDeleting(_) => "StuckDeleting",
            Self::ExpiryUnreadable(_) => "ExpiryUnreadable",
            Self::StillNeeded(_) => "StillNeeded",
            Self::SchemaForeign(_) => "SchemaForeign",
            Self::HostNotGoverned(_) => "HostNotGoverned",
            Self::RowDisagrees(_) => "RowDisagrees",
        }
    }

    /// Whether a person has to look: it will not pass by itself.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::NamesakeLives(_)
            | Self::Restored
            | Self::ClusterIdUnknown
            | Self::ClusterIdMismatch(_)
            | Self::ClusterIdShared(_)
            | Self::AccountChanged(_)
            | Self::ClaimsForeign(_)
            | Self::RegionNotSwept(_)
            | Self::CopiedLabels
            | Self::Unclaimed
            | Self::TagsGone
            | Self::Protected
            | Self::SnapshotImpossible(_)
            | Self::MemberNotOurs(_)
            | Self::StuckDeleting(_)
            | Self::SchemaForeign(_)
            | Self::HostNotGoverned(_)
            | Self::RowDisagrees(_)
            | Self::ExpiryUnreadable(_) => true,
            Self::InheritedTags(_) | Self::Claimed(_) | Self::Vetoed | Self::Busy(_) | Self::WaitsForMembers(_) | Self::WaitsForCluster(_) => false,
            Self::StillNeeded(_) | Self::GoesWithJob(_) => false,
        }
    }

    /// Whether an `Orphan` is made of what was doubtful from the first: where that is the only memory of the doubt, and where it is
    /// ours and costs money for as long as nobody looks. What is not proven to be ours is only counted.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        matches!(self, Self::Restored | Self::Protected | Self::Vetoed | Self::NamesakeLives(_) | Self::StuckDeleting(_))
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NamesakeLives(path) => format!("a living clone is called `{path}` like its dead owner: whose it is must be settled by hand"),
            Self::InheritedTags(expected) => {
                format!("carries our tags but is not called `{expected}`: a restore or a copy inherits tags, it is not proven to be ours")
            }
            Self::Restored => "a snapshot of its identifier has another resource id: somebody restored it".to_owned(),
            Self::Claimed(by) => format!("`{by}` in the cluster claims it"),
            Self::ClusterIdUnknown => "no cluster id was given (`--cluster-id`): nothing in AWS can be proven to be ours".to_owned(),
            Self::ClusterIdMismatch(other) if names::is_placeholder(other) => {
                format!("the cluster id `{other}` is a placeholder that somebody forgot to replace: nothing in AWS is touched")
            }
            Self::ClusterIdMismatch(other) => format!("the RGD writes the cluster id `{other}`, which is not ours: nothing in AWS is touched"),
            Self::AccountChanged(account) => format!(
                "AWS answers for account {account}, and another one was swept before: nothing in AWS is judged until it is back, or \
                 `clonewarden brake release aws-account`"
            ),
            Self::ClusterIdShared(arn) => format!(
                "`{arn}` carries our cluster id and was made for a clone that never was here: another cluster uses our id; nothing in AWS and no \
                 schema is touched until `clonewarden brake release cluster-id`"
            ),
            Self::ClaimsForeign(id) => format!("stands for `{id}` in AWS, which is not proven to be ours: ACK would delete that with it"),
            Self::RegionNotSwept(region) => format!("stands for a database in `{region}`, which this daemon does not sweep (`--aws-regions`)"),
            Self::CopiedLabels => {
                "carries KRO's labels, but was applied by a person or comes from another namespace: it is not proven to be KRO's".to_owned()
            }
            Self::Unclaimed => "is called like a final snapshot of ours, but neither its tags nor an Orphan say so: a person must decide".to_owned(),
            Self::TagsGone => "had our tags and has none now: whose it is cannot be proven".to_owned(),
            Self::Protected => "its deletion protection is on, or not known to be off; only a person takes it off".to_owned(),
            Self::Vetoed => format!("somebody wants it kept: `{}` stands on it, on what it would take along, or on its Orphan", names::KEEP),
            Self::SnapshotImpossible(state) => format!(
                "AWS takes no final snapshot of it while it is `{state}`; annotate its Orphan `{}: SnapshotImpossible` to let it go without",
                names::RELEASE
            ),
            Self::Busy(state) => format!("AWS says `{state}`: it goes once that is over"),
            Self::WaitsForMembers(ids) => format!("goes once its instances are gone: {}", ids.join(", ")),
            Self::MemberNotOurs(id) => format!("the instance `{id}` in it is not proven to be ours, and would go with it"),
            Self::GoesWithJob(path) => format!("its Job `{path}` is there and would make another: it goes with that"),
            Self::WaitsForCluster(id) => format!("its Aurora cluster `{id}` does not go now, and would be left without instances"),
            Self::StuckDeleting(since) => format!("has been going since {since} and is still there"),
            Self::ExpiryUnreadable(text) => format!("its tag `{}` says `{text}`, which is no date: it is kept", names::TAG_EXPIRES_AT),
            Self::SchemaForeign(has) => {
                format!("has the name of a clone's schema, and {has}: it is not ours, and the clone gets none until it is gone")
            }
            Self::HostNotGoverned(host) => {
                format!("it tells of a schema on `{host}`, and no `DatabaseHost` of that name has a `credentialsDir` any more: nobody looks there")
            }
            Self::RowDisagrees(uid) => format!("its row says that it was made for {uid}, whose schema has another name: it is not proven to be ours"),
            Self::StillNeeded(id) => format!("`{id}`, of which it was taken or which was restored from it, is there"),
        }
    }

    /// The data behind the sentence.
    pub fn facts(&self, put: &mut impl FnMut(&str, Value)) {
        match self {
            Self::NamesakeLives(path) => put("namesake", json!(path)),
            Self::InheritedTags(expected) => put("expected", json!(expected)),
            Self::Claimed(by) => put("claimedBy", json!(by)),
            Self::ClusterIdMismatch(other) => put("clusterId", json!(other)),
            Self::ClusterIdShared(arn) => put("arn", json!(arn)),
            Self::AccountChanged(account) => put("account", json!(account)),
            Self::ClaimsForeign(id) | Self::StillNeeded(id) | Self::MemberNotOurs(id) | Self::WaitsForCluster(id) => put("id", json!(id)),
            Self::GoesWithJob(path) => put("job", json!(path)),
            Self::RegionNotSwept(region) => put("region", json!(region)),
            Self::SnapshotImpossible(state) | Self::Busy(state) => put("state", json!(state)),
            Self::WaitsForMembers(ids) => put("members", json!(ids)),
            Self::SchemaForeign(has) => put("has", json!(has)),
            Self::HostNotGoverned(host) => put("host", json!(host)),
            Self::RowDisagrees(uid) => put("ownerUid", json!(uid)),
            Self::StuckDeleting(since) => put("since", json!(since)),
            Self::ExpiryUnreadable(text) => put("text", json!(text)),
            Self::Restored | Self::ClusterIdUnknown | Self::CopiedLabels | Self::Unclaimed | Self::TagsGone | Self::Protected | Self::Vetoed => {}
        }
    }
}

/// How long the deletion of a database may take in AWS before somebody should look: it takes 5 to 15 minutes, with a large final
/// snapshot longer.
pub(super) const STUCK_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
