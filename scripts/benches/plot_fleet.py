"""The cost curve of a fleet as an SVG, from rows that `scripts/bench link-idle fleet-storm --json FILE` has written.

    python3 scripts/benches/plot_fleet.py FILE docs/fleet-cost.svg
"""
import json
import math
import re
import sys

WIDTH, HEIGHT, GAP = 360, 220, 46
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 13px }
.grid { stroke: #8884; stroke-width: 1 } .axis { stroke: #888; stroke-width: 1 }
.ours { stroke: #2563eb; fill: #2563eb } .other { stroke: #9a6700; fill: #9a6700 } .goal { stroke: #b3261e; stroke-dasharray: 5 4 }
polyline { fill: none !important; stroke-width: 2 } .note { fill: #666; font-size: 11px }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .note { fill: #aaa } .ours { stroke: #7aa7ff; fill: #7aa7ff } .other { stroke: #e3b341; fill: #e3b341 }
  .goal { stroke: #ff8a80 }
}
</style>"""


def hosts(row):
    return int(re.match(r"([\d,]+) hosts: ", row["name"]).group(1).replace(",", ""))


def series(rows, figure, key="ours"):
    return sorted((hosts(row), row[key]) for row in rows if row["name"].endswith(f"hosts: {figure}") and row[key] is not None)


def decades(values):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def number(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def panel(left, top, title, lines, goal=None):
    """A chart with logarithmic axes. `lines`: (class, name, points)."""
    lines = [(kind, name, [(x, max(y, 0.01)) for x, y in points]) for kind, name, points in lines if points]
    if not lines:
        return ""
    xs = [x for _, _, points in lines for x, _ in points]
    ys = [y for _, _, points in lines for _, y in points] + ([goal] if goal else [])
    (x0, x1), (y0, y1) = decades(xs), decades(ys)
    px = lambda x: left + (math.log10(x) - x0) / (x1 - x0) * WIDTH
    py = lambda y: top + HEIGHT - (math.log10(y) - y0) / (y1 - y0) * HEIGHT
    out = [f'<text class="title" x="{left}" y="{top - 12}">{title}</text>']
    for power in range(y0, y1 + 1):
        y = py(10 ** power)
        out.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" y2="{y:.1f}"/>')
        out.append(f'<text class="note" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{number(10 ** power)}</text>')
    for x in sorted(set(xs)):
        out.append(f'<text class="note" x="{px(x):.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{number(x)}</text>')
    out.append(f'<line class="axis" x1="{left}" y1="{top + HEIGHT}" x2="{left + WIDTH}" y2="{top + HEIGHT}"/>')
    if goal:
        out.append(f'<line class="goal" x1="{left}" y1="{py(goal):.1f}" x2="{left + WIDTH}" y2="{py(goal):.1f}"/>')
    for kind, name, points in lines:
        places = [(px(x), py(y)) for x, y in points]
        out.append(f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        out += [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{number(a)} hosts: {b:.2f}</title></circle>'
                for (x, y), (a, b) in zip(places, points)]
        x, y = places[0]
        out.append(f'<text x="{x + 4:.1f}" y="{y - 8:.1f}">{name}</text>')
    return "\n".join(out)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [row for row in json.load(file) if row["bench"] in ("link-idle", "fleet-storm")]
    memory = series(rows, "memory in all")
    left, right, upper, lower = 56, 56 + WIDTH + GAP + 30, 40, 40 + HEIGHT + 2 * GAP
    back = lambda which: series(rows, f"killed, {which} back")
    panels = [
        panel(left, upper, "Controller's memory, MB (idle)", [("ours", "resident", memory)], 500),
        panel(right, upper, "After kill -9: seconds until back",
              [("ours", "99 % are back", back("99 % are")), ("other", "half are back", back("half are"))], 60),
        panel(left, lower, "One stack to all: seconds until taken",
              [("ours", "all", series(rows, "order taken by all")), ("other", "half", series(rows, "order taken by half"))]),
        panel(right, lower, "API, p95 in ms",
              [("ours", "during the way back", series(rows, "API during the way back, p95")),
               ("other", "during the deploy", series(rows, "API during the deploy, p95"))], 500),
    ]
    width, height = right + WIDTH + 30, lower + HEIGHT + 44
    note = f'<text class="note" x="{left}" y="{height - 8}">Hosts along the bottom; both axes logarithmic; dashed: the goal.</text>'
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
                  f'aria-label="Cost of a fleet by its number of hosts">\n{STYLE}\n' + "\n".join(panels) + f"\n{note}\n</svg>\n")


if __name__ == "__main__":
    main()
