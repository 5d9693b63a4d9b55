"""The Redis port against clients that take more than their share: that do not read, that do not finish a request, that
are too many. What they cost in memory is measured at the process and has a bound; others are served meanwhile.

Each test prints what it measured. MiB are of the whole process."""
import os
import socket
import subprocess

import pytest

import judges
import resp
import server as servers

LIMIT_SECONDS = 300  # against hanging
MIB = 1 << 20


@pytest.fixture(autouse=True)
def binary():
    judges.need("quipu")


def start(tmp_path, *flags):
    return servers.make("quipu", str(tmp_path), flags=["--engine.memory=64MiB", *flags]).start()


def memory(server):
    """Bytes resident now."""
    with open(f"/proc/{server.process.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) << 10


def password(tmp_path):
    file = tmp_path / "password"
    file.write_text("secret\n")
    return f"--auth.password_file={file}"


def ended(sock):
    """Whether the server has closed it; what it still sends is dropped."""
    try:
        while sock.recv(1 << 16, socket.MSG_DONTWAIT):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def send_until_closed(socks, data, alive):
    """Sends without reading, on all in turn, as much as is taken, until the server has closed each. How many."""
    open_ = dict.fromkeys(socks, 0)
    for sock in socks:
        sock.setblocking(False)
    for _ in range(LIMIT_SECONDS * 100):
        for sock in list(open_):
            try:
                open_[sock] = (open_[sock] + sock.send(data[open_[sock]:])) % len(data)
            except BlockingIOError:
                pass
            except OSError:
                del open_[sock]
        if not open_:
            return len(socks)
        alive()
    return len(socks) - len(open_)


@pytest.mark.parametrize("authenticated", [True, False])
def test_clients_that_never_read_are_closed_and_cost_little(authenticated, tmp_path):
    clients, hard = 30, 2 * MIB
    flags = ["--resp.output_soft_limit=1MiB", "--resp.output_soft_time=100ms", f"--resp.output_hard_limit={hard}"]
    server = start(tmp_path, *flags, *([] if authenticated else [password(tmp_path)]))
    other = server.connect()
    if not authenticated:
        assert other.call("AUTH", "secret") == "OK"
    before, peak, counted = memory(server), 0, 0

    def alive():
        nonlocal peak, counted
        counted += 1
        assert other.call("INCR", "other") == counted
        peak = max(peak, memory(server))

    alive()
    request = resp.encode("COMMAND", "DOCS") if authenticated else resp.encode("GET", "k") * 1000
    closed = send_until_closed([socket.create_connection(("127.0.0.1", server.port)) for _ in range(clients)], request,
                               alive)
    print(f"never read, {'with' if authenticated else 'before'} AUTH: {closed} of {clients} closed; MiB at first "
          f"{before // MIB}, peak {peak // MIB}; {counted} adds of another client meanwhile")
    assert closed == clients
    # The hard limit, what one command more adds to it, the input that waits, and as much again for the allocator.
    assert peak - before < clients * 2 * (hard + MIB)
    assert server.stop() == 0


def test_requests_that_are_never_finished_hold_what_was_sent_and_no_more(tmp_path):
    clients = 500
    server = start(tmp_path, password(tmp_path))
    other = server.connect()
    assert other.call("AUTH", "secret") == "OK"
    before = memory(server)
    # The most that is taken before AUTH: nine of ten arguments of 16 KiB; and announcements of what never comes.
    whole = b"*10\r\n" + b"".join(b"$16384\r\n" + bytes(16384) + b"\r\n" for _ in range(9)) + b"$16384\r\n"
    waiting = []
    for n in range(clients):
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(whole)
        waiting.append(sock)
    taken = 0
    for _ in range(LIMIT_SECONDS * 100):
        info = other.call("INFO", "stats").decode()
        taken = int(next(line for line in info.splitlines() if line.startswith("total_net_input_bytes")).split(":")[1])
        if taken >= clients * len(whole):
            break
    held = memory(server) - before
    refused = []
    for announced in (b"*11\r\n", b"*1\r\n$16385\r\n", b"*1\r\n$-5\r\n", b"*1000000\r\n"):
        connection = server.connect()
        connection.send(announced)
        refused.append(connection.read())
        connection.close()
    for sock in waiting:
        sock.close()
    print(f"unfinished requests: {clients} of {len(whole)} bytes hold {held // MIB} MiB; announcements: {refused}")
    assert taken >= clients * len(whole)
    # A buffer doubles as it grows, and the allocator keeps the smaller ones for a while.
    assert held < clients * 4 * len(whole)
    assert all(isinstance(reply, resp.Error) for reply in refused), refused
    assert other.call("INCR", "other") == 1
    assert server.stop() == 0


def test_an_announced_size_takes_no_memory_before_it_comes(tmp_path):
    server = start(tmp_path)
    other = server.connect()
    before = memory(server)
    waiting = []
    for _ in range(200):
        for announced in (b"*1048576\r\n", b"*2\r\n$3\r\nGET\r\n$524288\r\n"):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(announced)
            waiting.append(sock)
    assert other.call("PING") == "PONG"
    grown = memory(server) - before
    print(f"announcements: {len(waiting)} connections, of 1,048,576 arguments or 512 KiB, hold {grown // 1024} KiB")
    assert grown < len(waiting) * 96 * 1024
    assert server.stop() == 0


def test_a_flood_of_connections_is_refused_and_leaves_no_trace(tmp_path):
    most, flood = 100, 1500
    server = start(tmp_path, f"--limits.connections={most}")
    other = server.connect()
    assert other.call("INCR", "other") == 1
    before, refused = memory(server), 0
    for round_ in range(2):
        crowd = [resp.Connection(server.port) for _ in range(flood // 2)]
        for connection in crowd:
            try:
                reply = connection.call("PING")
                refused += reply == "ERR max number of clients reached"
                assert reply == "PONG" or isinstance(reply, resp.Error), reply
            except (OSError, resp.Closed):
                refused += 1
        assert other.call("INCR", "other") == round_ + 2
        for connection in crowd:
            connection.close()
    grown = memory(server) - before
    print(f"flood: {refused} of {flood} connections refused, {grown // 1024} KiB more than before")
    assert refused >= flood - 2 * most
    assert grown < 16 * MIB
    for _ in range(LIMIT_SECONDS * 100):
        if server.answers():
            break
    assert server.answers()
    assert server.stop() == 0


def test_idle_connections_cost_some_kilobytes_each(tmp_path):
    server = start(tmp_path)
    other = server.connect()
    before = memory(server)
    crowd = [resp.Connection(server.port) for _ in range(1000)]
    for connection in crowd:
        assert connection.call("PING") == "PONG"
    each = (memory(server) - before) / len(crowd)
    print(f"idle: {len(crowd)} connections, {each / 1024:.1f} KiB each")
    assert each < 20 * 1024
    assert other.call("PING") == "PONG"
    assert server.stop() == 0


@pytest.mark.parametrize("address,allowed", [
    ("127.0.0.1:7379", True), ("127.9.9.9:7379", True), ("[::1]:7379", True), ("unix:/run/quipu.sock", True),
    ("0.0.0.0:7379", False), ("[::]:7379", False), ("192.0.2.1:7379", False), ("[2001:db8::1]:7379", False),
    ("128.0.0.1:7379", False), ("[::ffff:192.0.2.1]:7379", False), ("[::ffff:127.0.0.1]:7379", None)])
def test_only_loopback_goes_without_a_password_or_consent(address, allowed, tmp_path):
    def check(**variables):
        env = {**servers.plain_environment(), "QUIPU_LISTEN__RESP": address, **variables}
        return subprocess.run([os.environ["QUIPU_BINARY"], "config", "check"], capture_output=True, text=True, env=env,
                              timeout=LIMIT_SECONDS)

    done = check()
    if allowed is not None:
        assert (done.returncode == 0) == allowed, done.stdout + done.stderr
    assert check(QUIPU_AUTH__ALLOW_ANONYMOUS="true").returncode == 0
    secret = password(tmp_path).partition("=")[2]
    assert check(QUIPU_AUTH__PASSWORD_FILE=secret).returncode == 0
