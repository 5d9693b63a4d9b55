"""Every way in which a counter can be read from outside. Each returns {counter: value}; all must say the same."""
import csv
import io
import os
import subprocess

import resp
import server as servers

LIMIT_SECONDS = 300  # against hanging
PAGE = 10_000


def by_get(connection, counters):
    return read_each(connection, counters, lambda c: ["GET", c], lambda reply: reply)


def by_mget(connection, counters):
    return dict(zip(counters, (int(v or 0) for v in connection.call("MGET", *counters))))


def by_quipu_get(connection, counters):
    return read_each(connection, counters, lambda c: ["QUIPU.GET", c], lambda reply: reply[1])


def by_hget(connection, counters):
    """The fields of hashes alone."""
    fields = [c for c in counters if c.endswith("]")]
    return read_each(connection, fields, lambda c: ["HGET", *split(c)], lambda reply: reply)


def by_hgetall(connection, counters):
    hashes = sorted({split(c)[0] for c in counters if c.endswith("]")})
    found = {}
    for name, flat in zip(hashes, connection.pipeline([["HGETALL", name] for name in hashes])):
        found |= {f"{name}[{field.decode()}]": int(value) for field, value in zip(flat[::2], flat[1::2])}
    return found


def by_scan(connection, _counters):
    """The names by SCAN, then their values."""
    names, cursor = set(), b"0"
    while True:
        cursor, page = connection.call("SCAN", cursor, "COUNT", PAGE)
        names |= {name.decode() for name in page}
        if cursor == b"0":
            return by_mget(connection, sorted(names)) if names else {}


def by_top(connection, _counters):
    return {name.decode(): value for name, value in connection.call("QUIPU.TOP", PAGE)}


def by_events(connection, counters):
    """The sum of the stored events, for a few counters: each event is one line of the answer."""
    found = {}
    for counter in counters[:3]:
        found[counter], after = 0, None
        while after != 0:
            after, events = connection.call("QUIPU.EVENTS", counter, "AFTER", after or 0, "COUNT", PAGE)
            found[counter] += sum(delta for _, _, kind, delta, *_ in events if kind == b"add")
    return found


def by_command(port, *words):
    command = [os.environ["QUIPU_BINARY"], *words, "--address", f"127.0.0.1:{port}", "--output", "csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS,
                          env=servers.plain_environment())
    assert done.returncode == 0, done.stderr
    return {row["counter"]: int(row.get("value", row.get("count"))) for row in csv.DictReader(io.StringIO(done.stdout))}


def read_each(connection, counters, command, value_of):
    replies = connection.pipeline([command(c) for c in counters])
    errors = [reply for reply in replies if isinstance(reply, resp.Error)]
    assert errors == [], errors[:3]
    return {c: int(value_of(reply) or 0) for c, reply in zip(counters, replies)}


def split(counter):
    """The hash and the field of k[f]."""
    name, _, field = counter[:-1].partition("[")
    return name, field


def through_all(server, counters):
    """{way: {counter: value}}. A way that lists what there is leaves out counters that were never written."""
    counters = sorted(counters)
    connection = server.connect()
    ways = [by_get, by_mget, by_quipu_get, by_hget, by_hgetall, by_scan, by_top, by_events]
    found = {way.__name__: way(connection, counters) for way in ways}
    connection.close()
    found["quipu get"] = by_command(server.port, "get", *counters)
    found["quipu list"] = by_command(server.port, "list", "--limit", "100000")
    found["quipu top"] = by_command(server.port, "top", str(PAGE))
    return found


def differences(found):
    """Sentences: where a way says something else than GET, or knows a counter that GET was not asked for."""
    expected = found["by_get"]
    return [f"{counter}: {way} says {value}, GET {expected.get(counter)}"
            for way, values in found.items() for counter, value in values.items() if expected.get(counter) != value]
