"""A RESP client of a few lines that shares nothing with the server or with any library under test.

Replies come back as int, bytes (bulk), str (simple), None, list, dict, bool, float, or Error (a value, never raised).
"""
import socket


class Error(str):
    """An error reply: its text without the leading minus."""


class Closed(Exception):
    """The connection ended before the reply did."""


def encode(*args):
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        arg = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


class Connection:
    def __init__(self, port, timeout_s=300.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def call(self, *args):
        self.send(encode(*args))
        return self.read()

    def pipeline(self, commands):
        self.send(b"".join(encode(*c) for c in commands))
        return [self.read() for _ in commands]

    def read(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise Closed(f"connection ended after {line!r}")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Error(rest.decode(errors="replace"))
        if kind in b":(":
            return int(rest)
        if kind in b"$=":
            size = int(rest)
            return None if size < 0 else self._exactly(size + 2)[:-2]
        if kind in b"*~>":
            count = int(rest)
            return None if count < 0 else [self.read() for _ in range(count)]
        if kind == b"%":
            return {_key(self.read()): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise ValueError(f"not a reply: {line!r}")

    def _exactly(self, size):
        data = self.reader.read(size)
        if len(data) != size:
            raise Closed(f"connection ended {size - len(data)} bytes early")
        return data

    def close(self):
        self.reader.close()
        self.socket.close()


def _key(value):
    return tuple(value) if isinstance(value, list) else value
