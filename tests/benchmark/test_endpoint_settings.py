"""An endpoint's headers and query go with what is collected and judged there, and its secrets are kept
nowhere."""

import json

import pytest
from django.core import serializers

from annotation.models import Rating
from arbiter.releases.exporting import rows
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydocument import as_file, document
from benchmark.models import CollectionAttempt, Endpoint, Response, Run
from judging.models import Attempt, Judge, Verdict
from judging.panel.judging_run import judge_study
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.commands import as_json
from tests.judging.helpers import judge
from tests.judging.studyfiles import ENDPOINT, file

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
SECRET = "a-secret-token-of-ours"
SETTINGS = (
    "--header",
    "api-key=${GATE_TOKEN}",
    "--query",
    "api-version=2024-10-21",
    "--query",
    "code=${GATE_TOKEN}",
)


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("GATE_TOKEN", SECRET)


def test_what_is_collected_and_judged_there_is_asked_with_them_and_keeps_no_secret():
    sent = []

    def serve(headers, body):
        """Answer with the secret, as a service that says too much."""
        sent.append(headers)
        return completion(json.dumps({"label": "convergence", "rationale": headers["Api-Key"]}))

    study = builders.study()
    with service(serve) as url:
        as_json("endpoint", "set", "gate", "--base-url", url, *SETTINGS)
        what = ["--suite", "tiny", "--subject", "m-1", "--condition", "baseline"]
        as_json("collect", *what, "--endpoint", "gate")
        collected = len(sent)
        judge(study, Endpoint.objects.get(), "careful")
        told = judge_study(study)
    assert (collected, len(sent)) == (2, 8) and told["parsed"] == 6
    for headers in sent:
        assert headers["Api-Key"] == SECRET and "Authorization" not in headers
        path, _, query = headers[":path"].partition("?")
        assert path == "/v1/chat/completions"
        assert set(query.split("&")) == {"api-version=2024-10-21", f"code={SECRET}"}
    kept = [
        serializers.serialize("json", kind.objects.all())
        for kind in (Endpoint, Run, Response, CollectionAttempt, Judge, Verdict, Attempt, Rating)
    ]
    exported = json.dumps(list(rows(study, long=True)), default=str)
    assert not [text for text in [*kept, exported] if SECRET in text]
    assert "[key]" in kept[1] + kept[2] + kept[3] and "${GATE_TOKEN}" in kept[0]


def test_a_study_file_that_does_not_say_them_leaves_them():
    builders.suite()
    as_json(
        "endpoint", "set", "local", "--base-url", ENDPOINT["base_url"], *SETTINGS, "--proxy", "http://a.org:1"
    )
    study = apply(file()).study
    local = Endpoint.objects.get()
    assert local.headers == {"api-key": "${GATE_TOKEN}"} and local.proxy == "http://a.org:1"
    (described,) = document(study)["endpoints"]
    assert described["query"] == {"api-version": "2024-10-21", "code": "${GATE_TOKEN}"}
    assert SECRET not in as_file(study)
    apply(file(endpoints=[{**ENDPOINT, "headers": {}, "query": {"a": "b"}, "proxy": ""}]))
    local.refresh_from_db()
    assert (local.headers, local.query, local.proxy) == ({}, {"a": "b"}, "")
    (described,) = document(study)["endpoints"]
    assert "headers" not in described and described["query"] == {"a": "b"}
