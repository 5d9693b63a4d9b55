"""redis-py: scenario.py VERSION_PREFIX PORT. See ../../clients_test.py."""
import sys

import redis

version, port = sys.argv[1], int(sys.argv[2])
assert redis.__version__.startswith(version), f"redis-py {redis.__version__}, wanted {version}*"


def step(name):
    print("ok", name, flush=True)


def refused(text, call):
    try:
        call()
    except redis.ResponseError as e:
        assert str(e) == text, e
        return
    raise AssertionError(f"not refused: {text}")


r = redis.Redis(port=port)
assert r.ping() is True
step("connect")

assert [r.incr("a"), r.incrby("a", 41), r.decr("a"), r.decrby("a", 41), r.incr("a", -7)] == [1, 42, 41, 0, -7]
assert r.get("a") == b"-7" and r.get("none") is None
step("counters")

pipe = r.pipeline(transaction=False)
for _ in range(1000):
    pipe.incr("p")
assert pipe.execute() == list(range(1, 1001))
step("pipeline")

assert r.pipeline().incr("m").incrby("m", 9).get("m").execute() == [1, 10, b"10"]
with r.pipeline() as pipe:
    pipe.watch("m")
    r.incr("m")
    pipe.multi()
    pipe.incr("m")
    try:
        pipe.execute()
        raise AssertionError("a watched key changed, yet EXEC ran")
    except redis.WatchError:
        pass
assert r.get("m") == b"11"
step("multi")

assert r.set("e", 5) is True
assert r.expire("e", 100) in (True, 1) and 90 <= r.ttl("e") <= 100 and 90000 <= r.pttl("e") <= 100000
assert r.persist("e") in (True, 1) and r.ttl("e") == -1 and r.ttl("none") == -2
assert r.set("e", 6, ex=50) is True and 40 <= r.ttl("e") <= 50 and r.set("e", 7, nx=True) is None
step("expire")

assert [r.hincrby("h", "x", 3), r.hincrby("h", "y", 4), r.hincrby("h", "x", -1)] == [3, 4, 2]
assert r.hgetall("h") == {b"x": b"2", b"y": b"4"} and r.hmget("h", "y", "z") == [b"4", None]
step("hash")

for n in range(300):
    r.incr(f"s:{n}")
found = list(r.scan_iter(match="s:*", count=50))
assert sorted(found) == sorted(f"s:{n}".encode() for n in range(300)), len(found)
step("scan")

refused("value is not an integer or out of range", lambda: r.incrby("a", "abc"))
assert r.set("big", 2**63 - 1)
refused("increment or decrement would overflow", lambda: r.incr("big"))
assert r.get("big") == b"9223372036854775807" and r.incr("a") == -6
step("errors")

if version != "4.3":
    three = redis.Redis(port=port, protocol=3, decode_responses=True)
    assert three.hgetall("h") == {"x": "2", "y": "4"} and three.incr("three") == 1
    step("resp3")

assert r.incr("kept") == 1
print("restart", flush=True)
sys.stdin.readline()
assert r.incr("kept") == 2
step("reconnect")
