from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from annotation.access import password_path
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError


class Command(ArbiterCommand):
    help = "A link by which a person sets their password, once: for who has forgotten theirs, superusers too."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--base-url", default="http://127.0.0.1:8000", metavar="URL")

    def run(self, *, name: str, base_url: str, **_: Any) -> dict[str, Any]:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise UserError(f"There is nobody called {name!r}.")
        hours = settings.PASSWORD_RESET_TIMEOUT // 3600
        return {"name": name, "link": f"{base_url.rstrip('/')}{password_path(user)}", "hours": hours}

    def show(self, result: Any) -> None:
        self.stdout.write(f"{result['link']}\n(works once, for {result['hours']} hours)")
