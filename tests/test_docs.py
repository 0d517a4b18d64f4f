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
from arbiter.calls.client import RETRYABLE
from arbiter.releases.exporting import columns
from arbiter.simulator.options import Options
from arbiter.studies.setup.studyfile import StudySpec, read_study_file
from benchmark.conditions import ConditionFile, ConditionSpec, read_conditions
from judging.models import Attempt, Settlement
from judging.panel.prompting import check_template
from judging.prompts import PLACEHOLDERS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
TEXT = {page.name: page.read_text(encoding="utf-8") for page in PAGES}

COMMANDS = {
    path.stem: "arbiter.cli"
    for path in sorted((ROOT / "arbiter" / "cli" / "management" / "commands").glob("*.py"))
    if path.stem != "__init__"
}
READERS = {"text", "flag", "number", "choice", "words", "required"}


def sections(text: str) -> dict[str, str]:
    """Return the page's second-level sections by title."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def fences(text: str, language: str) -> list[str]:
    blocks = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block[2] for block in blocks if block[1] == language]


# Commands


def parsers(name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Return the command's parser, or one for each of its subcommands, with the title of its section."""
    parser = load_command_class(COMMANDS[name], name).create_parser("manage.py", name)
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield name, parser
    for action in nested:
        yield from ((f"{name} {word}", inner) for word, inner in action.choices.items())


def own_options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Return our options: not those Django gives every command, and not --help."""
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
    """Return names in capitals given to an environment's `get` or a reader of ours, and all that
    start with ARBITER_.
    """
    names: set[str] = set()
    folders = ("scripts", "arbiter/cli/launch", "arbiter/core")
    for path in sorted(path for folder in folders for path in (ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
                reader = ast.unparse(node.func)
                if reader.endswith(("environ.get", "environment.get", "getenv", "_port")):
                    names |= {text for text in texts if isinstance(text, str) and text.isupper()}
            elif isinstance(node, ast.Constant) and re.fullmatch(r"ARBITER_[A-Z_]*[A-Z]", str(node.value)):
                names.add(node.value)
    return names


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
    """Return the model and all those within it."""
    within = {model}
    pending = [field.annotation for field in model.model_fields.values()]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            within |= models(kind)
        pending += get_args(kind)
    return within


SPECS = sorted(models(StudySpec) | models(SchemeSpec), key=lambda model: model.__name__)


@pytest.mark.parametrize("model", SPECS, ids=lambda model: model.__name__)
def test_every_key_of_the_study_file(model):
    assert not [name for name in model.model_fields if f"| `{name}` |" not in TEXT["study-file.md"]]


def test_no_key_is_described_that_is_not_there():
    described = set(re.findall(r"^\| `([a-z_]+)` \|", TEXT["study-file.md"], re.MULTILINE))
    assert described == {name for model in SPECS for name in model.model_fields}


def used(value: BaseModel) -> dict[type[BaseModel], set[str]]:
    """Return which keys are given, by model."""
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
    """Return headings' anchors as GitHub makes them: lower case, no punctuation, hyphens for blanks."""
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


def test_every_page_is_in_the_navigation():
    """Of the website that `make docs` makes."""
    conf = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8"))
    (navigation,) = [
        ast.literal_eval(node.value)
        for node in conf.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NAVIGATION"
    ]
    named = sorted(page for pages in navigation.values() for page in pages)
    there = sorted(page.relative_to(ROOT).with_suffix("").as_posix() for page in PAGES)
    assert named == [page for page in there if page != "README"]


OF_THE_CODE = ("architecture.md", "CONTRIBUTING.md")
MADE = {"build/docs", "var/"}  # by commands, so not in a checkout


@pytest.mark.parametrize("name", OF_THE_CODE)
def test_files_that_are_named_exist(name):
    """In backquotes, by their path: with a slash, or with an ending that ours have."""
    quoted = re.findall(
        r"`(\.?[\w.-]+(?:/[\w.-]+)*/?)`", re.sub(r"^```.*?^```$", "", TEXT[name], flags=re.M | re.S)
    )
    named = {
        path for path in quoted if "/" in path or path.endswith((".py", ".md", ".toml", ".txt", ".json"))
    }
    assert len(named) > 15
    assert not [path for path in sorted(named - MADE) if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", OF_THE_CODE)
def test_what_is_named_beside_a_file_is_in_it(name):
    """A function, class or field as in "`settle` (`judging/settlement/settling.py`)"."""
    text = re.sub(r"\s+", " ", TEXT[name])
    beside = re.findall(r"`([A-Za-z_.]+)`(?:,| in|) \(?`([\w/]+\.(?:py|js))`", text)
    assert beside or name == "CONTRIBUTING.md"
    for what, path in beside:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert all(re.search(rf"\b{word}\b", source) for word in what.split(".")), f"{name}: {what} in {path}"


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
    """Yield page, command and words of each `manage.py` call of ours in a shell example."""
    for name, text in TEXT.items():
        for block in fences(text, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                _, call, rest = line.partition("manage.py ")
                words = rest.split()
                if call and words[0] in COMMANDS:
                    yield name, words[0], words[1:]


def test_commands_printed_take_their_options():
    printed = list(commands_printed())
    assert printed
    for _page, name, words in printed:
        load_command_class(COMMANDS[name], name).create_parser("manage.py", name).parse_args(words)


# Statistics


def public_statistics() -> set[str]:
    """Return the public functions and classes that arbiter.statistics or a module of it offers."""
    public: set[str] = set()
    for path in sorted((ROOT / "arbiter" / "statistics").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                public.add(node.name)
    return public


def test_every_public_statistic():
    names = public_statistics()
    assert {"krippendorff_alpha", "wilson", "Undefined"} <= names
    assert not [name for name in sorted(names) if f"`{name}`" not in TEXT["statistics.md"]]
