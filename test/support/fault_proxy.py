#!/usr/bin/env python3
"""A TCP proxy that makes the faults of a network: fault_proxy.py SEED UPSTREAM-PORT PORT[:twice]...

Each connection draws what will happen to it: nothing; every piece is held for up to 20 ms; every byte travels alone;
a reset, or one direction shut, after some number of bytes, in the middle of whatever that is. What comes in at a port
marked `twice` goes to the server over two connections, of which only the first is answered from.

Steered over stdin: `share X` (of the connections that are faulty from now on), `end` (prints one line of JSON, how
often each fault happened, and exits). SEED decides every draw, in the order of the connections of a port.
"""
import collections
import json
import random
import selectors
import socket
import struct
import sys
import time

FAULTS = ("delay", "fragment", "reset", "half-close")
HOLD_SECONDS_MAX = 0.02
CUT_BYTES_MAX = 30_000
READ_BYTES = 1 << 16
HELD_BYTES_MAX = 1 << 20  # nothing more is read from a side while so much waits for the other
CONNECT_SECONDS = 60


class Flow:
    """One direction: what came from `source` and goes to `sink`, or nowhere."""

    def __init__(self, link, source, sink):
        self.link, self.source, self.sink = link, source, sink
        self.pieces = collections.deque()  # (due, bytes)
        self.held = self.taken = 0
        self.cut_after = None  # bytes until the fault
        self.ended = self.shut = self.blocked = False

    def take(self, data, now):
        if self.sink is None or self.shut:
            return
        plan = self.link.plan
        if self.cut_after is not None and self.taken + len(data) >= self.cut_after:
            data = data[:self.cut_after - self.taken]
            self.ended = True
        self.taken += len(data)
        self.held += len(data)
        due = now
        if plan == "delay":
            due = max(now + self.link.chance.uniform(0, HOLD_SECONDS_MAX), self.pieces[-1][0] if self.pieces else 0)
            self.link.count("delay")
        if plan == "fragment":
            self.link.count("fragment", len(data))
            self.pieces.extend((due, data[n:n + 1]) for n in range(len(data)))
        elif data:
            self.pieces.append((due, data))

    def is_cut(self):
        return self.cut_after is not None and self.taken >= self.cut_after

    def send(self, now):
        """Sends what is due, as far as the sink takes it."""
        self.blocked = False
        while self.pieces and self.pieces[0][0] <= now:
            due, data = self.pieces.popleft()
            try:
                sent = self.sink.send(data)
            except BlockingIOError:
                sent = 0
            self.held -= sent
            if sent < len(data):
                self.pieces.appendleft((due, data[sent:]))
                self.blocked = True
                return


