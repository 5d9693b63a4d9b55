"""A small RESP2 server for tests of the client side: answers what a test's function says, and can misbehave."""
import socket
import socketserver
import threading


class Drop(Exception):
    """Raised by an answer function: close the connection without a reply."""


def encode(value):
    """Python value -> RESP2: str = simple string, bytes = bulk, int, None, list, Exception = error reply."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, Exception):
        return b"-" + str(value).encode() + b"\r\n"
    if isinstance(value, str):
        return b"+" + value.encode() + b"\r\n"
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if isinstance(value, int):
        return b":%d\r\n" % value
    return b"*%d\r\n" % len(value) + b"".join(encode(v) for v in value)


def read_command(stream):
    """One command as a list of bytes; None at the end of the stream."""
    head = stream.readline()
    if not head:
        return None
    assert head[:1] == b"*", head
    arguments = []
    for _ in range(int(head[1:])):
        size = int(stream.readline()[1:])
        arguments.append(stream.read(size))
        stream.read(2)
    return arguments


class FakeServer:
    """`answer(arguments)` returns the reply, or raises Drop. Use as a context manager; `address` is HOST:PORT."""

    def __init__(self, answer):
        self.commands = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    while (arguments := read_command(self.rfile)) is not None:
                        outer.commands.append(arguments)
                        self.wfile.write(encode(answer(arguments)))
                except (Drop, ConnectionError):
                    self.request.close()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()


KEPT = []


def closed_port():
    """An address on which nobody listens, nor will: a socket that does not listen keeps it."""
    KEPT.append(socket.socket())
    KEPT[-1].bind(("127.0.0.1", 0))
    return "127.0.0.1:%d" % KEPT[-1].getsockname()[1]
