"""The pages of endpoints: what they show, and what is saved of what was typed."""

import pytest
from django.contrib.auth.models import User

from arbiter.core.jobworkers import JobWorker
from arbiter.core.models import Job
from benchmark.models import Endpoint
from tests.judging.helpers import endpoint

pytestmark = pytest.mark.django_db
SECRET = "a-secret-token-of-ours"
TYPED = {
    "name": "azure",
    "base_url": "https://x.openai.azure.com/openai/deployments/mine",
    "key_variable": "",
    "dialect": "openai",
    "json_schema": "",
    "headers": "api-key: ${AZURE_KEY}\r\nX-Team: judges: all",
    "query": "api-version=2024-10-21",
    "ca_bundle": "",
    "proxy": "http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example.org:3128",
    "concurrency": "4",
    "concurrency_start": "",
    "concurrency_floor": "1",
    "timeout": "60",
    "connect_timeout": "10",
    "read_timeout": "",
}


@pytest.fixture
def superuser(client):
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_an_endpoint_is_made_listed_and_shown(superuser):
    assert "There is no endpoint yet" in superuser.get("/endpoints/").content.decode()
    made = superuser.post("/new-endpoint", TYPED)
    assert made.status_code == 302 and made.url == "/endpoints/azure/"
    azure = Endpoint.objects.get()
    assert azure.headers == {"api-key": "${AZURE_KEY}", "X-Team": "judges: all"}
    assert azure.query == {"api-version": "2024-10-21"}
    assert (azure.json_schema, azure.concurrency, azure.read_timeout) == (True, 4, None)
    assert "azure" in superuser.get("/endpoints/").content.decode()
    page = superuser.get("/endpoints/azure/").content.decode()
    assert "api-key: ${AZURE_KEY}" in page and "api-version=2024-10-21" in page


def test_saving_changes_what_was_typed_and_never_the_name(superuser):
    superuser.post("/new-endpoint", TYPED)
    changed = TYPED | {"name": "other", "headers": "", "json_schema": "no"}
    assert superuser.post("/endpoints/azure/", changed).status_code == 302
    azure = Endpoint.objects.get()
    assert (azure.name, azure.headers, azure.json_schema) == ("azure", {}, False)


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("headers", f"Authorization: Bearer {SECRET}", "it may be a key"),
        ("headers", "no name here", "Line 1 has no :"),
        ("query", "a=1\na=2", "One name is there twice"),
        ("query", f"key={SECRET}", "it may be a key"),
        ("proxy", "ftp://x", "an address such as"),
        ("base_url", "https://x.org/v1/chat/completions", "leave that out"),
        ("key_variable", "SECRET_KEY", "a variable of Arbiter"),
        ("concurrency", "0", "A whole number from 1 to 1000."),
        ("timeout", "0", "greater than 0"),
        ("name", "No Name", "match pattern"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_saved(superuser, field, typed, said):
    page = superuser.post("/new-endpoint", TYPED | {field: typed})
    assert page.status_code == 422 and not Endpoint.objects.exists()
    text = page.content.decode()
    assert said in text.replace("&#x27;", "'")
    assert said in str(page.context["form"].errors[field]).replace("&#x27;", "'")


def test_two_values_that_contradict_each_other_are_told_at_the_head(superuser):
    page = superuser.post("/new-endpoint", TYPED | {"concurrency_start": "9"})
    assert page.status_code == 422
    assert "above concurrency" in page.content.decode()


def test_a_name_that_is_taken_makes_no_second_endpoint(superuser):
    endpoint(name="azure")
    page = superuser.post("/new-endpoint", TYPED)
    assert page.status_code == 422 and "already" in page.content.decode()
    assert Endpoint.objects.get().headers == {}


def test_an_endpoint_that_is_down_says_since_when_and_why(superuser):
    endpoint(name="local", down_since="2026-11-30T10:00Z", down_error="Nobody is at home.")
    page = superuser.get("/endpoints/local/").content.decode()
    assert "30 Nov 10:00 UTC" in page and "Nobody is at home." in page
    assert superuser.get("/endpoints/none/").status_code == 404


def test_a_check_is_asked_for_made_by_a_worker_and_shown(superuser, simulator):
    endpoint(simulator.base_url, name="local")
    asked = superuser.post("/endpoints/local/check", {"model": "sim-judge-thinking"})
    assert asked.status_code == 302 and asked.url == "/endpoints/local/#checks"
    assert "sim-judge-thinking is being checked" in superuser.get("/endpoints/local/checks").content.decode()
    JobWorker().run()
    page = superuser.get("/endpoints/local/").content.decode()
    assert "Refused, so it is not sent" in page and "is being checked" not in page
    assert "hx-trigger" not in superuser.get("/endpoints/local/checks").content.decode()
    assert "sim-judge-thinking" in superuser.get("/endpoints/").content.decode()


def test_a_check_needs_a_model(superuser):
    endpoint(name="local")
    superuser.post("/endpoints/local/check", {"model": " "})
    assert "Name the model" in superuser.get("/endpoints/local/").content.decode()
    assert not Job.objects.exists()


def test_a_job_that_failed_says_why(superuser):
    endpoint(name="local")
    superuser.post("/endpoints/local/check", {"model": "m-1"})
    Job.objects.update(state="failed", error="What came was odd.")
    page = superuser.get("/endpoints/local/").content.decode()
    assert "The check of m-1 could not be made: What came was odd." in page
