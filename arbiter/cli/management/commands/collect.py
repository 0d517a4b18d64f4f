from argparse import ArgumentParser
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import transaction

from arbiter.calls.connecting import connection_of
from arbiter.calls.dialects import DIALECTS
from arbiter.calls.prices import PICO, Price, per_token
from arbiter.cli.commandline import (
    ArbiterCommand,
    add_control,
    amount,
    parameter,
    positive,
    progress_bar,
    seconds,
)
from arbiter.cli.dry_run_table import show_collecting_forecast
from arbiter.core.errors import UserError
from arbiter.core.stopsignal import StopSignal
from arbiter.core.text import digest
from benchmark.collection.collect_forecast import forecast_collection
from benchmark.collection.collected_runs import require_tasks, run_at, subject_named
from benchmark.collection.collecting_run import collect
from benchmark.collection.waking_collectors import wake_collectors
from benchmark.collection.wanted_responses import cancel, collection_of, pause, resume, set_caps, set_price
from benchmark.conditions import BUILTIN, condition_named
from benchmark.endpoints import update_endpoint
from benchmark.models import Collection, Endpoint, Run, SubjectModel, Suite
from benchmark.suites import get_suite

TOLD_APART = ("failures", "not_sent", "stopped")  # of the result
PRICES = ("input_price", "output_price", "cached_price")
CHANGES = {"pause": pause, "resume": resume, "cancel": cancel}
DESCRIBING = ("key_variable", "dialect", "concurrency", "timeout")  # options of an endpoint, with --base-url


