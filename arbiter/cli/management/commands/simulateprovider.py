from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbiter.simulator.options import OptionError, add_options, from_parsed
from arbiter.simulator.server import StartError, run


class Command(BaseCommand):
    help = (
        "Serve an OpenAI-compatible provider on loopback whose models are simulated, in the dialects of five "
        "services."
    )
    requires_system_checks: list[str] = []  # it touches no database and no setting

    def add_arguments(self, parser: CommandParser) -> None:
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run(from_parsed(options), self._announce)
        except (OptionError, StartError) as error:
            raise CommandError(str(error)) from error

    def _announce(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
