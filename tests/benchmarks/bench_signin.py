"""32 raters label as fast as they can, first alone, then while 8 clients post wrong passwords as fast as they
can.

Two server processes with the passwords of production, where to hash one takes what dozens of labels take. The
clients of the attack come from one address, each time another name, or from eight addresses; they run on the
same machine, so that some of what is lost is theirs and not the server's.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from annotation.models import Tries
from tests.benchmarks.bench_labelling import a_study, labelled, server
from tests.benchmarks.figures import Measurement
from tests.benchmarks.labelling_clients import Loop

ITEMS, ROUNDS = 1000, 3
ATTACKS = {"nobody": 0, "8 clients of one address": 1, "8 clients of eight addresses": 8}


def measure(folder: Path) -> Iterator[Measurement]:
    loops: dict[str, list[Loop]] = {name: [] for name in ATTACKS}
    said: dict[str, Counter[str]] = {name: Counter() for name in ATTACKS}
    spent: dict[str, float] = dict.fromkeys(ATTACKS, 0.0)
    real = {"ARBITER_ENV": "development", "SECRET_KEY": settings.SECRET_KEY}
    with server(folder, **real) as (url, pids):
        for _ in range(ROUNDS):  # in turn, so that all meet the same machine
            for name, addresses in ATTACKS.items():
                study = a_study(ITEMS)
                Tries.objects.all().delete()
                before = sum(map(cpu, pids))
                with attack(url, addresses) as answers:
                    loops[name].append(labelled(study, url))
                spent[name] += sum(map(cpu, pids)) - before
                said[name] += answers
    alone = best(loops["nobody"])
    yield Measurement("sign-in: labels without an attack", alone, "labels/s")
    for name, measured in loops.items():
        yield Measurement(
            f"sign-in: errors of labels beside {name}",
            sum(one.errors for one in measured),
            "errors",
            exactly=0,
        )
        if name == "nobody":
            continue
        cost = {one: spent[one] / sum(loop.labels for loop in loops[one]) for one in ("nobody", name)}
        # Told only: at a tenth of the labels' speed, the few passwords that are hashed are a larger part of
        # the whole.
        yield Measurement(
            f"sign-in: of the server's time for labels, beside {name}", cost["nobody"] / cost[name], "times"
        )
        seconds = sum(one.seconds for one in measured)
        yield Measurement(f"sign-in: labels beside {name}", best(measured), "labels/s")
        yield Measurement(
            f"sign-in: of labels alone, beside {name}", best(measured) / alone, "times", at_least=0.9
        )
        yield Measurement(f"sign-in: wrong passwords a second, {name}", said[name].total() / seconds, "1/s")
        yield Measurement(
            f"sign-in: of these hashed, {name}", said[name]["200"] / seconds, "1/s", at_most=0.6
        )
        others = said[name].total() - said[name]["200"] - said[name]["429"]
        yield Measurement(f"sign-in: other answers, {name}", others, "answers", exactly=0)


def cpu(pid: int) -> float:
    """Return the seconds that a process has computed for, whatever else the machine was busy with."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def best(measured: list[Loop]) -> float:
    return max(one.per_second for one in measured)


@contextmanager
def attack(url: str, addresses: int) -> Iterator[Counter[str]]:
    """Post wrong passwords during the block; count how often each status was answered, once it has ended."""
    answers: Counter[str] = Counter()
    if not addresses:
        yield answers
        return
    command = [sys.executable, "-m", "tests.benchmarks.signin_clients", url, str(addresses)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "trying\n"
        yield answers
    finally:
        out, _ = process.communicate()  # its input ends, and so does it
        answers.update(json.loads(out))
