"""The control API: what a test says to the endpoint itself, in JSON, under /control/. What it does not know is an error.

POST reset   {}                             an empty account, default times, no faults, no record
POST timing  {"creating": 1.0, "backingUp": 0.3, "deleting": 1.0, "snapshot": 0.5}
                                            how many seconds the states last that begin from now on; 0 leaves one out
POST shift   {"seconds": 86400}             AWS' time moves on: everything is that much older, and what is to come that much
                                            nearer. The wall clock and the Date header stay
POST date    {"skewSeconds": 120}           the Date header is off by that much, and nothing else
POST rds     {"region": R, "id" | "cluster" | "snapshot" | "clusterSnapshot": NAME, "set": {...}}
                                            facts: "status" (it stays until a call changes it), "created" (RFC 3339),
                                            "deletionProtection", "tags" ({key: value}; null: none, and no TagList element)
POST bulk    {"region": R, "count": 5000, "prefix": P, "tags": {...}}
                                            available instances P-0001 and so on; {n} in a tag's value is the number
POST faults  [{...}, ...]                   in place of all others; the first that fits a call happens to it. "op" (an action),
                                            "region" and "match" (a part of the decoded body) say to which, "times" how often
                                            (1; -1: for ever), and one of these what:
                                              "code" (with "status", "message")  an error of the service, without the call
                                              "latencyMs"     the call is late         "reset"       hung up on, without the call
                                              "truncate"      the body is cut, to a share (up to 1) or a number of bytes
                                              "dropTags"      no TagList elements      "dropMarker"  no marker of a next page
                                              "repeatMarker"  the marker asked with    "shortPage"   so many resources less
                                              "lostAnswer"    the call is carried out, and then hung up on
GET  faults                                 those that are left
POST static  {TARGET: [{"match": M, "answer": {...}}, ...]}
                                            in place of all others: what a call of TARGET (its header x-amz-target, such as
                                            AWSInsightsIndexService.GetCostAndUsage) is answered, as often as it comes: the first
                                            answer whose "match" is a part of the body; without one it always fits
GET  calls   ?since=N                       every call but the first N: op, service, region, parameters (no passwords), status
                                            (null: no answer), fault, at (seconds of the wall clock), userAgent
GET  figures ?since=N                       what CloudWatch's PutMetricData took, in order, but the first N: region, namespace,
                                            name, dimensions ({name: value}), at, unit, values ([[value, count], ...])
GET  ready                                  {} once it serves
"""

import datetime
import json
from urllib.parse import parse_qs

from moto.ec2.models import ec2_backends
from moto.moto_api._internal import moto_api_backend
from moto.rds.models import rds_backends

import cbor
import faults
import static
from agenda import AGENDA
from states import ACCOUNT, REGIONS, SUBNET_GROUP


class Refused(Exception):
    """The caller's mistake, in words."""


def since(query, what):
    """How many to leave out."""
    number = query.get("since", ["0"])[-1]
    if not number.isdigit():
        raise Refused(f"`since` is how many {what} to leave out, not {number}")
    return int(number)