class Command(ArbiterCommand):
    help = (
        "Ask a subject model for its response to every task of a suite. Stopping it loses nothing; run it "
        "again to go on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--suite", required=True, help="SLUG, or SLUG@VERSION")
        parser.add_argument("--subject", required=True, help="the model's name, as the endpoint knows it")
        parser.add_argument("--condition", required=True, help="a built-in condition, or one of --conditions")
        parser.add_argument(
            "--conditions", type=Path, default=BUILTIN, metavar="FILE", help="a YAML file of conditions"
        )
        parser.add_argument("--epochs", type=positive, default=1, help="responses to each task")
        parser.add_argument(
            "--run",
            dest="run_name",
            default="",
            metavar="NAME",
            help="a run of its own, beside the one without a name",
        )
        parser.add_argument(
            "--endpoint", help="the name of an endpoint a study file described, or for --base-url"
        )
        parser.add_argument("--base-url", help="an OpenAI-compatible service; remembered for the subject")
        parser.add_argument(
            "--moved",
            action="store_true",
            help="it is the service the run was collected at, at a new address",
        )
        parser.add_argument(
            "--key-variable", metavar="NAME", help="the variable that holds the service's key"
        )
        parser.add_argument(
            "--dialect", choices=list(DIALECTS), help="with --base-url (told from its host unless said)"
        )
        parser.add_argument("--concurrency", type=positive, help="calls in flight, with --base-url (8)")
        parser.add_argument(
            "--timeout", type=seconds, metavar="SECONDS", help="for one call, with --base-url (120)"
        )
        parser.add_argument("--retry-failed", action="store_true", help="ask again where the calls failed")
        _add_parameters(parser)
        _add_caps(parser)
        add_control(parser)

    def run(self, *, suite: str, epochs: int, retry_failed: bool, **options: Any) -> dict[str, Any]:
        chosen_suite = get_suite(suite)
        self.dry, self.changing = options["dry_run"], False
        if self.dry:
            return _dry_run(chosen_suite, epochs, retry_failed, options)
        for name in CHANGES:
            if options[name]:
                return self._change(chosen_suite, name, retry_failed, options)
        run = _run(chosen_suite, options)
        with progress_bar(
            "collecting", chosen_suite.tasks.filter(training=False).count() * epochs
        ) as advance:
            return collect(run, epochs, retry=retry_failed, stopping=StopSignal(), on_progress=advance)

    def _change(
        self, suite: Suite, name: str, retry_failed: bool, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        self.changing = True
        if retry_failed:
            raise UserError(
                f"collect: --{name} is for all that the run wants and asks nothing, so it takes no "
                "--retry-failed; leave --retry-failed out."
            )
        collection = _collection_there(suite, options)
        _cap(collection, options)
        changed = CHANGES[name](collection)
        if name == "resume":
            wake_collectors()
        what = "responses_taken_back" if name == "cancel" else "changed"
        return {"run": str(collection.run), "status": collection.status, what: changed}

    def show(self, result: Any) -> None:
        if self.dry:
            show_collecting_forecast(result)
            return
        if self.changing:
            super().show(result)
            return
        super().show({name: value for name, value in result.items() if name not in TOLD_APART})
        for said in result["not_sent"]:
            self.stdout.write(f"{said[0].upper()}{said[1:]}.")
        for one in result["failures"]:
            self.stdout.write(f"{one['count']:,} failed, as {one['task']}: {one['reason']}")
        if result["stopped"]:
            self.stdout.write(f"Stopped: {result['stopped']}.")

    def failed(self, result: Any) -> str:
        """Tell of a run of which nothing came, or to which nothing new did as calls failed: it is no success
        to a script."""
        if self.dry or self.changing:
            return ""
        nothing_new = result["failed"] and not result["responses"]
        if not (nothing_new or result["nothing_answered"]):
            return ""
        reasons = "; ".join(
            f"{one['reason'].rstrip('.')} ({one['count']:,})" for one in result["failures"][:3]
        )
        return f"No response came: every call failed. {reasons}. Ask again with --retry-failed."


@transaction.atomic
def _run(suite: Suite, options: Mapping[str, Any]) -> Run:
    """Return the run to collect, with its endpoint. All of it or nothing: what is refused leaves no row
    changed."""
    condition = condition_named(options["condition"], options["conditions"], _parameters(options))
    require_tasks(suite, condition)
    described, name = _endpoint(options), options["run_name"]
    subject = subject_named(options["subject"], described)
    there = Run.objects.filter(suite=suite, subject=subject, condition=condition, name=name).first()
    endpoint = described or (there.endpoint if there else None) or subject.endpoint
    assert endpoint is not None  # subject_named has refused that
    connection_of(endpoint.service)
    run = run_at(endpoint, suite, subject, condition, name, moved=options["moved"])
    _cap(collection_of(run), options)
    return run


def _collection_there(suite: Suite, options: Mapping[str, Any]) -> Collection:
    """Return the collection of the run that the options name, UserError where there is none."""
    condition = condition_named(options["condition"], options["conditions"], _parameters(options))
    subject = SubjectModel.objects.called(options["subject"].strip())
    runs = Run.objects.filter(suite=suite, subject=subject, condition=condition, name=options["run_name"])
    collection = Collection.objects.filter(run__in=runs).first()
    if collection is None:
        raise UserError(
            f"Nothing was collected of {options['subject']!r} under {condition} in a run "
            f"{options['run_name']!r} of {suite}; name the run as when it was collected."
        )
    return collection


class _Undone(Exception):
    """Ends a transaction whose rows were only made to look at."""


def _dry_run(suite: Suite, epochs: int, retry: bool, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what collecting would take, and leave no row of it."""
    result: dict[str, Any] = {}
    with suppress(_Undone), transaction.atomic():
        result = forecast_collection(_run(suite, options), epochs, retry=retry)
        raise _Undone
    return result


def _parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    limit = options["max_tokens"]
    return dict(options["parameters"] or ()) | ({} if limit is None else {"max_tokens": limit})


def _cap(collection: Collection, options: Mapping[str, Any]) -> None:
    """Give the collection the price and the caps that the options say; what they leave out stays."""
    prices = [options[name] for name in PRICES]
    if prices[0] is not None and prices[1] is not None:
        input_price, output_price, cached = (None if one is None else per_token(one) for one in prices)
        set_price(collection, Price(input_price or 0, output_price or 0, cached))
    elif any(price is not None for price in prices):
        raise UserError("A price is --input-price and --output-price, and --cached-price beside them.")
    calls, money = options["max_calls"], options["max_dollars"]
    if options["no_caps"]:
        set_caps(collection, None, None)
    elif calls is not None or money is not None:
        cost = collection.max_cost if money is None else round(money * PICO)
        set_caps(collection, calls if calls is not None else collection.max_calls, cost)


def _add_parameters(parser: ArgumentParser) -> None:
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="tokens of an answer, at most")
    parser.add_argument(
        "--parameter",
        dest="parameters",
        action="append",
        type=parameter,
        metavar="NAME=VALUE",
        help="a sampling parameter beside the condition's own, or in its place; may be given again",
    )


def _add_caps(parser: ArgumentParser) -> None:
    caps = parser.add_argument_group("what it may come to, over all times it is run")
    caps.add_argument("--max-calls", type=positive, metavar="N", help="let no call past so many set out")
    caps.add_argument(
        "--max-dollars", type=amount, metavar="AMOUNT", help="let no call set out that might cost more"
    )
    caps.add_argument("--no-caps", action="store_true", help="cap it no more")
    for name, what in zip(PRICES, ("prompt", "completion", "cached prompt"), strict=True):
        option = f"--{name.replace('_', '-')}"
        help = f"dollars for a million {what} tokens (the service's list price)"
        caps.add_argument(option, type=amount, metavar="AMOUNT", help=help)


def _endpoint(options: Mapping[str, Any]) -> Endpoint | None:
    """Return the endpoint that the options name or describe; what they leave out stays as it was."""
    name, base_url = options["endpoint"], options["base_url"]
    description = {key: options[key] for key in DESCRIBING if options[key] is not None}
    if base_url:
        name = name or _name(options["subject"], base_url, options["moved"])
        return update_endpoint(name, {"base_url": base_url, **description})
    if description:
        option = next(iter(description)).replace("_", "-")
        raise UserError(f"--{option} describes an endpoint, so it needs --base-url too.")
    if name and not Endpoint.objects.filter(name=name).exists():
        raise UserError(f"There is no endpoint {name!r}; describe it with --base-url URL.")
    return Endpoint.objects.filter(name=name).first() if name else None


def _name(subject: str, base_url: str, moved: bool) -> str:
    """Return the name of the subject's own endpoint. Where runs were collected there at another address, it
    stays theirs and this one gets a name of its own."""
    name = f"for-{_slug(subject)}"
    kept = Endpoint.objects.filter(name=name, runs__isnull=False).exclude(base_url=base_url)
    return f"{name[:72]}-{digest(base_url)[:6]}" if kept.exists() and not moved else name


def _slug(name: str) -> str:
    return (
        "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())[:60] + f"-{digest(name)[:6]}"
    )
