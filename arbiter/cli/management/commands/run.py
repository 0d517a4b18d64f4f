"""Start Arbiter on this machine, with its demo study: the web server, a worker and the simulated provider."""

import os
from typing import Any

from django.core.management.base import BaseCommand

from arbiter.cli.launch import serving
from arbiter.cli.launch.console import run_script


class Command(BaseCommand):
    requires_system_checks = []  # each of what it starts has its own
    help = "Start the web server, a worker and the simulated provider, until Ctrl-C."

    def handle(self, *_: Any, **options: Any) -> None:
        run_script(lambda _: serving.main(os.environ))
