"""The list of all studies."""

import pytest

from arbiter.studies.reading.studylist import study_rows
from arbiter.studies.setup.applying import apply
from tests.judging.studyfiles import file, responses

pytestmark = pytest.mark.django_db


def test_studies_are_listed():
    responses()
    apply(file(title="Pumps"))
    assert study_rows() == [
        {"study": "pump", "title": "Pumps", "scheme": "four-class@1", "items": 24, "judges": 2, "ratings": 0}
    ]
