from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from arbiter.cli.commandline import ArbiterCommand
from arbiter.cli.management.commands.signinlinks import Command as SignInLinks
from arbiter.core.guards import install as install_guards
from arbiter.studies.setup.demostudy import load_demo


class Command(ArbiterCommand):
    help = (
        "What `make run` needs before it serves, in one process: migrations, the demo study, sign-in links."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--simulator-url", default="http://127.0.0.1:8001/v1", metavar="URL")
        parser.add_argument("--base-url", default="http://127.0.0.1:8000", metavar="URL")

    def run(self, *, simulator_url: str, base_url: str, **_: Any) -> dict[str, str]:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0)
        install_guards()
        load_demo(simulator_url)
        return SignInLinks().run(base_url=base_url)

    show = SignInLinks.show
