from argparse import ArgumentParser
from typing import Any

from arbiter.cli.commandline import ArbiterCommand
from arbiter.studies.setup.demostudy import address_of_run, sign_in_links


class Command(ArbiterCommand):
    help = (
        "Fresh one-time sign-in links for the demo's people; they work on this machine only, for twelve "
        "hours."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base-url", default=address_of_run(), metavar="URL")

    def run(self, *, base_url: str, **_: Any) -> dict[str, str]:
        return sign_in_links(base_url.rstrip("/"))

    def show(self, result: Any) -> None:
        for name, link in result.items():
            self.stdout.write(f"{name:<12} {link}")
