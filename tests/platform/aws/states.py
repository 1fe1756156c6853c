"""RDS' resources as AWS keeps them, where moto is simpler: they take time to come and to go, each has a resource id of its
own, a snapshot knows what it was taken of, and a call that AWS refuses is refused in its words.

Codes and messages are those that real accounts answered with, as far as they are on record.
"""

import copy
import datetime
import secrets
import string
import time

from moto.rds import exceptions as refused
from moto.rds.models import DBCluster, DBInstance, DBInstanceClustered, RDSBackend, TaggingMixin, rds_backends

from agenda import AGENDA

ACCOUNT = "123456789012"
# The group that clones' databases are put into, in each of these regions.
SUBNET_GROUP = "clones"
REGIONS = ["us-east-1", "eu-west-1"]
# In these there is nothing that a final snapshot could be taken of: AWS deletes only with SkipFinalSnapshot.
WITHOUT_FINAL_SNAPSHOT = {
    "creating",
    "failed",
    "inaccessible-encryption-credentials",
    "incompatible-create",
    "incompatible-network",
    "incompatible-restore",
    "storage-full",
}

# What AWS says of an ARN whose resource is gone, by the kind that the ARN names.
MISSING = {
    "db": refused.DBInstanceNotFoundError,
    "cluster": refused.DBClusterNotFoundError,
    "snapshot": refused.DBSnapshotNotFoundFault,
    "cluster-snapshot": refused.DBClusterSnapshotNotFoundError,
}


def unique(prefix):
    """A resource id: AWS gives out a new one whenever something is created, under whichever name."""
    letters = string.ascii_uppercase + string.digits
    return prefix + "".join(secrets.choice(letters) for _ in range(26))


def moment(seconds):
    """A time as moto keeps it: UTC, without saying so."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)


def install():
    """Puts these states into moto's place, and takes out what gets in their way."""
    rds_backends.backend = Rds
    # moto's own `creating` ends as soon as anybody has read it.
    DBCluster.status = property(lambda self: self._status, lambda self, value: setattr(self, "_status", value))
    # An instance has no endpoint and no creation time before it has been created.
    endpoint = DBInstance.endpoint
    DBInstance.endpoint = property(lambda self: None if self.instance_create_time is None else endpoint.fget(self))
    # `null` set through the control API: an answer without the element, which is not the same as an empty list.
    TaggingMixin.tag_list = property(lambda self: None if getattr(self, "without_tag_list", False) else self.tags)


