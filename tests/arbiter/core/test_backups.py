"""A backup holds the database as it was at one moment, but no key to it; what is restored is the
same, or nothing is.
"""

import io
import json
import os
import random
import shutil
import sqlite3
import struct
import tempfile
import threading
import time
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.utils import timezone

from annotation.access import make_link
from annotation.models import AccessLink, LabelScheme
from annotation.schemes import builtin_scheme
from arbiter.core import backups
from arbiter.core.backups.archive import MANIFEST
from arbiter.core.errors import UserError
from arbiter.core.text import digest
from arbiter.releases.exporting import export_study
from benchmark.models import Suite
from tests import builders
from tests.benchmark.databases import another_database, json_on, migrate, refusal_on, run_on, start_on
from tests.commands import as_json, refusal

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
FORMS = (("items.jsonl",), ("ratings.jsonl", "--long"), ("named.csv", "--long", "--names"))


@pytest.fixture
def other(tmp_path):
    with another_database(tmp_path) as url:
        yield url


@pytest.fixture
def study(db):
    """Make a study with people, labels of several kinds and texts that are hard to keep."""
    made = builders.study()
    cast = builders.cast(made)
    raters = [builders.human(cast[name]) for name in ("ann", "ben")] + [builders.rater()]
    for number, item in enumerate(made.items.order_by("pk")):
        for turn, rater in enumerate(raters):
            label = ("convergence", "no_convergence", "nonsensical")[(number + turn) % 3]
            builders.rate(item, rater, label, rationale="tab\t, backslash \\N \\., line\nbreak, ž 😀, \"'")
    return made


@pytest.fixture
def backup(study, tmp_path):
    as_json("backup", tmp_path / "one.backup")
    return tmp_path / "one.backup"


def exports_of(database, folder):
    folder.mkdir()
    for name, *options in FORMS:
        run_on(database, "exportstudy", "tiny", folder / name, *options)
    return [(folder / name).read_bytes() for name, *_ in FORMS]


def own_exports(study, folder):
    folder.mkdir()
    for name, *options in FORMS:
        export_study(study, folder / name, long="--long" in options, names="--names" in options)
    return [(folder / name).read_bytes() for name, *_ in FORMS]


def changed(backup, change, name="changed.backup"):
    """Return the archive with its parts changed, and a manifest that fits them unless `change` spoils it."""
    with zipfile.ZipFile(backup) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    manifest = json.loads(parts.pop(MANIFEST))
    change(parts, manifest)
    for part, content in parts.items():
        if part in manifest["parts"] and manifest["parts"][part]["sha256"] != "spoilt":
            manifest["parts"][part] = {"sha256": digest_of(content), "size": len(content)}
    out = backup.with_name(name)
    with zipfile.ZipFile(out, "w") as archive:
        for part, content in {**parts, MANIFEST: json.dumps(manifest)}.items():
            archive.writestr(part, content)
    return out


def digest_of(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()


def test_exports_before_and_after_are_the_same_bytes(study, backup, other, tmp_path):
    before = own_exports(study, tmp_path / "before")
    told = json_on(other, "restore", backup)
    assert told["migrated"] is False and told["kept"] == ""
    assert exports_of(other, tmp_path / "after") == before
    assert all(before) and before[1].count(b"\n") == 18
    # It goes on from there: what is new gets numbers of its own.
    run_on(other, "loadsuite", "--slug", "arbiter")
    assert refusal_on(other, "restore", backup).startswith("The database is not empty")


def test_what_is_restored_can_be_backed_up_to_the_same_rows(backup, other, tmp_path):
    first = json_on(other, "restore", backup)
    second = json_on(other, "backup", tmp_path / "two.backup")
    assert second["rows"] == first["rows"] > 0 and second["tables"] == first["tables"]


def test_it_is_one_moment_while_others_write(study, other, tmp_path):
    """A writer makes schemes two at a time: no backup may hold one without its twin."""
    builtin_scheme("four-class")
    over, made = threading.Event(), []

    def write():
        try:
            while not over.is_set():
                made.append(len(made))
                LabelScheme.objects.bulk_create(
                    LabelScheme(key=f"pair-{len(made)}", version=n, question="x" * 2000, content_hash=str(n))
                    for n in (1, 2)
                )
        finally:
            connections.close_all()

    def written(number):
        while len(made) < number:
            assert writer.is_alive()
            time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            there = len(made)
            written(there + 5)
            backups.make(tmp_path / f"{number}.backup")
        count = len(made)
        written(count + 5)  # nobody was stopped by it
    finally:
        over.set()
        writer.join()
    json_on(other, "restore", tmp_path / "2.backup")
    keys = run_on(other, "shell", "-v0", "-c", SCHEMES).split()
    assert 15 < len(keys) < 2 * len(made) and len(set(keys)) * 2 == len(keys)


SCHEMES = (
    "from annotation.models import LabelScheme as L\n"
    "print(*L.objects.filter(key__startswith='pair').values_list('key', flat=True))"
)


def test_no_key_to_the_database_is_in_it(study, tmp_path, other):
    who = User.objects.get(username="owner")
    Session.objects.create(session_key="the-session-key", session_data="xyz", expire_date=timezone.now())
    sign_in, invitation = make_link(user=who), make_link(study=study, role="rater")
    as_json("backup", tmp_path / "one.backup")
    with zipfile.ZipFile(tmp_path / "one.backup") as archive:
        held = b"".join(archive.read(name) for name in archive.namelist())
    assert b"the-session-key" not in held and digest(sign_in).encode() not in held
    assert digest(invitation).encode() in held
    assert Session.objects.count() == 1 and AccessLink.objects.count() == 2


def test_its_owner_alone_may_read_it(backup):
    assert backup.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in backup.parent.iterdir() if path.name.startswith(".")] == []


