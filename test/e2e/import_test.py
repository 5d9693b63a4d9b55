"""quipu import against the real server: every count equals one that was computed by other means, after the import,
after a second one, and after kill -9 of the server and of the importer in the middle.

The public event data is looked for in QUIPU_SHARED_DATA, else in ../shared/data beside the project; without it those
tests are skipped."""
import collections
import csv
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest
import judges
import server as servers

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
DATA = os.environ.get("QUIPU_SHARED_DATA", os.path.join(PROJECT, "../shared/data"))
LIMIT_SECONDS = 600  # against hanging
SHOP = os.path.join(PROJECT, "examples/access.log")


@pytest.fixture
def quipu(tmp_path, request):
    """A server with one shard, or as many as the test's parameter says."""
    judges.need("quipu")
    shards = getattr(request, "param", 1)
    made = Quipu(servers.make("quipu", str(tmp_path), flags=[f"--engine.shards={shards}"]).start())
    yield made
    made.server.stop()


class HeldAnswers:
    """A proxy that keeps back every answer from the first step of an import on, until `drop` ends the connection. An
    importer has no more than two steps without an answer: until then it cannot be done. Later connections pass."""

    def __init__(self, port):
        self.port = port
        self.step_sent, self.dropped = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.port))
            except ConnectionRefusedError:
                client.close()
                continue
            for way in (self.requests, self.answers):
                threading.Thread(target=self.carry, args=(way, client, server), daemon=True).start()

    def carry(self, way, client, server):
        try:
            way(client, server)
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def requests(self, client, server):
        seen = b""
        while data := client.recv(65536):
            seen = seen[-20:] + data
            if b"QUIPU.INGEST" in seen:
                self.step_sent.set()
            server.sendall(data)

    def answers(self, client, server):
        held = not self.dropped.is_set()
        while data := server.recv(65536):
            if held and self.step_sent.is_set():
                self.dropped.wait()
                return
            client.sendall(data)

    def drop(self):
        self.dropped.set()


class Quipu:
    """The server under test and the command line that talks to it."""

    def __init__(self, server):
        self.server = server

    def command(self, *arguments, address=None):
        address = address or f"127.0.0.1:{self.server.port}"
        return [os.environ["QUIPU_BINARY"], *arguments, "--address", address, "--timeout", "5m"]

    def run(self, *arguments, stdin=subprocess.DEVNULL):
        done = subprocess.run(self.command(*arguments), capture_output=True, stdin=stdin, timeout=LIMIT_SECONDS,
                              env=servers.plain_environment())
        assert done.returncode == 0, (arguments, done.stdout, done.stderr, self.server.log())
        return done.stdout.decode()

    def take(self, *arguments, **more):
        """Imports; the report as dictionaries, one a file."""
        return json.loads(self.run("import", *arguments, "--json", **more))

    def refuse(self, code, *arguments):
        """Imports what must be refused with this exit code; what was said, and that no count changed."""
        before = self.counts()
        done = subprocess.run(self.command("import", *arguments), capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=LIMIT_SECONDS, env=servers.plain_environment())
        assert done.returncode == code, (arguments, done.stdout, done.stderr, self.server.log())
        assert self.counts() == before
        return done.stderr.decode()

    def start(self, *arguments, address=None):
        return subprocess.Popen(self.command("import", *arguments, address=address), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=servers.plain_environment())

    def kill_in_the_middle(self, victim, *arguments):
        """Imports, and kills the server or the importer when the first step is committed and the last not yet sent."""
        held = HeldAnswers(self.server.port)
        importing = self.start(*arguments, address=held.address)
        self.wait_for_counters()
        if victim == "server":
            self.server.kill()
            held.drop()
            self.server.start()
        else:
            importing.send_signal(signal.SIGKILL)
            held.drop()
        out, errors = importing.communicate(timeout=LIMIT_SECONDS)
        assert importing.returncode == (0 if victim == "server" else -signal.SIGKILL), (out, errors, self.server.log())

    def counts(self, prefix=""):
        listed = json.loads(self.run("list", prefix, "--limit", "1000000", "--json"))
        return {entry["counter"]: int(entry["value"]) for entry in listed}

    def wait_for_counters(self):
        """Returns once the first step is committed."""
        connection = self.server.connect()
        while connection.call("DBSIZE") == 0:
            pass
        connection.close()


