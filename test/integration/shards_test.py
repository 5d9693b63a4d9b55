"""Several shards under everything at once: adds with and without tokens, MULTI, bounds, expiry, listings, namespaces,
connections that come and go, statistics, and a memory budget so small that every shard settles and evicts all the time.

Each command that shards must agree on is judged by a sum that no interleaving may change. The thread sanitizer's build
runs this too, where a data race ends the server with an exit code of its own: that is what the mixture is for."""
import os
import subprocess
import threading
import uuid

import judges
import resp
import server as servers
import tokens

CLIENTS = 5
ROUNDS = 20
WIDE = 1500  # counters of a round's pipeline; all of them together exceed the budget
REFUSED = ("OOM", "TRYAGAIN", "BUSY")  # promise that nothing happened
FLAGS = ["--engine.shards=3", "--engine.memory=64MiB", "--resp.allow_flush=true"]
FINISH_SECONDS = 300


class Client:
    """Counts what was acknowledged to it, by counter."""

    def __init__(self, port, number):
        self.port, self.number = port, number
        self.counted = {}
        self.error = None

    def run(self):
        try:
            for turn in range(ROUNDS):
                self.connection = resp.Connection(self.port, timeout_s=FINISH_SECONDS)
                self.connection.call("CLIENT", "SETNAME", f"c{self.number}")
                self.adds(turn)
                self.block(turn)
                self.moment()
                self.looks(turn)
                self.others(turn)
                self.connection.close()
        except Exception as e:  # reported by the test's own thread
            self.error = e

    def count(self, counter, delta, reply):
        if isinstance(reply, resp.Error):
            assert reply.startswith(REFUSED), reply
        else:
            self.counted[counter] = self.counted.get(counter, 0) + delta

    def adds(self, turn):
        counters = [f"wide:{self.number}:{turn % 4}:{n}" for n in range(WIDE)] + ["shared:a", "shared:b"]
        for counter, reply in zip(counters, self.connection.pipeline([["INCRBY", c, 2] for c in counters])):
            self.count(counter, 2, reply)
        sent = [(f"shared:{n % 7}", tokens.uuid7()) for n in range(50)]
        commands = [["QUIPU.ADD", c, 3, "TOKEN", t] for c, t in sent]
        for (counter, _), first, again in zip(sent, self.connection.pipeline(commands),
                                              self.connection.pipeline(commands)):
            self.count(counter, 3, again)
            if not isinstance(first, resp.Error) and not isinstance(again, resp.Error):
                assert again == [first[0], b"REPLAYED"] or again == [first[0], "REPLAYED"], (first, again)

    def block(self, turn):
        pair = (f"left:{turn % 5}", f"right:{(turn + self.number) % 5}")
        replies = self.connection.pipeline([["MULTI"], ["INCRBY", pair[0], 5], ["DECRBY", pair[1], 5], ["EXEC"]])[-1]
        if not isinstance(replies, resp.Error):
            self.count(pair[0], 5, replies[0])
            self.count(pair[1], -5, replies[1])
        else:
            assert replies.startswith(REFUSED + ("EXECABORT",)), replies

    def moment(self):
        """Every block keeps the sum of these at 0, whatever the shards that they are on."""
        seen = self.connection.call("MGET", *[f"{side}:{n}" for side in ("left", "right") for n in range(5)])
        assert sum(int(value or 0) for value in seen) == 0, seen

    def looks(self, turn):
        looks = [["INFO", "everything"], ["CLIENT", "LIST"], ["SLOWLOG", "GET"], ["COMMAND", "COUNT"], ["DBSIZE"],
                 ["MGET", "shared:a", "shared:1", f"wide:{self.number}:0:7"], ["QUIPU.TOP", 10, "PREFIX", "shared:"],
                 ["QUIPU.EVENTS", "shared:1", "COUNT", 20], ["QUIPU.NSLIST"], ["LATENCY", "RESET"],
                 ["SCAN", 0, "COUNT", 500], ["CONFIG", "RESETSTAT"]]
        looks = looks[turn % 3::3]
        for look, reply in zip(looks, self.connection.pipeline(looks)):
            assert not isinstance(reply, resp.Error), (look, reply)

    def others(self, turn):
        passing = f"passing:{uuid.uuid4()}"
        self.connection.pipeline([["SET", passing, 7, "PX", 30], ["INCREX", passing, "UBOUND", 9], ["TTL", passing],
                                  ["HINCRBY", "hash", f"f{self.number}", 1], ["DEL", passing]])
        if turn % 8 == self.number:
            name = f"ns{self.number}x{turn}"
            self.connection.pipeline([["QUIPU.NSCREATE", name], ["QUIPU.NS", name], ["INCR", "x"],
                                      ["QUIPU.NSGET", name], ["FLUSHDB"]])


def values(connection, counters):
    return [int(v or 0) for v in connection.pipeline([["GET", c] for c in counters])]


def test_what_was_acknowledged_is_counted_once_on_three_shards(tmp_path):
    judges.need("quipu")
    server = servers.make("quipu", str(tmp_path), flags=FLAGS).start()
    clients = [Client(server.port, n) for n in range(CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.process.poll() is None, server.log()
    assert [client.error for client in clients if client.error] == [], server.log()
    expected = {}
    for client in clients:
        for counter, sum_ in client.counted.items():
            expected[counter] = expected.get(counter, 0) + sum_
    counters = sorted(expected)
    assert len(counters) > CLIENTS * WIDE
    for _ in ("running on", "after a restart in order"):
        connection = server.connect()
        assert dict(zip(counters, values(connection, counters))) == expected
        connection.close()
        assert server.stop() == 0, server.log()
        server.start()
    assert server.stop() == 0, server.log()
    checked = subprocess.run([os.environ["QUIPU_BINARY"], "check", str(tmp_path / "data")], capture_output=True,
                             text=True, timeout=FINISH_SECONDS)
    assert checked.returncode == 0, checked.stdout + checked.stderr
