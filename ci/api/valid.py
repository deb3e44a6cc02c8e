"""A valid request for each operation that needs more than its path: operation → what is sent. Functions make what has to be there before."""

import world
from world import PASSWORD, Client, docker, fresh, friend, lab, spare

NOTHING = object()


def request(path=None, body=NOTHING, query=None, headers=None):
    return {"path": path or {}, "body": body, "query": query or {}, "headers": headers or {}}


def as_somebody(role="operator", **more):
    """By somebody who has logged in."""
    return request(headers=world.session(role), **more)


def muted_node():
    headers = world.session("operator")
    Client("page", headers).must("PUT", f"/api/v1/account/muted/{world.friend_id()}")
    return request({"node": world.friend_id()}, headers=headers)


def muted_service():
    headers = world.session("operator")
    key = world.friends_service()
    Client("page", headers).must("PUT", f"/api/v1/account/muted/{world.friend_id()}/{key}")
    return request({"node": world.friend_id(), "key": key}, headers=headers)


def own_token():
    headers = world.session("operator")
    made = Client("page", headers).must("POST", "/api/v1/account/tokens", {"scope": "read"})
    return request({"id": made["id"]}, headers=headers)


def user_token():
    name = world.user()
    made = lab.must("POST", f"/api/v1/users/{name}/tokens", {"scope": "read"})
    return request({"name": name, "id": made["id"]})


def appointed():
    lab.ask("POST", "/api/v1/appoint", {"node": world.friend_id()})
    return request(body={"node": world.friend_id()})


def household():
    """Both nodes are one owner's."""
    lab.must("POST", "/api/v1/household", {})
    if not any(node["id"] == world.friend_id() for node in lab.get("/api/v1/household")["nodes"]):
        asked_of_friend()
        friend.until("it is asked", lambda: friend.get("/api/v1/household")["asking"])
        friend.must("POST", f"/api/v1/household/{world.node_of(lab)}", {"yes": True})
        lab.until("they are one owner's", lambda: lab.get("/api/v1/household")["nodes"])
    return {"node": world.friend_id()}


def asked_of_friend():
    friend.must("DELETE", "/api/v1/household")
    lab.must("POST", "/api/v1/household", {})
    lab.until("it is nobody's", lambda: not lab.get("/api/v1/household")["nodes"])
    lab.must("PUT", f"/api/v1/household/{world.friend_id()}", {})
    return request({"node": world.friend_id()})


def asked_by_friend():
    friend.must("POST", "/api/v1/household", {})
    friend.must("PUT", f"/api/v1/household/{world.node_of(lab)}", {})
    lab.must("DELETE", "/api/v1/household")
    lab.until("it is asked", lambda: lab.get("/api/v1/household")["asking"])
    return request({"node": world.friend_id()}, {"yes": False})


def user_there():
    name = fresh("user")
    friend.must("POST", "/api/v1/users", {"name": name, "password": PASSWORD, "role": "guest"})
    return request({**household(), "path": f"users/{name}"})


def hidden_node():
    lab.must("PUT", f"/api/v1/hidden/{world.friend_id()}", {})
    return request({"node": world.friend_id()})


def hidden_service():
    key = world.friends_service()
    lab.must("PUT", f"/api/v1/hidden/{world.friend_id()}/{key}", {})
    return request({"node": world.friend_id(), "key": key})


def installs():
    world.tidy()
    name = world.own_app()
    world.leftovers.append(name)
    return request({"name": name}, {})


def backed_up():
    world.backup_key()
    return request({"name": world.idle(world.site())}, {})


def withdrawn():
    name = world.idle(world.site())
    lab.must("PUT", f"/api/v1/apps/{name}/publication", {"title": "Site"})
    return request({"name": name})


def restored():
    made, secret = world.backup()
    return request({"hash": made}, {"secret": secret})


def adopted():
    name = fresh("adopted")
    world.tidy()
    world.leftovers.append(name)
    return request({"id": world.container(running=True)}, {"name": name})


def replaced():
    """A container whose place an app has taken."""
    container, name = world.container(running=True), fresh("adopted")
    with world.apps:
        world.tidy()
        world.leftovers.append(name)
        lab.done(lab.must("POST", f"/api/v1/by-hand/containers/{container}", {"name": name}))
    return request({"id": container})


