"""The Procfile: read as a shell reads it, and the same as what the steps and containers run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import moved, procfile, stack
from scripts.processes import ROOT
from scripts.procfile import ProcfileError
from strangler_proxy.config import load
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.script import Site
from tests.composition import made_secrets, services

PORTS = stack.Ports(1, 2, 3, 4, 5, 6, 7, 8, 9)
BASE = [*stack.STAND_INS, "monolith", "proxy"]
PROCESSES = procfile.read(stack.PROCFILE)
# The real parts of containers in place of what stands in for them here.
CONTAINERS = {"object_store": "s3", "mail_sink": "mailpit", "stripe_double": "stripe-double"}
FAKE = '#!/bin/sh\nprintf "%s\\n" "${0##*/}" "$@" --\nenv\n'


def environment(folder: Path) -> dict[str, str]:
    made = stack.environment(folder, PORTS, stack.new_secrets())
    return {**made, "STRANGLER_CONFIG": str(folder / "strangler.yaml")}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_shell_reads_each_line_as_it_is_read_here(name: str, tmp_path: Path) -> None:
    environ = environment(tmp_path / "a folder")
    for program in ("gunicorn", "python", "strangler"):
        fake = tmp_path / program
        fake.write_text(FAKE)
        fake.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    lines = stack.PROCFILE.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    said = subprocess.run(
        ("sh", "-c", line.partition(":")[2]),
        env={**environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    words, _, variables = said.partition("\n--\n")
    run = PROCESSES[name].resolve(environ)
    assert tuple(words.splitlines()) == run.command
    for variable, value in {**environ, **run.environment}.items():
        assert f"{variable}={value}" in variables.splitlines()


def parts(folder: Path, environ: dict[str, str]) -> dict[str, StartProcess]:
    """What the steps would start on this site but for movers, by name."""
    routes = folder / "strangler.yaml"
    stack.write_routes(ROOT / "strangler.yaml", routes, PORTS)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environ.items():
            patched.setenv(name, value)
        programs = moved.programs(Site(load(routes), routes, folder / ".strangler"))
    every = (part for of_one in programs.values() for part in of_one)
    return {part.service: part for part in every if not part.service.endswith(moved.MOVER)}


def test_what_the_steps_start_is_what_the_procfile_names(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    documents = {**environ, "POSTS_DATABASE_URL": "mongodb://127.0.0.1/posts"}
    found = set(BASE)
    for given in (environ, documents):
        for name, part in parts(tmp_path, given).items():
            found.add(name)
            run = PROCESSES[name].resolve(given)
            assert run.command == _by_name(part)
            assert {**given, **run.environment} == {**given, **part.environment}, name
    assert list(PROCESSES)[: len(BASE)] == BASE
    assert set(PROCESSES) == found


def _by_name(part: StartProcess) -> tuple[str, ...]:
    first, *rest = part.command
    return ("python" if first == sys.executable else first, *rest)


def test_containers_run_the_same_processes(tmp_path: Path) -> None:
    composed = services(made_secrets(tmp_path))
    environ = environment(tmp_path)
    for name, process in PROCESSES.items():
        if name == "posts-names":
            continue  # runs in the container of the steps, from step 3 on
        service = composed[CONTAINERS.get(name, name)]
        if "command" in service and name not in CONTAINERS:
            assert tuple(service["command"]) == process.resolve(environ).command


def test_every_fault_of_a_file_is_told_with_its_line() -> None:
    text = "# a comment\n\nweb: sh\nno colon\nweb: sh\npiped: a | b\nopen: 'a\nnothing: A=1\n"
    with pytest.raises(ProcfileError) as caught:
        procfile.parse(text, "Procfile")
    places = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert places == [f"Procfile:{number}" for number in (4, 5, 6, 7, 8)]


@pytest.mark.parametrize(
    "command", ["a; b", "a && b", "a > b", "$(a)", "`a`", "a *.py", "a ~/b", "a # b", "a $1", "(a)"]
)
def test_what_only_a_shell_understands_is_refused(command: str) -> None:
    with pytest.raises(ProcfileError, match="is for a shell"):
        procfile.parse(f"web: {command}", "Procfile")


def test_a_value_is_one_word_whatever_is_in_it() -> None:
    (web,) = procfile.parse('web: A=$X b "$X/c" ${Y}d', "Procfile").values()
    run = web.resolve({"X": "a b; $Y", "Y": "'"})
    assert run.command == ("b", "a b; $Y/c", "'d")
    assert run.environment == {"A": "a b; $Y"}


def test_a_variable_that_is_not_set_is_told_with_its_line() -> None:
    (web,) = procfile.parse("\nweb: A=$X b $Y $Z", "Procfile").values()
    with pytest.raises(ProcfileError, match=r"Procfile:2: web needs \$X, \$Z, which is not set"):
        web.resolve({"Y": "1", "Z": ""})
