"""CloudWatch as today's SDKs speak it: rpc-v2-cbor, which moto does not know, with AWS' own strictness in front of moto.

A call comes as `POST /service/NAME/operation/OP` with a body in CBOR, possibly compressed. moto gets it as JSON, and its answer goes back
as CBOR, by botocore's model of the service. What PutMetricData took is kept here as it was sent, for the control API: moto's own
statistics mix namespaces, and say nothing of how a figure came.

What is refused, and its words, is by the API reference: PutMetricData, MetricDatum, Dimension.
"""

import datetime
import gzip
import io
import json
import re
import time

import botocore.session
import cbor2

PROTOCOL = "rpc-v2-cbor"
TARGET = "GraniteServiceVersion20100801"
CONTENT_TYPE = "application/cbor"
PATH = re.compile(r"^/service/(\w+)/operation/(\w+)$")
MOST_BYTES = 1_000_000
MOST_METRICS = 1_000
MOST_VALUES = 150
MOST_DIMENSIONS = 30
LARGEST = 2.0**360
OLDEST, NEWEST = 14 * 86_400, 2 * 3_600
# Beyond what is kept a test has run wild.
MOST_KEPT = 200_000

MODEL = botocore.session.get_session().get_service_model("cloudwatch")


class Refused(Exception):
    """What AWS refuses: a code, and words."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def operation(env):
    """The operation that a call is for, if it is one in this protocol."""
    found = PATH.match(env["PATH_INFO"])
    return found.group(2) if found and env.get("HTTP_SMITHY_PROTOCOL") == PROTOCOL else None


def decode(body):
    """The parameters of a call, as JSON can have them (moments are seconds since 1970), and their size before they were compressed."""
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    return _plain(cbor2.loads(body)) if body else {}, len(body)


def _plain(value):
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def error(status, code, message):
    """Headers and body of an error."""
    side = "Receiver" if status >= 500 else "Sender"
    body = cbor2.dumps({"__type": f"com.amazonaws.cloudwatch#{code}", "message": message})
    return {"smithy-protocol": PROTOCOL, "x-amzn-query-error": f"{code};{side}"}, body


def for_moto(env, parameters, name):
    """The same call as moto takes it."""
    body = json.dumps(parameters).encode()
    hidden = ("HTTP_CONTENT_ENCODING", "HTTP_SMITHY_PROTOCOL", "HTTP_X_AMZN_QUERY_MODE")
    return {
        **{key: value for key, value in env.items() if key not in hidden},
        "PATH_INFO": "/",
        "RAW_URI": "/",
        "REQUEST_URI": "/",
        "CONTENT_TYPE": "application/x-amz-json-1.0",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_ACCEPT": "application/json",
        "HTTP_X_AMZ_TARGET": f"{TARGET}.{name}",
        "wsgi.input": io.BytesIO(body),
    }


def from_moto(status, body, name):
    """moto's answer: status, headers and body."""
    try:
        said = json.loads(body) if body else {}
    except ValueError:
        said = {"__type": "InternalFailure", "message": body.decode("utf-8", "replace")[:200]}
    if status < 300:
        return status, {"smithy-protocol": PROTOCOL}, cbor2.dumps(_shaped(said, MODEL.operation_model(name).output_shape))
    code = str(said.get("__type", "InternalFailure")).rpartition("#")[2]
    return status, *error(status, code, said.get("message") or said.get("Message") or code)


def _shaped(value, shape):
    if value is None or shape is None:
        return value
    if shape.type_name == "structure":
        return {name: _shaped(one, shape.members.get(name)) for name, one in value.items() if one is not None}
    if shape.type_name == "list":
        return [_shaped(one, shape.member) for one in value]
    if shape.type_name == "timestamp":
        at = datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() if isinstance(value, str) else value
        return cbor2.CBORTag(1, float(at))
    return float(value) if shape.type_name in ("double", "float") else value


