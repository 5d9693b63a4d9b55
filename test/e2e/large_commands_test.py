"""Commands and transactions of thousands of keys, as Redis's users send them: redis-server first, then Quipu with one
shard and with several. What does not fit one commit is refused with the sizes, and nothing of it happens."""
import pytest

import judges
import resp
import server as servers

PAIRS = 10_000
INCRS = 15_000


@pytest.fixture(params=["redis", "quipu", "quipu-4-shards"])
def server(request, tmp_path):
    kind = request.param.split("-")[0]
    judges.need(kind)
    flags = ["--engine.shards=4"] if request.param.endswith("shards") else []
    running = servers.make(kind, str(tmp_path), flags=flags).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def connection(server):
    opened = server.connect()
    yield opened
    opened.close()


def exec_of(connection, commands):
    replies = connection.pipeline([["MULTI"], *commands, ["EXEC"]])
    assert replies[:-1] == ["OK"] + ["QUEUED"] * len(commands)
    return replies[-1]


def test_mset_of_ten_thousand_pairs(connection):
    pairs = [word for n in range(PAIRS) for word in (f"page:/articles/{n}", n)]
    for _ in range(2):
        assert connection.call("MSET", *pairs) == "OK"
    assert connection.call("MGET", *pairs[::2]) == [str(n).encode() for n in pairs[1::2]]
    assert connection.call("DBSIZE") == PAIRS


def test_del_of_ten_thousand_keys_there_or_missing(connection):
    keys = [f"page:/articles/{n}" for n in range(PAIRS)]
    assert connection.call("DEL", *keys) == 0
    connection.call("MSET", *[word for key in keys[::2] for word in (key, 1)])
    assert connection.call("DEL", *keys) == PAIRS // 2
    assert connection.call("UNLINK", *keys) == 0
    assert connection.call("EXISTS", *keys) == 0


def test_exec_of_fifteen_thousand_incr(connection):
    assert exec_of(connection, [["INCR", "hits"]] * INCRS) == list(range(1, INCRS + 1))
    distinct = [["INCR", f"page:/articles/{n}"] for n in range(INCRS)]
    assert exec_of(connection, distinct) == [1] * INCRS
    assert exec_of(connection, distinct) == [2] * INCRS


def test_a_hash_of_twenty_thousand_fields_is_deleted_whole(connection):
    fields = [word for n in range(20_000) for word in (f"f{n}", n)]
    assert connection.call("HSET", "h", *fields) == 20_000
    assert connection.call("EXPIRE", "h", 1000) == 1
    assert connection.call("DEL", "h") == 1
    assert connection.call("HLEN", "h") == 0


def test_what_one_commit_cannot_hold_is_refused_with_the_sizes(server, connection):
    if server.name == "redis":
        pytest.skip("redis-server has no such limit")
    names = [f"{n:05d}" + "x" * 1000 for n in range(9000)]
    refused = exec_of(connection, [["INCR", name] for name in names])
    assert isinstance(refused, resp.Error) and refused.startswith("EXECABORT the transaction may need "), refused
    assert refused.endswith(" bytes in one commit, at most 2097152 are allowed")
    refused = connection.call("MSET", *[word for name in names for word in (name, 1)])
    assert refused.startswith("ERR Protocol error: it may need ")
    assert refused.endswith(" bytes in one commit, at most 2097152 are allowed")
    with pytest.raises(resp.Closed):
        connection.read()
    again = server.connect()
    assert again.call("DBSIZE") == 0
    many = [f"h{n}" for n in range(40)]  # of 0.3 MB each: some shard has ten of them
    for name in many:
        again.call("HSET", name, *[word for n in range(4000) for word in (f"f{n}", 1)])
    assert again.call("DEL", *many).startswith("ERR Protocol error: it may need ")
    again = server.connect()
    assert again.call("HLEN", "h39") == 4000
    for start in (0, 15_000):
        again.call("HSET", "wide", *[word for n in range(start, start + 15_000) for word in (f"f{n}", 1)])
    refused = again.call("DEL", "wide")
    assert refused == "ERR the fields of the group need more than 2097152 bytes in one commit, use HDEL"
    assert again.call("HLEN", "wide") == 30_000
    again.close()
