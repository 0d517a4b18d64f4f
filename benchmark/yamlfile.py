"""Reading a small YAML document that a person wrote: what is wrong with it is one sentence with its place."""

from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import UserError


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: YAML would let the last one win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> tuple[Any, str]:
    """The document, and its text."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    return parse_yaml(text, str(path)), text


def parse_yaml(text: str, name: str) -> Any:
    """The document that this text is; `name` says in a refusal where it came from."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader of ours
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{name}{line}: is not valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{name}: is not valid YAML: {' '.join(str(error).split())}.") from error
    except (ValueError, TypeError) as error:  # a date such as 2024-13-45, a number of 5,000 digits
        raise UserError(f"{name}: is not valid YAML: {error}; put text that looks so in quotes.") from error
    except RecursionError as error:
        raise UserError(f"{name}: is nested too deeply.") from error
