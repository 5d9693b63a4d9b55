"""Redis 7.0.15's own test suite in external mode: on redis-server, which proves that this judge counts right, and on
Quipu.

The suite's exit code is worthless: units that run nothing end with "All tests passed". So the gate is the exact number
of [ok] lines per unit (redis_tcl/expected.txt) and no [err] or [exception] at all. What Quipu skips stands in
redis_tcl/skip/UNIT.txt, one test a line, NAME :: REASON; a name that matches no test of the unit fails, so that the
lists cannot rot."""
import os
import re
import subprocess

import pytest

import judges
import server as servers

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis_tcl")
WORK = os.path.join(os.environ.get("QUIPU_E2E_WORK", os.path.join(HERE, "../../../build/e2e")), "redis_tcl")
UNIT_SECONDS = 300
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PASSWORD = "foobar"  # what unit auth sends


def judged_server(kind, folder, password):
    """A server for one unit; unit auth runs once without and once with a password."""
    if kind == "redis":
        made = servers.make(kind, folder)
        made.command += ["--requirepass", PASSWORD] if password else []
        return made
    flags = ["--resp.allow_flush=true"]
    if password:
        with open(os.path.join(folder, "password"), "w", encoding="utf-8") as f:
            f.write(PASSWORD + "\n")
        flags.append(f"--auth.password_file={folder}/password")
    return servers.make(kind, folder, flags=flags)


def expected():
    with open(f"{HERE}/expected.txt", encoding="utf-8") as table:
        rows = [line.split() for line in table if line.strip() and not line.startswith("#")]
    return {unit: {"redis": int(redis), "quipu": int(quipu)} for unit, redis, quipu in rows}


EXPECTED = expected()


def skip_reasons(unit):
    with open(f"{HERE}/skip/{unit.split('/')[-1]}.txt", encoding="utf-8") as lines:
        return [line.partition(" :: ")[::2] for line in lines.read().splitlines()]


def skip_list(unit):
    return [name for name, _ in skip_reasons(unit)]


@pytest.fixture(scope="module")
def suite():
    done = subprocess.run([f"{HERE}/fetch", WORK], capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        judges.missing("redis-tcl", done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return f"{WORK}/redis-7.0.15"


def run_unit(suite, unit, port, skipped, folder):
    command = ["./runtest", "--host", "127.0.0.1", "--port", str(port), "--singledb", "--ignore-encoding",
               "--ignore-digest", "--tags", "-needs:debug", "--single", f"unit/{unit.split('+')[0]}"]
    if skipped:
        path = os.path.join(folder, "skip.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(skipped) + "\n")
        command += ["--skipfile", path]
    done = subprocess.run(command, cwd=suite, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=UNIT_SECONDS)
    return COLOURS.sub("", done.stdout + done.stderr)


def names_of(output, mark):
    return re.findall(rf"^\[{mark}\]:? (.*)$", output, re.M)


@pytest.mark.parametrize("unit", sorted(EXPECTED))
@pytest.mark.parametrize("kind", ["redis", "quipu"])
def test_unit(suite, kind, unit, tmp_path):
    judges.need(kind)
    judged = judged_server(kind, str(tmp_path), password="+password" in unit).start()
    try:
        skipped = skip_list(unit) if kind == "quipu" or unit.startswith("auth") else []
        output = run_unit(suite, unit, judged.port, skipped, str(tmp_path))
        assert judged.process.poll() is None, "the server ended:\n" + judged.log()
    finally:
        judged.stop()
    wrong = names_of(output, "(?:err|exception)")
    passed = names_of(output, "ok")
    print(f"redis_tcl {kind} {unit}: {len(passed)} ok, {len(skipped)} skipped by name")
    assert not wrong and len(passed) == EXPECTED[unit][kind], "\n".join([*wrong, output[-6000:]])
    assert sorted(names_of(output, "skip")) == sorted(skipped), "a name that no test has"


def test_every_skipped_test_has_a_reason_of_its_own_line():
    assert {f"{unit.split('/')[-1]}.txt" for unit in EXPECTED} == set(os.listdir(f"{HERE}/skip"))
    for unit in EXPECTED:
        reasons = skip_reasons(unit)
        assert [name for name, reason in reasons if not reason.strip()] == [], unit
        assert len(dict(reasons)) == len(reasons), f"{unit}: a test is listed twice"


def test_a_skipped_test_lowers_the_count_and_a_wrong_server_shows_errors(suite, tmp_path):
    judges.need("redis")
    judged = servers.make("redis", str(tmp_path)).start()
    try:
        output = run_unit(suite, "type/incr", judged.port, ["INCR over 32bit value"], str(tmp_path))
        assert len(names_of(output, "ok")) == EXPECTED["type/incr"]["redis"] - 1
        judged.connect().call("CONFIG", "SET", "maxmemory", "1")
        output = run_unit(suite, "type/incr", judged.port, [], str(tmp_path))
        assert names_of(output, "(?:err|exception)") and len(names_of(output, "ok")) < EXPECTED["type/incr"]["redis"]
    finally:
        judged.stop()


# Commands that are in Quipu's table to be refused with a reason.
REFUSED = {"incrbyfloat", "hincrbyfloat", "shutdown", "debug", "monitor", "function", "flushall"}
# Skipped though every command of the test is one of Quipu's: a value that is no integer cannot be set, and a counter
# and a hash of one name may both be there (docs/internals/resp.md).
DIFFERENCES = {
    "INCR fails against key with spaces (left)", "INCR fails against key with spaces (right)",
    "INCR fails against key with spaces (both)", "HINCRBY fails against hash value with spaces (left)",
    "HINCRBY fails against hash value with spaces (right)", "HMGET against wrong type",
    "Zero length value in key. SET/GET/EXISTS"}
# What a test says beside commands when it needs what Quipu has not.
NEEDED = re.compile(r"config[ _]set|attach_to_replication_stream", re.I)


def body_of(suite, unit, name):
    """The text of the test of that name."""
    with open(f"{suite}/tests/unit/{unit.split('+')[0]}.tcl", encoding="utf-8") as file:
        text = file.read()
    # Names may be made in a loop: what differs stands for any text.
    found = text.find(name)
    if found < 0:
        stem = max((name[:n] for n in range(len(name))), key=lambda s: len(s) if s in text else -1)
        found = text.find(stem)
        assert len(stem) > 8, f"{unit}: {name}"
    end = text.find("\n    test ", found)
    return text[found:end if end > 0 else None]


def test_no_skipped_test_is_about_commands_that_are_offered(suite, tmp_path):
    judges.need("redis")
    judges.need("quipu")
    redis, quipu = (servers.make(kind, str(tmp_path)).start() for kind in ("redis", "quipu"))
    all_commands = {name.decode().lower() for name in redis.connect().call("COMMAND", "LIST")}
    offered = {name.decode().lower() for name in quipu.connect().call("COMMAND", "LIST")} - REFUSED
    redis.stop()
    quipu.stop()
    assert len(all_commands) > 200 and {"incr", "exec", "hincrby"} <= offered
    unproved = set()
    for unit in EXPECTED:
        for name, _ in skip_reasons(unit):
            body = body_of(suite, unit, name)
            called = re.findall(r"(?:\br2?|\$r\w*)[ \t]+([a-z]+)", body)
            called += re.findall(r"\b[A-Z]{3,}\b", f"{name} {body}")
            said = {word.lower() for word in called}
            missing = (said & all_commands) - offered
            if not unit.startswith("auth") and not missing and not NEEDED.search(body):
                unproved.add(name)
    assert unproved == DIFFERENCES
