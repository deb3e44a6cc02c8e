"""The microcloud's store, as an app reaches it: HTTP over a socket that only this container is shown.

The socket serves this app's stores and the list of nodes, nothing else. It needs no token.
"""

import http.client
import json
import socket
import urllib.parse

SOCKET = "/run/cloudy/store.sock"
# Longer than a watch is silent: the node sends a line every 15 seconds or so while nothing changes.
PATIENCE = 60


class Refused(Exception):
    """The store said no: its status and, in a sentence, why."""

    def __init__(self, status, why):
        super().__init__(f"{status}: {why}")
        self.status = status


class Connection(http.client.HTTPConnection):
    """HTTP as ever, but to the socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(SOCKET)


def _open(method, path, body=None, accept="application/json"):
    connection = Connection("localhost")
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"Content-Type": "application/json", "Accept": accept})
    answer = connection.getresponse()
    if answer.status >= 300:
        # A refusal is JSON by RFC 9457; what to do stands in `detail`. A status of 429 or 503 means: later.
        said = json.loads(answer.read(64 * 1024) or b"{}")
        connection.close()
        raise Refused(answer.status, said.get("detail", answer.reason))
    return connection, answer


def _ask(method, path, body=None):
    connection, answer = _open(method, path, body)
    try:
        return json.load(answer)
    finally:
        connection.close()


def _quoted(text):
    return urllib.parse.quote(text, safe="/")


def nodes():
    """The node that this runs on (`me`, with `id` and `name`), and all `members`, which come in pages. The node says who they are, no app does."""
    view = _ask("GET", "/api/v1/nodes")
    members, after = view["members"], view.get("next")
    while after is not None:
        page = _ask("GET", f"/api/v1/nodes?after={urllib.parse.quote(after, safe='')}")
        members, after = members + page["members"], page["next"]
    return {**view, "members": members, "next": None}


def put(store, key, text):
    """Sets a register: 3072 bytes at most. It replaces all that this node has seen of the key; what another node writes
    at the same time is kept beside it. When this returns it is on this node's disk; other nodes have it soon after."""
    _ask("PUT", f"/api/v1/store/{_quoted(store)}/{_quoted(key)}", text)


def everything(store, most=500):
    """Keys and their values, page by page: lists of texts. One value is the rule, several were written at once."""
    found, path = {}, f"/api/v1/store/{_quoted(store)}"
    after = ""
    while after is not None and len(found) < most:
        page = _ask("GET", f"{path}?after={urllib.parse.quote(after, safe='')}")
        for key in page["keys"]:
            # Bytes that are no text come as {"base64": …}; this app writes none.
            found[key["key"]] = [value for value in key["values"] if isinstance(value, str)]
        after = page["next"]
    return found


def changes(store):
    """Returns at once when watched, then yields each time something may have changed, until the connection ends.
    Who reads everything after it has begun, and again after each, misses nothing."""
    connection, answer = _open("GET", f"/api/v1/store/{_quoted(store)}", accept="text/event-stream")
    try:
        yield
        for line in answer:
            # Which keys changed stands in `data:`; this app is small and reads all of them again.
            if line.startswith(b"event:"):
                yield
    finally:
        connection.close()
