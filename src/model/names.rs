//! Labels, annotations and tags that are a contract with people, KRO and ACK.

/// Annotation: a wall while it says `"true"`.
pub const KEEP: &str = "clonewarden.io/keep";
/// Annotation: an RFC 3339 date up to which somebody asked to keep the clone alive.
pub const EXTEND_UNTIL: &str = "clonewarden.io/extend-until";
/// Annotation, written by the daemon: the announced end, RFC 3339.
pub const EXPIRES_AT: &str = "clonewarden.io/expires-at";
/// Annotation, written by the daemon together with [`EXPIRES_AT`]: when it was announced.
pub const ANNOUNCED_AT: &str = "clonewarden.io/announced-at";
/// Annotation, written by the daemon together with [`EXPIRES_AT`], where that is nearer because nothing uses the clone's database: since
/// when nothing has.
pub const UNUSED_SINCE: &str = "clonewarden.io/unused-since";
/// Annotation on our Events: the revision of the policies by which it was decided.
pub const POLICY_REVISION: &str = "clonewarden.io/policy-revision";
/// Annotation on our Events: the Git commit of these policies, where their folder tells it.
pub const POLICY_COMMIT: &str = "clonewarden.io/policy-commit";
/// Annotation, written by the daemon: the last warning given, `<announced end>/<time before it>`.
pub const WARNED: &str = "clonewarden.io/warned";
/// Annotation: who the clone belongs to.
pub const OWNER: &str = "clonewarden.io/owner";
/// Annotation, written at admission: why the clone got the database that it has.
pub const PLACEMENT_REASON: &str = "clonewarden.io/placement-reason";
/// Annotation, written at admission: which promise of a place the clone was let in on.
pub const RESERVATION: &str = "clonewarden.io/reservation";
/// Annotation, written by the daemon: the name of the Secret that was made for the clone.
pub const CREDENTIALS: &str = "clonewarden.io/credentials";
/// Annotation, written by the HTTP API: hashes of the Idempotency-Key and of the body that the clone was made by.
pub const IDEMPOTENCY: &str = "clonewarden.io/idempotency";
/// The Secret with the key that clones' credentials are derived under, in the daemon's namespace.
pub const KEY_SECRET: &str = "clonewarden-key";
/// The key in it: 32 random bytes.
pub const KEY_ENTRY: &str = "key";
/// Annotation on the Lease: where the holder answers reviews.
pub const ADDRESS: &str = "clonewarden.io/address";
/// Label: `"true"` on clones that a placement rule may give a database of their own.
pub const CRITICAL: &str = "clonewarden.io/critical";
/// Label on a clone's Pods: the UID of the clone. KRO does not label Pods.
pub const CLONE_UID: &str = "clonewarden.io/clone-uid";
/// Annotation on an `Orphan`: the reason code that a person lets go.
pub const RELEASE: &str = "clonewarden.io/release";

/// Annotation on our ResourceQuotas and LimitRanges: the policy that wants them.
pub const POLICY: &str = "clonewarden.io/policy";
/// The well-known label that says who keeps an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What [`MANAGED_BY`] says on what is ours, and how our ResourceQuota and LimitRange are called in every namespace.
pub const OURSELVES: &str = "clonewarden";

/// Label that KRO puts on every child: the UID of the instance.
pub const KRO_INSTANCE_ID: &str = "kro.run/instance-id";
/// Label that KRO puts on every child: the name of the instance.
pub const KRO_INSTANCE_NAME: &str = "kro.run/instance-name";
/// Label that KRO puts on every child: the namespace of the instance.
pub const KRO_INSTANCE_NAMESPACE: &str = "kro.run/instance-namespace";
/// Label that KRO puts on every child: the kind of the instance. Other kinds than ours are none of our business.
pub const KRO_INSTANCE_KIND: &str = "kro.run/instance-kind";
/// Label that KRO puts on every child: the API group of the instance.
pub const KRO_INSTANCE_GROUP: &str = "kro.run/instance-group";
/// Label that KRO puts on an instance: the name of its ResourceGraphDefinition.
pub const KRO_DEFINITION: &str = "kro.run/resource-graph-definition-name";
/// The field manager by which KRO applies every child: the API server notes it, and whoever copies an object does not copy it.
pub const KRO_APPLIER: &str = "kro.run/applyset";
/// Annotation that `kubectl apply` leaves, and KRO never.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The finalizer by which KRO holds an instance until its children are gone.
pub const KRO_FINALIZER: &str = "kro.run/finalizer";

