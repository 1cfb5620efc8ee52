"""What a fleet that has something to tell costs the controller: samples of all hosts, and logs that are read."""
import os

import fleet
import harness

ENGINE = False
# Hosts whose log is read, and the lines that each of them writes in a second.
VIEWERS = int(os.environ.get("WINDFLOW_BENCH_VIEWERS", "100"))
LINES = int(os.environ.get("WINDFLOW_BENCH_LINES", "100"))


def measure(world):
    rows = []
    for hosts, count in fleet.joined(world):
        hold = ("--hold", f"{max(fleet.HOLD_S, 60)}s")
        note = fleet.load()
        rows += of_metrics(count, hosts.run(count, "--profile", "metrics", *hold), note)
        hosts.fresh()
        note = fleet.load()
        viewers = min(VIEWERS, count)
        rows += of_logs(count, viewers, hosts.run(count, "--profile", "logs", "--viewers", viewers, "--lines-per-s", LINES,
                                                  "--hold", f"{fleet.HOLD_S}s"), note)
    return rows


def of_metrics(count, found, note):
    label, name = fleet.label(count), "fleet-load"
    get = lambda what, unit: [found["metrics", what, unit]["ours"]]
    said = lambda what, unit: f"{note}; {found['metrics', what, unit]['note']}"
    rows = [
        harness.row(name, f"{label}: wire per host, for samples", "b/s", get("wire per host, for samples", "b/s"),
                    note=said("wire per host, for samples", "b/s")),
        harness.row(name, f"{label}: processor time of a sample", "us", get("controller's processor", "us/sample"),
                    note=said("controller's processor", "us/sample")),
    ]
    if ("metrics", "disk", "B/value") in found:
        rows.append(harness.row(name, f"{label}: disk of a value", "B", get("disk", "B/value"), note=said("disk", "B/value")))
    return rows


def of_logs(count, viewers, found, note):
    label, name = f"{fleet.label(count)}, {viewers} logs read", "fleet-load"
    get = lambda what, unit: [found["logs", what, unit]["ours"]]
    note = f"{note}; {found['logs', 'lines read', 'lines/s']['note']}"
    return [
        harness.row(name, f"{label}: lines", "lines/s", get("lines read", "lines/s"), [float(viewers * LINES)], "written", ">= 0.99", note),
        harness.row(name, f"{label}: lines missing", "lines", get("lines missing", "lines"), goal="<= 0 lines", note=note),
        harness.row(name, f"{label}: behind, p95", "ms", get("behind, p95", "ms"), goal="<= 150 ms", note=note),
        harness.row(name, f"{label}: behind, p99", "ms", get("behind, p99", "ms"), note=note),
        harness.row(name, f"{label}: processor time of a line", "us", get("controller's processor", "us/line"), note=note),
        harness.row(name, f"{label}: API meanwhile, p95", "ms", get("API, p95", "ms"), goal="<= 500 ms", note=note),
    ]
