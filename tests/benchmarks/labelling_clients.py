"""Raters who label as fast as the server lets them, in a process of their own."""

import asyncio
import json
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import random
from time import monotonic

import aiohttp

AHEAD = 6
THINKING = 0.5  # seconds between two labels of a person, and two pages


@dataclass(frozen=True)
class Loop:
    labels: int
    errors: int
    seconds: float
    p95: float

    @property
    def per_second(self) -> float:
        return self.labels / self.seconds


def drive(url: str, cookies: list[str], labels: int) -> Loop:
    """Label until so many labels were sent by all of them together."""
    return Loop(*_apart("label", url, labels, cookies))


@dataclass(frozen=True)
class Beside:
    labels: int
    errors: int
    p95: float
    longest_label: float
    longest_page: float


def beside(url: str, cookies: list[str], reader: str, pages: list[str], over: str) -> Beside:
    """Label at people's pace, and read pages one after another, until a file is there."""
    labels, errors, *times = _apart("beside", url, cookies, reader, pages, over)
    return Beside(int(labels), int(errors), *times)


def idle(url: str, clients: int, seconds: float) -> float:
    """Return the requests a second of a page that does nothing."""
    return float(_apart("idle", url, seconds, clients)[0])


def _apart(*job: object) -> list[float]:
    command = [sys.executable, "-m", "tests.benchmarks.labelling_clients"]
    done = subprocess.run(command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


class LabellingClient:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url, self.errors, self.times = session, url, 0, list[float]()
        self.held: list[str] = []

    async def send(self, path: str, body: dict[str, object]) -> dict[str, object]:
        clock = monotonic()
        async with self.session.post(f"{self.url}/{path}", json=body) as answer:
            text = await answer.text()
        self.times.append(monotonic() - clock)
        if answer.status != 200:
            self.errors += 1
            print(answer.status, text[:200], file=sys.stderr)
            return {}
        reply: dict[str, object] = json.loads(text)
        self.held += [item["key"] for item in reply["items"]]  # type: ignore[attr-defined]
        return reply

    async def label(self) -> None:
        """Label as the page does: the label and the wish for one more in one request."""
        key = self.held.pop(0)
        body = {
            "key": key,
            "submission": secrets.token_hex(8),
            "base": 0,
            "label": secrets.choice(LABELS),
            "confidence": 2,
            "active_seconds": 12.5,
            "note": "",
            "evidence": [{"start": 3, "end": 40}],
            "answers": {},
            "flagged": False,
            "want": AHEAD,
            "have": self.held,
        }
        await self.send("submit", body)


LABELS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]


async def label_all(url: str, labels: int, cookies: list[str]) -> list[float]:
    raters = [LabellingClient(session_with(cookie), url) for cookie in cookies]
    await asyncio.gather(*(rater.send("next", {"want": AHEAD}) for rater in raters))
    for rater in raters:
        rater.times.clear()
    left = labels
    clock = monotonic()

    async def work(rater: LabellingClient) -> None:
        nonlocal left
        while left > 0 and rater.held:
            left -= 1
            await rater.label()

    await asyncio.gather(*(work(rater) for rater in raters))
    seconds = monotonic() - clock
    for rater in raters:
        await rater.session.close()
    times = sorted(time for rater in raters for time in rater.times)
    return [len(times), sum(rater.errors for rater in raters), seconds, times[int(0.95 * len(times))]]


async def label_beside(url: str, cookies: list[str], reader: str, pages: list[str], over: str) -> list[float]:
    raters = [LabellingClient(session_with(cookie), url) for cookie in cookies]
    page_times: list[float] = []

    async def work(rater: LabellingClient) -> None:
        await asyncio.sleep(random() * THINKING)
        while not Path(over).exists():
            if not rater.held:
                await rater.send("next", {"want": AHEAD})
            else:
                await rater.label()
            await asyncio.sleep(THINKING)

    async def read() -> None:
        session = session_with(reader)
        while not Path(over).exists():
            for page in pages:
                clock = monotonic()
                async with session.get(page) as answer:
                    await answer.read()
                page_times.append(monotonic() - clock)
                raters[0].errors += answer.status >= 400
                await asyncio.sleep(THINKING)
        await session.close()

    await asyncio.gather(read(), *(work(rater) for rater in raters))
    for rater in raters:
        await rater.session.close()
    times = sorted(time for rater in raters for time in rater.times)
    errors = sum(rater.errors for rater in raters)
    return [len(times), errors, times[int(0.95 * len(times))], times[-1], max(page_times)]


def session_with(cookie: str) -> aiohttp.ClientSession:
    token = secrets.token_hex(16)
    cookies = {"sessionid": cookie, "csrftoken": token}
    return aiohttp.ClientSession(
        cookies=cookies, headers={"X-CSRFToken": token}, cookie_jar=aiohttp.CookieJar(unsafe=True)
    )


async def ask_idly(url: str, seconds: float, clients: int) -> list[float]:
    count, end = 0, monotonic() + seconds

    async def ask(session: aiohttp.ClientSession) -> None:
        nonlocal count
        while monotonic() < end:
            async with session.get(f"{url}/healthz") as answer:
                await answer.read()
            count += 1

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(ask(session) for _ in range(clients)))
    return [count / seconds]


if __name__ == "__main__":
    kind, *job = json.load(sys.stdin)
    print(json.dumps(asyncio.run({"label": label_all, "idle": ask_idly, "beside": label_beside}[kind](*job))))