def volume():
    name = fresh("volume")
    docker.must("POST", "/volumes/create", {"Name": name})
    return request({"name": name})


def forgotten():
    return request({"name": world.in_catalog()})


def claimed():
    """Once: who is claimed stays so. Its first run of Schemathesis finds it as it was."""
    if spare.get("/api/v1/users")["users"]:
        return
    code = spare.get("/api/v1/claim-code")["code"]
    Client("spare-page").must("POST", "/api/v1/claim", {"name": "first", "password": PASSWORD, "code": code})


def founded():
    world.in_community(False)
    world.in_community(True)


def joins():
    world.in_community(False)
    world.joined()


def asks():
    """The spare node asks the tested one to be let in by four words; what it asks, once it has words."""
    world.in_community(False)
    here = lab.get("/api/v1/nodes")["me"]
    spare.must("POST", "/api/v1/asking", {"node": f"{here['id']}@{here['addresses'][0]}"})
    return spare.until("there are words", lambda: (spare.get("/api/v1/asking")["asking"] or {}).get("step", {}).get("words"))


def agrees():
    spare.must("PUT", "/api/v1/asking", {"words": asks()})


def newcomer():
    words = asks()
    return request({"node": world.node_of(spare)}, {"words": words, "admit": True})


def tunnel():
    return {"node": world.friend_id(), "service": world.friends_service()}


def closed():
    made = lab.must("POST", "/api/v1/tunnels", tunnel())
    return request({"port": made["address"].rsplit(":", 1)[1].strip("/")})


def logs_in():
    return request(body={"name": world.user(), "password": PASSWORD})


def job_done():
    return request({"id": lab.get("/api/v1/jobs?limit=1")["jobs"][0]["id"]})


def store(body=NOTHING, key=True, first=None):
    def make():
        headers = world.app_token()
        if first is not None:
            Client("page", headers).must("PUT", f"/api/v1/store/{world.store()}/there", first)
        return request({"app": world.store(), **({"key": "there"} if key else {})}, body, headers=headers)

    return make


def named(**path):
    """Its path, with what may have to be made."""
    return lambda: request({key: value() if callable(value) else value for key, value in path.items()})


def with_body(body, **path):
    return lambda: request({key: value() if callable(value) else value for key, value in path.items()}, body() if callable(body) else body)


def idle_site():
    return world.idle(world.site())


def brings_key():
    name = world.own_catalog()
    return request({"name": name}, lab.get(f"/api/v1/own-catalogs/{name}/key"))


def own_name():
    return world.own_app("form")


def form():
    return {"title": "Own", "form": {"image": world.IMAGE, "command": world.STAY}}


SERVICE = {"title": "Ours", "port": 80, "scheme": "http", "category": "web"}

