"""What has to be there before an operation can be asked for what it must do, on the nodes that `cargo xtask bench api` starts."""

import io
import itertools
import json
import os
import tarfile
import threading
import time
import urllib.error
import urllib.request

DOORS = json.loads(os.environ["CLOUDY_API_DOORS"])
# Where something answers in the lab that the neighbour publishes.
FRIENDS_PORT = 8099
IMAGE = "tried/own:1"
PASSWORD = "a password of somebody"
STAY = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]
# How long a job or a neighbour may take.
PATIENCE = 120
numbers = itertools.count()


class Unmade(Exception):
    """What had to be there could not be made."""


def fresh(kind):
    """A name that nobody has."""
    return f"{kind}-{os.getpid()}-{next(numbers)}"


class Client:
    """Who asks at a door, and keeps count of what it was answered."""

    answers = []
    lock = threading.Lock()

    def __init__(self, door, headers=None):
        self.url = DOORS[door]
        self.headers = headers or {}

    def ask(self, method, path, body=None, content="application/json", headers=None):
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=raw, method=method, headers={**self.headers, **(headers or {})})
        if raw is not None:
            request.add_header("Content-Type", content)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        with Client.lock:
            Client.answers.append((method, path.split("?")[0], status))
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def must(self, method, path, body=None, **more):
        status, answer = self.ask(method, path, body, **more)
        if not 200 <= status < 300:
            raise Unmade(f"{method} {path}: {status} {str(answer)[:300]}")
        return answer

    def get(self, path):
        return self.must("GET", path)

    def until(self, what, holds):
        end = time.monotonic() + PATIENCE
        while True:
            found = holds()
            if found:
                return found
            if time.monotonic() > end:
                raise Unmade(f"waited {PATIENCE} s until {what}")
            time.sleep(0.2)

    def done(self, job, good=True):
        """Waits until a job is over."""
        path = f"/api/v1/jobs/{job['id']}"
        self.until(f"job {job['id']} is over", lambda: self.get(path)["over"])
        over = self.get(path)
        if good and over["state"] != "done":
            raise Unmade(f"{over['kind']} of {over['app']}: {over['state']}, {over['reason']}")
        return over


lab, friend, spare, docker = (Client(door) for door in ("socket", "friend", "spare", "docker"))


def node_of(client):
    return client.get("/api/v1/nodes")["me"]["id"]


class Kept:
    """What is made once and then used by many."""

    def __init__(self):
        self.made = {}
        self.lock = threading.RLock()

    def get(self, name, make):
        with self.lock:
            if name not in self.made:
                self.made[name] = make()
            return self.made[name]


kept = Kept()
# Jobs of an app come one after the other: who changes an app holds this until its job is over.
apps = threading.RLock()


def friend_id():
    return kept.get("friend", lambda: node_of(friend))


def friends_service():
    """A service that the neighbour publishes, as it is known here."""

    def make():
        wish = {"title": "Neighbour's", "port": FRIENDS_PORT, "scheme": "http"}
        friend.must("PUT", "/api/v1/services/neighbours", wish)
        path = f"/api/v1/services?node={friend_id()}&hidden=true&muted=true"
        lab.until("the neighbour's service is known", lambda: lab.get(path)["services"])
        return "neighbours"

    return kept.get("service", make)


def own_app(kind="own"):
    """An app of one's own, which is saved and not installed."""
    name = fresh(kind)
    form = {"image": IMAGE, "user": "root", "command": STAY, "memory-mb": 64, "volumes": [{"source": "data", "path": "/data"}], "ports": [{"container": 80, "scheme": "http"}]}
    lab.must("PUT", f"/api/v1/own-apps/{name}", {"title": "Own", "form": form})
    return name


def forget(name):
    """Removes an app with all that it has, whatever of it is there."""
    status, job = lab.ask("DELETE", f"/api/v1/apps/{name}?with-data=true")
    if status == 202:
        lab.done(job, good=False)
    lab.ask("DELETE", f"/api/v1/own-apps/{name}")


leftovers = []


def tidy(keep=2):
    """Few apps stay of those that were made for one request."""
    while len(leftovers) > keep:
        forget(leftovers.pop(0))


def installed(kind="used"):
    """An app that runs and may be removed."""
    with apps:
        tidy()
        name = own_app(kind)
        lab.done(lab.must("POST", f"/api/v1/apps/{name}", {}))
        leftovers.append(name)
        return name


