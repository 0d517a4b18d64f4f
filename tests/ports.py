"""Ports for servers that a test starts, or starts anew, at an address known beforehand."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ReservePort = Callable[[], int]  # the fixture `reserve_port`


@contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a port of this machine for as long as the block lasts: nobody who asks for a free one gets it.

    A server that reuses addresses, as all that tests start do, can listen there all the same; only Linux
    lets it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port
