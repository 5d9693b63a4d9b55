#!/usr/bin/env python3
"""A counter server with one fault to choose: what the kill test must find. fake_server.py PORT FOLDER FAULT

Faults: none | late-log (answers before the record has left the process) | lost-tokens (counts survive, tokens do not) |
phantom (a record is applied twice in recovery) | half-block (of a MULTI block the first add is logged, then the server
stands still until it is killed; once, and not before a PING) | todays-value (a replay returns the present value) |
swallow-conflict (another delta under a known token is answered as a replay) | false-refusal (every hundredth add with a
token is applied and answered as refused).
"""
import json
import os
import selectors
import signal
import socket
import sys

FAULTS = ("none", "late-log", "lost-tokens", "phantom", "half-block", "todays-value", "swallow-conflict",
          "false-refusal")


class Store:
    def __init__(self, folder, fault):
        self.fault, self.values, self.tokens, self.pending = fault, {}, {}, []
        path = os.path.join(folder, "log")
        self.cut, self.pinged = os.path.join(folder, "cut"), False
        if os.path.exists(path):
            with open(path, "rb+") as log:
                whole = log.read()
                whole = whole[:whole.rfind(b"\n") + 1]
                log.truncate(len(whole))  # a line that a kill cut off would spoil the next one
            lines = whole.decode().split("\n")[:-1]
            for n, line in enumerate(lines):
                for record in json.loads(line):
                    self.apply(*record, recovering=True)
                    if fault == "phantom" and n == len(lines) - 1:
                        self.apply(*record, recovering=True)
        self.log = open(path, "a", encoding="utf-8")

    def apply(self, counter, delta, token, recovering=False):
        self.values[counter] = self.values.get(counter, 0) + delta
        if token and not (recovering and self.fault == "lost-tokens"):
            self.tokens[counter, token] = (delta, self.values[counter])
        return self.values[counter]

    def commit(self, records):
        """A line is written whole; late-log leaves it in the process until 30 more have gathered."""
        if self.fault == "half-block" and len(records) > 1 and self.pinged and not os.path.exists(self.cut):
            self.write([records[:1]])
            with open(self.cut, "x", encoding="utf-8"):
                signal.pause()
        self.pending += [records] if records else []
        if self.fault == "late-log" and len(self.pending) < 30:
            return
        self.write(self.pending)
        self.pending = []

    def write(self, lines):
        for records in lines:
            self.log.write(json.dumps(records) + "\n")
        self.log.flush()

    def add(self, counter, delta, token, records):
        known = self.tokens.get((counter, token)) if token else None
        if known and known[0] != delta and self.fault != "swallow-conflict":
            return b"-TOKENCONFLICT other content\r\n"
        if known:
            value = self.values[counter] if self.fault == "todays-value" else known[1]
            return b"*2\r\n:%d\r\n+REPLAYED\r\n" % value
        records.append([counter, delta, token])
        value = self.apply(counter, delta, token)
        if self.fault == "false-refusal" and token and len(self.tokens) % 100 == 0:
            return b"-TRYAGAIN nothing happened\r\n"
        return b"*2\r\n:%d\r\n+APPLIED\r\n" % value if token else b":%d\r\n" % value

    def run(self, command, records):
        name = command[0].upper()
        if name == "QUIPU.ADD":
            return self.add(command[1], int(command[2]), command[4], records)
        if name == "INCR":
            return self.add(command[1], 1, "", records)
        if name == "GET":
            text = str(self.values[command[1]]).encode() if command[1] in self.values else None
            return b"$-1\r\n" if text is None else b"$%d\r\n%s\r\n" % (len(text), text)
        if name == "QUIPU.TOKEN":
            return b"*2\r\n+status\r\n+APPLIED\r\n" if (command[1], command[2]) in self.tokens else b"*-1\r\n"
        self.pinged = True
        return b"+PONG\r\n"


class Peer:
    def __init__(self, sock):
        self.sock, self.data, self.block = sock, b"", None

    def commands(self):
        while True:
            lines = self.data.split(b"\r\n", 1)
            if len(lines) < 2:
                return
            count = int(lines[0][1:])
            parts = self.data.split(b"\r\n", 2 * count + 1)
            if len(parts) < 2 * count + 2:
                return
            self.data = parts[-1]
            yield [part.decode() for part in parts[2:2 * count + 1:2]]

    def serve(self, store):
        out = b""
        for command in self.commands():
            name = command[0].upper()
            if name == "MULTI":
                self.block, out = [], out + b"+OK\r\n"
                continue
            if self.block is not None and name != "EXEC":
                self.block.append(command)
                out += b"+QUEUED\r\n"
                continue
            records = []
            replies = [store.run(c, records) for c in (self.block or [] if name == "EXEC" else [command])]
            out += (b"*%d\r\n" % len(replies) if name == "EXEC" else b"") + b"".join(replies)
            self.block = None
            store.commit(records)
        self.sock.sendall(out)


def main(port, folder, fault):
    assert fault in FAULTS, fault
    store = Store(folder, fault)
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port))
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                sock = listener.accept()[0]
                selector.register(sock, selectors.EVENT_READ, Peer(sock))
                continue
            try:
                data = key.fileobj.recv(1 << 16)
                key.data.data += data
                key.data.serve(store)
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
