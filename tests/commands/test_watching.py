"""Which files an app is made of, and that each change of one is seen."""

import os
from pathlib import Path

import pytest

from ironflow import limits
from ironflow.commands.watching import Watched, place_of


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "target", ["shop:app", "flows.orders:app", "nothing:app", "shop.py:app"]
)
def test_an_app_of_the_current_directory_is_all_of_it(
    tmp_path: Path, target: str
) -> None:
    write(tmp_path / "shop.py")
    write(tmp_path / "flows" / "__init__.py")

    assert place_of(target, current=tmp_path, path=[]) == tmp_path


def test_an_app_in_a_file_is_the_directory_of_that(tmp_path: Path) -> None:
    write(tmp_path / "apps" / "shop.py")

    found = place_of("apps/shop.py:app", current=tmp_path, path=[])

    assert found == tmp_path / "apps"


@pytest.mark.parametrize("installed", ["elsewhere", "work/.venv/lib"])
def test_an_app_that_is_installed_is_its_package(
    tmp_path: Path, installed: str
) -> None:
    """Also if its environment lies in the current directory."""
    package = write(tmp_path / installed / "shop" / "__init__.py").parent
    work = tmp_path / "work"

    found = place_of("shop.app:app", current=work, path=[str(package.parent)])

    assert found == package


def test_only_sources_are_looked_at(tmp_path: Path) -> None:
    for name in (
        "shop.py",
        "deep/er/flow.py",
        "ironflow.toml",
        "notes.txt",
        "__pycache__/shop.py",
        ".git/hook.py",
        ".ironflow/data.py",
        "node_modules/x.py",
        "env/pyvenv.cfg",
        "env/lib/site.py",
    ):
        write(tmp_path / name)

    found = Watched(tmp_path).look()

    names = {path.relative_to(tmp_path).as_posix() for path in found}
    assert names == {"shop.py", "deep/er/flow.py", "ironflow.toml"}


def test_each_kind_of_change_is_seen(tmp_path: Path) -> None:
    changed = write(tmp_path / "changed.py", "1")
    replaced = write(tmp_path / "replaced.py", "1")
    removed = write(tmp_path / "removed.py", "1")
    write(tmp_path / "same.py", "1")
    watched = Watched(tmp_path)
    before = watched.look()

    write(changed, "22")
    removed.unlink()
    write(tmp_path / "deep" / "added.py")
    # As editors do: another file of the same size and time in its place.
    status = replaced.stat()
    other = write(tmp_path / "replaced.py~", "2")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(replaced)

    assert watched.changes(before, watched.look()) == [
        "changed.py",
        "deep/added.py",
        "removed.py",
        "replaced.py",
    ]


def test_nothing_changes_by_being_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "shop.py")
    watched = Watched(tmp_path)

    assert watched.changes(watched.look(), watched.look()) == []


def test_so_many_files_are_watched_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.py")
    monkeypatch.setattr(limits, "DEV_FILES_MAX", 2)

    assert [path.name for path in Watched(tmp_path).look()] == ["0.py", "1.py"]