def data(name):
    path = os.path.join(DATA, name)
    if not os.path.exists(path):
        pytest.skip(f"{name} is not at hand: QUIPU_SHARED_DATA or ../shared/data has the public event data")
    return path


def awk(path, separator, program):
    """{key: count} from awk, which shares nothing with what is tested. `program` fills c."""
    script = program + ' END{for(k in c) printf "%.0f\\t%s\\n", c[k], k}'
    out = subprocess.run(f"gzip -dc '{path}' | awk -F'{separator}' '{script}'", shell=True, capture_output=True,
                         check=True, env={**os.environ, "LC_ALL": "C"}).stdout.decode()
    return {key: int(count) for count, key in (line.split("\t", 1) for line in out.splitlines())}


on_one_and_several_shards = pytest.mark.parametrize("quipu", [1, 3], indirect=True)


# ---- our own data: always there

def make_orders(path, lines):
    """A table of our own: signed amounts, names in several scripts, quotes. Returns what it adds up to."""
    names = ["lamp", "rug, red", 'kettle "large"', "café-Tisch", "прялка", "茶壶", "🧶 wool"]
    expected = collections.Counter()
    with open(path, "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["order", "item", "amount", "at"])
        for n in range(lines):
            name = f"{names[n * n % 7]} {n * 7919 % 5003}"
            amount = n * 31 % 19 - 9
            table.writerow([n, name, amount, f"2026-01-{1 + n % 28:02} {n % 24:02}:{n % 60:02}:{n % 60:02}"])
            expected[f"item:{name}"] += amount
    return {key: count for key, count in expected.items()}


LINES = ["--format", "lines", "--key", "{line}"]
ORDERS = ["--format", "csv", "--key", "item:{item}", "--delta", "amount", "--time", "at"]


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("orders") / "orders.csv")
    return path, make_orders(path, 200_000)


def test_the_sample_log_is_what_its_script_makes_and_counts_right(quipu):
    script = os.path.join(PROJECT, "examples/make_access_log.py")
    made = subprocess.run([sys.executable, script], capture_output=True, check=True).stdout
    with open(SHOP, "rb") as log:
        assert log.read() == made
    report = quipu.take("--format", "clf", "--key", "path:{path}", "--time", "time", SHOP)
    assert (report[0]["taken"], report[0]["refused"]) == (2000, 0)
    requests = [line.split(b'"')[1].decode() for line in made.splitlines()]
    expected = collections.Counter(request.split(" ")[1].split("?")[0] for request in requests)
    assert quipu.counts("path:") == {f"path:{path}": count for path, count in expected.items()}


def test_names_copies_compression_and_pipes_make_no_difference(quipu, orders, tmp_path):
    path, expected = orders
    assert quipu.take(*ORDERS, path)[0]["taken"] == 200_000
    assert quipu.counts() == expected
    other = str(tmp_path / "other-name")
    shutil.copy(path, other)
    subprocess.run(["gzip", "-k", "-1", other], check=True)
    files = [path, other, other + ".gz"]
    if shutil.which("zstd"):
        subprocess.run(["zstd", "-q", "-k", "-1", other], check=True)
        files.append(other + ".zst")
    for entry in quipu.take(*ORDERS, *files) + quipu.take(*ORDERS, "-n", "default", path):
        assert (entry["taken"], entry["already"]) == (0, 200_000), entry
    with open(path, "rb") as pipe:
        shown = subprocess.Popen(["cat"], stdin=pipe, stdout=subprocess.PIPE)
        assert quipu.take(*ORDERS, "-", stdin=shown.stdout)[0]["already"] == 200_000
        shown.stdout.close()
        shown.wait()
    assert quipu.counts() == expected


def test_a_log_that_grows_continues_also_after_a_restart(quipu, tmp_path):
    path = str(tmp_path / "growing.log")
    total = 0
    for part in range(5):
        with open(path, "a", encoding="utf-8") as log:
            log.writelines(f"name-{n % 10}\n" for n in range(1000 + part))
        report = quipu.take("--format", "lines", "--key", "{line}", path)[0]
        assert (report["taken"], report["already"]) == (1000 + part, total)
        total += 1000 + part
        quipu.server.restart()
    assert sum(quipu.counts().values()) == total