def test_it_never_replaces_a_file_and_leaves_none_where_it_fails(backup, tmp_path, monkeypatch):
    assert refusal("backup", backup) == f"{backup} exists already; a backup never replaces a file."
    assert "No such file or directory" in refusal("backup", tmp_path / "nowhere" / "x.backup")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(tmp_path.iterdir())
    assert "No space left on device" in refusal("backup", tmp_path / "more.backup")
    assert sorted(tmp_path.iterdir()) == before


def test_check_reads_it_and_changes_nothing(backup):
    told = as_json("restore", backup, "--check")
    assert told["engine"] == connection.vendor and told["rows"] > 20
    assert Suite.objects.count() == 1


def spoil_part(parts, manifest):
    name = max(parts, key=lambda part: len(parts[part]))
    manifest["parts"][name]["sha256"] = "spoilt"


def newer(parts, manifest):
    manifest["migrations"].append(["annotation", "9999_from_the_future"])


def other_engine(parts, manifest):
    manifest["engine"] = {"sqlite": "postgresql", "postgresql": "sqlite"}[manifest["engine"]]


def other_format(parts, manifest):
    manifest["format"] = 2


def other_parts(parts, manifest):
    parts["more"] = b""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil_part, "is not as it was written"),
        (newer, "newer Arbiter .* had the migration annotation.9999_from_the_future; update this one first"),
        (other_engine, "and DATABASE_URL names"),
        (other_format, "was made by a newer Arbiter"),
        (other_parts, "its parts are not those its manifest names"),
        (lambda parts, manifest: manifest.pop("rows"), "is no backup of Arbiter"),
    ],
)
def test_what_is_no_whole_backup_of_ours_is_refused_before_anything_is_touched(backup, change, said):
    with pytest.raises(UserError, match=said):
        backups.restore(changed(backup, change), replace=True)
    assert Suite.objects.count() == 1


