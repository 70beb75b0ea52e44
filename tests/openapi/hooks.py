"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): what it asks about is there, and it does not shut itself out."""

import os
import re

import schemathesis

# The names of the run's own token and user: without them it would only see 401 from then on.
OWN = {"conformance", "anchor"}

COMMANDS = os.environ["CONFORMANCE_COMMANDS"].split()
PIPELINES = os.environ["CONFORMANCE_PIPELINES"].split()
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
UUID = re.compile(r"^[0-9A-Fa-f-]{4,36}$")


def often(text):
    """The same answer for the same text: what is generated must not depend on when."""
    return sum(text.encode("utf-8", "replace")) % 3 > 0


def one(things, text):
    return things[sum(text.encode("utf-8", "replace")) % len(things)]


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    return (path_parameters or {}).get("name") not in OWN


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    path = context.operation.path
    given = path_parameters or {}
    identity, name = given.get("id"), given.get("name")
    if isinstance(identity, str) and UUID.match(identity) and often(identity):
        given["id"] = one(PIPELINES if "/pipelines/" in path else COMMANDS, identity)
    if isinstance(name, str) and NAME.match(name) and often(name):
        if "/hosts/" in path and context.operation.method.upper() != "DELETE":
            given["name"] = one(["web-01", "web-02"], name)
        if "/users/" in path:
            given["name"] = "alice"
    return path_parameters


@schemathesis.hook
def map_query(context, query):
    # Waiting for a minute shows no more than waiting for a second.
    wait = (query or {}).get("wait")
    if isinstance(wait, int) and 1 < wait <= 60:
        query["wait"] = 1
    return query


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        name = context.operation.definition.raw.get("operationId")
        if name == "startCommand" and isinstance(body.get("op"), str) and NAME.match(body["op"]) and often(body["op"]):
            body["op"] = one(["uptime", "disk"], body["op"])
            if isinstance(body.get("hosts"), list):
                body["hosts"] = [
                    one(["web-01", "web-02"], host) if isinstance(host, str) and NAME.match(host) else host
                    for host in body["hosts"]
                ]
        if name in ("startPipeline", "previewPipeline") and isinstance(body.get("name"), str) and NAME.match(body["name"]):
            body["name"] = one(["uptime", "update"], body["name"])
            for key, things in (("hosts", ["web-01", "web-02"]), ("tags", ["web"])):
                if isinstance(body.get(key), list):
                    body[key] = [
                        one(things, host) if isinstance(host, str) and NAME.match(host) else host for host in body[key]
                    ]
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    # Spools of this machine's own jobs stay in the test's folder.
    if isinstance(case.body, dict) and case.body.get("local") is True and isinstance(case.body.get("spool"), str):
        if case.body["spool"].startswith("/"):
            case.body["spool"] = os.environ["CONFORMANCE_SPOOL"]
