"""Fixtures of the tests that run whole programs. Each test with `server` runs on redis-server, which proves the test,
and then on Quipu, which it judges."""
import os
import pathlib
import sys
import tempfile

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import judges  # noqa: E402
import server as servers  # noqa: E402


@pytest.fixture
def tmp_path():
    """Instead of pytest's own, which keeps the folders of passed tests: a data directory here is large."""
    with tempfile.TemporaryDirectory(prefix="quipu-") as folder:
        yield pathlib.Path(folder)


@pytest.fixture(params=["redis", "quipu"])
def server(request, tmp_path):
    judges.need(request.param)
    made = servers.make(request.param, str(tmp_path), durable=True).start()
    yield made
    made.stop()
