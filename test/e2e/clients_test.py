"""Client libraries that must work unchanged, with their default options: each runs one scenario in its own language and
asserts what it reads. A client prints `ok STEP` for each step it proved; the exact list is compared, so that a
client that stopped early or proved nothing fails. At the step `reconnect` it prints `restart`, the server is restarted
on the same port and data, and the client must go on by itself."""
import json
import os
import platform
import re
import shutil
import subprocess
import sys

import pytest

import judges

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
WORK = os.environ.get("QUIPU_E2E_WORK", os.path.join(HERE, "../../../build/e2e"))
STEPS = ["connect", "counters", "pipeline", "multi", "expire", "hash", "scan", "errors", "reconnect"]
NO_REGISTRY = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|dial tcp|no such host"
                         r"|NewConnectionError|Temporary failure in name resolution|Max retries exceeded")
SETUP_SECONDS = 600
RUN_SECONDS = 600


NODE_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
GO_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
NODE_LEAST = 20  # what the clients in package.json want; Debian 12 has 18
NODE_FETCHED = "20.20.2"
GO_LEAST = (1, 21)  # from here on go fetches the version that go.mod wants; Debian 12 has 1.19


def prepare(judge, command, **where):
    """Fetches what a client needs from its registry. Without one the judge is missing; any other failure is one."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SETUP_SECONDS,
                          **where)
    said = done.stdout + done.stderr
    if done.returncode != 0 and NO_REGISTRY.search(said):
        judges.missing(judge, f"no registry: {said[-200:]}")
    assert done.returncode == 0, said
    return done.stdout


def tool(name, judge):
    if not shutil.which(name):
        judges.missing(judge, f"{name} is not installed")
    return name


def run_scenario(command, server, steps, **where):
    client = subprocess.Popen([*command, str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, **where)
    try:
        lines = []
        for line in client.stdout:
            lines.append(line.strip())
            if lines[-1] == "restart":
                server.restart()
                client.stdin.write("restarted\n")
                client.stdin.flush()
        errors = client.communicate(timeout=RUN_SECONDS)[1]
        assert client.returncode == 0, "\n".join([*lines, errors, server.log()])
    finally:
        if client.poll() is None:
            client.kill()
            client.wait()
    assert [line[3:] for line in lines if line.startswith("ok ")] == steps, "\n".join([*lines, errors])


def test_redis_py_of_debian(server):
    run_scenario(["/usr/bin/python3", f"{HERE}/python/scenario.py", "4.3"], server, STEPS)


def test_redis_py_newest(server):
    venv = os.path.join(WORK, "venv")
    if not os.path.exists(f"{venv}/ready"):
        prepare("redis-py", [sys.executable, "-m", "venv", "--clear", venv])
        prepare("redis-py", [f"{venv}/bin/pip", "install", "-q", "-r", f"{HERE}/python/requirements.txt"])
        open(f"{venv}/ready", "w").close()
    run_scenario([f"{venv}/bin/python", f"{HERE}/python/scenario.py", "8."], server, [*STEPS[:-1], "resp3", STEPS[-1]])


@pytest.fixture(scope="session")
def node_modules():
    tool("node", "node")
    tool("npm", "node")
    folder = os.path.join(WORK, "node")
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(f"{HERE}/node"):
        shutil.copy(f"{HERE}/node/{name}", folder)
    prepare("node", ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)
    return folder


@pytest.fixture(scope="session")
def node(node_modules):
    """A Node that is new enough: the machine's, or one from npm."""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) >= NODE_LEAST:
        return "node"
    package = f"node-linux-{NODE_MACHINES[platform.machine()]}"
    folder = os.path.join(WORK, "node-runtime")
    prepare("node", ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder,
                     f"{package}@{NODE_FETCHED}"])
    return os.path.join(folder, "node_modules", package, "bin/node")


def test_ioredis(server, node, node_modules):
    run_scenario([node, f"{node_modules}/ioredis.mjs"], server, STEPS)


def test_node_redis(server, node, node_modules):
    run_scenario([node, f"{node_modules}/node_redis.mjs"], server, [*STEPS[:-1], "resp3", STEPS[-1]])


