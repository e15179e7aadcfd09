"""A proxy is found by its file, by whatever path that is reached, and is the only one of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strangler_proxy.running.doors import SocketDoor
from strangler_proxy.running.socket_path import AlreadyRunning, ProxyLock


@pytest.fixture(autouse=True)
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "login"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Two releases, and `current`, which leads to the first."""
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "strangler.yaml").touch()
    (tmp_path / "current").symlink_to("v1")
    return tmp_path


def lead_to(releases: Path, name: str) -> None:
    beside = releases / "beside"
    beside.symlink_to(name)
    beside.rename(releases / "current")


@contextmanager
def serving(path: Path) -> Iterator[ProxyLock]:
    with ProxyLock(path) as lock, socket.socket(socket.AF_UNIX) as listening:
        lock.socket.unlink(missing_ok=True)
        listening.bind(str(lock.socket))
        listening.listen()
        yield lock


def is_found(path: Path) -> bool:
    connection = SocketDoor(path).open(1.0)
    try:
        connection.connect()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    finally:
        connection.close()
    return True


def test_proxy_is_found_by_its_path_wherever_that_leads(releases: Path) -> None:
    current, first, second = (
        releases / name / "strangler.yaml" for name in ("current", "v1", "v2")
    )
    with serving(current) as lock:
        assert [is_found(path) for path in (current, first, second)] == [True, True, False]
        lead_to(releases, "v2")
        assert is_found(current)
        lock.follow()
        assert [is_found(path) for path in (current, first, second)] == [True, False, True]
        lead_to(releases, "v1")
        lock.follow()
        assert [is_found(path) for path in (current, first, second)] == [True, True, False]
    assert not is_found(current)


def test_proxy_is_found_through_a_link_that_leads_to_its_file(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(releases / "v1" / "strangler.yaml"):
        assert is_found(releases / "current" / "strangler.yaml")
        monkeypatch.chdir(releases / "current")
        assert is_found(Path("strangler.yaml"))
        assert is_found(Path("../v1/strangler.yaml"))


def test_two_paths_to_one_file_have_one_proxy(releases: Path) -> None:
    current, first = releases / "current" / "strangler.yaml", releases / "v1" / "strangler.yaml"
    for one, other in ((current, first), (first, current)):
        with serving(one), pytest.raises(AlreadyRunning, match="already"), ProxyLock(other):
            pass
    with serving(first):
        pass


def test_link_that_comes_to_lead_to_anothers_file_takes_nothing_from_it(releases: Path) -> None:
    current, second = releases / "current" / "strangler.yaml", releases / "v2" / "strangler.yaml"
    with serving(current) as lock, serving(second):
        lead_to(releases, "v2")
        lock.follow()
        assert is_found(second)
        assert is_found(current)
    with serving(second):
        pass


def test_login_and_service_find_each_other_and_exclude_each_other(
    tmp_path: Path, login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "strangler.yaml"
    path.touch()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with serving(path):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(login))
        assert is_found(path)
        with pytest.raises(AlreadyRunning), ProxyLock(path):
            pass
    with serving(path):
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        with pytest.raises(AlreadyRunning), ProxyLock(path):
            pass


def test_dead_socket_hides_no_living_proxy(
    tmp_path: Path, login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "strangler.yaml"
    path.touch()
    with serving(path):
        pass  # its socket stays, as after SIGKILL
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with serving(path):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(login))
        assert is_found(path)


def test_folder_that_others_may_enter_is_refused(tmp_path: Path, login: Path) -> None:
    (login / "strangler").mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="must belong to you alone"):
        ProxyLock(tmp_path / "strangler.yaml").__enter__()
