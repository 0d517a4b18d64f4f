"""An export's memory does not grow with the study."""

import tracemalloc

import pytest

from annotation.models import Item, Rating, Study
from annotation.schemes import builtin_scheme
from arbiter.releases import exporting
from arbiter.releases.exporting import export_study
from benchmark.models import Response
from tests import builders

pytestmark = pytest.mark.django_db


def study_of(items: int) -> Study:
    """Make a study whose items have a kilobyte of text and a rating each."""
    slug = f"of-{items}"
    run = builders.run(builders.suite(slug, tasks=1))
    study = Study.objects.create(slug=slug, title=slug, scheme=builtin_scheme("four-class"))
    task, label, rater = run.suite.tasks.get(), study.scheme.labels.first(), builders.rater()
    texts = (f"{number} " + "Words, words. " * 70 for number in range(items))
    responses = Response.objects.bulk_create(
        Response(run=run, task=task, epoch=n, text=text) for n, text in enumerate(texts, start=1)
    )
    made = Item.objects.bulk_create(Item(study=study, response=response) for response in responses)
    Rating.objects.bulk_create(Rating(item=item, rater=rater, label=label) for item in made)
    return study


def peak(study, out) -> int:
    tracemalloc.start()
    try:
        export_study(study, out)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("extension", ["jsonl", "csv", "parquet"])
def test_memory_stays_flat(tmp_path, extension, monkeypatch):
    monkeypatch.setattr(exporting, "BATCH", 125)
    small, large = study_of(400), study_of(1_600)
    export_study(small, tmp_path / f"warm.{extension}")  # what is loaded once is no part of it
    few, many = (peak(study, tmp_path / f"data.{extension}") for study in (small, large))
    assert many < few * 1.4
