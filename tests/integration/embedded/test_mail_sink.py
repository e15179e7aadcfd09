import email
import email.policy
import signal
import smtplib
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest


def letter(subject: str, to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "blog@example.org", to, subject
    message.set_content("Grüße\n.\nand a line of one dot above")
    return message


def test_an_acknowledged_message_is_a_file_even_after_a_kill(start: Any, tmp_path: Path) -> None:
    sink = start("mail_sink", tmp_path / "mail")
    with smtplib.SMTP("127.0.0.1", sink.program.port, timeout=10) as server:
        server.send_message(letter("One", "ann@example.org"))
        server.send_message(letter("Two", "zoë@example.org"))
        sink.process.send_signal(signal.SIGKILL)
        sink.process.wait(10)
        with pytest.raises((smtplib.SMTPException, OSError)):
            server.send_message(letter("Three", "ann@example.org"))
    kept = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted((tmp_path / "mail").glob("*.eml"))
    ]
    assert [each["Subject"] for each in kept] == ["One", "Two"]
    assert [each["X-Envelope-To"] for each in kept] == ["ann@example.org", "zoë@example.org"]
    body = kept[0].get_body()
    assert body is not None
    assert body.get_content().splitlines()[:2] == ["Grüße", "."]


def test_it_ends_on_sigterm_with_status_0(start: Any, tmp_path: Path) -> None:
    sink = start("mail_sink", tmp_path / "mail")
    sink.process.terminate()
    assert sink.process.wait(10) == 0
    assert sink.log.read_text() == f"mail_sink ready at smtp://127.0.0.1:{sink.program.port}\n"
