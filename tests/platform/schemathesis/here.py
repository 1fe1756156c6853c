"""What is asked for is asked for in the one namespace that there is, half of it of the clone `tried`, and nobody waits for long."""

import os

import schemathesis

NAMESPACE = os.environ["CLONEWARDEN_NAMESPACE"]


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters and "namespace" in path_parameters:
        path_parameters["namespace"] = NAMESPACE
    if path_parameters and len(path_parameters.get("name") or "") % 2:
        path_parameters["name"] = "tried"
    return path_parameters


@schemathesis.hook
def map_query(context, query):
    if query and "wait" in query:
        query["wait"] = "1s"
    return query


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and "namespace" in body:
        body["namespace"] = NAMESPACE
    return body
