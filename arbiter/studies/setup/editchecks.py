"""What an edit in the browser may bring into a study.

From the browser nobody reads files of the server or runs its programs, and no key of the server goes to
another address. So an edit names no file but the templates the study has, and may not bring in endpoints or
scorers.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth.models import User

from annotation.models import Rater, Study
from annotation.raters import known_everywhere, raters_of
from annotation.suiteaccess import usable_suites
from arbiter.core.naming import among, same_name
from arbiter.studies.setup.studydocument import spec_of, template_files
from arbiter.studies.setup.studyfile import (
    StudyMistake,
    StudySpec,
    names_guidelines,
    names_scheme,
)
from benchmark.suites import LONGEST_SLUG, slug_there
from judging.prompts import is_file, shipped


def check_edit(spec: StudySpec, study: Study | None, user: User) -> None:
    """Refuse what may not come from a browser, unless the study has it already. Raises StudyMistake."""
    base = spec_of(study) if study else None
    if study and study.humans and spec.humans is None:
        raise StudyMistake(
            ["humans"],
            "people label this study already, and what was drawn stays; "
            "pause its raters on the People page instead",
        )
    if study and not same_name(spec.study, study.slug):
        raise StudyMistake(["study"], f"this is the study {study.slug!r}, and its name can't change")
    _refuse_files(spec, base, template_files(study))
    if user.is_superuser:
        return
    _refuse_others(spec, base, study, user)
    for key, what in [
        ("endpoints", "where it would send the server's key"),
        ("scorers", "which program it would run"),
    ]:
        there = {described.name: described for described in getattr(base, key, [])}
        for index, described in enumerate(getattr(spec, key)):
            if there.get(described.name) != described:
                raise StudyMistake(
                    [key, index],
                    f"{described.name!r} is not as the study has it, and only a superuser may say {what}; "
                    "ask one, or have the file applied by command",
                )


def _refuse_others(spec: StudySpec, base: StudySpec | None, study: Study | None, user: User) -> None:
    """Refuse what is not this person's to use. Whether it is there is not told: both get one answer."""
    if study is None and "_" in spec.study:
        raise StudyMistake(["study"], "a name made here has letters, digits and -, and no _")
    usable = usable_suites(user, study)
    slug = spec.suite.partition("@")[0]
    if slug_there(slug) not in usable:
        raise StudyMistake(
            ["suite"],
            f"there is no suite {slug[:80]!r} that you may use (you may use: {', '.join(usable) or 'none'}); "
            "its owner or a superuser can let you",
        )
    here = _names_in(study)
    _refuse_names_of_others(spec, here)
    known = {"humans", *here}
    known |= {judge.name for judge in spec.judges} | {scorer.name for scorer in spec.scorers}
    known |= set(base.settlement.voters) if base else set()
    if strange := [name for name in spec.settlement.voters if not among(name, known)]:
        raise StudyMistake(
            ["settlement", "voters"],
            f"nobody is called {strange[0][:120]!r} in this study; "
            "name its judges, its raters, or humans for every person",
        )


def _refuse_names_of_others(spec: StudySpec, here: Collection[str]) -> None:
    """Refuse to call a judge as somebody in no study of theirs, without telling who or where that is."""
    for index, judge in enumerate(spec.judges):
        same = known_everywhere(judge.name)
        if same and same[0].kind != Rater.Kind.JUDGE and not among(judge.name, here):
            raise StudyMistake(
                ["judges", index, "name"], f"{judge.name!r} can't be a judge's name; choose another"
            )


def _names_in(study: Study | None) -> set[str]:
    """Return the names of all who rated in the study, judge it, or are members; of each version too."""
    if study is None:
        return set()
    members = Rater.objects.filter(user__memberships__study=study)
    judges = Rater.objects.filter(judge__studies__study=study)
    raters = {rater for query in (raters_of(study), members, judges) for rater in query}
    return {rater.name for rater in raters} | {f"{rater.name}@{rater.version}" for rater in raters}


def end_of_names(user: User) -> str:
    """Return what the name of a study ends with that this person makes in the browser."""
    return "" if user.is_superuser else f"_{user.pk}"


def own_name(spec: StudySpec, user: User) -> StudySpec:
    """Give a new study a name of its maker's own, their number at its end.

    Names are one for all studies, so a plain one would tell whether somebody else's study has it. A superuser
    sees them all.
    """
    name = f"{spec.study}{end_of_names(user)}"
    if len(name) > LONGEST_SLUG:
        raise StudyMistake(
            ["study"], f"the name may have {LONGEST_SLUG - len(name) + len(spec.study)} characters"
        )
    return spec.model_copy(update={"study": name})


def _refuse_files(spec: StudySpec, base: StudySpec | None, templates: Mapping[str, str]) -> None:
    nobody = "names a file, and from the browser no file is read"
    schemes: list[tuple[list[Any], Any]] = [(["scheme"], spec.scheme)]
    schemes += [
        (["questions", index, "scheme"], question.scheme) for index, question in enumerate(spec.questions)
    ]
    for keys, scheme in schemes:
        if names_scheme(scheme):
            raise StudyMistake(keys, f"{scheme!r} {nobody}; write the scheme out here")
    for index, judge in enumerate(spec.judges):
        if is_file(judge.template) and judge.template not in templates:
            known = ", ".join([*sorted(templates), *shipped()])
            raise StudyMistake(
                ["judges", index, "template"], f"{judge.template!r} {nobody}; there are {known}"
            )
    guidelines = spec.humans.guidelines if spec.humans else ""
    unchanged = base is not None and base.humans is not None and base.humans.guidelines == guidelines
    if names_guidelines(guidelines) and not unchanged:
        raise StudyMistake(
            ["humans", "guidelines"], f"{guidelines.strip()!r} {nobody}; write the guidelines themselves"
        )
