"""Runs the benches that are named, prints the table, writes JSON. Called by scripts/bench."""
import json
import os
import signal
import sys

import agent_footprint
import compose_up
import deploy_latency
import enrol
import fleet_load
import fleet_storm
import harness
import link_idle
import log_relay
import log_search
import rollback

BENCHES = {"agent-footprint": agent_footprint, "compose-up": compose_up,
           "deploy-latency": deploy_latency, "log-relay": log_relay, "log-search": log_search, "enrol": enrol,
           "link-idle": link_idle, "fleet-storm": fleet_storm, "fleet-load": fleet_load,
           "rollback": rollback}


def number(value):
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def table(rows):
    head = ["BENCH", "FIGURE", "UNIT", "MIN", "MEDIAN", "MAX", "RUNS", "AGAINST", "", "RATIO", "GOAL", "OK"]
    lines = [head] + [[r["bench"], r["name"], r["unit"], number(r["ours_min"]), number(r["ours"]), number(r["ours_max"]),
                       str(r["runs"]), number(r["other"]), r["other_name"], number(r["ratio"]), r["goal"],
                       {True: "yes", False: "NO", None: ""}[r["ok"]]] for r in rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    for r in rows:
        if r["note"]:
            print(f"  {r['bench']} {r['name']}: {r['note']}")


def main():
    # An end by signal must end what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words, file = sys.argv[1:], None
    if "--json" in words:
        at = words.index("--json")
        if at + 1 == len(words):
            sys.exit("error: --json needs a file")
        file = words[at + 1]
        del words[at:at + 2]
    unknown = [word for word in words if word not in BENCHES]
    if unknown:
        sys.exit(f"error: there is no bench '{unknown[0]}'; there are: {' '.join(BENCHES)}")
    rows = []
    for name in words or BENCHES:
        load = os.getloadavg()[0]
        print(f"{name}: measuring (load {load:.1f} on {os.cpu_count()} processors"
              f"{'; not quiet: trust sizes, not times' if load > 1 else ''})", file=sys.stderr)
        with harness.World(engine=getattr(BENCHES[name], "ENGINE", True)) as world:
            rows += BENCHES[name].measure(world)
    table(rows)
    if file:
        with open(file, "w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)
    # A goal that is missed is a finding, not an error of the bench: the table says it.


if __name__ == "__main__":
    main()
