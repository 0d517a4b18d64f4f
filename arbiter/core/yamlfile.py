"""Reading a YAML document that a person wrote: what is wrong with it is one sentence with its place.

Everything written in YAML is read here. A document is looked through once, before anything is built
of it: a few lines of aliases can stand for more than any memory holds, and a few thousand brackets
end a parser that follows them.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from arbiter.core.errors import UserError

LONGEST_FROM_A_PAGE = 300_000  # characters
LARGEST_FILE = 64 * 1024 * 1024  # bytes
DEEPEST = 50
MOST_ALIASED = 100_000  # values that the aliases of a document may stand for
NOT_YAML = "is not valid YAML: "
TEXT_TAG = "tag:yaml.org,2002:str"
BOOLEAN_WORDS = {"yes", "no", "on", "off", "true", "false"}
BOOLEAN_HINT = "YAML reads yes, no, on and off as true and false; put the word in quotes"
WITH_COLONS = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z")


class YamlError(Exception):
    """What is wrong with a document, and in which line."""

    def __init__(self, said: str, line: int | None = None) -> None:
        super().__init__(said)
        self.said, self.line = said, line


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML, in C where there is one, that leaves dates and times as the text they are."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


# Before the others: 12:30 would be the number 750.
for _first in "-+0123456789":
    Loader.yaml_implicit_resolvers[_first] = [
        (TEXT_TAG, WITH_COLONS),
        *Loader.yaml_implicit_resolvers.get(_first, []),
    ]


def read_yaml(path: Path) -> tuple[Any, str]:
    """Return the document that a file holds, and its text."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path}: is larger than {LARGEST_FILE >> 20} MB, more than a document may be.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    return parse_yaml(text, str(path)), text


def parse_yaml(text: str, name: str, *, from_a_page: bool = False) -> Any:
    """Return the document that this text is; `name` says in a refusal where it came from."""
    try:
        return load(text, from_a_page=from_a_page)
    except YamlError as error:
        line = f", line {error.line}" if error.line else ""
        raise UserError(f"{name}{line}: {error.said}.") from error


def load(text: str, loader: type[Loader] = Loader, *, from_a_page: bool = False) -> Any:
    """Return the document, with nothing in it that is read as something else than it says. Raises YamlError.

    What comes from a page may be no longer than a page takes, and has no aliases.
    """
    if from_a_page and len(text) > LONGEST_FROM_A_PAGE:
        raise YamlError(f"has {len(text)} characters, more than the {LONGEST_FROM_A_PAGE} a page takes")
    try:
        check(text, aliases=not from_a_page)
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader of ours
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split())
        raise YamlError(f"{NOT_YAML}{problem}", mark.line + 1 if mark else None) from error
    except yaml.YAMLError as error:
        raise YamlError(f"{NOT_YAML}{' '.join(str(error).split())}") from error
    except UnicodeEncodeError as error:
        raise YamlError(f"{NOT_YAML}it holds half a character (a lone surrogate)") from error
    except (ValueError, TypeError) as error:  # a number of 5,000 digits
        raise YamlError(f"{NOT_YAML}{error}; put text that looks so in quotes") from error


def hint(value: Any) -> str:
    """Return what to add to a refusal of this value where text was wanted, if there is anything to say."""
    return f" ({BOOLEAN_HINT})" if isinstance(value, bool) else ""


@dataclass(slots=True)
class _Level:
    """A list or a map that is open while a document is looked through."""

    is_map: bool
    anchor: str | None
    keys: set[str] = field(default_factory=set)
    at_key: bool = True  # in a map: a key comes next
    size: int = 1  # values in it, those of its aliases too


def check(text: str, *, aliases: bool = True) -> None:
    """Refuse what is nested too deeply, stands for too much, has a key twice or has tags.

    Raises YamlError.
    """
    levels = [_Level(False, None)]
    sizes: dict[str, int] = {}  # of what has an anchor
    aliased = 0
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionEndEvent):
            closed = levels.pop()
            levels[-1].size += closed.size
            if closed.anchor:
                sizes[closed.anchor] = closed.size
        elif isinstance(event, yaml.AliasEvent):
            size = _aliased(event, sizes, line, aliases)
            aliased += size
            if aliased > MOST_ALIASED:
                raise YamlError(
                    f"its aliases stand for more than {MOST_ALIASED} values; write them out", line
                )
            _note(levels[-1], None, size, line)
        elif isinstance(event, yaml.NodeEvent):
            _refuse_tags(event, line)
            if isinstance(event, yaml.ScalarEvent):
                _note(levels[-1], event, 1, line)
                if event.anchor:
                    sizes[event.anchor] = 1
                continue
            _note(levels[-1], None, 0, line)
            levels.append(_Level(isinstance(event, yaml.MappingStartEvent), event.anchor))
            if len(levels) > DEEPEST + 1:
                raise YamlError(f"is nested more than {DEEPEST} deep", line)


def _aliased(event: yaml.AliasEvent, sizes: dict[str, int], line: int, allowed: bool) -> int:
    if not allowed:
        raise YamlError(f"aliases (*{event.anchor}) are not taken here; write the value out", line)
    if event.anchor not in sizes:
        raise YamlError(f"{NOT_YAML}*{event.anchor} stands for nothing that is complete before it", line)
    return sizes[event.anchor]


def _note(level: _Level, scalar: yaml.ScalarEvent | None, size: int, line: int) -> None:
    """Count a value into the level it stands in, and look at it where it is a key."""
    level.size += size
    if level.is_map and level.at_key and scalar:
        _check_key(level, scalar, line)
    level.at_key = not level.at_key


def _check_key(level: _Level, scalar: yaml.ScalarEvent, line: int) -> None:
    name = scalar.value
    if name in level.keys:
        raise YamlError(f"{NOT_YAML}the key {name[:80]!r} is there twice", line)
    level.keys.add(name)
    if scalar.implicit[0] and name.lower() in BOOLEAN_WORDS:
        raise YamlError(f"the key {name} is no text ({BOOLEAN_HINT}: '{name}')", line)


def _refuse_tags(event: yaml.NodeEvent, line: int) -> None:
    """Refuse a tag, which has a value read as something else: a date, a set, a program's object."""
    tag = getattr(event, "tag", None)
    if tag and tag != TEXT_TAG:
        named = tag.replace("tag:yaml.org,2002:", "!!")
        raise YamlError(f"tags ({named[:80]}) are not taken; write the value without, text in quotes", line)
