"""Stopping on SIGTERM or Ctrl-C: what is in flight is finished or given back."""

import signal
from threading import current_thread, main_thread
from types import FrameType


class StopSignal:
    """False until the process is told to stop. A second Ctrl-C is the usual interrupt. Only a process's main
    thread hears signals."""

    def __init__(self) -> None:
        self.told = False
        if current_thread() is not main_thread():
            return
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)

    def _tell(self, _signal: int, _frame: FrameType | None) -> None:
        self.told = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __call__(self) -> bool:
        return self.told
