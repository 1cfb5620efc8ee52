"""A revision that turns unhealthy: how long users are without the service until the one before is back, and what is left.

Two stacks of one page: behind a proxy that finds it by its name (the new container starts beside the old one), and on a
published port (only one container can have it). The bad revision never answers its health check. A client asks every few
milliseconds; downtime is the time between the last good answer before a failed one and the next good answer, in all.
Docker Compose 2.40.3 gets the same files with `up --wait`, if it can be had.
"""
import subprocess
import threading
import time
import urllib.request

import harness

RUNS = 5
# How long the client goes on once the command has ended: what is not back by then does not come back.
AFTER = 5.0

HEALTH = "{ test: wget -q -O /dev/null http://127.0.0.1/, interval: 500ms, timeout: 2s, retries: 3, start_period: 0s }"
SERVE = "mkdir -p /www; echo {page} > /www/index.html; exec httpd -f -p 80 -h /www"
ASK = """
configs:
  ask:
    content: |
      #!/bin/sh
      # This shell's wget is static: it neither takes -T nor finds names.
      for try in 1 2 3 4 5; do
        for address in $$(nslookup app 127.0.0.11 | sed -n '/^Name/,$$ s/^Address[^:]*: //p'); do
          page=$$(timeout 2 wget -q -O - http://$$address/) && { printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$$page"; exit; }
        done
      done
      printf 'Status: 502 Bad Gateway\\r\\n\\r\\nlost'
"""


def app(command, ports=""):
    return (f"  app:\n    image: {harness.IMAGE}\n    command: [sh, -c, '{command}']\n    stop_grace_period: 1s\n"
            f"    healthcheck: {HEALTH}\n{ports}")


def files(kind, port, good):
    command = SERVE.format(page="good") if good else "echo cannot find my settings; exec sleep 3600"
    if kind == "port":
        return "services:\n" + app(command, f"    ports: ['127.0.0.1:{port}:80']\n")
    proxy = (f"  proxy:\n    image: {harness.IMAGE}\n    command: [httpd, -f, -p, '80', -h, /www]\n    stop_grace_period: 0s\n"
             f"    ports: ['127.0.0.1:{port}:80']\n    configs: [{{ source: ask, target: /www/cgi-bin/ask, mode: 0555 }}]\n")
    return "services:\n" + proxy + app(command) + ASK


class Client(threading.Thread):
    """Asks until it is told to stop."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.over, self.answers = url, threading.Event(), []

    def run(self):
        while not self.over.is_set():
            start = time.monotonic()
            try:
                with urllib.request.urlopen(self.url, timeout=15) as answer:
                    good = answer.read().strip() == b"good"
            except OSError:
                good = False
            self.answers.append((start, time.monotonic(), good))
            time.sleep(0.005)

    def down(self):
        """Milliseconds without an answer, and requests that failed."""
        self.over.set()
        self.join(20)
        total, last, failed = 0.0, None, 0
        for _, end, good in self.answers:
            if not good:
                failed += 1
            elif failed and last is not None and self.failing:
                total += end - last
            self.failing = not good
            if good:
                last = end
        if self.failing and last is not None:
            total += self.answers[-1][1] - last
        return total * 1000, failed

    failing = False


def once(kind, port, deploy):
    """Downtime of a bad revision over a good one, and whether the good one answers in the end."""
    if deploy(True) != 0:
        raise SystemExit("error: the good revision could not be deployed")
    client = Client(f"http://127.0.0.1:{port}/" + ("" if kind == "port" else "cgi-bin/ask"))
    client.start()
    harness.wait_for(10, lambda: sum(good for *_, good in client.answers) > 20, "the first answers")
    code = deploy(False)
    time.sleep(AFTER)
    back = client.answers[-1][2]
    down, failed = client.down()
    return down, failed, back, code


def measure(world):
    world.agent("rollback")
    compose = harness.compose_peer()
    rows = []
    for kind, name in (("name", "by name, new one first"), ("port", "published port, old one first")):
        ours, theirs, lost, left = [], [], 0, 0
        for n in range(RUNS):
            port, stack = harness.free_port(), f"{world.prefix}-{kind}-{n}"

            def windflow(good, port=port, stack=stack):
                file = world.compose(stack, files(kind, port, good))
                command = [world.bin / "windflow", "stack", "deploy", stack, "-f", file, "--on", "rollback", "--timeout", "2m"]
                return subprocess.run(command, env=world.env, capture_output=True, check=False).returncode

            down, failed, back, code = once(kind, port, windflow)
            if not back or code != 1:
                raise SystemExit(f"error: the good revision is not back, or the deploy ended with {code}")
            ours.append(down)
            lost += failed
            world.cli("stack", "remove", stack, "--forget", "--yes", "--timeout", "1m")
            if not compose:
                continue
            peer = f"{stack}-peer"

            def other(good, port=port, peer=peer):
                file = world.compose(peer, files(kind, port, good))
                command = [compose, "-p", peer, "-f", file, "up", "-d", "--wait"]
                return subprocess.run(command, capture_output=True, check=False).returncode

            down, _, back, _ = once(kind, port, other)
            theirs.append(down)
            left += not back
            subprocess.run([compose, "-p", peer, "-f", str(world.work / f"{peer}.yaml"), "down", "-t", "0"], capture_output=True,
                           check=False)
        note = f"{lost} requests failed in {RUNS} runs; the good revision answered again in all"
        if theirs:
            note += f"; up --wait left {left} of {len(theirs)} broken, counted until {AFTER:.0f} s after its end"
        goal = "<= 50 ms" if kind == "name" else ""
        rows.append(harness.row("rollback", f"downtime {name}", "ms", ours, theirs, "docker compose up --wait", goal, note))
    return rows
