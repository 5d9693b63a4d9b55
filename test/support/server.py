"""Starts, kills and restarts the server under test: Quipu's binary, or Debian's redis-server, which proves the test."""
import ctypes
import os
import shutil
import signal
import socket
import subprocess

import resp

# Limits against hanging, far beyond what the slowest machine needs.
START_SECONDS = 300
STOP_SECONDS = 300
# The least there is: a server lays out two segments at its start, by default 128 MiB, and tests start hundreds.
SMALL_SEGMENTS = "--journal.segment_size=16MiB"
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


# Below the range from which the system takes the ports of outgoing connections: one of those could otherwise get the
# port of a server that is down for a moment, even that of the client which waits for it and would then hear itself.
PORTS = range(10240, 32768)
RESERVED = []


def free_port():
    """A port that nobody uses and that no other test gets while this process lives."""
    for n in range(len(PORTS)):
        port = PORTS[(os.getpid() * 131 + n) % len(PORTS)]
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0quipu-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        RESERVED.append(reservation)
        return port
    raise RuntimeError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


def plain_environment():
    """Without the tests' own variables: to the server an unknown QUIPU_ variable is an error."""
    return {name: value for name, value in os.environ.items() if not name.startswith("QUIPU_")}


def end_with_parent():
    """In the child before exec: a test that is killed takes its servers with it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def redis_command(port, folder, durable=False):
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
            "--appendonly", "yes" if durable else "no", "--appendfsync", "always", "--daemonize", "no"]


def quipu_command(binary, port, folder, flags=()):
    return [binary, "serve", f"--listen.resp=127.0.0.1:{port}", f"--data_dir={os.path.join(folder, 'data')}", *flags]


class Server:
    """One server process on loopback. `command` takes the port and gives the arguments to run."""

    def __init__(self, name, command, folder, port=None):
        self.name = name
        self.environment = {}  # beside the plain one
        self.before_exec = end_with_parent
        self.port = port or free_port()
        self.command = command(self.port)
        self.log_path = os.path.join(folder, f"{name}.log")
        self.process = None

    def launch(self):
        """Starts the process and waits for nothing."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**plain_environment(), **self.environment},
                                            preexec_fn=self.before_exec)

    def start(self):
        """Starts the process and returns when it answers PING."""
        self.launch()
        if not self.wait_until_answers():
            raise RuntimeError(f"{self.name} ended with {self.process.returncode} at start:\n{self.log()}")
        return self

    def wait_until_answers(self):
        """False if it ended before it answered PING."""
        for _ in range(START_SECONDS * 50):
            if self.answers():
                return True
            try:
                self.process.wait(timeout=0.02)
                return False
            except subprocess.TimeoutExpired:
                pass
        raise RuntimeError(f"{self.name} does not answer after {START_SECONDS} s:\n{self.log()}")

    def answers(self):
        try:
            connection = resp.Connection(self.port, timeout_s=5)
            try:
                reply = connection.call("PING")
                return reply == "PONG" or str(reply).startswith("NOAUTH")
            finally:
                connection.close()
        except (OSError, resp.Closed):
            return False

    def connect(self):
        return resp.Connection(self.port)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()[-20000:]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends it in order and returns its exit code."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError(f"{self.name} ignored SIGTERM for {STOP_SECONDS} s:\n{self.log()}")
        return self.process.returncode if self.process else None

    def restart(self):
        self.stop()
        return self.start()


def available(kind):
    """Why a server of this kind cannot be had here, or None. A binary that was named but is absent is an error."""
    if kind == "redis":
        return None if shutil.which("redis-server") else "redis-server is not installed"
    binary = os.environ.get("QUIPU_BINARY")
    if not binary:
        return "QUIPU_BINARY names no server"
    if not os.access(binary, os.X_OK):
        raise RuntimeError(f"QUIPU_BINARY={binary} is no program")
    return None


def make(kind, folder, durable=False, flags=()):
    if kind == "redis":
        return Server(kind, lambda port: redis_command(port, folder, durable), folder)
    binary = os.environ["QUIPU_BINARY"]
    return Server(kind, lambda port: quipu_command(binary, port, folder, [SMALL_SEGMENTS, *flags]), folder)