class Rds(RDSBackend):
    """RDS in one region of one account."""

    # moto looks for a backend's addresses beside its module.
    __module__ = RDSBackend.__module__

    # Instances.

    def create_db_instance(self, db_kwargs):
        cluster = self.clusters.get(db_kwargs.get("db_cluster_identifier") or "")
        if cluster is not None and cluster.status == "deleting":
            raise refused.InvalidDBClusterStateFault(f"DBCluster {cluster.db_cluster_identifier} is in deleting state.")
        instance = super().create_db_instance(db_kwargs)
        self._creating(instance)
        return instance

    def create_db_instance_read_replica(self, db_kwargs):
        if db_kwargs["db_instance_identifier"] in self.databases:
            raise refused.DBInstanceAlreadyExists()
        # moto's replica is a copy of its source, with everything that makes the source itself.
        replica = super().create_db_instance_read_replica(db_kwargs)
        replica.tags = db_kwargs.get("tags")
        self._creating(replica)
        return replica

    def _creating(self, instance):
        instance.dbi_resource_id = unique("db-")
        instance.status = "creating"
        instance.instance_create_time = None

        def created(due):
            instance.created = instance.instance_create_time = moment(due)
            # The backups of a member are its cluster's.
            if not isinstance(instance, DBInstanceClustered) and instance.backup_retention_period:
                self._backing_up(instance, due)
            else:
                instance.status = "available"

        AGENDA.plan(AGENDA.after("creating"), instance, created)
        AGENDA.advance()

    def create_auto_snapshot(self, db_instance_identifier, db_snapshot_identifier):
        """moto's, from within the creation; nobody reads what it returns. Here the first backup follows the creation."""

    def _backing_up(self, resource, since):
        """The first automated backup of an instance or a cluster."""
        resource.status = "backing-up"
        identifier = f"rds:{resource.resource_id}-{moment(since):%Y-%m-%d-%H-%M}"
        taken = self.cluster_snapshots if isinstance(resource, DBCluster) else self.database_snapshots
        # One of the same minute may be left of a resource that was deleted without its backups.
        if identifier not in taken:
            self._snapshot(resource, identifier, "automated", None, since)

        def available(_):
            resource.status = "available"

        AGENDA.plan(AGENDA.after("backingUp", since), resource, available)

    def modify_db_instance(self, db_instance_identifier, db_kwargs):
        instance = self.describe_db_instances(db_instance_identifier)[0]
        if instance.status in ("creating", "deleting"):
            raise refused.RDSClientError("InvalidDBInstanceState", "Database instance is not in available state.")
        return super().modify_db_instance(db_instance_identifier, db_kwargs)

    def describe_db_instances(self, db_instance_identifier=None, filters=None):
        # moto compares every instance with the name, which at 5,000 of them takes as long as everything else.
        if db_instance_identifier and not filters:
            instance = self.databases.get(db_instance_identifier.rsplit(":", 1)[-1])
            if instance is None:
                raise refused.DBInstanceNotFoundError(db_instance_identifier)
            return [instance]
        return super().describe_db_instances(db_instance_identifier, filters)

    def delete_db_instance(
        self,
        db_instance_identifier,
        final_db_snapshot_identifier=None,
        skip_final_snapshot=False,
        delete_automated_backups=True,
    ):
        instance = self.databases.get(db_instance_identifier)
        if instance is None:
            raise refused.DBInstanceNotFoundError(db_instance_identifier)
        member = isinstance(instance, DBInstanceClustered)
        if final_db_snapshot_identifier and (member or instance.is_replica):
            kind = "cluster" if member else "replica"
            raise refused.InvalidParameterCombination(
                f"FinalDBSnapshotIdentifier can not be specified when deleting a {kind} instance"
            )
        self._final(final_db_snapshot_identifier, skip_final_snapshot or member)
        if instance.deletion_protection:
            raise refused.InvalidParameterCombination(
                "Cannot delete protected DB Instance, please disable deletion protection and try again."
            )
        if instance.status == "deleting":
            raise refused.RDSClientError("InvalidDBInstanceState", f"Instance {db_instance_identifier} is already being deleted.")
        gone = AGENDA.after("deleting")
        if final_db_snapshot_identifier:
            if instance.status in WITHOUT_FINAL_SNAPSHOT:
                raise not_available(instance)
            self._snapshot(instance, final_db_snapshot_identifier, "manual", None)
            gone = max(gone, AGENDA.after("snapshot"))
        AGENDA.forget(instance)
        instance.status = "deleting"

        def removed(_):
            self.databases.pop(instance.db_instance_identifier, None)
            if instance.is_replica and instance.source_db_instance_identifier in self.databases:
                self.find_db_from_id(instance.source_db_instance_identifier).remove_replica(instance)
            self._removed(instance, delete_automated_backups, self.database_snapshots, "dbi_resource_id")

        AGENDA.plan(gone, instance, removed)
        AGENDA.advance()
        return instance

    @staticmethod
    def _final(snapshot, skip):
        if snapshot and skip:
            raise refused.InvalidParameterCombination("You cannot specify both FinalDBSnapshotIdentifier and SkipFinalSnapshot")
        if not (snapshot or skip):
            raise refused.InvalidParameterCombination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")

    @staticmethod
    def _removed(resource, with_backups, snapshots, id_name):
        if resource.manage_master_user_password:
            resource.master_user_secret.delete_secret()
        if with_backups:
            for identifier, snapshot in list(snapshots.items()):
                if snapshot.snapshot_type == "automated" and getattr(snapshot, id_name) == getattr(resource, id_name):
                    del snapshots[identifier]

    # Clusters.

    def create_db_cluster(self, kwargs):
        if kwargs["db_cluster_identifier"] in self.clusters:
            raise refused.RDSClientError("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        # `default` is moto's word for none.
        group = kwargs.get("db_subnet_group_name") or "default"
        if group != "default" and group not in self.subnet_groups:
            raise refused.DBSubnetGroupNotFoundError(group)
        cluster = super().create_db_cluster(kwargs)
        cluster.db_cluster_resource_id = unique("cluster-")

        def created(due):
            if cluster.backup_retention_period:
                self._backing_up(cluster, due)
            else:
                cluster.status = "available"

        AGENDA.plan(AGENDA.after("creating"), cluster, created)
        AGENDA.advance()
        return cluster

    def create_auto_cluster_snapshot(self, db_cluster_identifier, db_snapshot_identifier):
        """As `create_auto_snapshot`."""

    def modify_db_cluster(self, kwargs):
        cluster = self.describe_db_clusters(kwargs["db_cluster_identifier"])[0]
        if cluster.status in ("creating", "deleting"):
            raise not_available(cluster)
        return super().modify_db_cluster(kwargs)

    def delete_db_cluster(self, cluster_identifier, snapshot_name=None, skip=False, with_backups=True):
        cluster = self.clusters.get(cluster_identifier)
        if cluster is None:
            raise refused.DBClusterNotFoundError(cluster_identifier)
        self._final(snapshot_name, skip)
        if cluster.deletion_protection:
            raise refused.InvalidParameterCombination(
                "Cannot delete protected Cluster, please disable deletion protection and try again."
            )
        if cluster.status == "deleting":
            raise not_available(cluster)
        if any(member.status != "deleting" for member in cluster._members):
            raise refused.DBClusterToBeDeletedHasActiveMembers()
        gone = AGENDA.after("deleting")
        if snapshot_name:
            if cluster.status in WITHOUT_FINAL_SNAPSHOT:
                raise not_available(cluster)
            self._snapshot(cluster, snapshot_name, "manual", None)
            gone = max(gone, AGENDA.after("snapshot"))
        AGENDA.forget(cluster)
        cluster.status = "deleting"

        def removed(due):
            # Its last members may still be on their way.
            if cluster._members:
                AGENDA.plan(max(due, time.time()) + 0.1, cluster, removed)
                return
            self.clusters.pop(cluster.db_cluster_identifier, None)
            self._removed(cluster, with_backups, self.cluster_snapshots, "db_cluster_resource_id")

        AGENDA.plan(gone, cluster, removed)
        AGENDA.advance()
        return cluster

    # Snapshots.

    def create_db_snapshot(self, db_instance_identifier, db_snapshot_identifier, snapshot_type="manual", tags=None, **more):
        instance = self.describe_db_instances(db_instance_identifier)[0]
        if isinstance(instance, DBInstanceClustered):
            raise refused.InvalidParameterValue(
                "The specified instance is a member of a cluster and a snapshot cannot be created directly. "
                "Please use the CreateDBClusterSnapshot API instead."
            )
        if instance.status != "available":
            raise not_available(instance)
        return self._snapshot(instance, db_snapshot_identifier, snapshot_type, tags)

    def create_db_cluster_snapshot(self, db_cluster_identifier, db_cluster_snapshot_identifier, snapshot_type="manual", tags=None):
        cluster = self.describe_db_clusters(db_cluster_identifier)[0]
        if cluster.status != "available":
            raise not_available(cluster)
        return self._snapshot(cluster, db_cluster_snapshot_identifier, snapshot_type, tags)

    def _snapshot(self, resource, identifier, kind, tags, since=None):
        """Takes a snapshot in whichever state the resource is, now or at an earlier time."""
        if isinstance(resource, DBCluster):
            snapshot = super().create_db_cluster_snapshot(resource.resource_id, identifier, kind, tags)
            # moto's cluster snapshots do not know it, but answer with it once they have it.
            snapshot.db_cluster_resource_id = resource.db_cluster_resource_id
        else:
            snapshot = super().create_db_snapshot(resource.resource_id, identifier, kind, tags)
        if since is not None:
            snapshot.created = moment(since)
        snapshot.status, snapshot.percent_progress = "creating", 0

        def available(_):
            snapshot.status, snapshot.percent_progress = "available", 100

        AGENDA.plan(AGENDA.after("backingUp" if kind == "automated" else "snapshot", since), snapshot, available)
        return snapshot

    def delete_db_snapshot(self, db_snapshot_identifier):
        self._deletable(self.database_snapshots.get(db_snapshot_identifier), "InvalidDBSnapshotState")
        return super().delete_db_snapshot(db_snapshot_identifier)

    def delete_db_cluster_snapshot(self, db_snapshot_identifier):
        self._deletable(self.cluster_snapshots.get(db_snapshot_identifier), "InvalidDBClusterSnapshotStateFault")
        return super().delete_db_cluster_snapshot(db_snapshot_identifier)

    @staticmethod
    def _deletable(snapshot, code):
        if snapshot is not None and (snapshot.snapshot_type == "automated" or snapshot.status != "available"):
            raise refused.RDSClientError(code, f"Snapshot {snapshot.resource_id} is {snapshot.snapshot_type} and {snapshot.status}.")

    # Tags.

    def _get_resource_for_tagging(self, arn):
        resource = super()._get_resource_for_tagging(arn)
        kind, name = arn.split(":", 6)[5:]
        # moto says that what does not exist has no tags.
        if resource is None and kind in MISSING:
            raise MISSING[kind](name)
        return resource

    # For the control API.

    def add_many(self, count, prefix, tags):
        """Available instances with numbered names, without what makes a creation slow."""
        first = None
        for number in range(1, count + 1):
            text = f"{number:04}"
            if first is None:
                instance = first = DBInstance(self, f"{prefix}-{text}", "db.t3.micro", "mysql", "8.0", allocated_storage=20)
            else:
                instance = copy.copy(first)
                instance.db_instance_identifier = f"{prefix}-{text}"
            instance.dbi_resource_id = unique("db-")
            instance.tags = [{"Key": key, "Value": value.replace("{n}", text)} for key, value in tags.items()]
            self.databases[instance.db_instance_identifier] = instance

    def shift(self, seconds):
        """Makes everything older."""
        age = datetime.timedelta(seconds=seconds)
        for resources in (self.databases, self.clusters, self.database_snapshots, self.cluster_snapshots):
            for resource in resources.values():
                for name, value in vars(resource).items():
                    if isinstance(value, datetime.datetime):
                        setattr(resource, name, value - age)


def not_available(resource):
    """The refusal of what needs another state."""
    if isinstance(resource, DBCluster):
        return refused.InvalidDBClusterStateFault(
            f"Db cluster {resource.resource_id} is not in available state: it is {resource.status}."
        )
    return refused.RDSClientError(
        "InvalidDBInstanceState",
        f"Cannot create a snapshot because the database instance {resource.resource_id} is not currently in the available state.",
    )
