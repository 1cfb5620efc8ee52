"""A host's joining: key, request, certificate on disk; against one HTTPS request to the same controller."""
import harness

RUNS = 20


def measure(world):
    ours, floor = [], []
    for n in range(RUNS + 1):
        took = world.enrol(f"host-{n}", world.token(f"host-{n}"))
        request = harness.seconds_of("curl", "-fsSk", "-o", "/dev/null", f"https://{world.address}/healthz")
        if n:
            ours.append(took * 1000)
            floor.append(request * 1000)
    return [harness.row("enrol", "windflow-agent enroll, loopback", "ms", ours, floor, "one HTTPS request by curl",
                        note="the host is on the controller's disk and the identity on the host's when it ends")]
