"""Log lines a second through agent, link and controller to the command line, against `docker logs -f` of the same container."""
import subprocess
import time

import harness

LINES = 200_000
RUNS = 5
TEXT = "2026-01-01 12:00:00 INFO request served path=/api/v1/things status=200 bytes=5120 took_ms=12 remote=192.0.2.17 id=0123456789"


def rate(command, env):
    """MB/s of the lines' own text until the last one has come; both sides follow, so neither ends by itself."""
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    try:
        left = LINES
        while left > 0:
            part = process.stdout.read1(1 << 20)
            if not part:
                raise SystemExit(f"error: {command[0]} ended {left} lines too early")
            left -= part.count(b"\n")
        return LINES * (len(TEXT) + 1) / 1e6 / (time.monotonic() - start)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def measure(world):
    world.agent("logs")
    stack = f"{world.prefix}-logs"
    file = world.compose(stack, f"""services:
  talk:
    image: {harness.IMAGE}
    command: ["sh", "-c", "yes '{TEXT}' | head -n {LINES}; exec sleep 3600"]
    stop_signal: SIGKILL
""")
    world.cli("stack", "deploy", stack, "-f", file, "--on", "logs", "--wait", "--timeout", "1m")
    container = harness.run("docker", "ps", "-q", "--filter", f"label=com.docker.compose.project={stack}").strip()
    command = ("docker", "logs", "--tail", "1", container)
    harness.wait_for(60, lambda: "sleep" in harness.run("docker", "top", container), "writing the lines")
    harness.run(*command)
    ours, theirs = [], []
    for n in range(RUNS + 1):
        a = rate((world.bin / "windflow", "logs", stack, "-f", "--tail", "all"), world.env)
        b = rate(("docker", "logs", "-f", container), world.env)
        if n:
            ours.append(a)
            theirs.append(b)
    world.cli("stack", "remove", stack, "--forget", "--yes", "--wait", "--timeout", "1m")
    return [harness.row("log-relay", f"{len(TEXT) + 1}-byte lines", "MB/s", ours, theirs, "docker logs -f", ">= 0.7",
                        f"{LINES} lines, followed by the command line from the engine to a pipe")]
