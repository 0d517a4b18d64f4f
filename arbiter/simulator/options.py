"""What the simulated provider can be told, on the command line or in Python: one declaration for both."""

import argparse
import dataclasses
import math
from pathlib import Path
from typing import Any

from arbiter.simulator.injected_faults import RequestOutcome


class OptionError(ValueError):
    """An option has a value it can't have; the message is one sentence that names it."""


def _about(kind: type, metavar: str, text: str) -> dict[str, Any]:
    return {"type": kind, "metavar": metavar, "help": text}


def _option(default: Any, kind: type, metavar: str, text: str) -> Any:
    return dataclasses.field(default=default, metadata=_about(kind, metavar, text))


def _share(text: str) -> Any:
    return _option(0.0, float, "P", f"share of requests, 0 to 1, {text}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    port: int = _option(0, int, "PORT", "port on 127.0.0.1; 0, the default, picks a free one")
    labels: Path | None = dataclasses.field(
        default=None,
        metadata=_about(
            Path, "FILE", 'JSONL file of {"response": ..., "label": ...} that the judges know too'
        ),
    )
    latency: float = _option(0.0, float, "SECONDS", "time until an answer")
    latency_spread: float = _option(0.0, float, "SECONDS", "vary the latency evenly by up to this, both ways")
    rate_limit_share: float = _share("answered 429 with Retry-After, at once")
    error_share: float = _share("answered 500 (as Anthropic 529, as Gemini 503)")
    cut_share: float = _share("whose connection breaks in the middle of the answer")
    garbage_share: float = _share("answered 200 with a body that is not JSON, half of them declared as HTML")
    garble_share: float = _share("to judges answered with prose that holds no verdict")
    refusal_share: float = _share("answered with a refusal, in the dialect's manner")
    length_share: float = _share("cut off in the middle of the content, with finish_reason length")
    hang_share: float = _share("never answered")
    requests_per_second: float = _option(
        0.0,
        float,
        "N",
        "answer 429 beyond this many requests a second, whoever sends them; 0, the default, for no limit",
    )
    max_in_flight: int = _option(
        0, int, "N", "answer 429 where this many requests are under way already; 0, the default, for no limit"
    )
    retry_after: int = _option(1, int, "SECONDS", "what the 429s' Retry-After says")
    seed: int = _option(
        0, int, "N", "seed of the faults and latencies; what is answered doesn't depend on it"
    )
    stop_with: int | None = _option(None, int, "PID", "stop when this parent process has ended")

    def __post_init__(self) -> None:
        for name in _SHARES:
            _within(name, getattr(self, name), 0, 1)
        for name in ("latency", "latency_spread", "requests_per_second", "max_in_flight", "retry_after"):
            _within(name, getattr(self, name), 0, math.inf)
        _within("port", self.port, 0, 65535)
        total = math.fsum(getattr(self, name) for name in _SHARES)
        if total > 1 + 1e-9:
            used = " + ".join(_flag(name) for name in _SHARES if getattr(self, name))
            raise OptionError(f"{used} come to {total:g}, and shares of the same requests can't exceed 1.")

    def shares(self) -> dict[RequestOutcome, float]:
        return {outcome: getattr(self, name) for name, outcome in _SHARES.items()}

    def arguments(self) -> list[str]:
        """Return the command line that says the same."""
        chosen = (f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default)
        return [part for f in chosen for part in (_flag(f.name), str(getattr(self, f.name)))]


_SHARES = {
    "rate_limit_share": RequestOutcome.RATE_LIMIT,
    "error_share": RequestOutcome.ERROR,
    "cut_share": RequestOutcome.CUT,
    "garbage_share": RequestOutcome.GARBAGE,
    "garble_share": RequestOutcome.GARBLE,
    "refusal_share": RequestOutcome.REFUSAL,
    "length_share": RequestOutcome.LENGTH,
    "hang_share": RequestOutcome.HANG,
}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _within(name: str, value: float, low: float, high: float) -> None:
    # `not (a <= b)` rather than `a > b`: NaN is refused too.
    if not low <= value <= high or math.isinf(value):
        allowed = f"{low:g} or more" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise OptionError(f"{_flag(name)} must be {allowed}, not {value:g}.")


def add_options(parser: argparse.ArgumentParser) -> None:
    for f in dataclasses.fields(Options):
        said = {key: f.metadata[key] for key in ("type", "metavar", "help")}
        parser.add_argument(_flag(f.name), default=f.default, **said)


def from_parsed(parsed: dict[str, Any]) -> Options:
    """Take the options out of parsed arguments, whatever else is among them (Django adds its own)."""
    return Options(**{f.name: parsed[f.name] for f in dataclasses.fields(Options)})