/// The API group of the clones.
pub const CLONE_GROUP: &str = "kro.run";
/// The kind of the clones.
pub const CLONE_KIND: &str = "WordPressClone";
/// The API group of our own objects.
pub const OWN_GROUP: &str = "clonewarden.io";

/// Tag in AWS: the clone's id.
pub const TAG_CLONE_ID: &str = "CloneId";
/// Tag in AWS: the clone's UID.
pub const TAG_CLONE_UID: &str = "CloneUid";
/// Tag in AWS: the clone's namespace.
pub const TAG_NAMESPACE: &str = "Namespace";
/// Tag in AWS: the id of the cluster that the clone lives in.
pub const TAG_CLUSTER: &str = "Cluster";
/// Tag in AWS on snapshots that the daemon made: the snapshot's own identifier.
pub const TAG_SNAPSHOT: &str = "clonewarden.io/snapshot";

/// Tag in AWS on snapshots that the daemon made: when it goes, RFC 3339.
pub const TAG_EXPIRES_AT: &str = "clonewarden.io/expires-at";
/// Tag in AWS on snapshots that the daemon made: the region that it was made in. A copy in another region may be called the same.
pub const TAG_REGION: &str = "clonewarden.io/region";
/// Tag in AWS on snapshots that the daemon made: the policy that governs it. Its namespace may be gone by then.
pub const TAG_POLICY: &str = "clonewarden.io/policy";

/// Annotation of ACK's: what an object is to adopt, as JSON.
pub const ACK_ADOPTION_FIELDS: &str = "services.k8s.aws/adoption-fields";
/// Annotation of ACK's: the region of the object.
pub const ACK_REGION: &str = "services.k8s.aws/region";
/// Annotation of ACK: `retain` leaves the database alone when the object goes.
pub const ACK_DELETION_POLICY: &str = "services.k8s.aws/deletion-policy";
/// Annotation of ACK: `"true"` means that ACK never writes, nor deletes.
pub const ACK_READ_ONLY: &str = "services.k8s.aws/read-only";
/// Annotation of ACK: `"false"` has a final snapshot taken. Without it there is none.
pub const ACK_SKIP_SNAPSHOT: &str = "rds.services.k8s.aws/skip-final-snapshot";
/// Annotation of ACK: the identifier of the final snapshot.
pub const ACK_FINAL_SNAPSHOT: &str = "rds.services.k8s.aws/final-db-snapshot-identifier";

/// Whether the value of [`KEEP`] on something that was left behind is a veto: anything that is not plainly none.
pub(crate) fn is_veto(value: &serde_json::Value) -> bool {
    value.as_str() != Some("false")
}

/// The identifier that the RGD derives for a clone's database: `<cloneId>-<first 8 of the uid>`.
#[must_use]
pub fn database_identifier(clone_id: &str, uid: &str) -> String {
    format!("{clone_id}-{}", uid.get(..8).unwrap_or(uid))
}

/// The name of the Secret that the RGD expects a clone's credentials in: `<cloneId>-<first 8 of the uid>-secret`.
#[must_use]
pub fn secret_name(clone_id: &str, uid: &str) -> String {
    format!("{}-secret", database_identifier(clone_id, uid))
}

/// Whether `id` has the form of a cluster id (`[0-9A-Za-z][0-9A-Za-z_-]*`) and is not a placeholder left in a template.
#[must_use]
pub fn is_cluster_id(id: &str) -> bool {
    let mut chars = id.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') && !is_placeholder(id)
}

/// Whether a literal is one that somebody forgot to replace (`REPLACE-…`, `CHANGEME`, `${…}`).
#[must_use]
pub fn is_placeholder(id: &str) -> bool {
    let upper = id.to_ascii_uppercase();
    upper.starts_with("REPLACE") || upper.starts_with("CHANGEME") || upper.contains("${")
}
