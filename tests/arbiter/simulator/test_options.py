"""What can be said on the command line, and what is refused with which sentence."""

import argparse
import subprocess
import sys

import pytest

from arbiter.simulator.injected_faults import Faults, Latency, RequestOutcome
from arbiter.simulator.options import OptionError, Options, add_options, from_parsed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"error_share": 1.2}, "--error-share must be from 0 to 1, not 1.2."),
        ({"hang_share": -0.1}, "--hang-share must be from 0 to 1, not -0.1."),
        ({"cut_share": float("nan")}, "--cut-share must be from 0 to 1, not nan."),
        ({"latency": -1}, "--latency must be 0 or more, not -1."),
        ({"latency_spread": float("inf")}, "--latency-spread must be 0 or more, not inf."),
        ({"requests_per_second": -1}, "--requests-per-second must be 0 or more, not -1."),
        ({"max_in_flight": -2}, "--max-in-flight must be 0 or more, not -2."),
        ({"port": 70000}, "--port must be from 0 to 65535, not 70000."),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(wrong, said):
    with pytest.raises(OptionError) as raised:
        Options(**wrong)
    assert str(raised.value) == said


def test_shares_over_one_are_refused_naming_those_used():
    with pytest.raises(OptionError) as raised:
        Options(error_share=0.7, cut_share=0.5)
    assert str(raised.value).startswith("--error-share + --cut-share come to 1.2,")
    Options(error_share=0.1, cut_share=0.2, garbage_share=0.7)  # exactly 1, whatever floats make of it


def test_arguments_say_the_same_again(tmp_path):
    options = Options(labels=tmp_path / "l.jsonl", latency=0.25, rate_limit_share=0.1, seed=7, stop_with=12)
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert from_parsed(vars(parser.parse_args(options.arguments()))) == options
    assert from_parsed(vars(parser.parse_args([]))) == Options()


def test_the_command_ends_with_one_line():
    command = [sys.executable, "-m", "arbiter.simulator", "--error-share", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "--error-share must be from 0 to 1, not 2.\n"


def test_fault_sequence_depends_on_seed_and_shares_only():
    shares = Options(rate_limit_share=0.2, cut_share=0.1).shares()
    drawn = [
        [faults.next() for _ in range(2000)]
        for faults in (Faults(shares, 5), Faults(shares, 5), Faults(shares, 6))
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].count(RequestOutcome.RATE_LIMIT) == pytest.approx(400, abs=60)
    assert drawn[0].count(RequestOutcome.CUT) == pytest.approx(200, abs=50)
    assert set(drawn[0]) == {RequestOutcome.OK, RequestOutcome.RATE_LIMIT, RequestOutcome.CUT}


def test_latency_stays_within_its_spread_and_above_zero():
    assert {Latency(0.5, 0, 1).next() for _ in range(5)} == {0.5}
    latency = Latency(0.1, 0.3, 1)
    drawn = [latency.next() for _ in range(500)]
    assert min(drawn) == 0.0
    assert 0.3 < max(drawn) <= 0.4
