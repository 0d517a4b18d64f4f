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
    amounts,
    parameter,
    positive,
    progress_bar,
    seconds,
)
from arbiter.cli.dry_run_table import show_collecting_forecast
from arbiter.core.errors import UserError
from arbiter.core.naming import ByName
from arbiter.core.stopsignal import StopSignal
from arbiter.core.text import digest, folded
from benchmark.collection.collect_forecast import forecast_collection
from benchmark.collection.collected_runs import require_tasks, run_at, subject_named
from benchmark.collection.collecting_run import collect
from benchmark.collection.collection_plans import plan_of, plan_there, refuse_arm
from benchmark.collection.waking_collectors import wake_collectors
from benchmark.collection.wanted_responses import (
    Collecting,
    cancel,
    collection_of,
    collections_in,
    lift_caps,
    pause,
    resume,
    set_caps,
    set_price,
)
from benchmark.conditions import BUILTIN, condition_named, read_conditions
from benchmark.endpoints import update_endpoint
from benchmark.models import Collection, Condition, Endpoint, Run, SubjectModel, Suite
from benchmark.suites import get_suite

TOLD_APART = ("failures", "not_sent", "stopped", "arms")  # of the result
PRICES = ("input_price", "output_price", "cached_price")
CHANGES = {"pause": pause, "resume": resume, "cancel": cancel}
DESCRIBING = ("key_variable", "dialect", "concurrency", "timeout")  # options of an endpoint, with --base-url