class Control:
    """What a test can see and set, besides AWS' own resources."""

    def __init__(self):
        self.faults = faults.Faults()
        self.static = static.Static()
        self.figures = cbor.Figures()
        self.calls = []
        self.skew = 0
        self.routes = {
            ("GET", "ready"): lambda _: {},
            ("GET", "calls"): self._calls,
            ("GET", "figures"): self._figures,
            ("GET", "faults"): lambda _: self.faults.waiting,
            ("POST", "bulk"): self._bulk,
            ("POST", "date"): self._date,
            ("POST", "faults"): self._faults,
            ("POST", "rds"): self._rds,
            ("POST", "reset"): lambda _: self.reset(),
            ("POST", "shift"): self._shift,
            ("POST", "static"): self._static,
            ("POST", "timing"): self._timing,
        }

    def answer(self, method, path, query, body):
        """Status and body of the answer."""
        try:
            route = self.routes.get((method, path.removeprefix("/control/")))
            if route is None:
                known = ", ".join(f"{method} /control/{name}" for method, name in self.routes)
                raise Refused(f"no {method} {path}: there are {known}")
            try:
                asked = parse_qs(query) if method == "GET" else json.loads(body or b"{}")
            except ValueError as error:
                raise Refused(f"the body is not JSON: {error}") from error
            status, answer = 200, route(asked)
        except Refused as error:
            status, answer = 400, {"error": str(error)}
        return status, json.dumps({} if answer is None else answer).encode()

    def reset(self):
        """Forgets everything, as a restart would."""
        moto_api_backend.reset()
        AGENDA.reset()
        self.faults.set([])
        self.static.set({})
        self.figures.kept.clear()
        self.calls.clear()
        self.skew = 0
        for region in REGIONS:
            subnets = ec2_backends[ACCOUNT][region].get_default_subnets()
            rds_backends[ACCOUNT][region].create_subnet_group(SUBNET_GROUP, "where clones' databases are", list(subnets.values()), [])

    def _calls(self, query):
        return self.calls[since(query, "calls") :]

    def _figures(self, query):
        return self.figures.kept[since(query, "figures") :]

    def _timing(self, wish):
        for name, seconds in fields(wish, dict.fromkeys(AGENDA.timing, (int, float))).items():
            AGENDA.timing[name] = seconds
        return AGENDA.timing

    def _shift(self, wish):
        seconds = fields(wish, {"seconds": (int, float)}, needed=["seconds"])["seconds"]
        AGENDA.shift(seconds)
        for backend in rds_backends[ACCOUNT].values():
            backend.shift(seconds)
        AGENDA.advance()

    def _date(self, wish):
        self.skew = fields(wish, {"skewSeconds": (int, float)}, needed=["skewSeconds"])["skewSeconds"]

    def _faults(self, wish):
        if not isinstance(wish, list):
            raise Refused("faults are a list, and an empty one takes all away")
        for fault in wish:
            if wrong := faults.problem(fault):
                raise Refused(f"{json.dumps(fault)}: {wrong}")
        self.faults.set(wish)

    def _static(self, wish):
        if wrong := static.problem(wish):
            raise Refused(wrong)
        self.static.set(wish)

    def _bulk(self, wish):
        kinds = {"region": str, "count": int, "prefix": str, "tags": dict}
        wish = fields(wish, kinds, needed=["region", "count", "prefix"])
        backend(wish["region"]).add_many(wish["count"], wish["prefix"], wish.get("tags", {}))

    def _rds(self, wish):
        kinds = {"region": str, "id": str, "cluster": str, "snapshot": str, "clusterSnapshot": str, "set": dict}
        wish = fields(wish, kinds, needed=["region", "set"])
        there = backend(wish["region"])
        places = {
            "id": there.databases,
            "cluster": there.clusters,
            "snapshot": there.database_snapshots,
            "clusterSnapshot": there.cluster_snapshots,
        }
        named = [name for name in places if name in wish]
        if len(named) != 1:
            raise Refused(f"one of {', '.join(places)} says which resource is meant")
        AGENDA.advance()
        resource = places[named[0]].get(wish[named[0]])
        if resource is None:
            raise Refused(f"{wish['region']} has no {named[0]} {wish[named[0]]}")
        values = fields(wish["set"], {"status": str, "tags": (dict, type(None)), "created": str, "deletionProtection": bool})
        if "created" in values:
            values["created"] = read_time(values["created"])
        set_facts(resource, values)


def set_facts(resource, values):
    """Has facts be so, whatever AWS would have made of them."""
    if "status" in values:
        # And it stays so: what was planned would take it back.
        AGENDA.forget(resource)
        resource.status = values["status"]
    if "deletionProtection" in values:
        resource.deletion_protection = values["deletionProtection"]
    if "tags" in values:
        tags = values["tags"]
        resource.without_tag_list = tags is None
        resource.tags = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    if "created" in values:
        resource.created = values["created"]
        for name in ("instance_create_time", "cluster_create_time", "original_snapshot_create_time"):
            # A snapshot's two of these are its source's, and stay.
            if name in vars(resource) and (name.startswith("original") or not hasattr(resource, "snapshot_type")):
                setattr(resource, name, resource.created)


def fields(value, kinds, needed=()):
    """The fields of a JSON object, each of its kind."""
    if not isinstance(value, dict):
        raise Refused(f"the body is an object with {', '.join(kinds)}")
    for name, given in value.items():
        if name not in kinds:
            raise Refused(f"no `{name}`: there are {', '.join(kinds)}")
        # To Python, true is a number.
        if not isinstance(given, kinds[name]) or (isinstance(given, bool) and kinds[name] is not bool):
            raise Refused(f"`{name}` cannot be {given!r}")
    for name in needed:
        if name not in value:
            raise Refused(f"`{name}` is missing")
    return value


def read_time(text):
    """A time of RFC 3339, as moto keeps it."""
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise Refused(f"`created` is a time such as 2026-01-31T12:00:00Z, not {text}") from error
    if moment.tzinfo is None:
        raise Refused(f"`created` needs its offset, as in 2026-01-31T12:00:00Z: {text}")
    return moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def backend(region):
    """RDS in a region."""
    if region not in rds_backends[ACCOUNT]:
        raise Refused(f"there is no region {region}")
    return rds_backends[ACCOUNT][region]