class Figures:
    """What PutMetricData took: {"region", "namespace", "name", "dimensions", "at", "unit", "values": [[value, count], ...]}."""

    def __init__(self):
        self.kept = []

    def put(self, region, parameters, size):
        """Takes a call, or says why not."""
        check(parameters, size, time.time())
        for one in parameters["MetricData"]:
            values = one.get("Values")
            if values is not None:
                pairs = [list(pair) for pair in zip(values, one.get("Counts", [1] * len(values)), strict=True)]
            elif "Value" in one:
                pairs = [[one["Value"], 1]]
            else:
                pairs = []
            self.kept.append({
                "region": region,
                "namespace": parameters["Namespace"],
                "name": one["MetricName"],
                "dimensions": {each["Name"]: each["Value"] for each in one.get("Dimensions", [])},
                "at": one.get("Timestamp"),
                "unit": one.get("Unit"),
                "values": pairs,
            })
        if len(self.kept) > MOST_KEPT:
            raise Refused("InternalServiceFault", "the test platform keeps no more figures: reset it")


def check(parameters, size, now):
    """Raises what AWS refuses."""
    if size > MOST_BYTES:
        raise Refused("RequestEntityTooLarge", f"the request has {size} bytes")
    namespace = parameters.get("Namespace") or ""
    if not 1 <= len(namespace) <= 255 or namespace.startswith((":", "AWS/")):
        raise Refused("InvalidParameterValue", f"The value {namespace} for parameter Namespace is invalid.")
    data = parameters.get("MetricData") or []
    if not data:
        raise Refused("MissingParameter", "The parameter MetricData is required.")
    if len(data) > MOST_METRICS:
        raise Refused("InvalidParameterValue", f"The collection MetricData must not have a size greater than {MOST_METRICS}.")
    for number, one in enumerate(data, 1):
        _check_datum(f"MetricData.member.{number}", one, now)


def _check_datum(where, one, now):
    name = one.get("MetricName") or ""
    if not 1 <= len(name) <= 255 or not name.isascii():
        raise Refused("InvalidParameterValue", f"The parameter {where}.MetricName is invalid.")
    said = [field for field in ("Value", "Values", "StatisticValues") if field in one]
    if len(said) != 1:
        raise Refused("InvalidParameterCombination", f"The parameters {', '.join(said) or 'Value, Values'} of {where}: exactly one is needed.")
    values, counts = one.get("Values", []), one.get("Counts", [])
    if len(values) > MOST_VALUES or ("Values" in one and not values) or ("Counts" in one and len(counts) != len(values)):
        raise Refused("InvalidParameterValue", f"The parameters {where}.Values and {where}.Counts are invalid.")
    for value in [*values, *counts, *([one["Value"]] if "Value" in one else [])]:
        # NaN is not equal to itself.
        if not isinstance(value, (int, float)) or value != value or abs(value) > LARGEST:
            raise Refused("InvalidParameterValue", f"The value {value} for parameter {where}.Value is invalid.")
    if any(count <= 0 for count in counts):
        raise Refused("InvalidParameterValue", f"The parameter {where}.Counts is invalid.")
    at = one.get("Timestamp", now)
    if at < now - OLDEST or at > now + NEWEST:
        raise Refused("InvalidParameterValue", f"The parameter {where}.Timestamp must specify a time within the past two weeks.")
    dimensions = one.get("Dimensions", [])
    if len(dimensions) > MOST_DIMENSIONS or len({each.get("Name") for each in dimensions}) != len(dimensions):
        raise Refused("InvalidParameterValue", f"The parameter {where}.Dimensions is invalid.")
    for each in dimensions:
        for field, most in (("Name", 255), ("Value", 1_024)):
            text = each.get(field) or ""
            plain = all(" " <= letter <= "~" for letter in text) and text.strip()
            if not plain or len(text) > most or (field == "Name" and text.startswith(":")):
                raise Refused("InvalidParameterValue", f"The parameter {where}.Dimensions.{field} is invalid: `{text[:40]}`.")