class Command(ArbiterCommand):
    help = (
        "Ask subject models for their responses to every task of a suite, under one condition or several. "
        "Stopping it loses nothing; run it again to go on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--suite", required=True, help="SLUG, or SLUG@VERSION")
        parser.add_argument(
            "--subject", required=True, help="the model's name, as the endpoint knows it; several: A,B"
        )
        parser.add_argument(
            "--condition", required=True, help="a built-in condition, or one of --conditions; several: x,y"
        )
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
        of = _wanted(chosen_suite, options)
        total = chosen_suite.tasks.filter(training=False).count() * epochs * len(of.run_ids)
        with progress_bar("collecting", total) as advance:
            return collect(of, epochs, retry=retry_failed, stopping=StopSignal(), on_progress=advance)

    def _change(
        self, suite: Suite, name: str, retry_failed: bool, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        self.changing = True
        if retry_failed:
            raise UserError(
                f"collect: --{name} is for all that is wanted and asks nothing, so it takes no "
                "--retry-failed; leave --retry-failed out."
            )
        of = _there(suite, options)
        _cap(of, options)
        changed = CHANGES[name](of)
        if name == "resume":
            wake_collectors()
        what = "responses_taken_back" if name == "cancel" else "changed"
        told = {"run": str(of.run)} if isinstance(of, Collection) else {"plan": str(of)}
        return {**told, "status": of.status, what: changed}

    def show(self, result: Any) -> None:
        if self.dry:
            show_collecting_forecast(result)
            return
        if self.changing:
            super().show(result)
            return
        super().show({name: value for name, value in result.items() if name not in TOLD_APART})
        if arms := result.get("arms"):
            self.table(arms)
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
def _wanted(suite: Suite, options: Mapping[str, Any]) -> Collecting:
    """Return what is to be collected: a run's collection, or a plan of several. All of it or nothing: what is
    refused leaves no row changed."""
    described = _endpoint(options)
    conditions = _conditions(options)
    for condition in conditions:
        require_tasks(suite, condition)
    subjects = [subject_named(name, described) for name in _subjects(options)]
    runs = [
        _run(suite, subject, condition, described, options)
        for subject in subjects
        for condition in conditions
    ]
    of = collection_of(runs[0]) if len(runs) == 1 else plan_of(runs)
    if isinstance(of, Collection):
        refuse_arm(of)
    _cap(of, options)
    return of


def _run(
    suite: Suite,
    subject: SubjectModel,
    condition: Condition,
    described: Endpoint | None,
    options: Mapping[str, Any],
) -> Run:
    """Return the run of a subject under a condition, with its endpoint."""
    name = options["run_name"]
    there = Run.objects.filter(suite=suite, subject=subject, condition=condition, name=name).first()
    endpoint = described or (there.endpoint if there else None) or subject.endpoint
    assert endpoint is not None  # subject_named has refused that
    connection_of(endpoint.service)
    return run_at(endpoint, suite, subject, condition, name, moved=options["moved"])


def _there(suite: Suite, options: Mapping[str, Any]) -> Collecting:
    """Return the collection of the run, or the plan of the runs, that the options name, UserError where there
    is none."""
    subjects = [SubjectModel.objects.called(name) for name in _subjects(options)]
    conditions = _conditions(options)
    runs = list(
        Run.objects.filter(
            suite=suite,
            subject__in=filter(None, subjects),
            condition__in=conditions,
            name=options["run_name"],
        )
    )
    several = len(subjects) * len(conditions) > 1
    of = plan_there(runs) if several else Collection.objects.filter(run__in=runs).first()
    if of is None or (several and len(runs) < len(subjects) * len(conditions)):
        told = ", ".join(map(str, conditions))
        raise UserError(
            f"Nothing was collected of {options['subject']!r} under {told} in "
            f"{'one plan of runs' if several else 'a run'} {options['run_name']!r} of {suite}; name "
            f"{'them' if several else 'the run'} as when it was collected."
        )
    if isinstance(of, Collection):
        refuse_arm(of)
    return of


def _subjects(options: Mapping[str, Any]) -> list[str]:
    """Return the subjects that are named: one whose name has a comma, or several."""
    told: str = options["subject"].strip()
    return [told] if SubjectModel.objects.called(told) else _apart(told, "--subject")


def _conditions(options: Mapping[str, Any]) -> list[Condition]:
    path, parameters = options["conditions"], _parameters(options)
    known, told = ByName(read_conditions(path).items()), options["condition"].strip()
    names = [told] if known.one(told) else _apart(told, "--condition")
    conditions = [condition_named(name, path, parameters) for name in names]
    if len({condition.pk for condition in conditions}) < len(conditions):
        raise UserError(f"--condition names the same condition twice, in other words: {told!r}.")
    return conditions


def _apart(told: str, option: str) -> list[str]:
    names = [name.strip() for name in told.split(",")]
    if "" in names or len(set(map(folded, names))) < len(names):
        raise UserError(f"{option} takes names with commas between them, each once; it is {told!r}.")
    return names


class _Undone(Exception):
    """Ends a transaction whose rows were only made to look at."""


def _dry_run(suite: Suite, epochs: int, retry: bool, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what collecting would take, and leave no row of it."""
    result: dict[str, Any] = {}
    with suppress(_Undone), transaction.atomic():
        result = forecast_collection(_wanted(suite, options), epochs, retry=retry)
        raise _Undone
    return result


def _parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    limit = options["max_tokens"]
    return dict(options["parameters"] or ()) | ({} if limit is None else {"max_tokens": limit})


def _cap(of: Collecting, options: Mapping[str, Any]) -> None:
    """Give the collection or plan the prices and the caps that the options say; what they leave out stays."""
    _price(of, options)
    calls, money = options["max_calls"], options["max_dollars"]
    if options["no_caps"]:
        lift_caps(of)
    elif calls is not None or money is not None:
        cost = of.max_cost if money is None else round(money * PICO)
        set_caps(of, calls if calls is not None else of.max_calls, cost)


def _price(of: Collecting, options: Mapping[str, Any]) -> None:
    """Give the collections of each subject the price that is said for all, or the one in its place."""
    given = {name: options[name] for name in PRICES if options[name] is not None}
    if not given:
        return
    if "input_price" not in given or "output_price" not in given:
        raise UserError("A price is --input-price and --output-price, and --cached-price beside them.")
    subjects = [SubjectModel.objects.called(name) for name in _subjects(options)]
    for name, prices in given.items():
        if len(prices) not in (1, len(subjects)):
            raise UserError(
                f"--{name.replace('_', '-')} takes one price, or one for each subject with commas between "
                f"them; it has {len(prices)} for {len(subjects)}."
            )
    for place, subject in enumerate(subjects):
        said = {name: per_token(prices[place % len(prices)]) for name, prices in given.items()}
        price = Price(said["input_price"], said["output_price"], said.get("cached_price"))
        for one in collections_in(of):
            if one.run.subject == subject:
                set_price(one, price)
    of.refresh_from_db()


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
        help = f"dollars for a million {what} tokens (the service's list price); one a subject: 1,2"
        caps.add_argument(option, type=amounts, metavar="AMOUNT", help=help)


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
