#!/usr/bin/env python3
"""Scenarios on a real engine: the local mode of windflow-agent beside the real Docker Compose, step by step.

    run.py --ours 'target/debug/windflow-agent local' --reference PATH [--only TEXT] [--jobs N]

Every file of cases/ is a scenario: blocks that begin with a line `== NAME`. `== steps` holds the steps, every other
block a file of the project directory. A step is one line:

    up -d                   a command of docker compose, done by both, each on an empty project
    docker rm -f @p-a-1     the docker client; `@p` is the project's name
    ref up -d / our up -d   by that one alone: the scenario then runs once, and only its assertions count
    FOO=bar up -d           with a variable
    write FILE TEXT         writes a file (`\\n` is a line end)
    from FILE up -d         with the file as standard input
    tty 33x77 TEXT up -d    on a terminal of 33 rows, on which TEXT is typed once there was output

and may be followed by lines about it:

    @order start db web     the last start of db came before the first start of web (also `die`)
    @kept a b / @new a      these services kept, or replaced, all their containers (`*`: every service)
    @rc 42                  its exit code
    @out                    its standard output is the same
    @out TEXT               its standard output, without blanks around it
    @has TEXT               its output has this text in it
    @says TEXT              its error output has this text in it
    @loose                  states are not compared after this step (something may be on its way)

After each step the project's containers (name, service, number, labels, state, exit code, command, environment, networks
with aliases, mounts, ports, restart policy, kept or replaced), networks and volumes of both are compared. Exit code 0 if
all are equal. Needs the docker client and the images windflow-test/busybox:1 and :2.
"""
import argparse
import concurrent.futures
import fcntl
import http.client
import json
import os
import pty
import re
import select
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.parse

HERE = os.path.dirname(os.path.realpath(__file__))
LABEL = "com.docker.compose."
# Values that may differ: the tool's own version, hashes over its own idea of the configuration, random names.
FREE = {LABEL + "version", LABEL + "config-hash", LABEL + "slug"}
STEP_LIMIT = 90


