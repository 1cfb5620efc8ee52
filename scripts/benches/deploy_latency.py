"""From the command to a running service: through the controller and the agent, and by the docker command, in turn."""
import time

import harness

RUNS = 10


def measure(world):
    world.agent("latency")
    ours, theirs, again = [], [], []
    for n in range(RUNS + 1):
        stack = f"{world.prefix}-{n}"
        file = world.compose(stack, f"services:\n  one:\n    image: {harness.IMAGE}\n    command: [sleep, '3600']\n"
                                    "    stop_signal: SIGKILL\n")
        deploy = (world.bin / "windflow", "stack", "deploy", stack, "-f", file, "--on", "latency", "--wait", "--timeout", "1m")
        took = harness.seconds_of(*deploy, env=world.env)
        noop = harness.seconds_of(*deploy, env=world.env)
        world.cli("stack", "remove", stack, "--forget", "--yes", "--wait", "--timeout", "1m")
        start = time.monotonic()
        world.networks.append(f"{stack}-peer")
        harness.run("docker", "network", "create", f"{stack}-peer")
        world.container(f"peer-{n}", "sleep", "3600", network=f"{stack}-peer")
        peer = time.monotonic() - start
        harness.run("docker", "rm", "-f", world.containers[-1])
        harness.run("docker", "network", "rm", f"{stack}-peer")
        if n:  # the first round warms up
            ours.append(took * 1000)
            again.append(noop * 1000)
            theirs.append(peer * 1000)
    over = [a - b for a, b in zip(ours, theirs)]
    name = "deploy-latency"
    return [
        harness.row(name, "one service, new stack", "ms", ours, theirs, "docker network create + run"),
        harness.row(name, "above the engine's own time", "ms", over, goal="<= 300 ms"),
        harness.row(name, "the same again, no change", "ms", again, theirs, "docker network create + run"),
    ]
