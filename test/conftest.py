"""Fixtures of the tests that run whole programs. Each test with `server` runs on redis-server, which proves the test,
and then on Quipu, which it judges."""
import os
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import server as servers  # noqa: E402


@pytest.fixture(params=["redis", "quipu"])
def server(request, tmp_path):
    reason = servers.available(request.param)
    if reason:
        pytest.skip(reason)
    made = servers.make(request.param, str(tmp_path), durable=True).start()
    yield made
    made.stop()
