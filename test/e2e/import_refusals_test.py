"""What ends an import, and what it leaves: nothing that the next import cannot take up."""
import pytest

import server as servers
from import_test import Quipu


@pytest.mark.parametrize("shards", [1, 3])
def test_no_line_is_used_up_by_a_setting_that_may_change(tmp_path, shards):
    if servers.available("quipu"):
        pytest.skip(servers.available("quipu"))
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