@pytest.fixture(scope="session")
def go():
    """A Go that fetches the version it is asked for, as each has done since 1.21; an older one is made to fetch one."""
    tool("go", "go")
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    if tuple(int(n) for n in re.search(r"go(\d+)\.(\d+)", version).groups()) >= GO_LEAST:
        return "go"
    machine = GO_MACHINES[platform.machine()]
    os.makedirs(WORK, exist_ok=True)
    with open(f"{HERE}/go/go.mod", encoding="utf-8") as module:
        wanted = re.search(r"^go (\S+)$", module.read(), re.M)[1]
    fetched = json.loads(prepare("go", ["go", "mod", "download", "-json",
                                        f"golang.org/toolchain@v0.0.1-go{wanted}.linux-{machine}"], cwd=WORK))
    root = os.path.join(WORK, "go-toolchain")
    if not os.path.exists(f"{root}/ready"):
        # The module cache is read-only, and an old go leaves its programs without permission to run.
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(fetched["Dir"], root, copy_function=shutil.copyfile)
        for at, folders, files in os.walk(root):
            for name in folders + files:
                os.chmod(os.path.join(at, name), 0o755)
        open(f"{root}/ready", "w").close()
    return f"{root}/bin/go"


def test_go_redis(server, go):
    binary = os.path.join(WORK, "go_redis")
    prepare("go", [go, "build", "-o", binary, "."], cwd=f"{HERE}/go")
    run_scenario([binary], server, [*STEPS[:-1], "resp3", STEPS[-1]])


def test_hiredis(server):
    binary = os.environ.get("QUIPU_HIREDIS_SCENARIO")
    if not binary:
        judges.missing("hiredis", "libhiredis-dev is not installed")
    run_scenario([binary], server, STEPS)


def redis_cli(server, *args, stdin=None):
    done = subprocess.run(["redis-cli", "-p", str(server.port), *args], input=stdin, capture_output=True, text=True,
                          timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.rstrip("\n")


def test_redis_cli(server):
    tool("redis-cli", "redis")
    assert redis_cli(server, "ping") == "PONG"
    assert redis_cli(server, "incr", "a") == "1"
    assert redis_cli(server, "incrby", "a", "41") == "42"
    assert redis_cli(server, "get", "a") == "42"
    assert redis_cli(server, "--no-raw", "get", "a") == '"42"'
    assert redis_cli(server, "-3", "--no-raw", "hincrby", "h", "f", "7") == "(integer) 7"
    assert redis_cli(server, "-3", "--json", "hgetall", "h") == '{"f":"7"}'
    assert redis_cli(server, "incrby", "a", "x") == "ERR value is not an integer or out of range"
    assert redis_cli(server, "-r", "100", "incr", "many").splitlines() == [str(n) for n in range(1, 101)]
    block = redis_cli(server, stdin="multi\nincr m\nincrby m 9\nexec\nexpire m 100\n").splitlines()
    assert block == ["OK", "QUEUED", "QUEUED", "1", "10", "1"]
    piped = "".join(f"INCR piped:{n % 10}\r\n" for n in range(5000))
    assert "errors: 0, replies: 5000" in redis_cli(server, "--pipe", stdin=piped)
    assert sorted(redis_cli(server, "--scan", "--pattern", "piped:*").splitlines()) == [f"piped:{n}" for n in range(10)]
    assert redis_cli(server, "mget", *[f"piped:{n}" for n in range(10)]).splitlines() == ["500"] * 10
    # The interactive form asks COMMAND DOCS for its hints; json proves that the answer parses.
    docs = json.loads(redis_cli(server, "-3", "--json", "command", "docs", "incr"))
    assert docs["incr"]["summary"]


def test_redis_benchmark(server):
    tool("redis-benchmark", "redis")
    base = ["redis-benchmark", "-p", str(server.port), "-q", "-c", "20"]
    kept = lambda *args: subprocess.run([*base, *args], check=True, capture_output=True, text=True, timeout=RUN_SECONDS)
    done = kept("-n", "20000", "-P", "16", "-t", "ping_inline,ping_mbulk,incr,get")
    text = (done.stdout + done.stderr).replace("\r", "\n")
    for name in ("PING_INLINE", "PING_MBULK", "INCR", "GET"):
        assert any(line.startswith(name + ": ") and "requests per second" in line for line in text.splitlines()), text
    assert "rror" not in text, text
    connection = server.connect()
    # Without -r the placeholder in the key is sent as it stands. The pipeline rounds the number up to whole batches.
    assert int(connection.call("GET", "counter:__rand_int__")) == 20000
    kept("-n", "32000", "-P", "16", "-r", "100", "INCRBY", "sum:__rand_int__", "3")
    keys = connection.call("KEYS", "sum:*")
    assert 50 < len(keys) <= 100
    assert sum(int(v) for v in connection.call("MGET", *keys)) == 3 * 32000
    connection.close()
