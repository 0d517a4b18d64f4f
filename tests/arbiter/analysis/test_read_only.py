"""The analysis reads and writes nothing: all of it runs where the database takes no write."""

import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection, transaction

import arbiter.analysis
from annotation.models import Rater
from arbiter.analysis import judgeprofile, overview, settlements, spending
from arbiter.analysis.agreement import coefficients
from arbiter.analysis.biases import biasreport
from arbiter.analysis.calibration.calibrationdocument import calibrate
from arbiter.analysis.figures import catalogue
from arbiter.analysis.planning import labelplan
from arbiter.analysis.planning.poweranalysis import power_analysis
from arbiter.analysis.rates import rateview
from arbiter.analysis.report import studyreport
from arbiter.core.errors import UserError
from judging.settlement.settling import settle
from tests.judging.settled import panel

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@contextmanager
def read_only() -> Iterator[None]:
    """Let the connection take no write: the database refuses each, until this savepoint's end."""
    sqlite = connection.vendor == "sqlite"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = ON" if sqlite else "SET TRANSACTION READ ONLY")
        try:
            yield
        finally:
            if sqlite:
                connection.connection.execute("PRAGMA query_only = OFF")


@pytest.fixture(scope="module", autouse=True)
def modules() -> None:
    """All of them are loaded: what registers itself is there."""
    for module in pkgutil.walk_packages(arbiter.analysis.__path__, "arbiter.analysis."):
        import_module(module.name)


@pytest.fixture
def study(db):
    made, _ = panel()
    settle(made, "majority")
    cache.clear()  # nothing is kept from before, so that all is computed
    return made


def test_a_write_is_refused_there(study):
    """Else the other tests would show nothing."""
    with pytest.raises(DatabaseError), read_only():
        study.save()
    study.save()


def test_pages_read(study):
    judge = Rater.objects.get(name="judge-0")
    with read_only():
        assert overview.overview(study)
        assert spending.costs(study)
        assert coefficients.agreement_kept(study)["pairs"] is not None
        assert coefficients.pairs_kept(study)
        assert calibrate(study)
        assert judgeprofile.judge_page(study, judge)
        assert biasreport.bias_report(study)
        assert settlements.settlement_state(study)
        assert labelplan.label_plan(study)
        assert power_analysis(study)
        for source, estimators in rateview.refusals_by_estimator(study).items():
            assert rateview.rate_view(study, {"source": source, "estimator": estimators})


def test_every_figure_reads(study):
    judge = str(Rater.objects.get(name="judge-0").pk)
    query = {"judge": judge, "first": "judge-0", "second": "judge-1", "estimator": "corrected"}
    catalogue.make_figure(study, "costs")  # which loads all that are registered
    made = []
    with read_only():
        for name in catalogue.MAKERS:
            with suppress(UserError):  # of what this study has none of
                made.append(catalogue.make_figure(study, name, query).name)
    assert len(made) > 8, made


def test_the_report_reads(study):
    with read_only():
        assert "<html" in studyreport.report_html(study)
