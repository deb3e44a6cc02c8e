"""Nodes at a glance: each node that runs this writes how it is into the microcloud's store; each shows what all of them wrote.

    measure ──▶ store.put("node/ID", …)      on this node, every GLANCE_SECONDS
    listen  ──▶ store.changes() ──▶ copy     what all nodes wrote, in memory
    page    ──▶ copy                         asked again by the browser every few seconds

There is no server and no leader: a node that is cut off shows what it has, and catches up later.
"""

import html
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import store

STORE = os.environ.get("GLANCE_STORE", "glance")
SECONDS = int(os.environ.get("GLANCE_SECONDS", "30"))
PORT = 8080
# Nodes that are shown at most, and browsers that are served at once: neither is bounded by who sends them.
MOST_SHOWN = 200
BROWSERS = threading.Semaphore(8)
KEY = re.compile("node/([0-9a-f]{64})")
# What is written of a node: each figure with its unit, and what is believable. Others may write anything.
FIGURES = {"load": (0, 1e4), "memory_percent": (0, 100), "disk_percent": (0, 100), "celsius": (-60, 200), "uptime_hours": (0, 1e6)}


def measured():
    """How this node is. A container sees the machine's load, memory and heat as the machine does."""
    memory = dict(line.split(":", 1) for line in open("/proc/meminfo"))
    kib = lambda name: int(memory[name].split()[0])
    disk = shutil.disk_usage("/etc/hosts")  # Docker keeps this file on the node's data.
    figures = {
        "at": int(time.time()),
        "load": os.getloadavg()[0],
        "memory_percent": 100 - 100 * kib("MemAvailable") / kib("MemTotal"),
        "disk_percent": 100 * disk.used / disk.total,
        "uptime_hours": float(open("/proc/uptime").read().split()[0]) / 3600,
    }
    try:
        figures["celsius"] = int(open("/sys/class/thermal/thermal_zone0/temp").read()) / 1000
    except (OSError, ValueError):
        pass  # Not every machine knows it.
    return {name: round(figure, 1) for name, figure in figures.items()}


def understood(text):
    """A value as figures, or None. Another member wrote it, so nothing in it is believed: only known names, only numbers."""
    try:
        said = json.loads(text)
        number = lambda name, least, most: type(said.get(name)) in (int, float) and least <= said[name] <= most
        if not number("at", 0, 1e11):
            return None
        return {"at": said["at"]} | {name: said[name] for name, (least, most) in FIGURES.items() if number(name, least, most)}
    except (ValueError, AttributeError, RecursionError):
        return None


class Copy:
    """What all nodes wrote, as this node's store showed it last; `problem` says why there is nothing newer."""

    def __init__(self):
        self.keys, self.names, self.problem = {}, {}, "The store was not asked yet."
        self.changed = threading.Event()

    def trouble(self, error):
        if isinstance(error, store.Refused):
            # 409: the node is in no microcloud; 403: the store's owner does not let this node write; 507: full; 429, 503: later.
            self.problem = str(error)
        else:
            self.problem = f"The store can't be reached: {error}"
        print(self.problem, file=sys.stderr, flush=True)

    def measure(self):
        while True:
            try:
                me = store.nodes()["me"]["id"]
                store.put(STORE, f"node/{me}", json.dumps(measured()))
            except Exception as error:  # Whatever it is, it is said, and tried again.
                self.trouble(error)
            time.sleep(SECONDS)

    def listen(self):
        while True:
            try:
                for _ in store.changes(STORE):
                    self.changed.set()
            except Exception as error:
                self.trouble(error)
            time.sleep(5)

    def read(self):
        """After a change, and once a minute without, since names of nodes change too; never faster than every two seconds."""
        while True:
            self.changed.wait(timeout=60)
            self.changed.clear()
            try:
                members = store.nodes()["members"]
                self.names = {member["id"]: member["name"] for member in members}
                self.keys = store.everything(STORE)
                self.problem = None
            except Exception as error:
                self.trouble(error)
            time.sleep(2)


def age(at, now):
    """How old a measurement is, by the clock of the node that made it: that clock may be wrong, which shows as a time to come."""
    seconds = int(now - at)
    if seconds < -60:
        return "from a clock that is ahead"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{max(seconds, 0)} s ago"


def body(keys, names, problem, now):
    """The part of the page that changes. Whatever came out of the store passes `html.escape`."""
    out = [f'<p class="problem">{html.escape(problem)}</p>'] if problem else []
    nodes = [(names.get(found[1]) or found[1][:12], key) for key in keys if (found := KEY.fullmatch(key))]
    for name, key in sorted(nodes)[:MOST_SHOWN]:
        out.append(f"<section><h2>{html.escape(name)}</h2>")
        values = keys[key]
        if len(values) > 1:
            # Nodes that did not hear of each other wrote at once. The store keeps both, and so does the page.
            out.append(f'<p class="problem">{len(values)} values were written at once:</p>')
        for value in values:
            said = understood(value)
            if said is None:
                out.append(f"<p>Somebody wrote what is no measurement: <code>{html.escape(value[:80])}</code></p>")
                continue
            old = ' class="old"' if now - said["at"] > 3 * max(SECONDS, 60) else ""
            figures = "".join(
                f"<dt>{name.replace('_', ' ').replace('percent', '%').replace('celsius', '°C')}</dt><dd>{said[name]}</dd>"
                for name in FIGURES if name in said
            )
            out.append(f"<dl{old}>{figures}</dl><p{old}>{age(said['at'], now)}</p>")
        out.append("</section>")
    if not nodes:
        out.append("<p>Nobody has written a measurement yet.</p>")
    return "".join(out)


STYLE = """body{font:1rem/1.4 sans-serif;margin:1rem auto;max-width:60rem;padding:0 1rem}main{display:grid;gap:1rem;
grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}section{border:1px solid #999;border-radius:.5rem;padding:.5rem 1rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:1fr auto;gap:.1rem 1rem;margin:0}dd{margin:0}h2{font-size:1.1rem;margin:.2rem 0}.old{color:#777}.problem{color:#a30}"""
SCRIPT = """setInterval(async () => {
  const answer = await fetch("/body").catch(() => null);
  if (answer?.ok) document.querySelector("main").innerHTML = await answer.text();
}, 5000);"""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Nodes at a glance</title><link rel="stylesheet" href="/style.css"><script defer src="/page.js"></script>
<h1>Nodes at a glance</h1><main>{}</main><noscript><p>Load the page again to see what is new.</p></noscript></html>"""


class Page(BaseHTTPRequestHandler):
    """The page. Should an escape be missing somewhere, the policy still lets nothing run but our own script."""

    timeout = 20
    copy = Copy()

    def do_GET(self):
        shown = lambda: body(self.copy.keys, self.copy.names, self.copy.problem, time.time())
        served = {
            "/": ("text/html", lambda: PAGE.format(shown())),
            "/body": ("text/html", shown),
            "/style.css": ("text/css", lambda: STYLE),
            "/page.js": ("text/javascript", lambda: SCRIPT),
        }.get(self.path)
        if served is None:
            return self.send_error(404)
        kind, text = served[0], served[1]().encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass  # Who looks is nobody's business.


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def process_request(self, request, address):
        BROWSERS.acquire()
        super().process_request(request, address)

    def process_request_thread(self, request, address):
        try:
            super().process_request_thread(request, address)
        finally:
            BROWSERS.release()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for work in (Page.copy.measure, Page.copy.listen, Page.copy.read):
        threading.Thread(target=work, daemon=True).start()
    Server(("", PORT), Page).serve_forever()
