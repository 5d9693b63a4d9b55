"""What was measured, as Markdown and JSON."""
import json
import os
import statistics

from goals import middle

CLIENT_FULL = 0.9  # cores: beyond it the load generator is the bottleneck


def short(n):
    return f"{n / 1e6:.2f}M" if n >= 1e6 else f"{n / 1e3:.0f}k" if n >= 1e4 else f"{n / 1e3:.1f}k"


def plain(n):
    if n is None:
        return "-"
    return f"{n:.3g}" if n < 1000 else f"{n:,.0f}"


def spread(values, write):
    return f"[{write(min(values))}-{write(max(values))}]" if len(values) > 1 else ""


def goals_table(measured):
    lines = ["| row | goal | reach | stretch | measured [lowest-highest] | |", "|---|---|---:|---:|---:|---|"]
    for row, runs in measured:
        for goal in row.goals:
            sign = "≤" if goal.at_most else "≥"
            value, stretch = goal.value(runs), "" if goal.stretch is None else f"{sign} {plain(goal.stretch)}"
            lines.append(f"| {row.name} | {goal.what} | {sign} {plain(goal.reach)} | {stretch} | "
                         f"**{plain(value)}** {spread(goal.values(runs), plain)} | {goal.verdict(value)} |")
    return "\n".join(lines) + "\n"


def rates_table(measured):
    lines = ["| row | server | per second [lowest-highest] | p50 / p99 ms of a batch | server CPU us each: all, "
             "request path | load generator, cores |", "|---|---|---:|---:|---:|---:|"]
    for row, runs in measured:
        for name, rounds in runs.items():
            if not rounds or "ops_per_s" not in rounds[0]:
                continue
            rates, client = [run["ops_per_s"] for run in rounds], middle(rounds, "client_cores")
            lines.append(
                f"| {row.what} | {name} | **{short(statistics.median(rates))}** {spread(rates, short)} | "
                f"{middle(rounds, 'p50_us') / 1000:.2f} / {middle(rounds, 'p99_us') / 1000:.2f} | "
                f"{middle(rounds, 'us_per_op'):.2f}, {middle(rounds, 'path_us_per_op'):.2f} | "
                f"{client:.2f}{' **full: the rate is its own**' if client > CLIENT_FULL else ''} |")
    return "\n".join(lines) + "\n"


def figures_table(measured):
    lines = ["| row | figure | [lowest-highest] |", "|---|---|---:|"]
    for row, runs in measured:
        for rounds in runs.values():
            for name in rounds[0].get("figures", {}) if rounds else ():
                values = [run["figures"][name] for run in rounds]
                lines.append(f"| {row.name} | {name} | {plain(statistics.median(values))} {spread(values, plain)} |")
    return "\n".join(lines) + "\n"


def verdicts(row, runs):
    return [{"what": goal.what, "reach": goal.reach, "stretch": goal.stretch, "at_most": goal.at_most,
             "measured": goal.value(runs), "values": goal.values(runs),
             "verdict": goal.verdict(goal.value(runs)).strip("*")} for goal in row.goals]


def keep(path, measured, mark):
    """Puts what was measured into a file of the latest runs of each row, with `mark`; all that it then holds."""
    try:
        with open(path, encoding="utf-8") as f:
            latest = json.load(f)
    except FileNotFoundError:
        latest = {}
    for row, runs in measured:
        latest[row.name] = {**mark, "what": row.what, "goals": verdicts(row, runs), "runs": runs}
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(latest, f, indent=1)
    os.replace(path + ".new", path)
    return latest


def tables(measured):
    return {"goals": goals_table(measured), "rates": rates_table(measured), "figures": figures_table(measured)}


def update(path, written):
    """Writes each table between the lines <!-- NAME --> and <!-- /NAME --> of a Markdown file, where it has them."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, table in written.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if begin in text:
            before, rest = text.split(begin, 1)
            text = before + begin + table + end + rest.split(end, 1)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
