"""A controller and agents of the release build, medians, and rows of figures."""
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE = "windflow-test/busybox:1"
TICKS = os.sysconf("SC_CLK_TCK")


def row(bench, name, unit, ours, other=None, other_name="", goal="", note=""):
    """One figure: samples of ours and of the other side, and whether the goal (`<= 1.2`, on the ratio; `<= 10 MB`, on ours) holds."""
    mid = statistics.median(ours)
    against = statistics.median(other) if other else None
    ratio = mid / against if against else None
    ok = None
    if goal:
        sign, bound, *of = goal.split()
        # A goal that names the unit is about our own figure, one without about the ratio.
        value = mid if of else ratio
        bound = float(bound)
        holds = {"<=": lambda: value <= bound, "<": lambda: value < bound, ">=": lambda: value >= bound}[sign]
        ok = None if value is None else holds()
    return {"bench": bench, "name": name, "unit": unit, "ours": mid, "ours_min": min(ours), "ours_max": max(ours),
            "other": against, "other_name": other_name, "ratio": ratio, "goal": goal, "ok": ok, "runs": len(ours), "note": note}


def compose_peer():
    """The real Docker Compose 2.40.3; None if it cannot be fetched."""
    got = subprocess.run([ROOT / "scripts/lib/reference-compose"], capture_output=True, text=True, check=False)
    return pathlib.Path(got.stdout.strip()) if got.returncode == 0 and got.stdout.strip() else None


def wait_for(seconds, condition, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"error: {what} did not happen within {seconds} s")
        time.sleep(0.05)


def run(*command, **options):
    """Runs a program to its end; its output if it succeeds."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(map(str, command))} failed ({done.returncode}): {done.stderr.strip()[-600:]}")
    return done.stdout


def seconds_of(*command, **options):
    start = time.monotonic()
    run(*command, **options)
    return time.monotonic() - start


def free_port():
    """A port that is free for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
            except OSError:
                continue


def cpu_seconds(pid):
    """CPU time of a process and of its ended children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(int(fields[n]) for n in (11, 12, 13, 14)) / TICKS


def memory(pid):
    """Resident memory in MB: all, anonymous, of files."""
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return tuple(int(status[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "RssAnon", "RssFile"))


class World:
    """A controller with an administrator; agents and containers on demand. Ends everything it started."""

    def __init__(self, engine=True):
        self.engine = engine
        self.bin = pathlib.Path(os.environ["WINDFLOW_BIN"])
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="bench.", dir=ROOT / "target"))
        self.processes, self.containers, self.networks = [], [], []
        self.prefix = f"windflow-bench-{os.getpid()}"
        self.env = os.environ | {"WINDFLOW_CONFIG": str(self.work / "cli.toml")}

    def __enter__(self):
        try:
            self.port = free_port()
            self.address = f"127.0.0.1:{self.port}"
            data = self.work / "controller"
            self.controller = self.start("windflow-controller", "serve", "--data-dir", data, "--http", self.address,
                                         "--quic", self.address)
            wait_for(30, (data / "setup-code").exists, "the controller's start")
            self.pin = run(self.bin / "windflow-controller", "ca-pin", "--data-dir", data).strip()
            password = self.work / "password"
            password.touch(0o600)
            password.write_text(os.urandom(12).hex())
            self.cli("setup", f"https://{self.address}", "--code-file", data / "setup-code", "--username", "admin",
                     "--password-file", password, "--ca-pin", self.pin)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for name in self.containers:
            subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True, check=False)
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if not self.engine:
            shutil.rmtree(self.work, ignore_errors=True)
            return
        left = run("docker", "ps", "-aq", "--filter", f"name={self.prefix}").split()
        if left:
            subprocess.run(["docker", "rm", "-f", "-v", *left], capture_output=True, check=False)
        for network in set(self.networks) | set(
                run("docker", "network", "ls", "-q", "--filter", f"name={self.prefix}").split()):
            subprocess.run(["docker", "network", "rm", network], capture_output=True, check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, program, *arguments, env=None):
        """Starts a program of the build; its output goes to a log."""
        log = open(self.work / f"{program}.log", "ab")
        process = subprocess.Popen([str(self.bin / program), *map(str, arguments)], stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, env=self.env | (env or {}))
        self.processes.append(process)
        return process

    def cli(self, *arguments):
        return run(self.bin / "windflow", *arguments, env=self.env)

    def token(self, name):
        path = self.work / f"{name}.token"
        path.touch(0o600)
        path.write_text(self.cli("agent", "token", "create", "--quiet"))
        return path

    def enrol(self, name, token):
        """Enrols a new host; the time it took."""
        return seconds_of(self.bin / "windflow-agent", "enroll", "--controller", self.address, "--ca-pin", self.pin,
                          "--token-file", token, "--name", name, "--state-dir", self.work / name, env=self.env)

    def agent(self, name, target="docker"):
        """An enrolled, running and connected agent."""
        self.enrol(name, self.token(name))
        process = self.start("windflow-agent", "run", "--state-dir", self.work / name, "--target", target)
        run(self.bin / "windflow-agent", "status", "--state-dir", self.work / name, "--wait-connected", "30s")
        return process

    def container(self, name, *command, network="none"):
        """A running container beside the product."""
        name = f"{self.prefix}-{name}"
        self.containers.append(name)
        run("docker", "run", "-d", "--name", name, "--network", network, IMAGE, *command)
        return name

    def compose(self, name, text):
        path = self.work / f"{name}.yaml"
        path.write_text(text)
        return path
