"""What an idle agent costs a host that runs 20 containers, against an exporter in the same state."""
import subprocess
import time

import harness

CONTAINERS = 20
WINDOW_S = 10
RUNS = 12


def exporter(world):
    """Debian's node_exporter, unpacked into target/ (nothing is installed), started; None if it cannot be had."""
    folder = harness.ROOT / "target/peers"
    program = folder / "root/usr/bin/prometheus-node-exporter"
    if not program.exists():
        folder.mkdir(exist_ok=True)
        got = subprocess.run(["apt-get", "-q", "download", "prometheus-node-exporter"], cwd=folder, capture_output=True, check=False)
        packages = list(folder.glob("prometheus-node-exporter_*.deb"))
        if got.returncode or not packages:
            return None
        harness.run("dpkg", "-x", packages[0], folder / "root")
    log = open(world.work / "exporter.log", "wb")
    process = subprocess.Popen([program, f"--web.listen-address=127.0.0.1:{harness.free_port()}"], stdout=log, stderr=log)
    world.processes.append(process)
    return process


def measure(world):
    for n in range(CONTAINERS):
        world.container(f"idle-{n}", "sleep", "3600")
    agent = world.agent("footprint")
    peer = exporter(world)
    time.sleep(WINDOW_S)  # the first look at the host is not idleness
    memory, cpu, peer_memory = [], [], []
    for _ in range(RUNS):
        before, start = harness.cpu_seconds(agent.pid), time.monotonic()
        time.sleep(WINDOW_S)
        cpu.append((harness.cpu_seconds(agent.pid) - before) / (time.monotonic() - start) * 100)
        memory.append(harness.memory(agent.pid))
        if peer:
            peer_memory.append(harness.memory(peer.pid)[0])
    total, anonymous, mapped = zip(*memory)
    size = (world.bin / "windflow-agent").stat().st_size / 1e6
    name = "agent-footprint"
    whole = (harness.cpu_seconds(agent.pid))
    return [
        harness.row(name, "binary, static", "MB", [size], goal="<= 10 MB", note="performance.md aims at 7 MB"),
        harness.row(name, "memory (RSS)", "MB", total, peer_memory, "node_exporter, idle", "<= 0.7",
                    "" if peer else "node_exporter could not be fetched"),
        harness.row(name, "of it anonymous", "MB", anonymous, goal="<= 4 MB"),
        harness.row(name, "of it mapped files", "MB", mapped),
        harness.row(name, "processor, nobody watching", "% of one", cpu, goal="<= 0.03 %",
                    note=f"windows of {WINDOW_S} s, resolution {100 / harness.TICKS / WINDOW_S:.2f} %; {whole:.2f} s of CPU since the "
                         "start, start-up included"),
    ]
