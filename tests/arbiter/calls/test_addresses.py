"""No call goes to a cloud's metadata service, by whatever spelling, and no service is sent a secret of
Arbiter's."""

import asyncio
import os
import socket

import pytest
from pydantic import ValidationError

from arbiter.calls import addresses
from arbiter.calls.addresses import is_own_variable, why_not
from arbiter.calls.client import Client
from arbiter.calls.connecting import key_of
from arbiter.calls.service import Service
from arbiter.core.errors import UserError
from benchmark.endpoints import EndpointSpec, update_endpoint
from tests.arbiter.calls.services import completion, service
from tests.test_docs import settings_read

FORBIDDEN = [
    "169.254.169.254",
    "169.254.0.1",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[febf::1]",
    "[fd00:ec2::254]",
    "[FD00:EC2:0:0:0:0:0:254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "metadata.google.internal",
    "METADATA.Google.Internal.",
    "x.metadata.google.internal",
    "metadata",
    "instance-data",
    "100.100.100.200",
    "168.63.129.16",
]
ALLOWED = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "10.0.0.1",
    "192.168.1.2",
    "api.openai.com",
    "metadata.example.org",
    "169.253.1.1",
    "[2001:db8::1]",
    "[fd00::1]",
    "169-254-169-254.example.org",
    "1.2.3.4",
]


def spec(**fields):
    return EndpointSpec.model_validate({"name": "x", "base_url": "http://127.0.0.1/v1", **fields})


@pytest.mark.parametrize("host", FORBIDDEN)
def test_forbidden_hosts(host):
    with pytest.raises(ValidationError) as refusal:
        spec(base_url=f"http://{host}/v1")
    said = str(refusal.value)
    assert "where no call goes" in said or "valid" in said  # some are no URL at all
    with pytest.raises(UserError, match="where no call goes"):
        key_of(Service(1, "x", f"http://{host}:80/v1"))


@pytest.mark.parametrize("host", ALLOWED)
def test_allowed_hosts(host):
    assert spec(base_url=f"http://{host}/v1")
    assert key_of(Service(1, "x", f"http://{host}/v1")) == "none"


@pytest.mark.parametrize("host", ["", "a.b.c.d.e", "1.2.3.4.5", "256.1.1.1", "0x", "1..2", "08.1.1.1"])
def test_what_is_no_address_is_a_name(host):
    assert why_not(host) == ""


def ask(base_url):
    async def once():
        client = Client(Service(1, "x", base_url, timeout=5, connect_timeout=5, concurrency=1))
        try:
            return await client.ask({"model": "m", "messages": []})
        finally:
            await client.close()

    return asyncio.run(once())


def test_a_name_that_leads_there_is_hung_up_on_before_a_byte_is_sent(monkeypatch):
    """Told by the address that was connected to: here loopback stands for it, as no test can listen at the
    real one."""
    asked = []
    with service(lambda headers, body: asked.append(body) or completion("yes")) as url:
        assert ask(url).outcome == "answer" and len(asked) == 1
        monkeypatch.setattr(addresses, "METADATA", {addresses.ip_address("127.0.0.1")})
        call = ask(url.replace("127.0.0.1", "localhost"))
        assert (
            call.outcome == "connection"
            and "localhost leads to 127.0.0.1, which is the address" in call.error
        )
        assert len(asked) == 1


def test_a_name_is_looked_at_when_it_is_connected_to_not_before(monkeypatch):
    """A name that led elsewhere when the endpoint was described."""
    real = socket.getaddrinfo

    def rebound(host, *more, **named):
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name == "judge.example.org" else host, *more, **named)

    with service(lambda headers, body: completion("yes")) as running:
        url = running.replace("127.0.0.1", "judge.example.org")
        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        assert spec(base_url=url) and ask(url).outcome == "answer"
        monkeypatch.setattr(addresses, "METADATA", {addresses.ip_address("127.0.0.1")})
        assert "judge.example.org leads to 127.0.0.1" in ask(url).error


@pytest.mark.parametrize(
    "name",
    [
        "SECRET_KEY",
        "secret_key",
        "Secret_Key",
        "DATABASE_URL",
        "database_url",
        "CELERY_BROKER_URL",
        "ARBITER_DATA",
        "arbiter_anything",
        "DJANGO_SETTINGS_MODULE",
        "PGPASSWORD",
    ],
)
@pytest.mark.django_db
def test_arbiters_own_variables_hold_no_services_key(name, monkeypatch):
    with pytest.raises(ValidationError, match="a variable of Arbiter's own"):
        spec(key_variable=name)
    with pytest.raises(UserError, match=r"--key-variable: .* a variable of Arbiter's own"):
        update_endpoint("x", {"base_url": "http://127.0.0.1/v1", "key_variable": name})
    monkeypatch.setenv(name, "a-secret")
    with pytest.raises(UserError, match="no service is sent that") as refusal:  # one that was stored before
        key_of(Service(1, "x", "http://127.0.0.1/v1", key_variable=name))
    assert "a-secret" not in str(refusal.value)


def test_every_setting_is_arbiters_own_and_a_services_key_is_not():
    assert all(is_own_variable(name) for name in settings_read())
    assert not any(
        is_own_variable(name) for name in ("OPENAI_API_KEY", "MY_SECRET_KEY", "ANTHROPIC_API_KEY", "")
    )
    assert spec(key_variable="OPENAI_API_KEY").key_variable == "OPENAI_API_KEY"
    assert "DATABASE_URL" in settings_read() and os.sep
