"""What can be made to go wrong with a call: an error in the service's form, or an answer that is late, short or missing."""

import json
import re
import time
from xml.sax.saxutils import escape

import cbor

# A resource in a list. No element of these names has another of its own inside.
ITEMS = re.compile(rb"<(DBInstance|DBCluster|DBSnapshot|DBClusterSnapshot)>.*?</\1>\s*", re.DOTALL)
TAG_LIST = re.compile(rb"<TagList>.*?</TagList>|<TagList\s*/>", re.DOTALL)
MARKER = re.compile(rb"<Marker>.*?</Marker>|<Marker\s*/>", re.DOTALL)

# The one thing that a fault does, and what its value has to be.
EFFECTS = {
    "code": str,
    "latencyMs": (int, float),
    "truncate": (int, float),
    "dropTags": bool,
    "repeatMarker": bool,
    "dropMarker": bool,
    "shortPage": int,
    "reset": bool,
    "lostAnswer": bool,
}
OTHERS = {"op": str, "region": str, "match": str, "times": int, "status": int, "message": str}

NAMESPACES = {"rds": "http://rds.amazonaws.com/doc/2014-10-31/", "sts": "https://sts.amazonaws.com/doc/2011-06-15/"}


def error(call, status, code, message):
    """An error as the service of a call writes it."""
    if call.cbor:
        return cbor.error(status, code, message)[1]
    if call.target:
        return json.dumps({"__type": code, "Message": message}).encode()
    side = "Receiver" if status >= 500 else "Sender"
    namespace = NAMESPACES.get(call.service, NAMESPACES["rds"])
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{side}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    ).encode()


def headers(call):
    """The headers that such an error has beside its type."""
    return {"smithy-protocol": cbor.PROTOCOL} if call.cbor else {}


def problem(fault):
    """What is wrong with a fault that somebody wants, or nothing."""
    if not isinstance(fault, dict):
        return "a fault is an object"
    effects = [name for name in EFFECTS if name in fault]
    if len(effects) != 1:
        return f"a fault has one of {', '.join(EFFECTS)}; this one has {', '.join(effects) or 'none'}"
    for name, value in fault.items():
        kind = EFFECTS.get(name) or OTHERS.get(name)
        if kind is None:
            return f"a fault has no `{name}`"
        # To Python, true is a number.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return f"`{name}` cannot be {value!r}"
    return None


class Faults:
    """The faults that wait for their calls."""

    def __init__(self):
        self.waiting = []

    def set(self, faults):
        """Puts these in the place of all others."""
        self.waiting = [{"times": 1, **fault} for fault in faults]

    def take(self, call):
        """The first fault for a call, which has then happened once more."""
        for fault in self.waiting:
            if fault["times"] == 0 or fault.get("op", call.op) != call.op or fault.get("match", "") not in call.text:
                continue
            if fault.get("region", call.region) != call.region:
                continue
            if "repeatMarker" in fault and "Marker" not in call.parameters:
                continue
            fault["times"] -= 1 if fault["times"] > 0 else 0
            return fault
        return {}


def before(fault, call):
    """Waits, or answers in the service's place: (status, body), or nothing."""
    if "latencyMs" in fault:
        time.sleep(fault["latencyMs"] / 1000)
    if "code" in fault:
        status = fault.get("status", 400)
        return status, error(call, status, fault["code"], fault.get("message", f"{fault['code']}, as a test wishes"))
    return None


def after(fault, call, body):
    """The answer as the fault leaves it."""
    if fault.get("dropTags"):
        body = TAG_LIST.sub(b"", body)
    if fault.get("dropMarker"):
        body = MARKER.sub(b"", body)
    if fault.get("repeatMarker"):
        asked = f"<Marker>{escape(call.parameters['Marker'])}</Marker>".encode()
        # The last page has none.
        body = MARKER.sub(b"", body)
        body = re.sub(rb"(<Describe\w+Result>)", lambda found: found.group(1) + asked, body, count=1)
    if "shortPage" in fault:
        for item in list(ITEMS.finditer(body))[::-1][: fault["shortPage"]]:
            body = body[: item.start()] + body[item.end() :]
    if "truncate" in fault:
        cut = fault["truncate"]
        # The length that is announced is the shorter one's: only the XML says that something is missing.
        body = body[: int(len(body) * cut) if cut <= 1 else int(cut)]
    return body
