"""Workers as processes, killed and stopped in the middle of a mail."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from scripts.processes import ROOT, stop_group
from tests.integration.email_worker.conftest import Site, eventually, posted
from tests.integration.email_worker.servers import listening


class Workers:
    """The processes of a site."""

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self._site = site
        self._stack = stack

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            (sys.executable, "-m", "extracted.email_worker"),
            cwd=ROOT,
            env={**os.environ, **self._site.environment()},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._stack.callback(stop_group, process, 5.0)
        self._stack.enter_context(process.stderr)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """And let the embedded broker's lease on what it had in hand be over."""
        process.kill()
        process.wait(30)
        url = self._site.broker_url
        if url.startswith("sqlite:"):
            with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
                connection.execute("UPDATE waiting SET lease_until_s = 0")
            connection.close()


@pytest.fixture
def workers(site: Site) -> Iterator[Workers]:
    with ExitStack() as stack:
        stack.enter_context(listening(site.inbox))
        yield Workers(site, stack)
        site.inbox.hold = ""


@pytest.mark.parametrize(("point", "times"), [("command", 1), ("content", 1), ("kept", 2)])
def test_killed_in_the_middle_of_a_mail_it_is_mailed_and_twice_only_if_it_was_taken(
    site: Site, workers: Workers, point: str, times: int
) -> None:
    event, last = posted(1), posted(2)
    site.inbox.hold = point
    site.publish(event)
    first = workers.start()
    eventually(site.inbox.reached.is_set, f"the mail server is at {point}")
    workers.kill(first)
    eventually(site.inbox.left.is_set, "the mail server has noticed")
    site.inbox.hold = ""
    site.publish(last)
    workers.start()
    eventually(lambda: "Published: No. 2" in site.inbox.subjects(), "the last is mailed")
    mails = [each for each in site.inbox.messages if each["Subject"] == "Published: No. 1"]
    # Nobody can know whether a mail was taken whose answer never came; who gets it twice can tell.
    assert len(mails) == times
    assert {each["Message-ID"] for each in mails} == {f"<{event.id}@example.org>"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_the_mail_at_work_and_acknowledges_it(
    site: Site, workers: Workers, number: int
) -> None:
    site.inbox.hold = "kept"
    site.publish(posted(1))
    worker = workers.start()
    eventually(site.inbox.reached.is_set, "a mail is at work")
    worker.send_signal(number)
    site.inbox.hold = ""
    _, said = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert site.inbox.subjects() == ["Published: No. 1"]
    assert site.queue_is_empty()
    assert b'"message": "post.created is handled"' in said
    assert b"@example.org" not in said