def test_a_damaged_file_is_refused(backup, tmp_path):
    content = backup.read_bytes()
    for number, damaged in enumerate((b"", b"text", content[:-200], content[: len(content) // 2])):
        (tmp_path / f"{number}").write_bytes(damaged)
        with pytest.raises(UserError, match=r"is no backup, or is damaged"):
            backups.check(tmp_path / f"{number}")
    with zipfile.ZipFile(backup) as archive:
        largest = max(archive.infolist(), key=lambda part: part.compress_size)
        before = archive.read(largest)
    # Its bytes come after its own header, which ends with the lengths of a name and of what is extra.
    lengths = struct.unpack_from("<HH", content, largest.header_offset + 26)
    start = largest.header_offset + 30 + sum(lengths)
    where, refused = random.Random(4), 0
    while refused < 10:
        spot = where.randrange(start, start + largest.compress_size)
        flipped = content[:spot] + bytes([content[spot] ^ 0x55]) + content[spot + 1 :]
        if reads_as(flipped, largest.filename, before):
            continue  # a step back to zeros may as well lead to other zeros
        (tmp_path / f"flip-{refused}").write_bytes(flipped)
        with pytest.raises(UserError):
            backups.check(tmp_path / f"flip-{refused}")
        refused += 1
    with pytest.raises(UserError, match="can't be read: No such file"):
        backups.check(tmp_path / "nowhere")


def reads_as(content, name, before):
    try:
        return zipfile.ZipFile(io.BytesIO(content)).read(name) == before
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return False


def test_replace_puts_it_in_place_of_what_is_there(study, backup, other, tmp_path):
    before = own_exports(study, tmp_path / "before")
    migrate(other)
    run_on(other, "loadsuite", "--slug", "arbiter")
    assert refusal_on(other, "restore", backup) == (
        "The database is not empty: benchmark_category has rows. "
        "To put the backup in its place, add --replace."
    )
    told = json_on(other, "restore", backup, "--replace")
    assert exports_of(other, tmp_path / "after") == before
    assert suites(other) == ["tiny"]
    if connection.vendor == "sqlite":
        assert suites(f"sqlite://{told['kept']}") == ["arbiter"]


def suites(database):
    code = "from benchmark.models import Suite; print(*Suite.objects.values_list('slug', flat=True))"
    return run_on(database, "shell", "-v0", "-c", code).split()


def test_one_of_an_older_version_is_migrated(other, tmp_path):
    """As Arbiter's tables were before the newest migrations, with a row in them."""
    run_on(other, "migrate", "-v0", "annotation", "0005")
    run_on(other, "migrate", "-v0", "auth")
    code = (
        "from django.db import connection as c; x = c.cursor()\n"
        'x.execute("INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active, '
        "first_name, last_name, email, date_joined) "
        "VALUES ('from-before', 'x', false, false, true, '', '', '', '2025-01-02 03:04:05+00')\")"
    )
    run_on(other, "shell", "-v0", "-c", code)
    run_on(other, "backup", tmp_path / "old.backup")
    with another_database(tmp_path) as newest:
        told = json_on(newest, "restore", tmp_path / "old.backup")
        assert told["migrated"] is True
        run_on(newest, "migrate", "--check")
        people = "from django.contrib.auth.models import User; print(*User.objects.values_list('username'))"
        assert "from-before" in run_on(newest, "shell", "-v0", "-c", people)


def test_rows_that_do_not_fit_together_leave_the_database_as_it_was(study, backup, other):
    migrate(other)
    run_on(other, "loadsuite", "--slug", "arbiter")
    said = refusal_on(other, "restore", changed(backup, without_a_parent), "--replace")
    assert "is damaged" in said or "violates foreign key" in said
    assert suites(other) == ["arbiter"]


def without_a_parent(parts, manifest):
    """Take the suites out of a database; their tasks stay."""
    if manifest["engine"] == "postgresql":
        parts["tables/benchmark_suite.copy"] = b""
        manifest["rows"]["benchmark_suite"] = 0
        return
    (name,) = parts
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "one.sqlite3")
        path.write_bytes(parts[name])
        with closing(sqlite3.connect(path)) as database:
            database.execute("DELETE FROM benchmark_suite")
            database.commit()
        parts[name] = path.read_bytes()
    manifest["rows"]["benchmark_suite"] = 0


def test_killed_midway_it_has_done_all_or_nothing(backup, other):
    migrate(other)
    run_on(other, "loadsuite", "--slug", "arbiter")
    moments = random.Random("killing a restore")
    for _ in range(3):
        process = start_on(other, "restore", backup, "--replace")
        time.sleep(moments.uniform(0.4, 1.6))
        process.kill()
        process.communicate()
        assert suites(other) in (["arbiter"], ["tiny"])
    run_on(other, "restore", backup, "--replace")
    assert suites(other) == ["tiny"]


def test_a_database_that_somebody_has_open_is_not_replaced(backup, other, on_sqlite):
    """On PostgreSQL others go on with the restored rows; of a file they would go on with the one that was
    there.
    """
    if not on_sqlite:
        pytest.skip("only where the database is a file")
    migrate(other)
    path = unquote(other.removeprefix("sqlite://"))
    with closing(sqlite3.connect(path)) as held:
        held.execute("SELECT count(*) FROM auth_user").fetchone()
        said = refusal_on(other, "restore", backup, "--replace")
    assert (
        said == f"{path} is in use (database is locked); stop the web server and the workers, then restore."
    )
    json_on(other, "restore", backup, "--replace")
    assert suites(other) == ["tiny"]


def test_a_damaged_database_can_be_replaced(backup, other, on_sqlite):
    if not on_sqlite:
        pytest.skip("only where the database is a file")
    migrate(other)
    path = unquote(other.removeprefix("sqlite://"))
    with open(path, "r+b") as file:
        file.write(b"nonsense" * 600)
    shutil.copy(path, f"{path}.kept")
    assert json_on(other, "restore", backup, "--replace")["kept"]
    assert suites(other) == ["tiny"]
