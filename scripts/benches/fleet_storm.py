"""A stack to all hosts, and the controller killed under them: how long until all have it, and until all are back."""
import fleet
import harness

ENGINE = False


def measure(world):
    rows = []
    for hosts, count in fleet.joined(world):
        note = fleet.load()
        wave = hosts.run(count, "--profile", "deploy-wave", "--apply", "2s")
        rows += of_wave(count, wave, note)
        note = fleet.load()
        storm = hosts.run(count, "--profile", "reconnect-storm", "--await-restart")
        rows += of_storm(count, storm, note)
    return rows


def missing(found):
    left = [f"{row['name']}: {row['ours']:.0f}" for (_, name, unit), row in found.items() if unit == "hosts" and name.startswith("hosts ")]
    return "; ".join(["", *left])


def of_wave(count, found, note):
    label, name, note = fleet.label(count), "fleet-storm", note + missing(found)
    get = lambda what, unit, scale=1: [found["deploy-wave", what, unit]["ours"] / scale]
    # 1,000 within two seconds, and the same rate beyond.
    goal = f"<= {max(2, count / 500):g} s"
    return [
        harness.row(name, f"{label}: order taken by half", "s", get("deploy: accepted, p50", "ms", 1000), note=note),
        harness.row(name, f"{label}: order taken by all", "s", get("deploy: accepted, all", "ms", 1000), goal=goal, note=note),
        harness.row(name, f"{label}: done by all", "s", get("deploy: finished, all", "ms", 1000),
                    note=note + "; " + found["deploy-wave", "deploy: finished, all", "ms"]["note"]),
        harness.row(name, f"{label}: API during the deploy, p95", "ms", get("deploy: API, p95", "ms"), goal="<= 500 ms",
                    note=note + "; " + found["deploy-wave", "deploy: API, p95", "ms"]["note"]),
    ]


def of_storm(count, found, note):
    label, name, note = fleet.label(count), "fleet-storm", note + missing(found)
    get = lambda what, unit, scale=1: [found["reconnect-storm", what, unit]["ours"] / scale]
    return [
        harness.row(name, f"{label}: killed, half are back", "s", get("back, p50", "ms", 1000), note=note),
        harness.row(name, f"{label}: killed, 99 % are back", "s", get("back, p99", "ms", 1000), goal="<= 25 s", note=note),
        harness.row(name, f"{label}: killed, all are back", "s", get("back, last", "ms", 1000), goal="<= 60 s", note=note),
        harness.row(name, f"{label}: noticed by silence only", "hosts", get("noticed by silence only", "hosts"),
                    goal=f"<= {count / 1000:g} hosts", note=note),
        harness.row(name, f"{label}: processor time of a return", "ms", get("controller's processor time", "ms", count),
                    note=note + "; the start of the controller and the requests to the API included"),
        harness.row(name, f"{label}: API during the way back, p95", "ms", get("API, p95", "ms"), goal="<= 500 ms",
                    note=note + "; " + found["reconnect-storm", "API, p95", "ms"]["note"]),
        harness.row(name, f"{label}: highest memory", "MB", get("controller's memory, highest", "MB"), goal="<= 512 MB", note=note),
    ]
