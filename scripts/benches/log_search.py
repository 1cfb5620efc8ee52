"""A search in the logs of many hosts, against fetching the logs and searching them here.

The hosts are real agents with a simulated engine; the log of each is a file in the form of Docker's driver json-file.
"""
import os
import subprocess
import time

import harness

ENGINE = False
HOSTS = int(os.environ.get("WINDFLOW_BENCH_HOSTS", "100"))
MB = int(os.environ.get("WINDFLOW_BENCH_LOG_MB", "100"))
FETCHED = 2
RUNS = 2
NEEDLE = "deadline exceeded"
STACK = "shop"


def write_log(path):
    """Lines as services write them, a needle in every 20,000th; the newest 200 hold a word of their own."""
    size, number, at = 0, 0, 1_790_000_000
    with open(path, "w", encoding="ascii") as file:
        while size < MB * 1_000_000:
            lines = []
            for _ in range(20_000):
                number += 1
                level = "WARN" if number % 50 == 0 else "INFO"
                text = f"{level} request served path=/api/v1/things/{number} status=200 bytes={number * 37 % 90_000} took_ms={number % 97} remote=192.0.2.{number % 250}"
                if number % 20_000 == 0:
                    text = f"ERROR upstream: {NEEDLE} after {number} ms"
                moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at + number // 200))
                lines.append(f'{{"log":"{text}\\n","stream":"stdout","time":"{moment}.{number % 200 * 5:03}000000Z"}}\n')
            block = "".join(lines)
            file.write(block)
            size += len(block)
    return size, number // 20_000


def carried():
    """Bytes that the loopback interface has carried: link and API together."""
    for line in open("/proc/net/dev", encoding="ascii"):
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[0])
    raise SystemExit("error: there is no loopback interface")


def timed(world, *arguments):
    """Seconds, bytes over the loopback, lines."""
    before, start = carried(), time.monotonic()
    done = subprocess.run([world.bin / "windflow", "logs", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=world.env, check=False)
    took, moved = time.monotonic() - start, carried() - before
    if done.returncode:
        raise SystemExit(f"error: windflow logs {' '.join(arguments)} failed: {done.stderr.decode()[-600:]}")
    return took, moved, done.stdout


def fetched(world, *arguments):
    """The same by whoever fetches all and searches here."""
    before, start = carried(), time.monotonic()
    logs = subprocess.Popen([world.bin / "windflow", "logs", STACK, "--tail", "all", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=world.env)
    lines = subprocess.run(["grep", "-c", "-F", NEEDLE], stdin=logs.stdout, stdout=subprocess.PIPE, check=False)
    logs.stdout.close()
    if logs.wait():
        raise SystemExit("error: the logs could not be fetched")
    return time.monotonic() - start, carried() - before, int(lines.stdout)


def measure(world):
    log = world.work / "log.json"
    size, needles = write_log(log)
    names = [f"host-{number:03}" for number in range(HOSTS)]
    for name in names:
        world.agent(name, "fake")
        folder = world.work / name / "logs"
        folder.mkdir()
        # One file for all: 10 GB would measure the disk.
        os.link(log, folder / f"{STACK}-web-1-json.log")
    file = world.compose(STACK, "services:\n  web:\n    image: example/web:1\n")
    world.cli("stack", "deploy", STACK, "-f", file, "--on", ",".join(names), "--wait", "--timeout", "5m")
    some = ",".join(names[:FETCHED])
    search, moved, rare, levels, few, few_moved, fetch, fetch_moved, soon = [], [], [], [], [], [], [], [], []
    for run in range(RUNS + 1):
        took, wire, out = timed(world, "--search", NEEDLE)
        found = out.count(NEEDLE.encode())
        # The newest thousand of all hosts are shown.
        if found != min(1000, needles * HOSTS):
            raise SystemExit(f"error: {found} lines were found, {needles} are in each log")
        none, _, _ = timed(world, "--regex", "no such (line|word)")
        level, _, _ = timed(world, "--level", "fatal")
        newest, _, _ = timed(world, "--search", "request served", "--limit", "100")
        small, small_wire, _ = timed(world, "--search", NEEDLE, "--on", some)
        all_of, all_wire, lines = fetched(world, "--on", some)
        if lines != needles * FETCHED:
            raise SystemExit(f"error: {lines} lines came, {needles * FETCHED} were written")
        if run:
            search.append(took), moved.append(wire / 1e6), rare.append(none), levels.append(level), soon.append(newest)
            few.append(small), few_moved.append(small_wire / 1e6), fetch.append(all_of), fetch_moved.append(all_wire / 1e6)
    label = f"{HOSTS} hosts of {size / 1e6:.0f} MB"
    part = f"{FETCHED} hosts of {size / 1e6:.0f} MB"
    row = lambda *arguments, **options: harness.row("log-search", *arguments, **options)
    return [
        row(f"{label}: a text", "s", search, note=f"{needles} lines match on each; all agents share {os.cpu_count()} processors: {size * HOSTS / 1e9 / search[-1]:.1f} GB/s in all"),
        row(f"{label}: carried", "MB", moved, note="link and API, both ways, over the loopback"),
        row(f"{label}: an expression, no match", "s", rare),
        row(f"{label}: a level, no match: every line is read", "s", levels),
        row(f"{label}: the newest 100 of a text in every line", "s", soon),
        row(f"{part}: a text, against fetching all", "s", few, fetch, "windflow logs --tail all | grep", "<= 0.2"),
        row(f"{part}: carried, against fetching all", "MB", few_moved, fetch_moved, "windflow logs --tail all | grep", "<= 0.01"),
    ]
