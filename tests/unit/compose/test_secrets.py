"""deploy/env and .env.sample: no secret has a default, and one that is missing is named."""

import stat
import subprocess
from pathlib import Path

import pytest

from scripts.processes import ROOT
from scripts.stack import read_environment
from tests.composition import DEPLOY, made_file, made_secrets, required, services

SAMPLE = read_environment(ROOT / ".env.sample")


def test_the_sample_has_every_variable_that_is_required_and_a_value_for_none() -> None:
    assert required()
    assert {name: SAMPLE[name] for name in required()} == dict.fromkeys(required(), "")


def test_secrets_are_drawn_for_each_installation_and_read_by_their_owner_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    file = made_file(tmp_path / "one")
    one, two = read_environment(file), made_secrets(tmp_path / "two")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    drawn = {one[name] for name in required()}
    assert len(drawn) == len(required())
    assert not drawn & {two[name] for name in required()}
    assert all(len(value.encode()) >= 40 for value in drawn)
    assert {name: one[name] for name in SAMPLE if name not in required()} == {
        name: value for name, value in SAMPLE.items() if name not in required()
    }


def test_secrets_that_exist_are_kept(tmp_path: Path) -> None:
    file = made_file(tmp_path)
    before = file.read_bytes()
    again = subprocess.run([DEPLOY / "env", file], capture_output=True, text=True, timeout=10)
    assert again.returncode == 1
    assert "there already" in again.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", sorted(required()))
def test_a_missing_secret_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    values = made_secrets(tmp_path) | {name: ""}
    with pytest.raises(KeyError, match=f"{name} has no value; deploy/env makes .env"):
        services(values)


def test_secrets_are_never_committed_nor_sent_to_a_build() -> None:
    assert {"/.env", "/.env.part"} <= set((ROOT / ".gitignore").read_text("utf-8").splitlines())
    seen = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert not [line for line in seen if line.startswith("!.env")]
