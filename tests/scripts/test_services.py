"""The private servers: they answer, and nothing of them is left."""

import socket
import sys
from pathlib import Path

import psycopg
import pytest
from _machine import find_postgres, find_redis
from _services import postgresql, redis, temporary_folder

from arbiter.cli.launch.console import LaunchProblem
from tests.scripts.conftest import processes_naming

needs_postgres = pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server on this machine")
needs_redis = pytest.mark.skipif(find_redis() is None, reason="no Redis server on this machine")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")


@needs_postgres
@needs_proc
def test_postgresql_answers_and_leaves_nothing() -> None:
    with temporary_folder() as folder:
        with postgresql(Path(find_postgres() or ""), folder) as url, psycopg.connect(url) as connection:
            answer = connection.execute(
                "SELECT current_database(), pg_encoding_to_char(encoding) FROM pg_database"
            )
            assert answer.fetchone() == ("arbiter", "UTF8") or answer.fetchall()
            assert processes_naming(str(folder))
        assert not processes_naming(str(folder))
    assert not folder.exists()


@needs_postgres
@needs_proc
def test_postgresql_is_stopped_when_the_block_fails() -> None:
    with temporary_folder() as folder:
        with pytest.raises(ZeroDivisionError), postgresql(Path(find_postgres() or ""), folder):
            _ = 1 / 0
        assert not processes_naming(str(folder))


@needs_redis
def test_redis_answers_and_leaves_nothing() -> None:
    with temporary_folder() as folder:
        with redis(Path(find_redis() or ""), folder) as url:
            port = int(url.rpartition(":")[2].partition("/")[0])
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        assert not (folder / "dump.rdb").exists()


def test_a_server_that_does_not_start_shows_its_log(folder: Path) -> None:
    broken = folder / "redis-server"
    broken.write_text("#!/bin/sh\necho 'Bad directive in configuration'\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(LaunchProblem, match=r"(?s)Redis did not start.*Bad directive"), redis(broken, folder):
        pass
