from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from benchmark.collection import collect, subject_named
from benchmark.commandline import ArbiterCommand, positive, progress_bar, seconds
from benchmark.conditions import BUILTIN, condition_named
from benchmark.endpoints import update_endpoint
from benchmark.errors import UserError
from benchmark.models import Endpoint
from benchmark.stopping import StopSignal
from benchmark.suites import get_suite
from benchmark.text import digest


class Command(ArbiterCommand):
    help = "Ask a subject model for its response to every task of a suite. Stopping it loses nothing; run it again to go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--suite", required=True, help="SLUG, or SLUG@VERSION")
        parser.add_argument("--subject", required=True, help="the model's name, as the endpoint knows it")
        parser.add_argument("--condition", required=True, help="a built-in condition, or one of --conditions")
        parser.add_argument(
            "--conditions", type=Path, default=BUILTIN, metavar="FILE", help="a YAML file of conditions"
        )
        parser.add_argument("--epochs", type=positive, default=1, help="responses to each task")
        parser.add_argument(
            "--endpoint", help="the name of an endpoint a study file described, or for --base-url"
        )
        parser.add_argument("--base-url", help="an OpenAI-compatible service; remembered for the subject")
        parser.add_argument(
            "--key-variable", metavar="NAME", help="the variable that holds the service's key"
        )
        parser.add_argument("--concurrency", type=positive, help="calls in flight, with --base-url (8)")
        parser.add_argument(
            "--timeout", type=seconds, metavar="SECONDS", help="for one call, with --base-url (120)"
        )
        parser.add_argument("--retry-failed", action="store_true", help="ask again where the calls failed")

    def run(
        self, *, suite: str, subject: str, condition: str, epochs: int, retry_failed: bool, **options: Any
    ) -> dict[str, Any]:
        found = get_suite(suite)
        under = condition_named(condition, options["conditions"])
        model = subject_named(subject, _endpoint(subject, options))
        with progress_bar("collecting", found.tasks.filter(training=False).count() * epochs) as advance:
            return collect(
                found,
                model,
                under,
                epochs,
                retry_failed=retry_failed,
                stopping=StopSignal(),
                on_progress=advance,
            )


def _endpoint(subject: str, options: dict[str, Any]) -> Endpoint | None:
    """The endpoint the options name or describe; what they leave out stays as it was."""
    name, base_url = options["endpoint"], options["base_url"]
    given = {
        key: options[key] for key in ("key_variable", "concurrency", "timeout") if options[key] is not None
    }
    if base_url:
        return update_endpoint(name or f"for-{_slug(subject)}", {"base_url": base_url, **given})
    if given:
        raise UserError(
            f"--{next(iter(given)).replace('_', '-')} describes an endpoint, so it needs --base-url too."
        )
    if name and not Endpoint.objects.filter(name=name).exists():
        raise UserError(f"There is no endpoint {name!r}; describe it with --base-url URL.")
    return Endpoint.objects.filter(name=name).first() if name else None


def _slug(name: str) -> str:
    return (
        "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())[:60] + f"-{digest(name)[:6]}"
    )
