#!/usr/bin/env python3
"""The demo's clients: new connections and datagrams counted by who answers, and a steady load.

  client.py tcp  ADDRESS PORT COUNT   COUNT requests, each on a connection of its own
  client.py udp  ADDRESS PORT COUNT   COUNT datagrams, each from a port of its own
  client.py load ADDRESS PORT         until SIGTERM; SIGUSR1 begins the next phase

Every answer is a line "POD CLIENT-ADDRESS". The outcome is printed as lines that demo.sh reads.
"""

import collections
import http.client
import signal
import socket
import sys
import threading
import time

TIMEOUT_S = 2
KEPT_CONNECTIONS = 24
PAUSE_S = 0.004


def get(connection):
    """The answer's two words, and whether the server is about to hang up."""
    connection.request("GET", "/")
    response = connection.getresponse()
    pod, client = response.read().decode().split()
    return pod, client, response.will_close


def connect(address, port):
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask_tcp(address, port):
    connection = connect(address, port)
    try:
        return get(connection)[:2]
    finally:
        connection.close()


def ask_udp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(TIMEOUT_S)
        # Connected: an answer that does not come from the Service's address never arrives here.
        datagrams.connect((address, port))
        datagrams.send(b"?")
        return datagrams.recv(2048).decode().split()


def spread(ask, address, port, count):
    pods, clients, failures = collections.Counter(), set(), []
    for _ in range(count):
        try:
            pod, client = ask(address, port)
            pods[pod] += 1
            clients.add(client)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(repr(error))
    for pod, number in sorted(pods.items()):
        print("pod", pod, number)
    for client in sorted(clients):
        print("client", client)
    for failure in failures:
        print("failure", failure)


class Load:
    """Connections that are kept, and new ones one after the other."""

    def __init__(self, address, port):
        self.target = (address, port)
        self.over = threading.Event()
        self.phase = 0
        self.new = collections.defaultdict(collections.Counter)
        self.failures, self.moved, self.hung_up, self.kept_requests = [], [], [], 0
        self.lock = threading.Lock()

    def open_new(self):
        while not self.over.is_set():
            phase = self.phase
            try:
                pod, _ = ask_tcp(*self.target)
                self.new[phase][pod] += 1
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.failures.append(f"new connection, phase {phase}: {error!r}")
            time.sleep(PAUSE_S)

    def keep(self):
        connection, home = None, None
        while not self.over.is_set():
            try:
                if connection is None:
                    connection, home = connect(*self.target), None
                pod, _, closing = get(connection)
                with self.lock:
                    self.kept_requests += 1
                if home not in (None, pod):
                    self.moved.append(f"{home} became {pod}")
                home = pod
                if closing:
                    self.hung_up.append(pod)
                    connection = None
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.failures.append(f"kept connection to {home}, phase {self.phase}: {error!r}")
                connection = None
            time.sleep(PAUSE_S * KEPT_CONNECTIONS)

    def next_phase(self, *_):
        self.phase += 1

    def run(self):
        signal.signal(signal.SIGUSR1, self.next_phase)
        signal.signal(signal.SIGTERM, lambda *_: self.over.set())
        threads = [threading.Thread(target=self.open_new)]
        threads += [threading.Thread(target=self.keep) for _ in range(KEPT_CONNECTIONS)]
        for thread in threads:
            thread.start()
        while not self.over.wait(0.1):  # signals are heard between waits
            pass
        for thread in threads:
            thread.join()
        for phase in range(self.phase + 1):
            for pod, number in sorted(self.new[phase].items()):
                print("phase", phase, pod, number)
        print("kept", self.kept_requests)
        for kind in ("hung_up", "moved", "failures"):
            for what in getattr(self, kind):
                print(kind.removesuffix("s"), what)


def main():
    match sys.argv[1:]:
        case ["tcp", address, port, count]:
            spread(ask_tcp, address, int(port), int(count))
        case ["udp", address, port, count]:
            spread(ask_udp, address, int(port), int(count))
        case ["load", address, port]:
            Load(address, int(port)).run()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
