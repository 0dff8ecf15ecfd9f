"""Many subscribers as one process, with nothing but pyzmq: COUNT sockets, each for a `crowd.nN` of its own and for `crowd.all`.

    crowd.py FIRST COUNT

Prints, whenever it changes, how many of them have got an event of their own and how many have got one of `crowd.all`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import zmq

SOCKETS = 500  # of one context, whose default limit is 1,023


def main() -> None:
    first, count = int(sys.argv[1]), int(sys.argv[2])
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    contexts = [zmq.Context() for _ in range(0, count, SOCKETS)]
    poller = zmq.Poller()
    for n in range(count):
        socket = contexts[n // SOCKETS].socket(zmq.SUB)
        socket.connect(f"ipc://{os.environ['BUS_HOME']}/run/events.out")
        socket.subscribe(b"crowd.n%d\0" % (first + n))
        socket.subscribe(b"crowd.all\0")
        poller.register(socket, zmq.POLLIN)
    own: set[zmq.Socket[bytes]] = set()
    everybody: set[zmq.Socket[bytes]] = set()
    while not stopping.is_set():
        for socket, _ in poller.poll(100):
            (everybody if socket.recv().startswith(b"crowd.all\0") else own).add(socket)
        sys.stdout.write(f"{len(own)} {len(everybody)}\n")
        sys.stdout.flush()
    for context in contexts:
        context.destroy(linger=0)


if __name__ == "__main__":
    main()
