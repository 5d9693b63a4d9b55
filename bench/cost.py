#!/usr/bin/env python3
"""Counts the instructions of one add, read, replay and settled event, and compares them with bench/cost.txt.

Usage: bench/cost.py check             fails when a count differs by more than 5 %, up or down (make cost)
       bench/cost.py update            writes bench/cost.txt (make cost-update)
       bench/cost.py profile CASE [N]  the N (40) dearest functions of CASE, with what they call and by themselves
                                       (make cost-profile CASE=add_token_16)

bench/add_cost.cc says what the cases do. Callgrind counts what the program executes in user space: the same on every
machine, whatever runs beside. It knows neither cache misses nor system calls: a change that trades those for
instructions is judged by `make bench`.
"""
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build", "release", "bench", "add_cost")
RECORD = os.path.join(ROOT, "bench", "cost.txt")
BAND = 0.05
HEADER = """\
# Instructions per operation, counted by callgrind; written by `make cost-update`, compared by `make cost`: a
# difference of 5 % fails, up or down. bench/add_cost.cc says what the cases do.
"""
# glibc chooses its memcpy and the like by the processor: here the same ones everywhere.
TUNABLES = "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM"


def compiler():
    return subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def measure(folder):
    """{case: (instructions per operation, callgrind's file)} of one run."""
    out = os.path.join(folder, "cost.out")
    done = subprocess.run(
        ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", PROGRAM,
         os.path.join(folder, "data")],
        stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], "GLIBC_TUNABLES": TUNABLES})
    if done.returncode != 0:
        sys.exit(f"cost: add_cost ended with {done.returncode}")
    operations = {name: int(count) for name, count in (line.split() for line in done.stdout.splitlines())}
    counted = {}
    for part in range(1, len(operations) + 1):
        with open(f"{out}.{part}", encoding="utf-8", errors="replace") as f:
            text = f.read()
        name = re.search(r"^desc: Trigger: Client Request: (\w+)$", text, re.M).group(1)
        total = int(re.search(r"^totals: (\d+)$", text, re.M).group(1))
        counted[name] = (total / operations[name], f"{out}.{part}")
    if set(counted) != set(operations):
        sys.exit(f"cost: callgrind counted {sorted(counted)}, the program has {sorted(operations)}")
    return counted


def read_record():
    recorded, facts = {}, {}
    with open(RECORD, encoding="utf-8") as f:
        for line in f:
            if line.startswith("#") or not line.strip():
                continue
            key, value = line.rstrip("\n").split(" ", 1)
            if key in ("compiler", "machine"):
                facts[key] = value
            else:
                recorded[key] = int(value)
    return facts, recorded


def compare(counted, recorded):
    """The lines of the table, and whether every count is inside the band."""
    lines, inside = [], set(counted) == set(recorded)
    for name in sorted(set(counted) | set(recorded)):
        if name not in counted or name not in recorded:
            lines.append(f"{name:<16} {'is not recorded' if name in counted else 'was not counted'}")
            continue
        ratio = counted[name] / recorded[name] - 1
        verdict = "" if abs(ratio) <= BAND else "  costs more" if ratio > 0 else "  costs less: record it"
        inside &= not verdict
        lines.append(f"{name:<16} {recorded[name]:>7} recorded {counted[name]:>9.1f} counted {ratio:>+7.1%}{verdict}")
    return lines, inside


def check(counted):
    facts, recorded = read_record()
    # The version at the line's end; a distribution's patch of it counts the same.
    for fact, here in (("compiler", compiler()), ("machine", platform.machine())):
        if facts.get(fact, "").split()[-1:] != here.split()[-1:]:
            print(f"SKIPPED [1] bench/cost.py: recorded with {fact} {facts.get(fact)}, here is {here}")
            return 0
    lines, inside = compare({name: cost for name, (cost, _) in counted.items()}, recorded)
    print("\n".join(lines))
    if not inside:
        print("cost: outside of 5 %: if that is meant, `make cost-update` and commit bench/cost.txt with the reason")
    return 0 if inside else 1


def update(counted):
    with open(RECORD, "w", encoding="utf-8") as f:
        f.write(HEADER + f"compiler {compiler()}\nmachine {platform.machine()}\n")
        f.writelines(f"{name} {cost:.0f}\n" for name, (cost, _) in counted.items())
    return check(counted)


def profile(counted, case, top):
    if case not in counted:
        sys.exit(f"cost: no case {case!r}; there are: {', '.join(counted)}")
    cost, path = counted[case]
    for title, inclusive in (("with what they call", "yes"), ("by themselves", "no")):
        print(f"{case}: {cost:.0f} instructions an operation; functions {title}:")
        text = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", f"--inclusive={inclusive}", path],
                              capture_output=True, text=True, check=True).stdout
        rows = [m for m in (re.match(r" *([\d,]+) \( *([\d.]+)%\)  (.*)", line) for line in text.splitlines()) if m]
        for m in [m for m in rows if not m[3].startswith("PROGRAM")][:top]:
            name = re.sub(r" \[[^\]]*\]$|^build/release/\.\./\.\./", "", m[3])
            print(f"{float(m[2]) * cost / 100:9.1f} {float(m[2]):6.2f} %  {name[:150]}")


def main(args):
    if not args or args[0] not in ("check", "update", "profile") or (args[0] == "profile") != (len(args) > 1):
        sys.exit(__doc__)
    folder = tempfile.mkdtemp(dir=os.environ.get("TMPDIR") or os.path.join(ROOT, "build"))
    try:
        counted = measure(folder)
        if args[0] == "profile":
            return profile(counted, args[1], int(args[2]) if len(args) > 2 else 40)
        return update(counted) if args[0] == "update" else check(counted)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
