from argparse import SUPPRESS, ArgumentParser
from typing import Any

from annotation.importing.importjob import take_back
from arbiter.cli.commandline import ArbiterCommand, positive
from arbiter.cli.import_progress import seen_through
from arbiter.core.errors import UserError
from arbiter.core.jobkinds import JOB_KINDS
from arbiter.core.models import Job
from arbiter.core.stopsignal import StopSignal
from benchmark.importunderway import KIND, unfinished_imports

LISTED = 20


class Command(ArbiterCommand):
    help = "List the imports, go on with one that was cut off, or take one back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="list|resume|cancel")
        listing = actions.add_parser("list", help="list the imports, the newest first")
        resuming = actions.add_parser("resume", help="go on with an import that was cut off")
        resuming.add_argument("number", type=positive, nargs="?", help="the import's; else the oldest one")
        cancelling = actions.add_parser("cancel", help="take back an import that has not ended")
        cancelling.add_argument("number", type=positive, help="the import's, as the list tells it")
        for action in (listing, resuming, cancelling):
            action.add_argument(
                "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
            )

    def run(self, *, action: str, json: bool, number: int | None = None, **_: Any) -> Any:
        if action == "list":
            rows = [_row(job) for job in Job.objects.filter(kind=KIND).order_by("-pk")[:LISTED]]
            return {"imports": rows} if json else rows
        job = _unfinished(number)
        if action == "resume":
            return seen_through(job, StopSignal())
        take_back(job)
        try:
            seen_through(job, StopSignal())
        except UserError:
            job.refresh_from_db()
            if job.state != Job.State.CANCELLED:
                raise
        return {"import": job.pk, "state": str(job.state)}


def _unfinished(number: int | None) -> Job:
    jobs = unfinished_imports().order_by("pk")
    job = (jobs.filter(pk=number) if number else jobs).first()
    if job is None:
        which = f"Import {number} is over, or there is none of that number" if number else "No import is open"
        raise UserError(f"{which}; `manage.py import list` shows them.")
    return job


def _row(job: Job) -> dict[str, Any]:
    asked = JOB_KINDS[KIND].read(job)
    return {
        "import": job.pk,
        "study": asked.study,
        "suite": asked.suite,
        "rows": asked.rows,
        "state": str(job.state),
        "percent": 100 if job.state == Job.State.DONE else job.percent,
        "doing": job.message if job.unfinished else job.error,
        "asked": job.created_at.isoformat(timespec="seconds"),
    }
