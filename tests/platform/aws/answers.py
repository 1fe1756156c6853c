"""RDS' answers where moto's differ from AWS': pages, kinds of snapshots, and parameters that moto does not read.

A marker names the last resource that was shown. So a resource that comes or goes between two pages shifts nothing, as in AWS.
"""

import base64
import json
from types import SimpleNamespace

from moto.core.responses import ActionResult
from moto.rds import urls
from moto.rds.exceptions import InvalidParameterValue
from moto.rds.responses import RDSResponse

FEWEST, MOST = 20, 100


def install():
    """Has these answers given in place of moto's."""
    urls.url_paths = {"{0}/$": Answers.dispatch}


class Answers(RDSResponse):
    """One RDS call."""

    def describe_db_instances(self):
        found = self.backend.describe_db_instances(self.params.get("DBInstanceIdentifier"), self._filters())
        return self._page("DBInstances", found)

    def describe_db_clusters(self):
        found = self.backend.describe_db_clusters(self.params.get("DBClusterIdentifier"), self._filters())
        return self._page("DBClusters", found)

    def describe_db_snapshots(self):
        found = []
        if self._own_snapshots():
            found = self.backend.describe_db_snapshots(
                self.params.get("DBInstanceIdentifier"),
                self.params.get("DBSnapshotIdentifier"),
                self.params.get("SnapshotType"),
                self._filters(),
            )
        source = self.params.get("DbiResourceId")
        return self._page("DBSnapshots", [one for one in found if not source or one.dbi_resource_id == source])

    def describe_db_cluster_snapshots(self):
        found = []
        if self._own_snapshots():
            found = self.backend.describe_db_cluster_snapshots(
                self.params.get("DBClusterIdentifier"),
                self.params.get("DBClusterSnapshotIdentifier"),
                self.params.get("SnapshotType"),
                self._filters(),
            )
        source = self.params.get("DbClusterResourceId")
        return self._page("DBClusterSnapshots", [one for one in found if not source or one.db_cluster_resource_id == source])

    def describe_db_instance_automated_backups(self):
        return self._backups("DBInstance", self.backend.database_snapshots, "dbi_resource_id")

    def describe_db_cluster_automated_backups(self):
        return self._backups("DBCluster", self.backend.cluster_snapshots, "db_cluster_resource_id")

    def delete_db_cluster(self):
        cluster = self.backend.delete_db_cluster(
            self.params.get("DBClusterIdentifier"),
            self.params.get("FinalDBSnapshotIdentifier"),
            self.params.get("SkipFinalSnapshot", False),
            self.params.get("DeleteAutomatedBackups", True),
        )
        return ActionResult({"DBCluster": cluster})

    def _backups(self, kind, snapshots, id_name):
        """What the automated snapshots of one instance or cluster make together: also of one that went without them."""
        source = "db_instance_identifier" if kind == "DBInstance" else "db_cluster_identifier"
        wanted = self.params.get(f"{kind}Identifier")
        found = {}
        for snapshot in snapshots.values():
            of, resource = getattr(snapshot, source), getattr(snapshot, id_name)
            if snapshot.snapshot_type != "automated" or wanted not in (None, of):
                continue
            arn = f"arn:aws:rds:{self.backend.region_name}:{self.backend.account_id}:auto-backup:ab-{resource.lower()}"
            facts = {source: of, id_name: resource, f"{source.removesuffix('identifier')}automated_backups_arn": arn}
            found[arn] = SimpleNamespace(resource_id=arn, status="active", **facts)
        return self._page(f"{kind}AutomatedBackups", list(found.values()))

    def _own_snapshots(self):
        """Whether the kind that is asked for is one that can be here: nobody shares anything, and there is no AWS Backup."""
        kind = self.params.get("SnapshotType")
        if kind not in (None, "automated", "manual", "shared", "public", "awsbackup"):
            raise InvalidParameterValue(f"Invalid snapshot type: {kind}")
        return kind in (None, "automated", "manual")

    def _filters(self):
        return {each["Name"]: each["Values"] for each in self.params.get("Filters", [])}

    def _page(self, name, found):
        size = self.params.get("MaxRecords", MOST)
        if not FEWEST <= size <= MOST:
            raise InvalidParameterValue(f"Invalid value {size} for MaxRecords. Must be between {FEWEST} and {MOST}")
        shown = self._shown(name)
        found = sorted((one for one in found if one.resource_id > shown), key=lambda one: one.resource_id)
        marker = None
        if len(found) > size:
            found = found[:size]
            marker = base64.b64encode(json.dumps([name, found[-1].resource_id]).encode()).decode()
        return ActionResult({name: found, "Marker": marker})

    def _shown(self, name):
        """The resource that the caller's marker names."""
        marker = self.params.get("Marker")
        if not marker:
            return ""
        try:
            of, shown = json.loads(base64.b64decode(marker, validate=True))
            if of == name and isinstance(shown, str):
                return shown
        except ValueError:
            pass
        raise InvalidParameterValue(f"The specified marker is invalid: {marker}")
