"""A whole stack up, up again, and up with one service changed: local mode, docker compose, and the engine alone, in turn.

The engine's own limit is its raw API: one network, then all creates and starts by TEN threads, as the engine takes them.
"""
import concurrent.futures
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import harness

RUNS = 10
SIZES = (10, 50)
THREADS = 10


class Engine(http.client.HTTPConnection):
    """The engine's API over its socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))

    def ask(self, method, path, body=None, unless=()):
        """The answer; `unless` names codes that answer None instead of ending the bench."""
        self.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status in unless:
            return None
        if answer.status >= 300 and answer.status != 304:
            raise SystemExit(f"error: {method} {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else {}


def raw_up(name, count):
    """The same containers by the API alone; the seconds it took."""
    start = time.monotonic()
    Engine("engine").ask("POST", "/networks/create", {"Name": f"{name}_default", "Driver": "bridge"})
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        def create(number):
            body = {"Image": harness.IMAGE, "Cmd": ["sleep", "3600"], "StopSignal": "SIGKILL", "Env": ["MODE=0"],
                    "HostConfig": {"NetworkMode": f"{name}_default"}}
            return Engine("engine").ask("POST", f"/containers/create?name={name}-s{number:02}-1", body)["Id"]

        made = list(pool.map(create, range(count)))
        list(pool.map(lambda container: Engine("engine").ask("POST", f"/containers/{container}/start"), made))
    return time.monotonic() - start


def down(name):
    """Removes what a side has made."""
    engine = Engine("engine")
    found = [c["Id"] for c in engine.ask("GET", "/containers/json?all=1") if c["Names"][0].startswith(f"/{name}-")]

    def remove(container):
        # Ended first: engine 20.10 now and then miscounts the endpoints of a network whose containers go by force.
        Engine("engine").ask("POST", f"/containers/{container}/kill", unless=(409,))
        Engine("engine").ask("POST", f"/containers/{container}/wait")
        Engine("engine").ask("DELETE", f"/containers/{container}?force=1&v=1")

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(remove, found))
    for network in engine.ask("GET", "/networks"):
        if network["Name"] == f"{name}_default":
            remove_network(engine, network)


def remove_network(engine, network):
    """A network whose endpoints the engine has miscounted stays until the engine restarts; the next round needs another name."""
    for _ in range(10):
        if engine.ask("DELETE", f"/networks/{network['Id']}", unless=(403,)) is not None:
            return
        time.sleep(1)
    print(f"note: the engine keeps the network {network['Name']} (\"has active endpoints\", and lists none)", file=sys.stderr)


def stack(count):
    """One service among them takes a variable, to change it alone."""
    lines = ["services:"]
    for number in range(count):
        mode = '"${MODE:-0}"' if number == count // 2 else '"0"'
        lines += [f"  s{number:02}:", f"    image: {harness.IMAGE}", "    command: [sleep, '3600']",
                  "    stop_signal: SIGKILL", f"    environment: {{ MODE: {mode} }}"]
    return "\n".join(lines) + "\n"


def timed(command, env):
    """Seconds and peak memory in MB of a command that must succeed."""
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: {' '.join(map(str, command))} failed: {said.decode(errors='replace')[-600:]}")
    return time.monotonic() - start, usage.ru_maxrss / 1000


def ids(name):
    return {c["Names"][0]: c["Id"] for c in Engine("engine").ask("GET", "/containers/json") if c["Names"][0].startswith(f"/{name}-")}


def round_of(command, name, count, env):
    """Up, up again, up with a change; each checked by what is there. Seconds of each, and the peak memory of the first."""
    up = [*command, "up", "-d"]
    first, memory = timed(up, env)
    before = ids(name)
    if len(before) != count:
        raise SystemExit(f"error: {command[0]} left {len(before)} of {count} containers running")
    again, _ = timed(up, env)
    if ids(name) != before:
        raise SystemExit(f"error: {command[0]} touched containers without a change")
    change, _ = timed(up, env | {"MODE": "1"})
    moved = [held for held, identity in ids(name).items() if before.get(held) != identity]
    if len(moved) != 1:
        raise SystemExit(f"error: {command[0]} replaced {len(moved)} containers for one change")
    return first, again, change, memory


def measure_size(world, count, other):
    file = world.compose(f"up-{count}", stack(count))
    ours_env = world.env | {"WINDFLOW_STATE_DIR": str(world.work / "local")}
    sides = {"ours": [], "theirs": [], "raw": []}
    for turn in range(RUNS + 1):
        for side in sides:
            name = f"{world.prefix}-{side}-{count}-{turn}"
            command = ([world.bin / "windflow-agent", "local"] if side == "ours" else [other]) + ["-p", name, "-f", file]
            try:
                if side == "raw":
                    result = (raw_up(name, count),)
                elif side == "theirs" and other is None:
                    continue
                else:
                    result = round_of(command, name, count, ours_env if side == "ours" else world.env)
            finally:
                down(name)
            if turn:  # the first round warms up
                sides[side].append(result)
    label, name = f"{count} services", "compose-up"
    column = lambda side, at, scale=1000: [result[at] * scale for result in sides[side]]
    missing = "" if sides["theirs"] else "docker compose could not be fetched"
    compose = "docker compose 2.40.3"
    return [
        harness.row(name, f"{label}, up", "ms", column("ours", 0), column("theirs", 0), compose, "< 1", missing),
        harness.row(name, f"{label}, up", "ms", column("ours", 0), column("raw", 0), "raw API in parallel", "<= 1.3"),
        harness.row(name, f"{label}, no change", "ms", column("ours", 1), column("theirs", 1), compose, "< 1", missing),
        harness.row(name, f"{label}, one service changed", "ms", column("ours", 2), column("theirs", 2), compose, "< 1", missing),
        harness.row(name, f"{label}, peak memory of up", "MB", column("ours", 3, 1), column("theirs", 3, 1), compose, "< 1", missing),
    ]


def daemon_memory(world, count):
    """Peak memory of the agent that is told by the controller to deploy a large stack."""
    agent = world.agent("up")
    start = harness.memory(agent.pid)[0]
    name = f"{world.prefix}-fleet"
    file = world.compose("fleet", stack(count))
    try:
        world.cli("stack", "deploy", name, "-f", file, "--on", "up", "--wait", "--timeout", "5m")
        status = pathlib.Path(f"/proc/{agent.pid}/status").read_text()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6
        world.cli("stack", "remove", name, "--forget", "--yes", "--wait", "--timeout", "5m")
    finally:
        down(name)
    return harness.row("compose-up", f"agent's peak memory, {count} services", "MB", [peak], goal="<= 64 MB",
                       note=f"resident; {start:.1f} MB before the deploy")


def measure(world):
    other = harness.compose_peer()
    rows = []
    for count in SIZES:
        rows += measure_size(world, count, other)
    return [*rows, daemon_memory(world, SIZES[-1])]
