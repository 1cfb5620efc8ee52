"""What the benches of the link share: a fleet of simulated hosts against a controller that is restarted, and the bare server."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import harness

SIZES = [int(word) for word in os.environ.get("WINDFLOW_BENCH_HOSTS", "100,300,1000,3000,10000").split(",")]
HOLD_S = int(os.environ.get("WINDFLOW_BENCH_HOLD_S", "60"))
RESTART = "restart the controller now"


class Fleet:
    """Simulated hosts that stay enrolled from one size to the next."""

    def __init__(self, world):
        self.world = world
        self.hosts = world.work / "hosts.json"
        self.pid = world.work / "controller.pid"

    def fresh(self):
        """The controller anew, on the same data: its memory is that of a start."""
        self.world.controller.send_signal(signal.SIGTERM)
        self.world.controller.wait(30)
        self.start()

    def start(self):
        # A bench is not kept waiting by the pace at which hosts may join.
        self.world.controller = self.world.start(
            "windflow-controller", "serve", "--data-dir", self.world.work / "controller", "--http", self.world.address,
            "--quic", self.world.address, env={"WINDFLOW_LINK_JOINS_PER_S": "10000", "WINDFLOW_LOG": "warn"})
        self.pid.write_text(str(self.world.controller.pid))

    def kill_and_start(self):
        self.world.controller.kill()
        self.world.controller.wait()
        self.start()

    def run(self, count, *profile):
        """The rows of one run; the controller is killed where it asks for that."""
        self.ready()
        command = [self.world.bin / "windflow", "bench", "fleet", "--agents", count, "--keep", self.hosts, "--controller-pid",
                   self.pid, "-o", "json", *profile]
        out = self.world.work / "rows.json"
        with open(out, "wb") as rows:
            process = subprocess.Popen([str(word) for word in command], stdout=rows, stderr=subprocess.PIPE, text=True,
                                       env=self.world.env)
            self.world.processes.append(process)
            said = []
            for line in process.stderr:
                said.append(line)
                if RESTART in line:
                    self.kill_and_start()
            if process.wait():
                raise SystemExit(f"error: the fleet of {count} failed: {''.join(said)[-600:]}")
        return {(row["bench"], row["name"], row["unit"]): row for row in json.loads(out.read_text())}

    def ready(self):
        def answers():
            return subprocess.run(["curl", "-fsSk", "-o", "/dev/null", f"https://{self.world.address}/readyz"],
                                  capture_output=True, check=False).returncode == 0
        harness.wait_for(60, answers, "the controller's answer")


def joined(world):
    """A fleet of each size: the hosts have joined, and the measured controller has done nothing but hold them."""
    hosts = Fleet(world)
    hosts.fresh()
    for count in SIZES:
        hosts.run(count, "--profile", "idle", "--hold", "1s")
        hosts.fresh()
        yield hosts, count


def bare(world, count, hold=HOLD_S):
    """The same connections to a server that does nothing with them: KB of memory and ms of handshake each, % of a core, b/s."""
    program = pathlib.Path(os.environ["WINDFLOW_BIN"]) / "examples/bare_link"
    if not program.exists():
        return None
    folder = world.work / f"bare-{count}"
    folder.mkdir()
    server = subprocess.Popen([program, "serve", folder], stdout=subprocess.PIPE, text=True)
    world.processes.append(server)
    port = server.stdout.readline().strip()
    client = subprocess.Popen([program, "hold", folder, port, str(count), str(hold)], stdout=subprocess.PIPE, text=True)
    world.processes.append(client)
    found = {}
    for line in client.stdout:
        word, *values = line.split()
        if word == "ready":
            memory, cpu = harness.memory(server.pid)[0], harness.cpu_seconds(server.pid)
        elif word == "connected":
            found["handshake_ms"] = (harness.cpu_seconds(server.pid) - cpu) * 1000 / count
        elif word == "idle":
            cpu, start = harness.cpu_seconds(server.pid), time.monotonic()
        elif word == "wire":
            took = time.monotonic() - start
            found["cpu"] = (harness.cpu_seconds(server.pid) - cpu) / took * 100
            found["memory_kb"] = (harness.memory(server.pid)[0] - memory) * 1000 / count
            datagrams, size = map(int, values)
            found["bits"] = (size + 28 * datagrams) * 8 / hold / count
        elif word == "lost" and values != ["0"]:
            raise SystemExit(f"error: the bare server lost {values[0]} of {count} connections")
    client.wait()
    server.terminate()
    server.wait()
    return found


def load():
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def label(count):
    return re.sub(r"(\d)(?=(\d{3})+$)", r"\1,", str(count)) + " hosts"