class Link:
    """A client's connection and the one or two to the server."""

    def __init__(self, proxy, client, chance, twice, share):
        self.proxy, self.chance, self.client = proxy, chance, client
        self.plan = chance.choice(FAULTS) if chance.random() < share else "none"
        self.uplinks = [self.connect(proxy.upstream) for _ in range(2 if twice else 1)]
        self.up = [Flow(self, client, uplink) for uplink in self.uplinks]
        self.down = Flow(self, self.uplinks[0], client)
        self.dropped = [Flow(self, uplink, None) for uplink in self.uplinks[1:]]
        if self.plan in ("reset", "half-close"):
            chance.choice([self.up[0], self.down]).cut_after = chance.randrange(1, CUT_BYTES_MAX)
        self.open = True
        for sock in (client, *self.uplinks):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            proxy.selector.register(sock, selectors.EVENT_READ, self)

    @staticmethod
    def connect(port):
        return socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)

    def count(self, fault, times=1):
        self.proxy.counts[fault] += times

    def flows(self):
        return [*self.up, self.down, *self.dropped]

    def on_event(self, sock, events, now):
        mine = [flow for flow in self.flows() if flow.source is sock]
        if events & selectors.EVENT_READ and not all(flow.ended for flow in mine):
            data = sock.recv(READ_BYTES)
            for flow in mine:
                if not data:
                    flow.ended = True
                elif not flow.ended:
                    flow.take(data, now)
        self.move(now)

    def move(self, now):
        if not self.open:
            return
        for flow in self.flows():
            flow.send(now)
            if flow.ended and not flow.pieces and not flow.shut:
                self.end_of(flow)
            if not self.open:
                return
        for sock in (self.client, *self.uplinks):
            mine = [flow for flow in self.flows() if flow.source is sock]
            reads = any(not flow.ended for flow in mine) and max(flow.held for flow in mine) < HELD_BYTES_MAX
            self.proxy.watch(sock, self, reads, any(flow.blocked and flow.sink is sock for flow in self.flows()))

    def end_of(self, flow):
        flow.shut = True
        if flow.is_cut():
            self.count(self.plan)
            if self.plan == "reset":
                return self.close(abruptly=True)
        if flow is self.down and not flow.is_cut() or flow is self.up[0] and self.down.shut:
            if len(self.uplinks) > 1 and self.up[1].taken:
                self.count("twice")
            return self.close()
        if flow.sink is not None:
            flow.sink.shutdown(socket.SHUT_WR)
        return None

    def close(self, abruptly=False):
        self.open = False
        for sock in (self.client, *self.uplinks):
            if abruptly:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.proxy.forget(sock)
            sock.close()


class Proxy:
    def __init__(self, seed, upstream):
        self.seed, self.upstream = seed, upstream
        self.selector = selectors.DefaultSelector()
        self.counts = collections.Counter()
        self.watched = {}  # socket -> events, for those that are registered
        self.links = []
        self.share = 0.0

    def listen(self, port, twice):
        listener = socket.create_server(("127.0.0.1", port), backlog=100)
        self.selector.register(listener, selectors.EVENT_READ,
                               (listener, random.Random(f"{self.seed}:{port}"), twice))

    def accept(self, listener, chance, twice):
        client = listener.accept()[0]
        try:
            self.links.append(Link(self, client, chance, twice, self.share))
            self.counts["connections"] += 1
        except OSError:  # the server is down for the moment
            client.close()

    def watch(self, sock, link, reads, writes):
        events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)
        known = self.watched.get(sock, selectors.EVENT_READ)
        if events == known:
            return
        if events == 0:
            self.selector.unregister(sock)
        elif known == 0:
            self.selector.register(sock, events, link)
        else:
            self.selector.modify(sock, events, link)
        self.watched[sock] = events

    def forget(self, sock):
        if self.watched.pop(sock, selectors.EVENT_READ) != 0:
            self.selector.unregister(sock)

    def steer(self):
        """False at the end."""
        words = sys.stdin.readline().split()
        if words[:1] == ["share"]:
            self.share = float(words[1])
        return words[:1] == ["share"]

    def run(self):
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)
        while True:
            self.links = [link for link in self.links if link.open]
            due = [flow.pieces[0][0] for link in self.links for flow in link.flows()
                   if flow.pieces and not flow.blocked]
            events = self.selector.select(max(0.0, min(due) - time.monotonic()) if due else None)
            now = time.monotonic()
            for key, mask in events:
                if key.data is None:
                    if not self.steer():
                        return print(json.dumps(self.counts), flush=True)
                elif isinstance(key.data, tuple):
                    self.accept(*key.data)
                elif key.data.open:
                    self.guard(key.data, lambda k=key, m=mask: k.data.on_event(k.fileobj, m, now))
            for link in self.links:
                self.guard(link, lambda l=link: l.move(now))

    @staticmethod
    def guard(link, action):
        """A side that broke takes the other with it."""
        try:
            action()
        except OSError:
            if link.open:
                link.close()


def main(seed, upstream, *ports):
    proxy = Proxy(seed, int(upstream))
    for port in ports:
        number, _, kind = port.partition(":")
        proxy.listen(int(number), kind == "twice")
    print("listening", flush=True)
    proxy.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
