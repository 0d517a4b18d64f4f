"""A model service as calls need it: where it is, how fast it may be asked, what its row says of its state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from arbiter.calls.findings import Findings, findings_of


@dataclass(frozen=True, slots=True)
class Service:
    """An endpoint's description at one moment. Calls know no row: whoever asked notes what they learn."""

    pk: int
    name: str
    base_url: str
    key_variable: str = ""
    # Values name variables, as ${NAME}.
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    query: Mapping[str, str] = field(default_factory=dict, hash=False)
    ca_bundle: str = ""  # a file
    proxy: str = ""
    dialect: str = "openai"
    json_schema: bool = True
    concurrency: int = 8
    concurrency_start: int | None = None
    concurrency_floor: int = 1
    timeout: float = 120
    connect_timeout: float = 10
    read_timeout: float | None = None
    found: Mapping[str, Any] = field(default_factory=dict, hash=False)  # by its checks, by model
    down_since: datetime | None = None

    def findings(self, model: str) -> Findings:
        """Return what the last check found that the model takes."""
        return findings_of(self.found, self.base_url, self.dialect, model)
