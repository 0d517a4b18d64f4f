"""Prompt templates: those shipped here, by name, and a user's own, by path."""

from pathlib import Path

from benchmark.errors import UserError

FOLDER = Path(__file__).parent
PLACEHOLDERS = {
    "context",
    "question",
    "label_keys",
    "label_definitions",
    "marker",
    "task",
    "response",
    "answer_format",
}
NEEDED = {"task", "response", "label_keys"}
DIVIDER = "\n----- user -----\n"


def template_text(name: str, beside: Path | None = None) -> str:
    """The template's text. A name with a dot or a slash is a file, looked for beside the study file."""
    if "." in name or "/" in name:
        path = (beside or Path.cwd()) / name
        if not path.is_file():
            raise UserError(f"template {name!r}: there is no file {path}.")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"template {name!r}: {path} is not UTF-8.") from error
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.txt")))
        raise UserError(
            f"template {name!r}: there is no such template; there are {known}, or give a file's path."
        )
    return path.read_text(encoding="utf-8")
