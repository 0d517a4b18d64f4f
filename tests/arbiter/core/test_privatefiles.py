"""What Arbiter writes is its user's own: folders and files are closed to others, and nothing
outside is touched.
"""

import sqlite3

import pytest

from arbiter.core.privatefiles import SharedFolder, private_data_folder, private_file, private_folder


def modes(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_mode & 0o777
        for path in sorted([folder, *folder.rglob("*")])
    }


def test_what_was_open_to_others_is_closed_with_the_data_folder(tmp_path):
    data = tmp_path / "var"
    (data / "log").mkdir(parents=True)
    (data / "static").mkdir()
    for name in (
        "arbiter.sqlite3",
        "arbiter.sqlite3-wal",
        "secret-key",
        "setup.log",
        "log/worker.log",
        "static/a.css",
    ):
        (data / name).write_text("x")
        (data / name).chmod(0o644)
    for folder in (data, data / "log", data / "static"):
        folder.chmod(0o755)
    private_data_folder(data)
    now = modes(data)
    assert {name: now.pop(name) for name in ("static", "static/a.css")} == {
        "static": 0o755,
        "static/a.css": 0o644,
    }
    assert {name for name, mode in now.items() if mode & 0o077} == set()
    assert now["."] == now["log"] == 0o700 and now["arbiter.sqlite3-wal"] == 0o600


def test_a_database_anywhere_is_its_users_own(tmp_path):
    path = tmp_path / "elsewhere.sqlite3"
    private_file(path)
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE a (b)")
    assert {mode for name, mode in modes(tmp_path).items() if name != "."} == {0o600}
    assert len(modes(tmp_path)) == 4  # with the two that SQLite keeps beside it
    connection.close()


def test_a_link_in_the_folder_closes_nothing_outside_it(tmp_path):
    outside, data = tmp_path / "outside", tmp_path / "var"
    outside.write_text("x")
    outside.chmod(0o644)
    data.mkdir()
    (data / "arbiter.sqlite3").symlink_to(outside)
    private_data_folder(data)
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_all_share_is_left_as_it_is(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(SharedFolder):
        private_data_folder(shared)
    assert private_folder(shared) == shared and shared.stat().st_mode & 0o7777 == 0o1777


def test_a_folder_that_others_could_enter_is_closed(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir(mode=0o755)
    assert private_folder(folder).stat().st_mode & 0o777 == 0o700
