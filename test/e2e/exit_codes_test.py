"""Every documented exit code, from the real binary. The table of the manual (docs/operating/cli.md) is read: a code
that it names and no case here produces is an error."""
import os
import re
import shutil
import socket
import subprocess

import pytest

import judges
import resp
import server as servers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MANUAL = os.path.join(ROOT, "docs/operating/cli.md")
LIMIT_SECONDS = 300
# A disk that answers every sync with EIO.
FAILING_SYNC = """
#include <errno.h>
int fsync(int fd) { (void)fd; errno = EIO; return -1; }
int fdatasync(int fd) { (void)fd; errno = EIO; return -1; }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    judges.need("quipu")
    running = servers.make("quipu", str(tmp_path_factory.mktemp("server"))).start()
    yield running
    assert running.stop() == 0


def quipu(*words, env=None):
    done = subprocess.run([os.environ["QUIPU_BINARY"], *words], capture_output=True, text=True, timeout=LIMIT_SECONDS,
                          stdin=subprocess.DEVNULL, env={**servers.plain_environment(), **(env or {})})
    return done.returncode, done.stdout + done.stderr


def serve(data, *flags, env=None):
    return quipu("serve", f"--listen.resp=127.0.0.1:{servers.free_port()}", f"--data_dir={data}",
                 servers.SMALL_SEGMENTS, *flags, env=env)


def client(server, *words):
    return quipu(*words, "--address", f"127.0.0.1:{server.port}")


def used_directory(tmp_path):
    """A data directory in which something was counted."""
    once = servers.make("quipu", str(tmp_path)).start()
    once.connect().call("INCR", "k")
    assert once.stop() == 0
    return tmp_path / "data"


def done(server, tmp_path):
    return client(server, "add", "k")


def failure(server, tmp_path):
    log = tmp_path / "log"
    log.write_text("key,amount\na,many\n")
    return client(server, "import", "--format", "csv", "--key", "{key}", "--delta", "amount", str(log))


def usage(server, tmp_path):
    return client(server, "top", "abc")


def not_found(server, tmp_path):
    return client(server, "token", "k", "never-seen")


def conflict(server, tmp_path):
    assert client(server, "add", "k", "1", "--token", "t")[0] == 0
    return client(server, "add", "k", "2", "--token", "t")


def unavailable(server, tmp_path):
    return quipu("add", "k", "--address", f"127.0.0.1:{servers.free_port()}", "--timeout", "200ms")


def unknown(server, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        return quipu("add", "k", "--address", f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "500ms")


def damaged(server, tmp_path):
    data = used_directory(tmp_path)
    shutil.rmtree(data / "journal")
    assert quipu("check", str(data))[0] == 65
    return serve(data)


def port(server, tmp_path):
    return quipu("serve", f"--listen.resp=127.0.0.1:{server.port}", f"--data_dir={tmp_path / 'data'}",
                 servers.SMALL_SEGMENTS)


def disk(server, tmp_path):
    if not shutil.which("gcc"):
        judges.missing("gcc", "gcc is not installed: it makes the library that fails every sync")
    source, library = tmp_path / "sync.c", tmp_path / "sync.so"
    source.write_text(FAILING_SYNC)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return serve(tmp_path / "data", "--journal.backend=thread", env={"LD_PRELOAD": str(library)})


def locked(server, tmp_path):
    return serve(os.path.join(os.path.dirname(server.log_path), "data"))


def permission(server, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("secret\n")
    guarded = servers.make("quipu", str(tmp_path), flags=[f"--auth.password_file={secret}"]).start()
    try:
        return client(guarded, "add", "k")
    finally:
        guarded.stop()


def configuration(server, tmp_path):
    return serve(tmp_path / "data", "--no.such.key=1")


CASES = {0: done, 1: failure, 2: usage, 3: not_found, 4: conflict, 5: unavailable, 6: unknown, 65: damaged, 71: port,
         74: disk, 75: locked, 77: permission, 78: configuration}


def test_the_manual_names_these_codes_and_no_others():
    with open(MANUAL, encoding="utf-8") as manual:
        table = manual.read().split("## Exit codes")[1]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == list(CASES)


def test_what_is_in_the_way_is_named_and_what_to_do(server, tmp_path):
    assert "listen.resp: bind 127.0.0.1:" in port(server, tmp_path)[1]
    data = os.path.join(os.path.dirname(server.log_path), "data")
    for said in (locked(server, tmp_path), quipu("check", data)):
        assert said[0] == 75 and f"{data}/lock" in said[1] and "one process at a time" in said[1], said


@pytest.mark.parametrize("code", CASES)
def test_the_code_is_what_the_manual_says(server, tmp_path, code):
    said = CASES[code](server, tmp_path)
    assert said[0] == code, said
    assert said[1], "it says why, or what it did"
