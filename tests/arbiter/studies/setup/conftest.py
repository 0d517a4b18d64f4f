"""Responses for a study file, and who edits a study made of it."""

import pytest
from django.contrib.auth.models import User

from annotation.models import Membership
from annotation.suiteaccess import grant
from arbiter.studies.setup.applying import apply
from tests.judging.studyfiles import HUMANS, file, responses


@pytest.fixture
def there_are_responses(db):
    responses()


@pytest.fixture
def owner():
    """Make somebody who owns a study, and so may make others, of the suite that a superuser let them use."""
    made = User.objects.create_user("owner")
    grant("tiny", made)
    return made


@pytest.fixture
def root():
    return User.objects.create_superuser("root")


@pytest.fixture
def pump(owner):
    study = apply(file(humans=HUMANS)).study
    Membership.objects.create(study=study, user=owner, role="owner")
    return study
