"""The life of `quipu serve` as its surroundings see it: readiness, signals, exit codes, logs."""
import json
import os
import shutil
import signal
import socket
import subprocess

import pytest
import judges
import resp
import server as servers


LIMIT_SECONDS = 300  # against hanging
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def start(tmp_path, *flags, data="data", env=None, port=None, cwd=None):
    port = port or servers.free_port()
    command = [os.environ["QUIPU_BINARY"], "serve", f"--listen.resp=127.0.0.1:{port}",
               f"--data_dir={tmp_path / data}", servers.SMALL_SEGMENTS, *flags]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, cwd=cwd, env={**servers.plain_environment(), **(env or {})},
                               preexec_fn=servers.end_with_parent)
    process.port = port
    return process


def wait_until_ready(process):
    """Reads its standard error up to the lines to try."""
    seen = []
    for line in process.stderr:
        seen.append(line)
        if " import --format" in line:
            return seen
    raise AssertionError(f"ended with {process.wait()}: {seen}")


@pytest.fixture(autouse=True)
def binary():
    judges.need("quipu")


def test_it_says_where_it_listens_and_what_to_try(tmp_path):
    process = start(tmp_path)
    said = wait_until_ready(process)
    assert f"127.0.0.1:{process.port}" in said[0]
    assert said[1] == f"  redis-cli -p {process.port} incr hello\n"
    process.terminate()
    out, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert [e["event"] for e in events] == ["store.recovered", "resp.listening", "server.draining", "server.stopped"]
    assert all(e["level"] == "info" and e["ts"].endswith("Z") and e["msg"] for e in events)


def test_what_it_says_to_try_works_as_printed(tmp_path):
    process = start(tmp_path, cwd=ROOT)
    lines = wait_until_ready(process)[-3:]
    said = [subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS)
            for line in lines]
    process.terminate()
    process.communicate(timeout=LIMIT_SECONDS)
    assert [done.returncode for done in said] == [0, 0, 0], said
    assert said[0].stdout.strip() == "1"
    assert said[1].stdout.split()[0] == "2", said[1].stdout


def test_sigterm_answers_what_is_in_flight_and_keeps_it(tmp_path):
    process = start(tmp_path)
    wait_until_ready(process)
    connection = resp.Connection(process.port)
    connection.send(b"".join(resp.encode("INCR", "n") for _ in range(1000)))
    assert connection.read() == 1
    process.terminate()
    answered = 1
    try:
        while True:
            answered = connection.read()
    except (resp.Closed, OSError):
        pass
    assert process.wait(timeout=LIMIT_SECONDS) == 0
    again = start(tmp_path)
    wait_until_ready(again)
    assert int(resp.Connection(again.port).call("GET", "n")) >= answered
    again.send_signal(signal.SIGINT)
    assert again.wait(timeout=LIMIT_SECONDS) == 0


def test_a_second_server_on_the_same_data_is_exit_75(tmp_path):
    first = start(tmp_path)
    wait_until_ready(first)
    second = start(tmp_path)
    _, errors = second.communicate(timeout=LIMIT_SECONDS)
    assert second.returncode == 75, errors
    check = subprocess.run([os.environ["QUIPU_BINARY"], "check", str(tmp_path / "data")], capture_output=True)
    assert check.returncode == 75, check.stderr
    first.terminate()
    assert first.wait(timeout=LIMIT_SECONDS) == 0


def test_a_taken_port_is_exit_71(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, port=taken.getsockname()[1])
        _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 71, errors


def test_a_file_in_the_place_of_the_unix_socket_is_exit_71_and_stays(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("content")
    process = start(tmp_path, f"--listen.resp=unix:{precious}")
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 71, errors
    assert "is no socket" in errors
    assert precious.read_text() == "content"


def test_damaged_data_is_exit_65_for_serve_and_check(tmp_path):
    first = start(tmp_path)
    wait_until_ready(first)
    first.terminate()
    first.communicate(timeout=LIMIT_SECONDS)
    with open(tmp_path / "data" / "store", "r+b") as store:
        store.seek(20)
        store.write(b"\xff\xff")
    second = start(tmp_path)
    _, errors = second.communicate(timeout=LIMIT_SECONDS)
    assert second.returncode == 65, errors
    assert "store" in errors
    check = subprocess.run([os.environ["QUIPU_BINARY"], "check", str(tmp_path / "data")], capture_output=True)
    assert check.returncode == 65, check.stderr


def test_check_serves_where_nothing_may_be_written_and_changes_nothing(tmp_path):
    data = tmp_path / "data"
    process = start(tmp_path)
    wait_until_ready(process)
    connection = resp.Connection(process.port)
    assert connection.call("QUIPU.ADD", "n", 5, "TOKEN", "t")[0] == 5
    process.kill()
    process.communicate(timeout=LIMIT_SECONDS)
    found = [data, *data.rglob("*")]
    for path in found:
        path.chmod(path.stat().st_mode & ~0o222)

    def everything():
        return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else sorted(path.iterdir()))
                for path in found}

    before = everything()
    # Root may write anywhere, unless it gives up just that.
    bounded = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 and shutil.which("setpriv") else []
    check = subprocess.run([*bounded, os.environ["QUIPU_BINARY"], "check", str(data)], capture_output=True, text=True,
                           timeout=LIMIT_SECONDS)
    assert everything() == before
    for path in found:
        path.chmod(path.stat().st_mode | 0o200)
    assert check.returncode == 0, check.stdout + check.stderr