@on_one_and_several_shards
def test_old_copies_of_a_log_that_has_grown_change_nothing(quipu, tmp_path):
    path = str(tmp_path / "growing.log")
    copies = []
    for day in range(4):
        with open(path, "a", encoding="utf-8") as log:
            log.writelines(f"day-{day} {n % 10}\n" for n in range(5000))
        assert quipu.take(*LINES, path)[0]["taken"] == 5000
        copies.append(shutil.copy(path, str(tmp_path / f"copy-{day}")))
    expected = {f"day-{day} {n}": 500 for day in range(4) for n in range(10)}
    subprocess.run(["gzip", "-k", "-1", copies[1]], check=True)
    for _ in range(2):
        for copy, lines in [*zip(copies, range(5000, 20001, 5000)), (copies[1] + ".gz", 10_000)]:
            report = quipu.take(*LINES, copy)[0]
            assert (report["taken"], report["already"]) == (0, lines), copy
        assert quipu.counts() == expected
        quipu.server.restart()


def test_a_copy_whose_end_nobody_knows_is_refused_with_a_way_out(quipu, tmp_path):
    path, cut = str(tmp_path / "whole.log"), str(tmp_path / "cut.log")
    lines = [f"line {n}\n" for n in range(20_000)]
    with open(path, "w", encoding="utf-8") as log:
        log.writelines(lines)
    with open(cut, "w", encoding="utf-8") as log:
        log.writelines(lines[:15_000])
    quipu.take(*LINES, path)
    said = quipu.refuse(4, *LINES, cut)
    assert "Nothing is counted" in said and f"imported as {path} up to byte" in said and "--source NAME" in said, said
    other = str(tmp_path / "other.log")
    with open(other, "w", encoding="utf-8") as log:
        log.write("other\n")
    command = quipu.command("import", *LINES, cut, other, "--json")
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT_SECONDS,
                          env=servers.plain_environment())
    assert done.returncode == 4 and [entry["taken"] for entry in json.loads(done.stdout)] == [0, 1], done
    subprocess.run(["gzip", "-k", "-1", cut], check=True)
    assert quipu.refuse(4, *LINES, cut + ".gz").replace(".gz", "") == said
    for taken, already in [(15_000, 0), (0, 15_000)]:
        report = quipu.take(*LINES, "--source", "another host", cut)[0]
        assert (report["taken"], report["already"]) == (taken, already)
    assert quipu.counts()["line 14999"] == 2 and quipu.counts()["line 15000"] == 1


def test_tables_that_share_a_header_and_logs_that_begin_anew_are_their_own(quipu, tmp_path):
    def table(name, rows):
        path = str(tmp_path / name)
        with open(path, "w", encoding="utf-8") as out:
            out.write("item,amount\n" + "".join(f"{row},1\n" for row in rows))
        return path

    options = ["--format", "csv", "--key", "{item}", "--delta", "amount"]
    quipu.take(*options, table("long.csv", [f"a{n}" for n in range(5000)]))
    for name, rows in [("one.csv", ["b"]), ("two.csv", ["c", "d"]), ("three.csv", ["a0", "e"])]:
        assert quipu.take(*options, table(name, rows))[0]["taken"] == len(rows), name
    path = table("rotated.csv", [f"f{n}" for n in range(5000)])
    quipu.take(*options, path)
    table("rotated.csv", [])
    assert quipu.take(*options, path)[0]["taken"] == 0
    table("rotated.csv", ["g"])
    assert quipu.take(*options, path)[0]["taken"] == 1
    counts = quipu.counts()
    assert (counts["a0"], counts["b"], counts["e"], counts["f0"], counts["g"]) == (2, 1, 1, 1, 1)


