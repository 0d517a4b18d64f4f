from argparse import ArgumentParser
from typing import Any

from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand
from judging.models import Settlement
from judging.settlement.settling import settle

Rule = Settlement.Rule


class Command(ArbiterCommand):
    help = (
        "Settle a final label for every item: an adjudication where there is one, gold where the study says "
        "so, else by a rule from the voters' labels."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument(
            "--rule",
            choices=[str(rule) for rule in (Rule.UNANIMOUS, Rule.MAJORITY, Rule.WEIGHTED, Rule.MODEL)],
            default=str(Rule.MAJORITY),
            help="how votes decide (default: majority)",
        )
        parser.add_argument(
            "--threshold",
            type=float,
            default=0.9,
            help="the posterior from which the model's label is accepted (default: 0.9)",
        )
        parser.add_argument(
            "--audit-share",
            type=float,
            default=0.0,
            help="the share of what votes alone settled that people check (default: 0)",
        )

    def run(self, *, study: str, rule: str, threshold: float, audit_share: float, **_: Any) -> dict[str, Any]:
        return settle(get_study(study), rule, threshold=threshold, audit_share=audit_share)
