from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from annotation.models import Study
from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand, add_control, positive, progress_bar
from arbiter.cli.dry_run_table import show_dry_run
from arbiter.core.errors import UserError
from arbiter.core.stopsignal import StopSignal
from judging.panel.forecast import dry_run, of_the_priced
from judging.panel.judging_run import judge_study, verdicts_owed
from judging.panel.tuning_verdicts import tuning_items
from judging.panel.waking import wake_workers
from judging.panel.wanted_verdicts import active_judges, cancel, pause, resume

CHANGES = {"pause": pause, "resume": resume, "cancel": cancel}


class Command(ArbiterCommand):
    help = (
        "Ask a study's judges for every verdict that is missing. Stopping it loses nothing; run it again to "
        "go on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--judge", default="", metavar="NAME", help="only this judge")
        parser.add_argument("--limit", type=positive, help="at most this many verdicts in this call")
        parser.add_argument(
            "--tuning",
            action="store_true",
            help="want verdicts on the tuning gold alone, to compare versions",
        )
        parser.add_argument("--retry-failed", action="store_true", help="ask again for verdicts that failed")
        add_control(parser)

    def run(
        self, *, study: str, judge: str, limit: int | None, retry_failed: bool, tuning: bool, **options: Any
    ) -> dict[str, Any]:
        chosen_study = get_study(study)
        self.dry = options["dry_run"]
        if tuning:
            chosen = {f"--{name.replace('_', '-')}": options[name] for name in ("dry_run", *CHANGES)}
            _refuse_beside("tuning", {"--limit": limit is not None, **chosen})
        if self.dry:
            return dry_run(chosen_study, active_judges(chosen_study, judge), limit, retry=retry_failed)
        for name in CHANGES:
            if options[name]:
                _refuse_beside(name, {"--limit": limit is not None, "--retry-failed": retry_failed})
                return self._change(chosen_study, judge, name)
        total = len(tuning_items(chosen_study)) if tuning else limit or verdicts_owed(chosen_study, judge)
        with progress_bar("judging", total) as advance:
            return judge_study(
                chosen_study,
                judge,
                limit,
                retry=retry_failed,
                tuning=tuning,
                stopping=StopSignal(),
                on_progress=advance,
            )

    def _change(self, study: Study, judge: str, change: str) -> dict[str, Any]:
        judges = active_judges(study, judge)
        changed = CHANGES[change](judges)
        if change == "resume":
            wake_workers()
        what = "verdicts_taken_back" if change == "cancel" else "judges_changed"
        return {"study": study.slug, "judges": [str(sj.judge) for sj in judges], what: changed}

    def show(self, result: Any) -> None:
        if self.dry:
            show_dry_run(result)
            return
        super().show({name: value for name, value in result.items() if name != "not_sent"})
        for said in result.get("not_sent", ()):
            print(f"{said[0].upper()}{said[1:]}.")
        if unpriced := result.get("unpriced"):
            print(f"dollars: {of_the_priced(unpriced)}.")


def _refuse_beside(change: str, given: Mapping[str, bool]) -> None:
    for option in (name for name, is_given in given.items() if is_given):
        if change == "tuning":
            raise UserError(
                f"judge: --tuning wants its own verdicts and asks for them, so it takes no {option}."
            )
        raise UserError(
            f"judge: --{change} is for all that its judges owe and asks nothing, so it takes no {option}; "
            f"leave {option} out."
        )