@on_one_and_several_shards
def test_a_killed_importer_and_old_copies_count_once(quipu, orders, tmp_path):
    path, expected = orders
    quipu.kill_in_the_middle("importer", *ORDERS, path)
    with open(path, "rb") as whole:
        content = whole.read()
    most = content[: content.rindex(b"\n", 0, len(content) * 9 // 10) + 1]
    copy = str(tmp_path / "most.csv")
    with open(copy, "wb") as out:
        out.write(most)
    assert quipu.take(*ORDERS, copy)[0]["already"] > 0
    quipu.take(*ORDERS, path)
    assert quipu.take(*ORDERS, copy)[0]["taken"] == 0
    assert quipu.counts() == expected


def test_refused_lines_go_to_the_dead_letter_file(quipu, tmp_path):
    path, dead = str(tmp_path / "in.ndjson"), str(tmp_path / "dead")
    lines = ['{"u":"a","n":1}', "nonsense", '{"u":"a","n":"x"}', '{"u":null,"n":1}', '{"u":"b\\u0001","n":1}',
             '{"u":"b","n":9223372036854775807}', '{"u":"ü","n":-3}']
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    report = quipu.take("--format", "ndjson", "--key", "{u}", "--delta", "n", "--dead-letter", dead, path)[0]
    assert (report["taken"], report["refused"]) == (3, 4)
    with open(dead, encoding="utf-8") as kept:
        assert kept.read().splitlines() == lines[1:5]
    again = quipu.take("--format", "ndjson", "--key", "{u}", "--delta", "n", "--dead-letter", dead, path)[0]
    assert (again["taken"], again["already"], again["refused"], again["already_refused"]) == (0, 3, 0, 4)
    with open(dead, encoding="utf-8") as kept:
        assert kept.read().splitlines() == lines[1:5]
    assert quipu.counts() == {"a": 1, "b": 2**63 - 1, "ü": -3}


@pytest.mark.parametrize("victim", ["server", "importer"])
def test_the_dead_letter_file_is_complete_after_a_kill_in_the_middle(quipu, tmp_path, victim):
    path, dead = str(tmp_path / "in.csv"), str(tmp_path / "dead")
    bad = []
    with open(path, "w", encoding="utf-8") as out:
        out.write("item,amount\n")
        for n in range(200_000):
            line = f"item {n % 5003},1"
            if n % 100 == 7:
                line = f"item,{n} pieces"
                bad.append(line)
            out.write(line + "\n")
    options = ["--format", "csv", "--key", "{item}", "--delta", "amount", "--dead-letter", dead, path]
    quipu.kill_in_the_middle(victim, *options)
    report = quipu.take(*options)[0]
    assert report["taken"] + report["already"] == 198_000
    assert report["refused"] + report["already_refused"] == 2000
    if victim == "importer":
        assert report["already_refused"] > 0
    with open(dead, encoding="utf-8") as kept:
        lines = kept.read().splitlines()
    if victim == "server":
        assert lines == bad
    else:  # a line may be there twice: written, but its step was not sent any more
        assert set(lines) == set(bad)


def test_a_full_disk_under_the_dead_letter_file_ends_the_import_before_the_step(quipu, tmp_path):
    path = str(tmp_path / "in.ndjson")
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"u":"a"}\nnonsense\n')
    said = quipu.refuse(5, "--format", "ndjson", "--key", "{u}", "--dead-letter", "/dev/full", path)
    assert "/dev/full" in said, said
    assert quipu.take("--format", "ndjson", "--key", "{u}", path)[0]["taken"] == 1


def test_an_add_that_overflows_is_refused_and_the_rest_counts(quipu, tmp_path):
    quipu.run("add", "full", "9223372036854775807")
    path = str(tmp_path / "in")
    with open(path, "w", encoding="utf-8") as out:
        out.write("full\nother\nfull\n")
    report = quipu.take("--format", "lines", "--key", "{line}", path)[0]
    assert (report["taken"], report["refused"]) == (1, 2)
    assert quipu.counts() == {"full": 2**63 - 1, "other": 1}


@on_one_and_several_shards
def test_the_server_killed_in_the_middle(quipu, orders):
    path, expected = orders
    quipu.kill_in_the_middle("server", *ORDERS, path)
    assert quipu.counts() == expected
    assert quipu.take(*ORDERS, path)[0]["already"] == 200_000


@on_one_and_several_shards
def test_the_importer_killed_in_the_middle(quipu, orders):
    path, expected = orders
    quipu.kill_in_the_middle("importer", *ORDERS, path)
    report = quipu.take(*ORDERS, path)[0]
    assert report["already"] + report["taken"] == 200_000 and report["already"] > 0
    assert quipu.counts() == expected


@on_one_and_several_shards
def test_two_importers_of_one_file_at_once_count_it_once(quipu, orders):
    path, expected = orders
    both = [quipu.start(*ORDERS, path), quipu.start(*ORDERS, path)]
    for importing in both:
        out, errors = importing.communicate(timeout=LIMIT_SECONDS)
        assert importing.returncode == 0, (out, errors)
    assert quipu.counts() == expected


# ---- public data, where it is at hand

def test_nasa_requests_per_url(quipu):
    path = data("web-access-nasa-1995-08-01.tsv.gz")
    options = ["--format", "tsv", "--key", "{url}", "--time", "time", path]
    expected = awk(path, "\\t", "NR>1{c[$5]++}")
    assert quipu.take(*options)[0]["taken"] == 30_969
    assert quipu.counts() == expected
    top = [line.split() for line in quipu.run("top", "10").splitlines()[1:]]
    assert top[0] == ["2140", "/images/NASA-logosmall.gif"] and top[9] == ["562", "/images/launch-logo.gif"]
    assert quipu.take(*options)[0]["already"] == 30_969
    assert quipu.counts() == expected


def test_nasa_cut_anywhere_counts_no_line_twice(quipu, tmp_path):
    path = data("web-access-nasa-1995-08-01.tsv.gz")
    with gzip.open(path, "rb") as log:
        lines = log.read().splitlines(keepends=True)
    options = ["--format", "tsv", "--key", "{url}", "--time", "time"]
    copy = str(tmp_path / "cut.tsv")

    def cut(count):
        with open(copy, "wb") as out:
            out.writelines(lines[:count])

    for count, taken in [(1000, 999), (20_000, 19_000), (len(lines), len(lines) - 20_000)]:
        cut(count)
        assert quipu.take(*options, copy)[0]["taken"] == taken
    counts = quipu.counts()
    assert counts == awk(path, "\\t", "NR>1{c[$5]++}")
    for count in [1, 1000, 20_000, len(lines)]:
        cut(count)
        report = quipu.take(*options, copy)[0]
        assert (report["taken"], report["already"]) == (0, count - 1)
    for count in [3, 999, 1001, 15_000, 19_999, len(lines) - 1]:
        cut(count)
        quipu.refuse(4, *options, copy)
    assert quipu.counts() == counts


@pytest.mark.parametrize("killed", ["nobody", "server", "importer"])
def test_retail_quantities_per_product(quipu, killed):
    path = data("retail-orders-uci-2010-2011.csv.gz")
    options = ["--format", "csv", "--key", "{StockCode}", "--delta", "Quantity", "--time", "InvoiceDate", path]
    if killed != "nobody":
        quipu.kill_in_the_middle(killed, *options)
    report = quipu.take(*options)[0]
    assert report["taken"] + report["already"] == 541_909 and report["refused"] == 0
    counts = quipu.counts()
    assert counts == awk(path, ",", "NR>1{c[$2]+=$(NF-4)}")
    assert sum(counts.values()) == 5_176_450 and counts["22197"] == 56_450
    assert quipu.take(*options)[0]["already"] == 541_909
    assert quipu.counts() == counts


def test_wikipedia_edits_per_page_and_channel(quipu):
    path = data("wikipedia-edits-2015-09-12.ndjson.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        pages = collections.Counter("page:" + json.loads(line)["page"] for line in lines)
    for _ in range(2):
        quipu.take("--format", "ndjson", "--key", "page:{page}", "--time", "time", path)
        quipu.take("--format", "ndjson", "--key", "{channel}", "--time", "time", path)
        assert quipu.counts("page:") == pages
        assert quipu.counts("#") == awk(path, '"', "{c[$8]++}")


def test_worldcup_requests_with_large_deltas(quipu):
    path = data("requests-per-minute-worldcup98.csv.gz")
    for _ in range(2):
        for key, column in [("requests", "num_request"), ("bytes", "3"), ("at {timestamp}", "num_request")]:
            quipu.take("--format", "csv", "--key", key, "--delta", column, "--time", "timestamp", path)
        assert quipu.run("get", "requests", "bytes").split() == ["1347611691", "5344348864771"]
        assert quipu.counts("at ") == awk(path, ",", 'NR>1{c["at " $1]+=$2}')
