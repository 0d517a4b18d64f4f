"""`endpoint`: describing one and listing them."""

import pytest

from benchmark.models import Endpoint
from tests.commands import as_json, refusal

pytestmark = pytest.mark.django_db
SECRET = "a-secret-token-of-ours"
AZURE = ("set", "azure", "--base-url", "https://x.openai.azure.com/openai/deployments/mine")
HEADERS = ("--header", "api-key=${AZURE_KEY}", "--header", "X-Team=judges")


def test_an_endpoint_is_described_and_listed():
    told = as_json("endpoint", *AZURE, *HEADERS, "--query", "api-version=2024-10-21")
    assert told["dialect"] == "openai"
    assert told["headers"] == {"api-key": "${AZURE_KEY}", "X-Team": "judges"}
    assert told["query"] == {"api-version": "2024-10-21"}
    assert as_json("endpoint", "list") == {"endpoints": [told]}


def test_what_is_left_out_stays_and_an_empty_value_takes_out():
    as_json("endpoint", *AZURE, *HEADERS, "--proxy", "http://proxy.example.org:3128", "--timeout", "60")
    told = as_json("endpoint", "set", "azure", "--header", "x-team=", "--proxy", "", "--json-schema", "no")
    assert told["headers"] == {"api-key": "${AZURE_KEY}"}
    assert (told["proxy"], told["json_schema"], told["timeout"]) == ("", False, 60)
    assert told["base_url"].startswith("https://x.openai.azure.com")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--header", f"Authorization=Bearer {SECRET}"),
            "--headers: the header Authorization would be stored",
        ),
        (("--query", f"key={SECRET}"), "--query: the parameter key would be stored"),
        (("--proxy", f"http://ann:{SECRET}@127.0.0.1:3128"), "--proxy: a proxy's name and password"),
        (("--header", SECRET), "should be NAME=VALUE"),
        (("--json-schema", "perhaps"), "should be yes or no"),
    ],
)
def test_what_may_be_a_key_is_refused_and_not_repeated(options, said):
    told = refusal("endpoint", *AZURE, *options)
    assert said in told and SECRET not in told
    assert not Endpoint.objects.exists()


def test_a_new_endpoint_needs_an_address():
    assert "describe it with --base-url" in refusal("endpoint", "set", "azure", *HEADERS)
