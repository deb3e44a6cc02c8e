"""Hooks of Schemathesis: each operation is asked now and then with what it must accept, and what it answers is counted."""

import atexit
import collections
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import schemathesis  # noqa: E402
from schemathesis.core import NOT_SET  # noqa: E402

import valid  # noqa: E402
import world  # noqa: E402

TALLY = os.environ["CLOUDY_API_TALLY"]
ROLE = os.environ["CLOUDY_API_ROLE"]
# Nothing where the role has none.
TOKEN = os.environ["CLOUDY_API_TOKEN"]
# Each round is a new process.
FIRST = os.environ["CLOUDY_API_ROUND"] == "0"
# The first request to each operation is a valid one, and then each so many.
EVERY = 60
# What may be done once, and by one role, since it can't be undone.
ONCE = {"revoke"}

lock = threading.Lock()
asked = collections.Counter()
statuses = collections.defaultdict(collections.Counter)
unmade = {}
valid_ones = set()
# Those that somebody else sends: who has logged in, or an app.
of_somebody = set()
not_this_role = set()
# Operations whose job was begun and not done, and those whose job was done.
begun = set()
done = set()
# Answers to other methods, which its coverage phase tries too.
others = collections.Counter()


def operation_of(case):
    return case.operation.definition.raw["operationId"]


def fits(case):
    return case.method.upper() == case.operation.method.upper()


def authorize(case):
    if TOKEN:
        case.headers = {**(case.headers or {}), "Authorization": "Bearer " + TOKEN}


@schemathesis.check
def no_fault_of_the_server(context, response, case):
    """What the node can't do now, it says with 503 or 507; any other of these is a fault."""
    assert response.status_code < 500 or response.status_code in (503, 507), f"{response.status_code}: {response.text[:300]}"


@schemathesis.serializer("application/x-tar")
def tar(context, value):
    """A body that is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.hook
def before_call(context, case, kwargs):
    name = operation_of(case)
    with lock:
        number = asked[name]
        asked[name] += fits(case)
    wanted = made(name, number, case.operation) if fits(case) and number % EVERY == 0 else None
    if wanted is None:
        authorize(case)
        harmless(name, case.body)
        return
    with lock:
        valid_ones.add(case.id)
        if wanted["headers"]:
            of_somebody.add(case.id)
    case.path_parameters = wanted["path"]
    case.query = wanted["query"]
    case.cookies = {}
    case.headers = dict(wanted["headers"])
    if not wanted["headers"]:
        authorize(case)
    if wanted["body"] is not valid.NOTHING:
        case.body, case.media_type = wanted["body"], "application/json"
    elif case.media_type == "application/json":
        case.body = NOT_SET


def harmless(name, body):
    """What would end the test for all that come after it is not asked for."""
    if name == "https_set" and isinstance(body, dict):
        body["only"] = False
    if name in ("revoke", "replace") and isinstance(body, dict) and body.get("node") in ("friend", "lab", world.friend_id()):
        body["node"] = "nobody"


def made(name, number, operation):
    """A valid request, once what it needs is there; none where nothing can be said, or it was sent to another node instead."""
    make, at_another = valid.VALID.get(name), valid.ELSEWHERE.get(name)
    if make is None and at_another is None:
        # What needs neither is valid as it is.
        return None if "{" in operation.path or operation.definition.raw.get("requestBody") else valid.request()
    try:
        if make is not None:
            return None if name in ONCE and not (FIRST and number == 0 and ROLE == "local") else make()
        if ROLE == "local":
            at_another()
    except Exception as error:  # What could not be made is told at the end.
        with lock:
            unmade[name] = f"{type(error).__name__}: {error}"
    return None


@schemathesis.hook
def after_call(context, case, response):
    name = operation_of(case)
    if not fits(case):
        others[response.status_code] += 1
        return
    with lock:
        statuses[name][response.status_code] += 1
        was_valid, was_sessions = case.id in valid_ones, case.id in of_somebody
        if was_valid and not 200 <= response.status_code < 300:
            unmade[name] = f"{ROLE} was answered {response.status_code}: {response.text[:300]}"
    if was_valid and response.status_code == 202 and "state" in response.text:
        ended(name, response.json())
    if was_sessions:
        not_this_role.add(name)


def ended(name, job):
    """What was begun counts where it is done in the end."""
    if "id" not in job:
        return
    try:
        world.lab.done(job)
        done.add(name)
    except Exception as error:
        with lock:
            unmade[name] = f"{error}"
        begun.add(name)


@atexit.register
def tell():
    told = {
        "role": ROLE,
        "statuses": {name: dict(counts) for name, counts in statuses.items()},
        "others": sum(others.values()),
        "not_done": sorted((begun - done) | (not_this_role if ROLE in ("nobody", "guest") else set())),
        "unmade": unmade,
        "before": [list(answer) for answer in world.Client.answers],
    }
    with open(TALLY, "w", encoding="utf-8") as file:
        json.dump(told, file)
