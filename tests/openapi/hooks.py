"""What the conformance run must not do, loaded by schemathesis (SCHEMATHESIS_HOOKS)."""

import os

import schemathesis

# The names of the run's own token and user: without them it would only see 401 from then on.
OWN = {"conformance", "anchor"}


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    return (path_parameters or {}).get("name") not in OWN


@schemathesis.hook
def before_call(context, case, kwargs):
    # Spools of this machine's own jobs stay in the test's folder.
    if isinstance(case.body, dict) and case.body.get("local") is True and isinstance(case.body.get("spool"), str):
        if case.body["spool"].startswith("/"):
            case.body["spool"] = os.environ["CONFORMANCE_SPOOL"]
