"""A proxy that does to HTTP what bad links and tired servers do. Each fault is drawn from a seeded source."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, get_args

Fault = Literal[
    "none",
    "answer_lost",  # the request arrives, nothing comes back
    "answer_cut",  # a part of the answer comes back
    "request_cut",  # a part of the request arrives
    "doubled",  # the request arrives twice at once
    "late",  # it gets no answer now, and arrives after later ones
    "error",  # 500, 502 or 503 without reaching the server
    "throttled",  # 429 with Retry-After: 0
    "slow",  # bytes come back at 1 KB/s
    "hangs",  # accepted, and never answered
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
SLOW_BYTES_PER_S = 1000
LATE_AT_MOST = 8
HANG_S = 60.0


class HostileProxy:
    """Listens on `port` of loopback, and passes requests on to `target`, another one. `counts` says what it did."""

    def __init__(self, target: int, *, seed: int, share: float) -> None:
        """`share` of the requests meet a fault, each kind as often as another."""
        self._target = target
        self._random = random.Random(seed)
        self._share = share
        self._late: list[bytes] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.counts: Counter[Fault] = Counter()

    @contextmanager
    def running(self) -> Iterator[HostileProxy]:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._listener.close()
            thread.join(5)

    def become(self, share: float) -> None:
        """From now on so many of the requests meet a fault."""
        with self._lock:
            self._share = share

    def calm(self) -> None:
        """From now on it is a good link; what was late arrives."""
        self.become(0.0)
        self._deliver_late()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(HANG_S)
            fault = self._draw()
            if fault == "hangs":
                client.recv(1)
                self._over.wait(HANG_S)
                return
            if not (request := _message(client)):
                return
            if answer := self._meet(fault, request):
                self._answer(client, answer, fault)

    def _draw(self) -> Fault:
        with self._lock:
            fault = self._random.choice(FAULTS[1:]) if self._random.random() < self._share else "none"
            self.counts[fault] += 1
        return fault

    def _meet(self, fault: Fault, request: bytes) -> bytes:
        """What the fault makes of a request; the answer, or nothing."""
        if fault == "error":
            return _bare(f"{self._random.choice((500, 502, 503))} Broken")
        if fault == "throttled":
            return _bare("429 Too Many Requests", "Retry-After: 0\r\n")
        if fault == "request_cut":
            self._pass_on(request[: self._random.randrange(1, len(request))], whole=False)
            return b""
        if fault == "late":
            with self._lock:
                self._late.append(request)
            if len(self._late) > LATE_AT_MOST:
                self._deliver_late()
            return b""
        if fault == "doubled":
            other = threading.Thread(target=self._pass_on, args=(request,))
            other.start()
            answer = self._pass_on(request)
            other.join()
            return answer
        answer = self._pass_on(request)
        return b"" if fault == "answer_lost" else answer

    def _answer(self, client: socket.socket, answer: bytes, fault: Fault) -> None:
        if fault == "answer_cut":
            client.sendall(answer[: self._random.randrange(len(answer))])
        elif fault == "slow":
            for start in range(0, len(answer), 100):
                client.sendall(answer[start : start + 100])
                time.sleep(100 / SLOW_BYTES_PER_S)  # this is the fault
        else:
            client.sendall(answer)

    def _deliver_late(self) -> None:
        """The requests held back arrive now, in any order; nobody waits for their answers."""
        with self._lock:
            late, self._late = self._late, []
            self._random.shuffle(late)
        for request in late:
            self._pass_on(request)

    def _pass_on(self, request: bytes, *, whole: bool = True) -> bytes:
        """The server's answer; nothing where there is none."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._target), timeout=HANG_S) as server:
            server.sendall(request)
            if not whole:
                return b""
            return _message(server)
        return b""


def _message(connection: socket.socket) -> bytes:
    """One HTTP message with a Content-Length, or none; what came of it where the other end stopped."""
    got = b""
    while b"\r\n\r\n" not in got:
        if not (more := connection.recv(65536)):
            return got
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        if not (more := connection.recv(65536)):
            break
        body += more
    return head + b"\r\n\r\n" + body


def _bare(status: str, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n".encode()