def test_a_data_directory_that_cannot_be_made_is_exit_71(tmp_path):
    process = start(tmp_path, "--data_dir=/proc/none")
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 71, errors


def test_a_bad_configuration_is_exit_78_and_lists_everything(tmp_path):
    process = start(tmp_path, "--engine.shard=2", "--log.level=loud", env={"QUIPU_JURNAL__BACKEND": "auto"})
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 78
    for wanted in ["did you mean `engine.shards`?", "log.level: `loud`", "QUIPU_JURNAL__BACKEND", "3 problems"]:
        assert wanted in errors
    assert not (tmp_path / "data").exists()


def test_a_wide_address_needs_a_password_or_consent(tmp_path):
    process = start(tmp_path, "--listen.resp=0.0.0.0:0")
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 78 and "auth.allow_anonymous" in errors
    missing = start(tmp_path, f"--auth.password_file={tmp_path / 'nothing'}")
    _, errors = missing.communicate(timeout=LIMIT_SECONDS)
    assert missing.returncode == 78, errors


def test_the_password_file_guards_the_port(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    process = start(tmp_path, f"--auth.password_file={secret}")
    wait_until_ready(process)
    quipu = [os.environ["QUIPU_BINARY"], "add", "n", "--address", f"127.0.0.1:{process.port}"]
    env = servers.plain_environment()
    assert subprocess.run(quipu, capture_output=True, env=env).returncode == 77
    assert subprocess.run([*quipu, "--password-file", str(secret)], capture_output=True, env=env).stdout == b"1\n"
    process.terminate()
    out, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0
    assert "open sesame" not in out


def test_dev_data_is_gone_at_the_end(tmp_path):
    command = [os.environ["QUIPU_BINARY"], "serve", "--dev", servers.SMALL_SEGMENTS,
               f"--listen.resp=127.0.0.1:{servers.free_port()}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env={**servers.plain_environment(), "TMPDIR": str(tmp_path)},
                               preexec_fn=servers.end_with_parent)
    wait_until_ready(process)
    assert len(os.listdir(tmp_path)) == 1
    process.terminate()
    process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0 and os.listdir(tmp_path) == []


def test_sighup_reads_the_configuration_again_as_a_whole_or_not_at_all(tmp_path):
    config = tmp_path / "quipu.toml"
    config.write_text('[log]\nlevel = "error"\n')
    process = start(tmp_path, f"--config={config}")
    wait_until_ready(process)
    connection = resp.Connection(process.port)

    def reload(text):
        """The lines that the signal brought."""
        config.write_text(text)
        process.send_signal(signal.SIGHUP)
        lines = []
        while not lines or lines[-1]["event"] not in ("config.reloaded", "config.refused"):
            lines.append(json.loads(process.stdout.readline()))
        assert connection.call("PING") == "PONG"
        return lines

    refused = reload('[log]\nlevel = "info"\n[engine]\nshard = 2\n')
    assert "quipu.toml:4" in refused[0]["problem"] and "engine.shards" in refused[0]["problem"]
    lines = reload('[log]\nlevel = "info"\n[engine]\nshards = 2\n')
    assert [(e["event"], e.get("key")) for e in lines] == [("config.needs_restart", "engine.shards"),
                                                           ("config.reloaded", None)]
    config.unlink()
    process.send_signal(signal.SIGHUP)
    assert json.loads(process.stdout.readline())["event"] == "config.refused"
    process.terminate()
    out, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["server.draining", "server.stopped"]


def test_the_service_manager_is_told(tmp_path):
    # A name of its own, not a path: those may have 107 bytes only, and the project may lie anywhere.
    name = f"quipu-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        manager.settimeout(LIMIT_SECONDS)
        process = start(tmp_path, env={"NOTIFY_SOCKET": "@" + name})
        assert manager.recv(100) == b"READY=1"
        process.send_signal(signal.SIGHUP)
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(100) == b"READY=1"
        process.terminate()
        assert manager.recv(100) == b"STOPPING=1"
    assert process.wait(timeout=LIMIT_SECONDS) == 0