def site():
    """An app that runs as long as nobody removes it."""

    def make():
        with apps:
            name = own_app("site")
            lab.done(lab.must("POST", f"/api/v1/apps/{name}", {}))
            return name

    with kept.lock:
        name = kept.get("site", make)
        if lab.ask("GET", f"/api/v1/apps/{name}")[0] != 200:
            del kept.made["site"]
            return kept.get("site", make)
        return name


def idle(name):
    """Waits until no job works on an app."""
    lab.until(f"no job works on {name}", lambda: not any(job["app"] == name and not job["over"] for job in lab.get("/api/v1/jobs?limit=100")["jobs"]))
    return name


def blob(client=lab, visibility="community"):
    text = fresh("text")

    def is_added():
        # Another request may have left no room for it.
        client.must("PUT", "/api/v1/blob-quota", {"quota-bytes": None})
        status, said = client.ask("POST", f"/api/v1/blobs?name={text}&media-type=text/plain&visibility={visibility}", text.encode(), content="application/octet-stream")
        return said if status == 201 else None

    return client.until("a file is added", is_added)["hash"]


def friends_blob():
    made = blob(friend)
    lab.until("the neighbour's file is known", lambda: any(found["hash"] == made for found in lab.get("/api/v1/blobs?limit=1000")["blobs"]))
    return made


ROLES = {"owner", "operator", "guest"}
people = []


def user(role="operator"):
    """A person whom a request may change or remove."""
    name = fresh("user")
    with kept.lock:
        people.append(name)
        del people[:-6]
        staying = ROLES | set(people)
    for old in [found["name"] for found in lab.get("/api/v1/users?limit=1000")["users"]]:
        if old not in staying:
            lab.ask("DELETE", f"/api/v1/users/{old}")

    def is_made():
        # One password is hashed at a time; others hear 429.
        status, said = lab.ask("POST", "/api/v1/users", {"name": name, "password": PASSWORD, "role": role})
        if status not in (200, 429):
            raise Unmade(f"a user: {status} {str(said)[:300]}")
        return status == 200

    lab.until("a user can be made", is_made)
    return name


def session(role):
    """The headers of somebody who has logged in, as a page of the node sends them."""
    page, body = Client("page"), json.dumps({"name": user(role), "password": PASSWORD}).encode()
    request = urllib.request.Request(page.url + "/api/v1/session", data=body, headers={"Content-Type": "application/json"})

    def log_in():
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.headers["Set-Cookie"].split(";")[0], json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 429:
                return None
            raise Unmade(f"logging in: {error.code} {error.read()[:300]}") from error

    cookie, said = page.until("somebody can log in", log_in)
    return {"Cookie": cookie, "Origin": page.url, "X-CSRF-Token": said["csrf"]}


def container(running=False):
    """A container that somebody made by hand."""
    name = fresh("hand")
    made = docker.must("POST", f"/containers/create?name={name}", {"Image": IMAGE, "Cmd": STAY, "User": "root", "Labels": {}})
    if running:
        docker.must("POST", f"/containers/{made['Id']}/start")
    return made["Id"]


def image():
    """An image that nothing uses."""
    bytes_of = io.BytesIO()
    with tarfile.open(fileobj=bytes_of, mode="w") as tar:
        text = fresh("image").encode()
        entry = tarfile.TarInfo("what")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    docker.must("POST", f"/images/create?fromSrc=-&repo={fresh('tried/hand')}&tag=1", bytes_of.getvalue(), content="application/x-tar")
    found = lab.until("the image is listed", lambda: [seen for seen in lab.get("/api/v1/by-hand")["images"] if any("tried/hand" in name for name in seen["tags"])])
    return found[0]["id"]


def backup_key():
    """The key of a person, with its secret, which the node has. It may have been given another since."""
    key = kept.get("key", lambda: lab.must("POST", "/api/v1/backup-key"))
    lab.must("PUT", "/api/v1/backup-key", {"recipient": key["recipient"]})
    return key


def backup():
    """A backup of an app that is here no more, and the secret that opens it."""
    secret = backup_key()["secret"]
    with apps:
        name = installed("saved")
        done = lab.done(lab.must("POST", f"/api/v1/apps/{name}/backup", {}))
        lab.done(lab.must("DELETE", f"/api/v1/apps/{name}?with-data=true"))
    return done["backup"], secret


