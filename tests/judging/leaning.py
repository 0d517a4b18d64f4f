"""A study in the database whose judges vote as those of tests.studies.biases do, planted biases and all."""

import numpy as np

from annotation.ledger import Entry, record
from annotation.models import Gold, Item, Study
from annotation.schemes import builtin_scheme
from benchmark.models import Response, Run, SubjectModel
from judging.models import Judge
from tests import builders
from tests.judging.helpers import endpoint, judge
from tests.studies.biases import FAMILIES, JUDGES, Planted, study

KEYS = ("convergence", "no_convergence", "nonsensical")


def leaning(planted: Planted, slug: str = "lean", seed: int = 1, *, simulated: bool = False) -> Study:
    """Make a study with gold on every item, a twin of `ash` that sees the condition,
    and copies that nobody injected anything into."""
    made_up = study(np.random.default_rng(seed), planted)
    of = builders.suite(slug, 76)
    tasks = list(of.tasks.all())
    made = Study.objects.create(slug=slug, title=slug.capitalize(), scheme=builtin_scheme("four-class"))
    families = list(dict.fromkeys(made_up.gold.families))
    subjects = {one: SubjectModel.objects.create(name=f"{one}-7b", family=one) for one in families}
    runs = {
        (one, place): Run.objects.create(
            suite=of, subject=subjects[one], condition=builders.condition(title.replace(" ", "-"))
        )
        for one in families
        for place, title in made_up.conditions.items()
    }
    under = made_up.opened[0].patterns.groups
    assert under is not None
    items = []
    for place, task in enumerate(made_up.gold.tasks.tolist()):
        run = runs[made_up.gold.families[place], int(under[place])]
        text = "x" * int(made_up.gold.lengths[place])
        answer = Response.objects.create(run=run, task=tasks[task], epoch=place + 1, text=text)
        items.append(Item.objects.create(study=made, response=answer))
    _vote(made, items, made_up, simulated=simulated)
    labels = {label.key: label for label in made.scheme.labels.all()}
    Gold.objects.bulk_create(
        Gold(item=item, label=labels[KEYS[truth]], origin="imported")
        for item, truth in zip(items, made_up.gold.gold.tolist(), strict=True)
    )
    return made


def _vote(made: Study, items: list[Item], made_up, *, simulated: bool) -> None:
    at = endpoint(name=f"at-{made.slug}")
    spec = {"model": "word-9"}
    columns = dict(zip(JUDGES, made_up.gold.votes.T.tolist(), strict=True))
    columns["ash-open"] = made_up.opened[0].patterns.labels[:, 1].tolist()
    families = dict(zip(JUDGES, FAMILIES, strict=True)) | {"ash-open": "ash"}
    for name, labels in columns.items():
        more = {"show_condition": True} if name == "ash-open" else {}
        more |= {} if name.startswith("ash") else {"parameters": {"temperature": len(name) / 10}}
        rater = judge(made, at, name, family=families[name], **spec, **more).judge.rater
        assert Judge.objects.filter(rater=rater).exists()
        record(
            made.scheme,
            [
                Entry(item_id=item.pk, rater=rater, label=KEYS[label], simulated=simulated)
                for item, label in zip(items, labels, strict=True)
            ],
        )
