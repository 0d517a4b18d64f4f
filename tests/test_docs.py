"""The documentation is complete, and its examples hold."""

import argparse
import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from django.core.management import load_command_class
from pydantic import BaseModel

from annotation.humanplan import DrawSpec, StratumSpec, WhereSpec
from annotation.models import Rating
from annotation.schemes import SchemeSpec
from benchmark.client import RETRYABLE
from benchmark.conditions import ConditionFile, ConditionSpec, read_conditions
from benchmark.simulator.options import Options
from judging.exporting import columns
from judging.models import Attempt, Settlement
from judging.panel.prompting import check_template
from judging.prompts import PLACEHOLDERS
from judging.studies.file import StudySpec, read_study_file

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
TEXT = {page.name: page.read_text(encoding="utf-8") for page in PAGES}

ROOMS = ("benchmark", "annotation", "judging")
COMMANDS = {
    path.stem: room
    for room in ROOMS
    for path in sorted((ROOT / room / "management" / "commands").glob("*.py"))
    if path.stem != "__init__"
}
READERS = {"text", "flag", "number", "choice", "words", "required"}


def sections(text: str) -> dict[str, str]:
    """The page's second-level sections by title."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def fences(text: str, language: str) -> list[str]:
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [one[2] for one in found if one[1] == language]


# Commands


def parsers(name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The command's parser, or one for each of its subcommands, with the title of its section."""
    parser = load_command_class(COMMANDS[name], name).create_parser("manage.py", name)
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield name, parser
    for action in nested:
        yield from ((f"{name} {word}", inner) for word, inner in action.choices.items())


