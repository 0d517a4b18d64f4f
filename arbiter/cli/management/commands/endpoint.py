import argparse
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from arbiter.calls.checkitems import FAILED, CheckItem
from arbiter.calls.dialects import DIALECTS
from arbiter.cli.commandline import ArbiterCommand, positive, seconds
from arbiter.core.errors import UserError
from benchmark.endpoint_checks import check_endpoint, told
from benchmark.endpoints import description, endpoint_named, merged, update_endpoint
from benchmark.models import Endpoint
from judging.panel.asked_models import models_asked_at

SAID = (  # options that say a field themselves
    "base_url",
    "key_variable",
    "dialect",
    "json_schema",
    "ca_bundle",
    "proxy",
    "concurrency",
    "timeout",
    "connect_timeout",
    "read_timeout",
)
NAMED = ("headers", "query")


class Command(ArbiterCommand):
    help = "List the endpoints at which models are asked, describe one, or check what models take there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="list|set|check")
        actions.add_parser("list", help="list the endpoints")
        _add_description(actions.add_parser("set", help="describe an endpoint, or change what is said of it"))
        checking = actions.add_parser("check", help="find out by a few short calls what models take there")
        checking.add_argument("name", help="the endpoint's short name")
        checking.add_argument(
            "--model",
            dest="models",
            action="append",
            metavar="MODEL",
            help="a model to check; may be given again (those that are asked there)",
        )
        for action in actions.choices.values():
            action.add_argument(
                "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
            )

    def run(self, *, action: str, json: bool, name: str = "", **options: Any) -> Any:
        if action == "set":
            return description(update_endpoint(name, _changes(name, options)))
        if action == "check":
            return {"checks": self._check(endpoint_named(name), options["models"], quiet=json)}
        rows = [description(endpoint) for endpoint in Endpoint.objects.all()]
        return {"endpoints": rows} if json else [_short(row) for row in rows]

    def _check(
        self, endpoint: Endpoint, models: Sequence[str] | None, *, quiet: bool
    ) -> list[dict[str, Any]]:
        chosen = list(dict.fromkeys(models or models_asked_at(endpoint)))
        if not chosen:
            raise UserError(f"No model is asked at endpoint {endpoint.name!r} yet; name one with --model.")
        checks = []
        for model in chosen:
            if not quiet:
                self.stdout.write(f"{model} at {endpoint.name}")
            checks.append(told(check_endpoint(endpoint, model, self._ignore if quiet else self._tell)))
        return checks

    def _tell(self, item: CheckItem) -> None:
        self.stdout.write(f"  {item.title:<22} {item.state_title:<10} {item.said}")

    def _ignore(self, item: CheckItem) -> None:
        pass

    def show(self, result: Any) -> None:
        if not (isinstance(result, dict) and "checks" in result):  # else it was told as it was found
            super().show(result)

    def failed(self, result: Any) -> str:
        """Tell a script that a model gave no answer, and why."""
        checks = result.get("checks", []) if isinstance(result, dict) else []
        why = [
            f"{check['model']}: {item['said']}"
            for check in checks
            if not check["answered"]
            for item in check["found"]
            if item["state"] == FAILED
        ]
        return " ".join(why)


def _add_description(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="its short name; a new one is a new endpoint")
    parser.add_argument("--base-url", help="up to and including /v1, without the path of a call")
    parser.add_argument("--key-variable", metavar="NAME", help="the variable that holds the service's key")
    parser.add_argument("--dialect", choices=list(DIALECTS), help="of a new one, told from its host")
    parser.add_argument(
        "--json-schema", type=_truth, metavar="yes|no", help="whether it takes a JSON schema (the dialect's)"
    )
    parser.add_argument(
        "--header",
        dest="headers",
        action="append",
        type=_pair,
        metavar="NAME=VALUE",
        help="sent with every call; ${VARIABLE} in it is filled in; an empty value takes it out",
    )
    parser.add_argument(
        "--query",
        action="append",
        type=_pair,
        metavar="NAME=VALUE",
        help="a parameter of every call's address, likewise, such as api-version=2024-10-21",
    )
    parser.add_argument("--ca-bundle", metavar="FILE", help="certificates that are trusted alone")
    parser.add_argument("--proxy", metavar="URL", help="through which it is called; ${VARIABLE} as above")
    parser.add_argument("--concurrency", type=positive, help="calls in flight, at most (8)")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="for one call (120)")
    parser.add_argument("--connect-timeout", type=seconds, metavar="SECONDS", help="to be connected (10)")
    parser.add_argument("--read-timeout", type=seconds, metavar="SECONDS", help="without a byte")


def _changes(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    stored = Endpoint.objects.filter(name=name).first()
    if stored is None and not options["base_url"]:
        raise UserError(f"There is no endpoint {name!r} yet; describe it with --base-url URL.")
    said = {field: options[field] for field in SAID if options[field] is not None}
    pairs = {field: dict(options[field]) for field in NAMED if options[field] is not None}
    return said | {
        field: merged(getattr(stored, field) if stored else {}, changes) for field, changes in pairs.items()
    }


def _pair(text: str) -> tuple[str, str]:
    """Read NAME=VALUE for argparse. The value is not repeated where it is wrong: it may be a key."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError("should be NAME=VALUE")
    return name.strip(), value.strip()


def _truth(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"should be yes or no; it is {text!r}")
    return text == "yes"


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {field: row[field] for field in ("name", "base_url", "key_variable", "dialect", "concurrency")}
