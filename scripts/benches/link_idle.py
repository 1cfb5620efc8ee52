"""Connected hosts on which nothing happens: memory, processor and wire, against a bare server with the same connections."""
import fleet
import harness

ENGINE = False


def measure(world):
    rows = []
    for hosts, count in fleet.joined(world):
        note = fleet.load()
        ours = hosts.run(count, "--profile", "idle", "--hold", f"{fleet.HOLD_S}s")
        limit = fleet.bare(world, count)
        rows += figures(count, ours, limit, note)
    return rows


def figures(count, ours, limit, note):
    idle = lambda name, unit: [ours["fleet-idle", name, unit]["ours"]]
    against = lambda key: [limit[key]] if limit else None
    label, other = fleet.label(count), "bare quinn" if limit else ""
    name, missing = "link-idle", "" if limit else "; the bare server is not built"
    connect = [ours["fleet-connect", "controller's processor time", "ms"]["ours"] / count]
    return [
        harness.row(name, f"{label}: memory of each", "KB", idle("controller's memory per host", "KB"), against("memory_kb"),
                    other, "<= 1.5", note + missing),
        harness.row(name, f"{label}: memory in all", "MB", idle("controller's memory (RSS)", "MB"), goal="<= 500 MB", note=note),
        harness.row(name, f"{label}: processor", "% of one", idle("controller's processor", "% of one"), against("cpu"), other,
                    "<= 2", note),
        harness.row(name, f"{label}: wire of each", "b/s", idle("wire per host", "b/s"), against("bits"), other, "<= 1.45", note),
        harness.row(name, f"{label}: processor time of a connect", "ms", connect, against("handshake_ms"), other, "<= 1.25",
                    note + "; with look-up, registration and what the host tells"),
        harness.row(name, f"{label}: lost while idle", "hosts", idle("connections lost", "hosts"), goal="<= 0 hosts", note=note),
    ]
