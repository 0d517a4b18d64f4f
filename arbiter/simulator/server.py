"""The simulated provider's process: its socket, its signals, its end."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable

from aiohttp import web

from arbiter.simulator.knowledge import Knowledge
from arbiter.simulator.options import Options
from arbiter.simulator.provider import Provider
from benchmark.formats.records import FormatError

HOST = "127.0.0.1"
_BACKLOG = 1024
_PARENT_CHECK = 0.25  # seconds between two looks at whether the parent process still lives
_STOP_WITHIN = 0.5  # seconds that requests under way get when it stops


class StartError(Exception):
    """The server can't start; the message is one line that says why and what to do."""


def listen(port: int) -> socket.socket:
    """Bind a socket to the port, before the knowledge is read, so that a taken port is told at once."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        why = "is already in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        raise StartError(
            f"Port {port} on {HOST} {why}; choose another with --port (0 picks a free one)."
        ) from error
    return bound


def run(options: Options, announce: Callable[[str], object]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets one line once connections are accepted.

    Raises StartError where it can't start.
    """
    bound = listen(options.port)
    try:
        knowledge = Knowledge.load(options.labels)
    except FormatError as error:
        bound.close()
        raise StartError(str(error)) from error
    asyncio.run(_serve(Provider(options, knowledge), bound, options.stop_with, announce))


async def _serve(
    provider: Provider, bound: socket.socket, parent: int | None, announce: Callable[[str], object]
) -> None:
    # With handler_cancellation a request that hangs ends when its client leaves, else such tasks pile up.
    runner = web.AppRunner(
        provider.app(), access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_WITHIN
    )
    await runner.setup()
    try:
        await web.SockSite(runner, bound, backlog=_BACKLOG).start()
        stop = _stop_signal()
        announce(f"simulated provider on http://{HOST}:{bound.getsockname()[1]}/v1")
        await _until(stop, parent)
    finally:
        await runner.cleanup()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, parent: int | None) -> None:
    """Wait for the signal; with a parent, also until this process is somebody else's child."""
    while not stop.is_set() and (parent is None or os.getppid() == parent):
        try:
            await asyncio.wait_for(stop.wait(), timeout=_PARENT_CHECK if parent else None)
        except TimeoutError:
            continue