def own_options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Ours: not those Django gives every command, and not --help."""
    bare = load_command_class("django.core", "check").create_parser("manage.py", "check")
    djangos = {flag for action in bare._actions for flag in action.option_strings}
    for action in parser._actions:
        if not set(action.option_strings) & djangos or action.dest == "database":
            yield action


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option(name):
    described = sections(TEXT["commands.md"])
    for title, parser in parsers(name):
        assert title in described, f"docs/commands.md has no section '## {title}'"
        for action in own_options(parser):
            if action.option_strings:
                assert f"`{action.option_strings[-1]}`" in described[title] or (
                    action.dest == "json" and "[--json]" in described[title]
                ), f"{title}: {action.option_strings[-1]} is not described"
            else:
                word = str(action.metavar or action.dest).upper().partition(".")[0]
                assert word in described[title], f"{title}: {word} is not described"


def test_no_command_is_described_that_is_not_there():
    titles = {title for name in COMMANDS for title, _ in parsers(name)}
    assert set(sections(TEXT["commands.md"])) == titles


def test_no_option_is_described_that_is_not_there():
    for name in COMMANDS:
        for title, parser in parsers(name):
            flags = {flag for action in parser._actions for flag in action.option_strings}
            named = set(re.findall(r"^\| `(--[a-z-]+)`", sections(TEXT["commands.md"])[title], re.MULTILINE))
            assert named <= flags, title


@pytest.mark.parametrize("long", [False, True])
def test_every_column_of_an_export(long):
    described = sections(TEXT["commands.md"])["exportstudy"]
    assert not [name for name in columns(long) if f"`{name}`" not in described]


def test_every_rule_of_settlement():
    described = sections(TEXT["commands.md"])["settle"]
    assert not [rule for rule in Settlement.Rule.values if f"`{rule}`" not in described]


def test_every_confidence_scale_the_model_names():
    scales = re.findall(r"\b(probability|steps\d)\b", Rating._meta.get_field("confidence_scale").help_text)
    assert scales and all(f"`{scale}`" in TEXT["commands.md"] for scale in scales)


def test_every_key_of_a_condition(tmp_path):
    (example,) = fences(sections(TEXT["commands.md"])["collect"], "yaml")
    path = tmp_path / "conditions.yaml"
    path.write_text(example, encoding="utf-8")
    assert list(read_conditions(path)) == ["watched"]
    (written,) = ConditionFile.model_validate(yaml.safe_load(example)).conditions
    assert written.model_fields_set == set(ConditionSpec.model_fields)


def test_defaults_of_the_simulated_provider():
    rows = dict(
        re.findall(
            r"^\| `(--[a-z-]+)` \| (\S+) \|", sections(TEXT["commands.md"])["simulateprovider"], re.MULTILINE
        )
    )
    for option in dataclasses.fields(Options):
        said = rows["--" + option.name.replace("_", "-")]
        assert option.default == (None if said == "none" else float(said)), option.name


# Settings


def settings_read() -> set[str]:
    tree = ast.parse((ROOT / "config" / "settings.py").read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and call.func.attr in READERS
        and isinstance(call.args[0], ast.Constant)
    }


def read_by_scripts() -> set[str]:
    """Names given to an environment's `get` or to a reader of ours, in capitals, and all that start with ARBITER_."""
    found: set[str] = set()
    for path in sorted((ROOT / "scripts").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
                reader = ast.unparse(node.func)
                if reader.endswith(("environ.get", "environment.get", "getenv", "_port")):
                    found |= {text for text in texts if isinstance(text, str) and text.isupper()}
            elif isinstance(node, ast.Constant) and re.fullmatch(r"ARBITER_[A-Z_]*[A-Z]", str(node.value)):
                found.add(node.value)
    return found


def test_every_setting():
    names = settings_read()
    assert {"SECRET_KEY", "DATABASE_URL", "ARBITER_ENV"} <= names
    assert not [name for name in sorted(names) if f"| `{name}` |" not in TEXT["settings.md"]]


def test_every_variable_of_the_scripts():
    names = read_by_scripts()
    assert {"PORT", "CI", "ARBITER_HOST", "ARBITER_CHROMIUM"} <= names
    assert not [name for name in sorted(names) if f"| `{name}` |" not in TEXT["settings.md"]]


def test_no_setting_is_described_that_nothing_reads():
    described = set(re.findall(r"^\| `([A-Z_]+)` \|", TEXT["settings.md"], re.MULTILINE))
    assert described <= settings_read() | read_by_scripts()


# The study file


def models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The model and all those within it."""
    found = {model}
    pending = [field.annotation for field in model.model_fields.values()]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= models(kind)
        pending += get_args(kind)
    return found


SPECS = sorted(models(StudySpec) | models(SchemeSpec), key=lambda model: model.__name__)


@pytest.mark.parametrize("model", SPECS, ids=lambda model: model.__name__)
def test_every_key_of_the_study_file(model):
    assert not [name for name in model.model_fields if f"| `{name}` |" not in TEXT["study-file.md"]]


def test_no_key_is_described_that_is_not_there():
    described = set(re.findall(r"^\| `([a-z_]+)` \|", TEXT["study-file.md"], re.MULTILINE))
    assert described == {name for model in SPECS for name in model.model_fields}


def used(value: BaseModel) -> dict[type[BaseModel], set[str]]:
    """Which keys are given, by model."""
    given: dict[type[BaseModel], set[str]] = {type(value): set(value.model_fields_set)}
    for name in value.model_fields_set:
        part = getattr(value, name)
        for inner in part if isinstance(part, list) else [part]:
            if isinstance(inner, BaseModel):
                for model, names in used(inner).items():
                    given.setdefault(model, set()).update(names)
    return given


def test_the_complete_example_is_valid_and_complete(tmp_path):
    (example,) = fences(sections(TEXT["study-file.md"])["A complete example"], "yaml")
    path = tmp_path / "study.yaml"
    path.write_text(example, encoding="utf-8")
    given = used(read_study_file(path))
    plans = set(
        DrawSpec.model_fields
    )  # of which one study has some only; the page's other examples have the others
    for model in [model for model in SPECS if model not in (StratumSpec, WhereSpec)]:
        wanted = set(model.model_fields) - (plans if issubclass(model, DrawSpec) else set())
        assert given.get(model, set()) >= wanted, model.__name__


def test_every_key_of_a_plan_is_in_an_example(tmp_path):
    given: set[str] = set()
    for example in fences(TEXT["study-file.md"], "yaml"):
        path = tmp_path / "study.yaml"
        path.write_text(example, encoding="utf-8")
        for model, names in used(read_study_file(path)).items():
            given |= names if issubclass(model, DrawSpec | StratumSpec) else set()
    assert given >= set(DrawSpec.model_fields) | set(StratumSpec.model_fields)


STUDY_FILES = [
    pytest.param(block, id=f"{name}-{number}")
    for name, text in TEXT.items()
    for number, block in enumerate(fences(text, "yaml"))
    if re.match(r"(#.*\n)*study:", block)
]


@pytest.mark.parametrize("example", STUDY_FILES)
def test_study_files_are_valid(tmp_path, example):
    path = tmp_path / "study.yaml"
    path.write_text(example, encoding="utf-8")
    spec = read_study_file(path)
    voters = {voter.partition("@")[0] for voter in spec.settlement.voters}
    assert voters <= {judge.name for judge in spec.judges} | {"humans"}


# Judges


def test_every_placeholder():
    described = set(re.findall(r"^\| `\{\{ (\w+) \}\}` \|", TEXT["judges.md"], re.MULTILINE))
    assert described == PLACEHOLDERS


def test_the_example_of_a_template():
    (example,) = [block for block in fences(TEXT["judges.md"], "") if "{{ response }}" in block]
    check_template(example)
    assert all(f"{{{{ {name} }}}}" in example for name in PLACEHOLDERS - {"context"})


def test_every_outcome_of_a_call():
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (yes|no)", TEXT["judges.md"], re.MULTILINE))
    assert rows == {outcome: "yes" if outcome in RETRYABLE else "no" for outcome in Attempt.Outcome.values}


# Links and examples


def links(text: str) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"https?:", link)]


def anchors(text: str) -> set[str]:
    """As GitHub makes them: lower case, no punctuation, hyphens for blanks."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_images_resolve(page):
    for link in links(TEXT[page.name]):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_yaml_and_python_examples_parse(page):
    for block in fences(TEXT[page.name], "json"):
        for line in block.splitlines():
            json.loads(line)
    for block in fences(TEXT[page.name], "yaml"):
        assert yaml.safe_load(block)
    for block in fences(TEXT[page.name], "python"):
        ast.parse(block)


def commands_printed() -> Iterator[tuple[str, str, list[str]]]:
    """Page, command and words of each `manage.py` call of ours in a shell example."""
    for name, text in TEXT.items():
        for block in fences(text, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                _, found, rest = line.partition("manage.py ")
                words = rest.split()
                if found and words[0] in COMMANDS:
                    yield name, words[0], words[1:]


def test_commands_printed_take_their_options():
    printed = list(commands_printed())
    assert printed
    for _page, name, words in printed:
        load_command_class(COMMANDS[name], name).create_parser("manage.py", name).parse_args(words)


# Statistics


def public_statistics() -> set[str]:
    """Functions and classes that can be imported from judging.statistics or one of its modules, without an underscore."""
    found: set[str] = set()
    for path in sorted((ROOT / "judging" / "statistics").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found.add(node.name)
    return found


def test_every_public_statistic():
    names = public_statistics()
    assert {"krippendorff_alpha", "wilson", "Undefined"} <= names
    assert not [name for name in sorted(names) if f"`{name}`" not in TEXT["statistics.md"]]
