"""What ends an import, and what it leaves: nothing that the next import cannot take up."""
import gzip
import json
import subprocess

import pytest

import judges
import server as servers
from import_test import Quipu, quipu  # noqa: F401 (a fixture)


@pytest.mark.parametrize("shards", [1, 3])
def test_no_line_is_used_up_by_a_setting_that_may_change(tmp_path, shards):
    judges.need("quipu")
    path = str(tmp_path / "in")
    with open(path, "w", encoding="utf-8") as out:
        out.write("a\nb\nc\na\n")
    arguments = ["--format", "lines", "--key", "{line}", path]

    def serve(setting):
        folder = tmp_path / setting
        folder.mkdir()
        flags = [f"--engine.shards={shards}", f"--namespaces.default.{setting}"]
        return Quipu(servers.make("quipu", str(folder), flags=flags).start())

    strict = serve("token_required=true")
    report = strict.take(*arguments)[0]
    assert (report["taken"], report["refused"]) == (4, 0), "a step is safe to repeat without tokens"
    strict.server.stop()

    small = serve("counters_max=3")
    small.run("add", "in the way")
    assert "QUOTA_EXCEEDED" in small.refuse(5, *arguments)
    small.run("clear", "in the way", "--delete", "--yes")
    report = small.take(*arguments)[0]
    assert (report["taken"], report["already"], report["refused"]) == (4, 0, 0)
    small.server.stop()


def test_each_file_is_in_the_report_and_one_that_fails_ends_none_of_the_others(quipu, tmp_path):
    """The exit code is that of the first failure; of damaged data 65, of a missing file 3."""
    content = "".join(f"line-{i % 1000}\n" for i in range(300_000)).encode()
    whole = gzip.compress(content)
    (tmp_path / "cut.gz").write_bytes(whole[:-3])
    (tmp_path / "flipped.gz").write_bytes(whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) +
                                          whole[len(whole) // 2 + 1:])
    (tmp_path / "good.gz").write_bytes(whole)
    names = [str(tmp_path / name) for name in ("cut.gz", "missing", "flipped.gz", "good.gz")]
    command = quipu.command("import", "--format", "lines", "--key", "{line}", *names, "--json")
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, env=servers.plain_environment())
    assert done.returncode == 65, done.stderr
    report = json.loads(done.stdout)
    assert [(entry["file"], entry["taken"], entry["status"]) for entry in report] == list(
        zip(names, (0, 0, 0, 300_000), ("DATA_LOSS", "NOT_FOUND", "DATA_LOSS", "DONE")))
    assert done.stderr.count(b"damaged at byte") == 2
    assert sum(quipu.counts().values()) == 300_000


def test_what_a_pipe_brought_before_its_damage_is_counted_and_reported(quipu):
    whole = gzip.compress("".join(f"line-{i % 1000}\n" for i in range(900_000)).encode())
    command = quipu.command("import", "--format", "lines", "--key", "{line}", "-", "--json")
    done = subprocess.run(command, capture_output=True, input=whole[:-3], env=servers.plain_environment())
    assert done.returncode == 65, done.stderr
    assert json.loads(done.stdout)[0]["taken"] == sum(quipu.counts().values()) > 0
