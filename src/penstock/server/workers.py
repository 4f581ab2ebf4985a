"""Several processes that serve one address: the parent listens, its workers accept.

    workers = Workers(4, command, listening)
    await workers.start()                # all of them serve when it returns
    workers.reload()
    await workers.stop()

Workers inherit the listening socket, and one end of a link: they say on it that they serve, and that the others are to
read their configuration again; and learn by its end that the parent is dead, however it died. Each has a session of its
own, so that a Ctrl-C reaches the parent alone.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

import structlog

from penstock.core.errors import ConfigError
from penstock.server.listener import BACKLOG
from penstock.server.metrics import forget_worker

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
"""Seconds before a worker that died is started again; the pause doubles from the first to the longest."""

STEADY = 30.0
"""Seconds after which a worker is taken to have begun well: the next pause is the first again."""

_READY, _RELOAD = b".", b"r"

_log = structlog.get_logger("penstock.workers")

Command = Callable[[int, int, int], Sequence[str]]
"""Returns the command of a worker from its place, and the descriptors of the listening socket and of its link."""


class Workers:
    """The workers of this process, which are started again if they die."""

    def __init__(self, number: int, command: Command, listening: socket.socket) -> None:
        self._number = number
        self._command = command
        self._listening = listening
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._serving: set[int] = set()  # the places of those that serve, and so know what SIGHUP means
        self._reloads = 0
        self._stopping = asyncio.Event()
        self._begun = False
        self._kept: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all workers.

        Raises:
            ConfigError: one ended before it served. It has said why.
        """
        ready = [asyncio.Event() for _ in range(self._number)]
        self._kept = [asyncio.create_task(self._keep(place, event)) for place, event in enumerate(ready)]
        all_ready = asyncio.gather(*(event.wait() for event in ready))
        done, _ = await asyncio.wait([all_ready, *self._kept], return_when=asyncio.FIRST_COMPLETED)
        if all_ready in done:
            self._begun = True
            return
        all_ready.cancel()
        await asyncio.gather(all_ready, return_exceptions=True)
        await self.stop()
        raise ConfigError("a worker ended before it served")

    def reload(self, asker: int | None = None) -> None:
        """Have all workers read the configuration again, but for the one that asks for it, which has done so.

        Whoever is only starting does it then: a SIGHUP before that would end it.
        """
        self._reloads += 1
        for place in self._serving - {asker}:
            _send(self._running[place], signal.SIGHUP)

    async def stop(self) -> None:
        """Have all workers end what they do, and wait for them."""
        self._stopping.set()
        self._listening.close()  # or clients could still connect, to nobody
        for process in self._running.values():
            _send(process, signal.SIGTERM)
        await asyncio.gather(*self._kept)

    async def _keep(self, place: int, ready: asyncio.Event) -> None:
        """Run a worker, again and again, until all stop or it does not even begin."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                why = _ending(await self._run(place, ready))
            except OSError as error:  # the system could not start it, for want of memory perhaps
                why = error.strerror or str(error)
                _log.error("worker_not_started", worker=place + 1, why=why)
            if self._stopping.is_set() or not self._begun:
                return
            if time.monotonic() - began > STEADY:
                pause = FIRST_PAUSE
            _log.warning("worker_died", worker=place + 1, why=why, restart_in=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, place: int, ready: asyncio.Event) -> int:
        """Run a worker to its end; return how that was.

        Raises:
            OSError: it cannot be started.
        """
        reloads = self._reloads
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = self._listening.fileno(), theirs.fileno()
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command(place, *descriptors), pass_fds=descriptors, start_new_session=True
                )
            except OSError:
                ours.close()
                raise
        self._running[place] = process
        if self._stopping.is_set():
            process.terminate()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            while said := await reader.read(1):
                if said == _RELOAD:
                    self.reload(place)
                    continue
                if self._begun:
                    _log.info("worker_started", worker=place + 1, pid=process.pid)
                self._serving.add(place)
                if self._reloads > reloads:
                    _send(process, signal.SIGHUP)
                ready.set()
            return await process.wait()
        except OSError:  # it died before it had read what it was sent
            return await process.wait()
        finally:
            self._serving.discard(place)
            del self._running[place]
            forget_worker(process.pid)
            writer.close()


class Parent:
    """The process that started this one, at the other end of a link."""

    def __init__(self, descriptor: int) -> None:
        self._link = socket.socket(fileno=descriptor)
        self._link.setblocking(False)

    def tell_ready(self) -> None:
        """Say that this process serves."""
        with contextlib.suppress(OSError):  # then it is dead
            self._link.send(_READY)

    def tell_reloaded(self) -> None:
        """Say that this process has read its configuration again, and that the other workers are to."""
        with contextlib.suppress(OSError):
            self._link.send(_RELOAD)

    def stop_with(self, stop: asyncio.Event) -> None:
        """Stop when the parent dies; and if this process is stopping already, end at once: nobody waits for it."""

        def died() -> None:
            if stop.is_set():
                os._exit(1)
            asyncio.get_running_loop().remove_reader(self._link)
            stop.set()

        asyncio.get_running_loop().add_reader(self._link, died)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    if sys.platform == "win32":
        raise OSError("several workers need a system where processes inherit sockets")
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _ending(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"