class Engine:
    def __init__(self, host):
        self.path = host.removeprefix("unix://")

    def get(self, method, path):
        connection = http.client.HTTPConnection("engine", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(self.path)
        connection.request(method, path)
        body = connection.getresponse().read()
        connection.close()
        try:
            return json.loads(body) if body else None
        except ValueError:
            return body.decode(errors="replace")

    @staticmethod
    def of(project):
        return urllib.parse.quote(json.dumps({"label": [LABEL + "project=" + project]}))

    def clean(self, project):
        mine = self.of(project)
        for container in self.get("GET", f"/containers/json?all=1&filters={mine}") or []:
            self.get("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for network in self.get("GET", f"/networks?filters={mine}") or []:
            self.get("DELETE", "/networks/" + network["Id"])
        for volume in (self.get("GET", f"/volumes?filters={mine}") or {}).get("Volumes") or []:
            self.get("DELETE", "/volumes/" + volume["Name"] + "?force=1")

    def unused_volumes(self):
        """Those without a name, and those that cases name, which no container uses."""
        dangling = urllib.parse.quote(json.dumps({"dangling": ["true"]}))
        names = [one["Name"] for one in (self.get("GET", f"/volumes?filters={dangling}") or {}).get("Volumes") or []]
        return {name for name in names if re.fullmatch("[0-9a-f]{64}", name) or name.startswith("wfrt-")}

    def events(self, project, since, until):
        filters = {"label": [LABEL + "project=" + project], "type": ["container"], "event": ["start", "die"]}
        query = urllib.parse.urlencode(
            {"since": f"{since:.9f}", "until": f"{until:.9f}", "filters": json.dumps(filters)})
        connection = http.client.HTTPConnection("engine", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        connection.request("GET", "/events?" + query)
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        events = [json.loads(line) for line in lines if line.strip()]
        return [(event["Action"], event["Actor"]["Attributes"].get(LABEL + "service")) for event in events]

    def begun(self, container):
        """Waits until an init has its process: a signal that comes sooner ends the two in one way or the other."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            top = self.get("GET", f"/containers/{container}/top?ps_args=-eo%20pid,comm") or {}
            if any(row[-1] != "docker-init" for row in top.get("Processes") or [[""]]):
                return
            time.sleep(0.01)

    def state(self, project, before):
        """What is there, without what may differ; and the ids by service."""
        mine, ids = self.of(project), {}
        containers = []
        names = {}
        listed = self.get("GET", f"/containers/json?all=1&filters={mine}") or []
        inspected = [self.get("GET", f"/containers/{one['Id']}/json") for one in listed]
        inspected = [one for one in inspected if one and "Id" in one]
        for one in inspected:
            names[one["Id"]] = one["Name"][1:]
            if one["State"]["Status"] == "running" and one["HostConfig"].get("Init"):
                self.begun(one["Id"])
        for one in inspected:
            config, host = one["Config"], one["HostConfig"]
            labels = config["Labels"] or {}
            service = labels.get(LABEL + "service", "")
            ids.setdefault(service, set()).add(one["Id"])
            container = {
                "name": plain(one["Name"][1:]),
                "kept": one["Id"] in before,
                "labels": {key: known(names, value) for key, value in labels.items()
                           if key not in FREE and not key.startswith("io.windflow.") and key != LABEL + "image"},
                "digest": labels.get(LABEL + "image", "")[:7],
                "hash": LABEL + "config-hash" in labels,
                "state": one["State"]["Status"],
                "code": one["State"]["ExitCode"],
                "image": config["Image"],
                "command": [config["Entrypoint"], config["Cmd"]],
                "env": sorted(config["Env"] or []),
                "user": config["User"], "dir": config["WorkingDir"], "tty": config["Tty"],
                "stdin": config["OpenStdin"],
                "health": (one["State"].get("Health") or {}).get("Status"),
                "restart": [host["RestartPolicy"]["Name"] or "no", host["RestartPolicy"]["MaximumRetryCount"]], "auto_remove": host["AutoRemove"],
                "mode": mode(names, host["NetworkMode"]),
                "ports": ports(one),
                "mounts": sorted([mount["Type"], anonymous(mount.get("Name") or mount["Source"]),
                                  mount["Destination"], mount["RW"]] for mount in one["Mounts"]),
                "networks": {name: sorted(plain(alias) for alias in place["Aliases"] or []
                                          if one["Id"][:12] != alias)
                             for name, place in one["NetworkSettings"]["Networks"].items()},
            }
            containers.append(container)
        containers.sort(key=lambda one: (one["name"], json.dumps(one["labels"], sort_keys=True)))
        networks = [{"name": one["Name"], "driver": one["Driver"], "internal": one["Internal"],
                     "labels": free(one["Labels"]), "options": one["Options"]}
                    for one in self.get("GET", f"/networks?filters={mine}") or []]
        volumes = [{"name": anonymous(one["Name"]), "labels": free(one["Labels"] or {}), "driver": one["Driver"]}
                   for one in (self.get("GET", f"/volumes?filters={mine}") or {}).get("Volumes") or []]
        by_name = lambda one: one["name"]
        return {"containers": containers, "networks": sorted(networks, key=by_name),
                "volumes": sorted(volumes, key=by_name)}, ids


def plain(name):
    """The random part of a one-off container's name."""
    return re.sub(r"([-_]run[-_])[0-9a-f]{12}$", r"\1*", name)


def known(names, value):
    for identity, name in names.items():
        value = value.replace(identity, name)
    return value


def mode(names, text):
    return re.sub(r"[0-9a-f]{64}", lambda found: names.get(found.group(), "*"), text)


def anonymous(name):
    return "*" if re.fullmatch(r"[0-9a-f]{64}", name) else name


def free(labels):
    return {key: value for key, value in labels.items() if key not in FREE and not key.startswith("io.windflow.")}


def ports(one):
    out = []
    for port, bound in (one["HostConfig"]["PortBindings"] or {}).items():
        for place in bound or []:
            out.append([port, place["HostIp"], place["HostPort"]])
    return sorted(out)


class Case:
    def __init__(self, path):
        self.name = os.path.basename(path).removesuffix(".case")
        self.files, self.steps, block = {}, [], None
        with open(path, encoding="utf-8") as file:
            for line in file.read().split("\n"):
                if line.startswith("== "):
                    block = line[3:].strip()
                    if block != "steps":
                        self.files[block] = ""
                elif block == "steps":
                    line = line.strip()
                    if line.startswith("@"):
                        self.steps[-1][1].append(line[1:].split(" ", 1))
                    elif line and not line.startswith("#"):
                        self.steps.append((line, []))
                elif block:
                    self.files[block] += line + "\n"
        self.mixed = any(step.split(" ")[0] in ("ref", "our") for step, _ in self.steps)


class Run:
    """One way through a case with one tool, or with both in turns."""

    def __init__(self, case, engine, tools, who):
        self.case, self.engine, self.tools, self.who = case, engine, tools, who
        self.project = "wfrt-" + re.sub(r"[^a-z0-9]", "", case.name)
        self.root = os.path.join(tools["scratch"], case.name)
        self.state_dir = tempfile.mkdtemp(dir=tools["scratch"])
        self.wrong = []

    def go(self):
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.root)
        for name, text in self.case.files.items():
            os.makedirs(os.path.dirname(os.path.join(self.root, name)), exist_ok=True)
            with open(os.path.join(self.root, name), "w", encoding="utf-8") as file:
                file.write(text)
        self.engine.clean(self.project)
        records, before, ids = [], set(), {}
        try:
            for step, notes in self.case.steps:
                start = time.time()
                code, out, err = self.step(step)
                state, now = self.engine.state(self.project, before)
                record = {"step": step, "ok": code == 0, "state": state, "out": None, "err": err[-800:]}
                for note in notes:
                    self.note(step, note, code, out, ids, now, start, record, err)
                records.append(record)
                before = {identity for group in now.values() for identity in group}
                ids = now
        finally:
            self.engine.clean(self.project)
        return records

    def step(self, step):
        words = shlex.split(step.replace("@p", self.project))
        env = {"PATH": os.environ["PATH"], "HOME": self.tools["scratch"], "DOCKER_HOST": self.tools["host"],
               "COMPOSE_PROJECT_NAME": self.project, "COMPOSE_MENU": "0", "WINDFLOW_STATE_DIR": self.state_dir}
        while re.match(r"[A-Z_]+=", words[0]):
            key, value = words.pop(0).split("=", 1)
            env[key] = value
        who, terminal, stdin = self.who, None, subprocess.DEVNULL
        if words[0] == "from":
            stdin = open(os.path.join(self.root, words[1]), "rb")
            words = words[2:]
        if words[0] == "tty":
            terminal = (words[1], words[2].replace("\\n", "\n"))
            words = words[3:]
        if words[0] in ("ref", "our"):
            who = words.pop(0)
        if words[0] == "write":
            with open(os.path.join(self.root, words[1]), "w", encoding="utf-8") as file:
                file.write(words[2].replace("\\n", "\n"))
            return 0, "", ""
        if words[0] == "docker":
            argv = words
        else:
            argv = [*self.tools[who], *words]
        if terminal:
            return on_terminal(argv, self.root, env, *terminal)
        try:
            done = subprocess.run(argv, cwd=self.root, env=env, capture_output=True, stdin=stdin,
                                  timeout=STEP_LIMIT)
        except subprocess.TimeoutExpired:
            return 124, "", f"more than {STEP_LIMIT} s"
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def note(self, step, note, code, out, old, new, start, record, err):
        word, rest = note[0], (note[1] if len(note) > 1 else "").replace("@p", self.project)
        fail = lambda text: self.wrong.append(f"{self.who}: {step}: {text}; {last(err)}")
        services = lambda: (sorted(set(old) | set(new)) if rest == "*" else rest.split())
        if word == "rc" and code != int(rest):
            fail(f"exit code {code}, not {rest}")
        elif word == "out" and rest and out.strip() != rest:
            fail(f"printed {out.strip()!r}, not {rest!r}")
        elif word == "out":
            record["out"] = out
        elif word == "has" and rest not in out:
            fail(f"printed {out[-200:]!r}, which has no {rest!r}")
        elif word == "says" and rest not in err:
            fail(f"said {err[-400:]!r}, which has no {rest!r}")
        elif word == "loose":
            record["state"] = None
        elif word == "kept":
            for service in services():
                if not old.get(service) or not old[service] <= new.get(service, set()):
                    fail(f"{service} was not kept")
        elif word == "new":
            for service in services():
                if not new.get(service) or old.get(service, set()) & new[service]:
                    fail(f"{service} was not replaced")
        elif word == "order":
            action, first, second = rest.split()
            events = self.engine.events(self.project, start, time.time())
            one = [place for place, event in enumerate(events) if event == (action, first)]
            two = [place for place, event in enumerate(events) if event == (action, second)]
            if not one or not two or max(one) > min(two):
                fail(f"{action} of {first} does not come before {second}: {events}")


def difference(want, got, path=""):
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(set(want) | set(got)):
            if want.get(key) != got.get(key):
                return difference(want.get(key), got.get(key), f"{path}.{key}")
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for index, (one, two) in enumerate(zip(want, got)):
            if one != two:
                return difference(one, two, f"{path}[{index}]")
    return f"{path}: {json.dumps(want)[:300]} there, {json.dumps(got)[:300]} here"


def on_terminal(argv, root, env, size, typed):
    """Runs a command on a terminal of its own. The typed text comes when it prompts."""
    rows, columns = (int(number) for number in size.split("x"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    program = subprocess.Popen(argv, cwd=root, env=dict(env, TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs,
                               start_new_session=True)
    os.close(theirs)
    out, end = b"", time.time() + STEP_LIMIT
    while time.time() < end:
        ready, _, _ = select.select([ours], [], [], 0.5)
        if ready:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            out += piece
        if typed and b"# " in out:
            os.write(ours, typed.encode())
            typed = ""
        if not ready and program.poll() is not None:
            break
    if program.poll() is None and time.time() >= end:
        program.kill()
    os.close(ours)
    return program.wait(), out.decode(errors="replace"), ""


def last(text):
    return (text.strip().splitlines() or [""])[-1][:300]


def judge(case, engine, tools):
    if case.mixed:
        run = Run(case, engine, tools, "our")
        run.go()
        return run.wrong
    reference = Run(case, engine, tools, "ref")
    want = reference.go()
    ours = Run(case, engine, tools, "our")
    got = ours.go()
    wrong = reference.wrong + ours.wrong
    for one, two in zip(want, got):
        for key in ("ok", "state", "out"):
            if one[key] != two[key]:
                wrong.append(f"{one['step']}: {difference(one[key], two[key], key)}; {last(two['err'])}")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=3)
    args = parser.parse_args()
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    ours = shlex.split(args.ours)
    ours[0] = os.path.abspath(ours[0])
    scratch = tempfile.mkdtemp(prefix="wf-runtime-")
    tools = {"our": ours, "ref": [os.path.abspath(args.reference)], "host": host, "scratch": scratch}
    paths = sorted(os.listdir(HERE + "/cases"))
    cases = [Case(f"{HERE}/cases/{path}") for path in paths if path.endswith(".case") and args.only in path]
    engine, bad = Engine(host), 0
    before = engine.unused_volumes()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = {pool.submit(judge, case, engine, tools): case for case in cases}
        for run in concurrent.futures.as_completed(runs):
            wrong = run.result()
            bad += bool(wrong)
            print("FAILED " if wrong else "ok     ", runs[run].name, flush=True)
            for text in wrong[:4]:
                print("         ", text, flush=True)
    # What a container that was replaced or removed leaves, as compose leaves it.
    for volume in engine.unused_volumes() - before:
        engine.get("DELETE", "/volumes/" + volume)
    shutil.rmtree(scratch, ignore_errors=True)
    print(f"{len(cases) - bad} of {len(cases)} equal", flush=True)
    return 1 if bad or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
