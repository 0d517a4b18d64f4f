"""PostgreSQL is started anew in the midst of a run:
nothing is lost, nothing doubled, and the run goes on by itself."""

import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress

import psycopg
import pytest

from arbiter.simulator.running import running_simulator
from tests.benchmark.databases import run_on, start_on
from tests.processes import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from _machine import find_postgres
from _services import server_user, temporary_folder

pytestmark = [
    pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server on this machine"),
]


class PostgresServer:
    """A PostgreSQL of the test's own, which keeps what it has acknowledged as a real one does."""

    def __init__(self, folder, port):
        self.home, self.port = folder / "server", port
        self.home.mkdir()
        self.user = server_user()
        if self.user:
            shutil.chown(self.home, self.user)
        self.run(
            "initdb", "-D", "data", "-U", "arbiter", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )
        self.start()
        self.url = f"postgresql://arbiter@127.0.0.1:{self.port}/postgres"

    def run(self, program, *arguments):
        subprocess.run(
            [f"{find_postgres()}/{program}", *arguments],
            cwd=self.home,
            user=self.user,
            check=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.home}"
        self.run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self, how):
        self.run("pg_ctl", "-D", "data", "-w", "-m", how, "stop")

    def ask(self, statement):
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def server(reserve_port):
    with temporary_folder() as folder:
        made = PostgresServer(folder, reserve_port())
        try:
            yield made
        finally:
            with suppress(subprocess.CalledProcessError):
                made.stop("immediate")


CALLS = "SELECT count(*) FROM judging_attempt"
COLLECTED = "SELECT count(*) FROM benchmark_response WHERE state = 'done'"


def wait_for(counted, server, process, more):
    def count():
        return server.ask(counted)[0][0]

    enough = count() + more
    while count() < enough:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
def test_judge_goes_on_by_itself(server):
    run_on(server.url, "migrate", "-v0")
    with running_simulator(latency=0.25, seed=8) as simulator:
        run_on(server.url, "demo", "--simulator-url", simulator.base_url)
        judge = start_on(server.url, "judge", "demo", "--json")
        for how, away in (("fast", 0.0), ("immediate", 1.5)):
            wait_for(CALLS, server, judge, 16)
            server.stop(how)
            time.sleep(away)
            server.start()
        out, errors = judge.communicate(timeout=600)
        assert judge.returncode == 0, errors
        assert "can't be used right now" in errors
        told = json.loads(out)
        answered = simulator.stats()["kinds"]["ok"]
    assert (told["verdicts"], told["parsed"], told["open"]) == (216, 216, 0)
    assert server.ask(
        "SELECT state, count(*), count(DISTINCT rating_id) FROM judging_verdict GROUP BY 1"
    ) == [("done", 216, 216)]
    ((ratings, places),) = server.ask(
        "SELECT count(*), count(DISTINCT (r.item_id, r.rater_id)) FROM annotation_rating r"
        " JOIN annotation_rater a ON a.id = r.rater_id WHERE a.kind = 'judge'"
    )
    ((calls, verdicts),) = server.ask("SELECT count(*), count(DISTINCT verdict_id) FROM judging_attempt")
    assert (ratings, places) == (216, 216)
    assert (calls, verdicts) == (216, 216) == (answered, answered)


def test_collect_goes_on_by_itself(server):
    run_on(server.url, "migrate", "-v0")
    run_on(server.url, "loadsuite", "--slug", "arbiter")
    with running_simulator(latency=0.25, seed=9) as simulator:
        collect = start_on(
            server.url,
            "collect",
            "--suite",
            "arbiter",
            "--subject",
            "sim-subject-bold",
            "--condition",
            "baseline",
            "--base-url",
            simulator.base_url,
            "--concurrency",
            4,
            "--json",
        )
        wait_for(COLLECTED, server, collect, 8)
        server.stop("immediate")
        time.sleep(1)
        server.start()
        out, errors = collect.communicate(timeout=600)
        assert collect.returncode == 0, errors
        assert "can't be used right now" in errors
        told, asked = json.loads(out), simulator.stats()["kinds"]["ok"]
    assert (told["failed"], told["open"]) == (0, 0) and told["responses"] > 60
    ((rows, places, empty),) = server.ask(
        "SELECT count(*), count(DISTINCT (run_id, task_id, epoch)), count(*) FILTER (WHERE text = '' OR "
        "state <> 'done')"
        " FROM benchmark_response"
    )
    assert rows == places == told["responses"] == asked and empty == 0