def service():
    """A service that this node publishes by itself."""
    for seen in [found["key"] for found in lab.get(f"/api/v1/services?node={node_of(lab)}&limit=1000")["services"]][50:]:
        lab.ask("DELETE", f"/api/v1/services/{seen}")
    key = fresh("service")
    lab.must("POST", "/api/v1/services", {"key": key, "title": "Ours", "port": 80, "scheme": "http"})
    return key


def store():
    """The name of a store of this node's owner."""
    return kept.get("store", lambda: lab.get("/api/v1/store-own/tested"))["app"]


def app_token():
    return {"Authorization": "Bearer " + kept.get("token", lambda: lab.must("POST", f"/api/v1/store-token/{store()}"))["token"]}


def in_community(wanted):
    """The spare node is a member of a microcloud of its own, or of none."""
    is_member = spare.get("/api/v1/nodes")["community"] is not None
    if wanted and not is_member:
        spare.must("POST", "/api/v1/found", {"name": "Spare"})
    if is_member and not wanted:
        spare.must("POST", "/api/v1/leave")


def joined():
    """The spare node is a member of the tested node's microcloud."""
    here, there = (client.get("/api/v1/nodes")["community"] for client in (lab, spare))
    if there is None or there["id"] != here["id"]:
        in_community(False)
        spare.must("POST", "/api/v1/join", {"token": lab.must("POST", "/api/v1/invite", {"uses": 1})["token"]})
        lab.until("the spare node is a member", lambda: any(member["id"] == node_of(spare) for member in lab.get("/api/v1/nodes")["members"]))
    return node_of(spare)


def offered():
    """An offer of the neighbour that waits for an answer."""
    lab.must("PUT", "/api/v1/lease-policy", {"others": "ask", "most": 50})
    for lease in lab.get("/api/v1/leases")["held"]:
        lab.ask("PUT", f"/api/v1/leases/{lease['id']}", {"decision": "end"})
    made = friend.must("POST", "/api/v1/leases", {"app": "web", "node": node_of(lab)})["leases"][0]
    lab.until("the neighbour's offer has come", lambda: any(lease["id"] == made for lease in lab.get("/api/v1/leases")["held"]))
    return made


def found_app():
    """An app that the neighbour gives and that is not in the catalog here."""
    found = kept.get("shared", lambda: friend.must("POST", "/api/v1/catalog/web/share", {}))["hash"]
    lab.until("the neighbour's app is known", lambda: any(seen["hash"] == found for seen in lab.get("/api/v1/found-apps?limit=1000")["apps"]))
    lab.ask("DELETE", "/api/v1/catalog/web")
    return found


def friends_catalog():
    """The key of a signed catalog that the neighbour publishes. It is followed here, since somebody brought its file."""

    def make():
        made = friend.must("PUT", "/api/v1/own-catalogs/theirs", {"title": {"en": "Theirs"}, "apps": ["web"]})
        at = f"/api/v1/blobs/{made['hash']}/content"
        return made["key"], friend.until("the neighbour's catalog is a file", lambda: friend.ask("GET", at)[0] == 200 and friend.get(at))

    key, content = kept.get("catalog", make)
    for seen in lab.get("/api/v1/catalogs?limit=200")["catalogs"]:
        # Other requests follow keys of nobody, and there is an end to how many.
        if seen["followed"] and seen["number"] is None:
            lab.ask("DELETE", f"/api/v1/catalogs/{seen['key']}")
    lab.must("POST", "/api/v1/catalogs", content, content="application/octet-stream")
    return key


def own_catalog():
    lab.must("PUT", "/api/v1/own-catalogs/ours", {"title": {"en": "Ours"}, "apps": []})
    return "ours"


def in_catalog():
    """The app of the catalog is there, and nobody has installed it."""
    status, job = lab.ask("DELETE", "/api/v1/apps/web?with-data=true")
    if status == 202:
        lab.done(job)
    if not any(seen["name"] == "web" for seen in lab.get("/api/v1/catalog")["apps"]):
        lab.must("POST", f"/api/v1/found-apps/{found_app()}")
        lab.until("the app is in the catalog again", lambda: any(seen["name"] == "web" for seen in lab.get("/api/v1/catalog")["apps"]))
    return "web"
