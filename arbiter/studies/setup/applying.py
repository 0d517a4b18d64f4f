"""Applying a study file. All of it is one transaction, and applying the same file again changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation.guidelines import set_guidelines
from annotation.models import Adjudication, Gold, Item, LabelScheme, Question, Rater, Rating, Study
from annotation.raters import LIKE_A_VERSION, known_everywhere
from annotation.schemes import SchemeSpec, builtin_scheme, save_scheme, scheme_from_file
from annotation.studyfinder import find_study
from annotation.suiteaccess import grant_study
from arbiter.core.batching import batches
from arbiter.core.errors import UserError
from arbiter.core.naming import ByName
from arbiter.core.text import folded
from arbiter.studies.setup.studydraws import draw_items
from arbiter.studies.setup.studyfile import (
    StudySpec,
    names_guidelines,
    names_scheme,
    read_study_file,
)
from arbiter.studies.setup.studyjudges import apply_caps, apply_judges
from benchmark.importunderway import (
    refuse_while_being_made,
    refuse_while_importing,
    refuse_while_importing_of,
)
from benchmark.models import Response
from benchmark.suites import get_suite, slug_there
from judging.models import Attempt
from judging.panel.scoring import apply_scorers, load_program
from judging.prompts import Beside


@dataclass(frozen=True)
class Applied:
    """What applying a study file came to."""

    study: Study
    created: bool
    items_added: int
    waiting: list[str]

    def summary(self) -> dict[str, Any]:
        active = self.study.judges.filter(active=True).select_related("judge__rater")
        return {
            "study": self.study.slug,
            "created": self.created,
            "scheme": str(self.study.scheme),
            "items": self.study.items.count(),
            "items_added": self.items_added,
            "judges": [str(study_judge.judge) for study_judge in active],
            "waiting": self.waiting,
        }


def apply_file(path: Path) -> Applied:
    """Apply a study file, with the files that it names beside it."""
    spec = read_study_file(path)
    for scorer in spec.scorers:  # now, and not while the database waits: what they import may take its time
        load_program(scorer.name, scorer.entry_point)
    return apply(spec, path.parent)


@transaction.atomic
def apply(spec: StudySpec, beside: Beside = None) -> Applied:
    """Make the study, or bring it to what the file says. Items and ratings only ever come to it.

    Whoever calls this answers for it that the study may use its suite; what comes from a browser was asked
    before (`check_edit`).

    Files it names are looked for `beside` it; where that holds their texts, none is read.
    """
    refuse_while_importing_of(spec.suite.partition("@")[0])
    refuse_while_being_made(spec.study)
    scheme = _scheme(spec.scheme, beside)
    there = find_study(spec.study)
    if there:
        refuse_while_importing(there.pk)
    study, created = Study.objects.get_or_create(
        slug=there.slug if there else spec.study,
        defaults={"title": spec.title or spec.study, "scheme": scheme},
    )
    _keep_scheme(study, scheme)
    study.title, study.description = spec.title or spec.study, spec.description
    study.voters, study.gold_decides = spec.settlement.voters, spec.settlement.gold_decides
    study.config = spec.model_dump(mode="json")
    study.save()
    grant_study(slug_there(spec.suite.partition("@")[0]), study)
    _apply_questions(study, spec, beside)
    _apply_humans(study, spec, beside)
    added = _add_items(study, spec)
    apply_judges(study, spec, beside)
    apply_scorers(study, spec.scorers)
    apply_caps(study, spec)
    _refuse_unknown_voters(spec)
    return Applied(study, created, added, draw_items(study))


def _apply_humans(study: Study, spec: StudySpec, beside: Beside) -> None:
    """Keep how people label. Guidelines that changed are a new version; what raters were shown names it."""
    if spec.humans is None:
        return
    study.humans = spec.humans.model_dump(mode="json", exclude={"guidelines"})
    study.save(update_fields=["humans"])
    set_guidelines(study, _text_or_file(spec.humans.guidelines, beside))


def _text_or_file(text: str, beside: Beside) -> str:
    if not names_guidelines(text) or isinstance(beside, Mapping):
        return text
    path = (beside or Path()) / text.strip()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"humans.guidelines: {path} can't be read ({error}).") from error


def _scheme(chosen: str | SchemeSpec, beside: Beside) -> LabelScheme:
    """Return the scheme: built in, written out in the study file, or in a file of its own beside it."""
    if not isinstance(chosen, str):
        return save_scheme(chosen)
    if names_scheme(chosen) and not isinstance(beside, Mapping):
        return save_scheme(scheme_from_file((beside or Path()) / chosen))
    return builtin_scheme(chosen)


def _apply_questions(study: Study, spec: StudySpec, beside: Beside) -> None:
    """Make or change the questions; one that was asked keeps its scheme, which its ratings rest on."""
    for wanted in spec.questions:
        scheme = _scheme(wanted.scheme, beside)
        question, _ = Question.objects.get_or_create(
            study=study, name=wanted.name, defaults={"scheme": scheme}
        )
        if question.scheme_id == scheme.pk:
            continue
        rated = Rating.objects.filter(item__study=study, question=wanted.name).exists()
        if rated or _asked(study, wanted.name):
            raise UserError(
                f"questions: {wanted.name!r} was asked under scheme {question.scheme}; under {scheme} it "
                "would be another question, so give it another name."
            )
        question.scheme = scheme
        question.save()


def _asked(study: Study, question: str = "") -> bool:
    """Tell whether judges were called for a question: their prompts are put together anew from its scheme."""
    return Attempt.objects.filter(study_judge__study=study, study_judge__judge__question=question).exists()


def _keep_scheme(study: Study, scheme: LabelScheme) -> None:
    if study.scheme_id == scheme.pk:
        return
    labelled = any(kind.objects.filter(item__study=study).exists() for kind in (Rating, Gold, Adjudication))
    if labelled:
        raise UserError(
            f"Study {study.slug!r} has labels under scheme {study.scheme}; labels of {scheme} could not "
            "be compared with them. Describe a new study for the new scheme."
        )
    if _asked(study):
        raise UserError(
            f"Study {study.slug!r} had its judges asked under scheme {study.scheme}; what they were "
            f"asked could not be told under {scheme}. Describe a new study for the new scheme."
        )
    study.scheme = scheme


def _refuse_unknown_voters(spec: StudySpec) -> None:
    """Refuse a voter who is no judge of the file, not `humans` and nobody known: a misspelt one would
    silently not vote.
    """
    judges = {judge.name for judge in spec.judges}
    for name in spec.settlement.voters:
        version = LIKE_A_VERSION.search(name)
        called = LIKE_A_VERSION.sub("", name)
        here = Rater.objects.filter(study=find_study(spec.study)).filter(
            Q(name=called) | Q(folded=folded(called))
        )
        known = {rater.version for rater in [*known_everywhere(called), *here]}
        if name != "humans" and not (int(version[0][1:]) in known if version else known):
            raise UserError(
                f"settlement.voters: nobody is called {name!r}; name judges of this file "
                f"({', '.join(sorted(judges)) or 'none'}), raters there are already, "
                "or humans for every person."
            )


def _missing(study: Study, spec: StudySpec) -> QuerySet[Response]:
    there = Item.objects.filter(study=study, response=OuterRef("pk"))
    return chosen(spec).filter(~Exists(there)).order_by("pk")


def adding(study: Study | None, spec: StudySpec) -> int:
    """Count the items that applying this would add."""
    return _missing(study, spec).count() if study else chosen(spec).count()


def _add_items(study: Study, spec: StudySpec) -> int:
    missing = _missing(study, spec).values_list("pk", flat=True).iterator(chunk_size=2000)
    added = 0
    for batch in batches(missing, 1000):
        Item.objects.bulk_create(Item(study=study, response_id=pk) for pk in batch)
        added += len(batch)
    return added


def chosen(spec: StudySpec) -> QuerySet[Response]:
    """Return the responses that the file asks for; never those to tasks reserved for training."""
    suite, wanted = get_suite(spec.suite), spec.responses
    responses = Response.objects.filter(run__suite=suite, state=Response.State.DONE, task__training=False)
    for key, field, names in [
        ("subjects", "run__subject__name", wanted.subjects),
        ("conditions", "run__condition__name", wanted.conditions),
        ("categories", "task__category__title", wanted.categories),
    ]:
        if not names:
            continue
        known = sorted(set(responses.order_by().values_list(field, flat=True).distinct()))
        called = ByName((name, name) for name in known)
        if missing := [name for name in names if not called.find(name)]:
            raise UserError(
                f"responses.{key}: suite {suite} has no responses of {missing[0]!r} "
                f"(it has: {', '.join(known) or 'none'})."
            )
        responses = responses.filter(
            **{f"{field}__in": [match for name in names for match in called.find(name)]}
        )
    if wanted.epochs:
        responses = responses.filter(epoch__in=wanted.epochs)
    return responses if wanted.controls else responses.filter(task__control=False)