VALID = {
    "muted": as_somebody,
    "mute_node": lambda: as_somebody(path={"node": world.friend_id()}),
    "unmute_node": muted_node,
    "mute_service": lambda: as_somebody(path={"node": world.friend_id(), "key": world.friends_service()}),
    "unmute_service": muted_service,
    "own_password": lambda: as_somebody(body={"old": PASSWORD, "new": PASSWORD + " else"}),
    "end_sessions": as_somebody,
    "own_tokens": as_somebody,
    "own_token_make": lambda: as_somebody(body={"scope": "read", "label": "tested"}),
    "own_token_revoke": own_token,
    "appoint": lambda: request(body={"node": world.friend_id()}),
    "dismiss": appointed,
    "app": named(name=world.site),
    "app_install": installs,
    "app_change": with_body({}, name=idle_site),
    "app_remove": lambda: request({"name": world.installed()}, query={"with-data": "true"}),
    "app_backup": backed_up,
    "app_logs": named(name=world.site),
    "app_changes": named(name=world.site),
    "app_logs_events": named(name=world.site),
    "app_publish": with_body({"title": "Site"}, name=idle_site),
    "app_withdraw": withdrawn,
    "app_settings": named(name=world.site),
    "app_act": named(name=idle_site, action="restart"),
    "backup_key_make": lambda: request(),
    "backup_key_set": lambda: request(body={"recipient": world.backup_key()["recipient"]}),
    "backup_restore": restored,
    "blob_quota_set": lambda: request(body={"quota-bytes": 1 << 32}),
    "blob_remove": named(hash=world.blob),
    "blob": named(hash=world.blob),
    "blob_fetch": named(hash=world.friends_blob),
    "blob_change": with_body({"pinned": True}, hash=world.blob),
    "blob_content": named(hash=world.blob),
    "by_hand_remove": replaced,
    "by_hand_container": named(id=world.container),
    "by_hand_adopt": adopted,
    "by_hand_image_remove": named(id=world.image),
    "by_hand_volume_remove": volume,
    "catalog_forget": forgotten,
    "catalog_share": with_body({}, name=world.in_catalog),
    "catalogs_one": named(key=world.friends_catalog),
    "catalogs_follow": named(key=world.friends_catalog),
    "catalogs_unfollow": named(key=world.friends_catalog),
    "catalogs_get": with_body({"replace": True}, key=world.friends_catalog, name="web"),
    "catalogs_publish": lambda: request({"name": world.own_catalog()}, {"apps": []}),
    "catalogs_give_up": named(name=world.own_catalog),
    "catalogs_key": named(name=world.own_catalog),
    "catalogs_key_bring": brings_key,
    "docker_act": named(action="start"),
    "door": lambda: request(body={"minutes": 5}),
    "found_app_fetch": named(hash=world.found_app),
    "hide_node": with_body({}, node=world.friend_id),
    "show_node": hidden_node,
    "hide_service": with_body({"reason": "tested"}, node=world.friend_id, key=world.friends_service),
    "show_service": hidden_service,
    "household_begin": lambda: request(body={}),
    "household_ask": asked_of_friend,
    "household_answer": asked_by_friend,
    "household_take_back": asked_of_friend,
    "at_read": lambda: request({**household(), "path": "apps"}),
    "at_put": lambda: request({**household(), "path": "lease-policy"}, {"others": "ask", "most": 50}),
    "at_do": lambda: request({**household(), "path": "users"}, {"name": fresh("user"), "password": PASSWORD, "role": "guest"}),
    "at_delete": user_there,
    "https_set": lambda: request(body={"only": False}),
    "invite": lambda: request(body={"uses": 1}),
    "job": job_done,
    "lease_policy_set": lambda: request(body={"others": "ask", "most": 50}),
    "lease_offer": lambda: request(body={"app": world.in_catalog(), "node": world.friend_id()}),
    "lease_decide": with_body({"decision": "refuse"}, id=world.offered),
    "own_app": named(name=own_name),
    "own_app_forget": named(name=own_name),
    "own_app_save": lambda: request({"name": fresh("form")}, form()),
    "own_app_grant": with_body([], name=own_name),
    "newcomer_decide": newcomer,
    "rename": lambda: request(body={"name": "lab"}),
    "setup_set": lambda: request({"step": "place"}, {"later": True}),
    "replicas_set": with_body({"replicas": 0}, name=idle_site),
    "revoke": lambda: request(body={"node": world.joined()}),
    "service_publish_new": lambda: request(body={"key": fresh("service"), **SERVICE}),
    "service_publish": with_body(SERVICE, key=world.service),
    "service_withdraw": named(key=world.service),
    "login": logs_in,
    "logout": as_somebody,
    "store_keys": store(key=False),
    "store_batch": store({"changes": [{"key": "there", "put": "text"}]}, key=False),
    "store_delete": store(first="text"),
    "store_read": store(first="text"),
    "store_change": store({"put": "text"}),
    "store_put": store("text"),
    "store_own": named(label="tested"),
    "store_token_make": named(app="tested-too"),
    "store_tokens_revoke": named(app="tested-too"),
    "store_writers": named(app=world.store),
    "store_writers_set": with_body({"only": None}, app=world.store),
    "tunnel_open": lambda: request(body=tunnel()),
    "tunnel_close": closed,
    "user": named(name=world.user),
    "user_add": lambda: request(body={"name": fresh("user"), "password": PASSWORD, "role": "guest"}),
    "user_remove": named(name=world.user),
    "user_password": with_body({"password": PASSWORD + " else"}, name=world.user),
    "user_role": with_body({"role": "guest"}, name=world.user),
    "user_tokens": named(name=world.user),
    "user_token_make": with_body({"scope": "read"}, name=world.user),
    "user_token_revoke": user_token,
}

# What the tested node can't be asked for, since it is a member and has an owner: the spare node is. It leaves what it joins.
ELSEWHERE = {"asking_begin": asks, "asking_same": agrees, "claim": claimed, "found": founded, "join": joins}
