"""A person whom a file names is known in its study alone, and names are compared without case and in composed form.

Until now an imported `ann` of one study was the `ann` of every other. Each such person becomes one person a study: the first
study keeps the row, each other one gets its own, and what was labelled there points to it. Pseudonyms stay what they were.
Raters who sign in are known everywhere as before; where a file alone, in a study that they have no part in, gave labels under
their name, these become somebody's of that study.

Names that differ in case or composition alone stay apart: nobody could say afterwards who meant whom. The oldest is found by
any spelling, the others by their name as written.
"""

from collections import defaultdict
from typing import Any

import django.db.models.deletion
from django.core.cache import cache
from django.db import migrations, models
from django.db.models import Q

from arbiter.core.text import folded

# Whatever points to a rater, how, and the way from there to its study.
POINTING = [
    ("Rating", "rater", "item__study"),
    ("Gold", "author", "item__study"),
    ("Assignment", "rater", "study"),
    ("Serving", "rater", "study"),
    ("Skip", "rater", "item__study"),
    ("Adjudication", "adjudicator", "item__study"),
    ("Referral", "by", "item__study"),
    ("Enrolment", "rater", "study"),
]


def split(apps: Any, schema_editor: Any) -> None:
    raters = apps.get_model("annotation", "Rater").objects
    moved = False
    for rater in list(raters.filter(kind="human").order_by("pk")):
        studies = _studies(apps, rater)
        if rater.user_id:
            leave = [study for study in studies if _by_files_alone(apps, rater, study)]
        else:
            leave = studies[1:]
            raters.filter(pk=rater.pk).update(study=studies[0] if studies else None)
        for study in leave:
            _give_its_own(apps, rater, study)
            moved = True
    _fold(raters)
    if moved:
        cache.clear()  # figures are kept there by the keys of raters
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else the tables could not be altered any more


def _studies(apps: Any, rater: Any) -> list[int]:
    found = set()
    for name, field, study in POINTING:
        rows = apps.get_model("annotation", name).objects.filter(**{field: rater.pk})
        found |= set(rows.order_by().values_list(study, flat=True).distinct())
    return sorted(found)


def _by_files_alone(apps: Any, rater: Any, study: int) -> bool:
    get = apps.get_model
    if get("annotation", "Membership").objects.filter(user=rater.user_id, study=study).exists():
        return False
    for name, field, path in POINTING[1:]:
        if get("annotation", name).objects.filter(**{field: rater.pk, path: study}).exists():
            return False
    own = get("annotation", "Rating").objects.filter(rater=rater.pk, item__study=study)
    return own.count() == own.filter(shown__imported=True).count()  # excluding them would pass over those without the key


def _give_its_own(apps: Any, rater: Any, study: int) -> None:
    new = apps.get_model("annotation", "Rater").objects.create(
        name=rater.name, version=rater.version, kind="human", study_id=study, known_as=rater.pk
    )
    ratings = apps.get_model("annotation", "Rating").objects
    items = set(ratings.filter(rater=rater.pk, item__study=study).values_list("item", flat=True))
    for name, field, path in POINTING:
        rows = apps.get_model("annotation", name).objects
        keys = list(rows.filter(**{field: rater.pk, path: study}).values_list("pk", flat=True))
        for start in range(0, len(keys), 500):
            rows.filter(pk__in=keys[start : start + 500]).update(**{field: new.pk})
    _keep_votes(apps.get_model("annotation", "Item").objects, sorted(items), str(rater.pk), str(new.pk))


def _keep_votes(items: Any, keys: list[int], old: str, new: str) -> None:
    """An item keeps its votes as `rater:label`, in the order of raters."""
    for start in range(0, len(keys), 500):
        for pk, votes in items.filter(pk__in=keys[start : start + 500]).values_list("pk", "votes"):
            pairs = [vote.split(":") for vote in votes.split()]
            told = [(new if who == old else who, label) for who, label in pairs]
            kept = " ".join(f"{who}:{label}" for who, label in sorted(told, key=lambda one: int(one[0])))
            items.filter(pk=pk).update(votes=kept)


def _fold(raters: Any) -> None:
    taken: dict[tuple[Any, str], str] = {}  # by study and form: the name that bears it
    forms: dict[tuple[Any, str], str] = defaultdict(str)  # by study and name
    for pk, study, name in raters.order_by("pk").values_list("pk", "study", "name"):
        form = folded(name)
        if taken.setdefault((study, form), name) != name:
            form = forms[study, name] = forms[study, name] or f"{form}\n{pk}"
        raters.filter(pk=pk).update(folded=form)


class Migration(migrations.Migration):
    dependencies = [("annotation", "0014_labelled_as_owner"), ("benchmark", "0004_names_compared_folded")]

    operations = [
        migrations.RemoveConstraint(model_name="rater", name="rater_version_once"),
        migrations.AddField("rater", "folded", models.TextField(editable=False, null=True)),
        migrations.AddField(
            "rater",
            "known_as",
            models.PositiveBigIntegerField(
                blank=True, help_text="The key that its pseudonyms are made from, where that isn't its own.", null=True
            ),
        ),
        migrations.AddField(
            "rater",
            "study",
            models.ForeignKey(
                blank=True,
                help_text="Where a file named them.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="named_people",
                to="annotation.study",
            ),
        ),
        migrations.RunPython(split, migrations.RunPython.noop, elidable=False),
        migrations.AlterField(
            "rater", "folded", models.TextField(editable=False, help_text="What its name is compared by.")
        ),
        migrations.AddConstraint(
            "rater",
            models.UniqueConstraint(
                condition=Q(study__isnull=True), fields=("folded", "version"), name="rater_version_once_everywhere"
            ),
        ),
        migrations.AddConstraint(
            "rater",
            models.UniqueConstraint(
                condition=Q(study__isnull=False), fields=("study", "folded", "version"), name="rater_version_once_in_a_study"
            ),
        ),
        migrations.AddConstraint(
            "rater",
            models.CheckConstraint(
                condition=Q(study__isnull=True) | Q(kind="human", user__isnull=True), name="rater_of_a_study_is_a_person"
            ),
        ),
    ]
