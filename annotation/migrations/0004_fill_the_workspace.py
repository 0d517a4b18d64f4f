"""What is there already, in the new columns and tables: strata, servings, enrolments, and the votes kept on items."""

from collections import Counter, defaultdict

from django.db import migrations
from django.db.models import OuterRef, Subquery
from django.utils import timezone

AT_ONCE = 500


def pages(rows):
    last = 0
    while batch := list(rows.filter(pk__gt=last).order_by("pk")[:AT_ONCE]):
        yield batch
        last = batch[-1].pk


def fill(apps, schema_editor):
    model = {name: apps.get_model("annotation", name) for name in (
        "Assignment", "Draw", "Stratum", "Serving", "Enrolment", "Item", "Rating", "Rater", "Skip",
    )}
    study_of_item = model["Item"].objects.filter(pk=OuterRef("item")).values("study")
    model["Assignment"].objects.update(study=Subquery(study_of_item))
    for draw in model["Draw"].objects.all():
        model["Stratum"].objects.create(draw=draw, name="all", position=1, rule={}, probability=draw.share)
        draw.plan = {"share": draw.share, "per_item": draw.raters_per_item, "seed": draw.seed}
        draw.save()
    fill_servings(model)
    fill_items(model)
    fill_finals(apps)


def fill_servings(model):
    """Of every place that was labelled. What was only held is given back: a place without a serving would come before nobody."""
    model["Assignment"].objects.filter(state="leased").update(state="open", rater=None, leased_until=None)
    done = Counter()
    for batch in pages(model["Assignment"].objects.filter(state="done")):
        ratings = model["Rating"].objects.filter(item__in={place.item_id for place in batch}, question="")
        newest = {}
        for rating in ratings.order_by("revision"):
            newest[rating.item_id, rating.rater_id, rating.purpose, rating.ordinal] = rating
        servings = []
        for place in batch:
            rating = newest.get((place.item_id, place.rater_id, place.purpose, place.ordinal))
            when = rating.created_at if rating else timezone.now()
            servings.append(model["Serving"](
                study_id=place.study_id, item_id=place.item_id, rater_id=place.rater_id, purpose=place.purpose,
                ordinal=place.ordinal, key=opaque_key(), shown=rating.shown if rating else {},
                revision=rating.revision if rating else 1, served_at=when, answered_at=when,
            ))
            done[place.study_id, place.rater_id] += 1
        model["Serving"].objects.bulk_create(servings)
    skipped = Counter(model["Skip"].objects.order_by().values_list("item__study", "rater"))
    model["Enrolment"].objects.bulk_create(
        model["Enrolment"](
            study_id=who[0], rater_id=who[1], done=done[who], skipped=skipped[who], served=done[who] + skipped[who]
        )
        for who in sorted({*done, *skipped})
    )


def fill_items(model):
    about = {rater.pk: rater for rater in model["Rater"].objects.all()}
    for batch in pages(model["Item"].objects.all()):
        latest = defaultdict(dict)
        ratings = model["Rating"].objects.filter(
            item__in=[item.pk for item in batch], question="", purpose="slot", ordinal=0
        )
        for item, rater, label, surplus in ratings.order_by("revision").values_list(
            "item_id", "rater_id", "label_id", "surplus"
        ):
            latest[item][rater] = (label, surplus)
        for item in batch:
            keep(item, {rater: label for rater, (label, surplus) in latest[item.pk].items() if not surplus}, about)
        model["Item"].objects.bulk_update(
            batch, ["votes", "human_votes", "judge_votes", "humans_split", "judges_split"], batch_size=100
        )


def keep(item, votes, about):
    humans = [label for rater, label in votes.items() if about[rater].kind == "human"]
    judges = {}
    for rater, label in votes.items():
        if about[rater].kind == "judge":
            judges[about[rater].name] = max(judges.get(about[rater].name, (0, 0)), (about[rater].version, label))
    item.votes = " ".join(f"{rater}:{label}" for rater, label in sorted(votes.items()))
    item.human_votes, item.judge_votes = len(humans), len(judges)
    item.humans_split = len(set(humans)) > 1
    item.judges_split = len({label for _, label in judges.values()}) > 1


def fill_finals(apps):
    settlement = apps.get_model("judging", "Settlement")
    newest = settlement.objects.filter(item=OuterRef("pk")).order_by("-revision")
    settled = apps.get_model("annotation", "Item").objects.filter(settlements__isnull=False)
    apps.get_model("annotation", "Item").objects.filter(pk__in=settled.values("pk")).update(
        final=Subquery(newest.values("label")[:1]), final_rule=Subquery(newest.values("rule")[:1])
    )


def opaque_key():
    from annotation.models import opaque_key as made

    return made()


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0003_the_workspace"),
        ("judging", "0004_whole_panel"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
