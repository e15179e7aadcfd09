"""Letters as mail carries them: text and HTML, within lines, whatever names and titles hold. Pure.

It is composed with the older half of Python's `email`. `EmailMessage` of 3.11 folds long headers by
itself and loses spaces between encoded words, which a Korean subject is made of.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.generator import BytesGenerator
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr
from html import escape
from io import BytesIO
from urllib.parse import quote

from extracted.chassis.events import NeverError
from extracted.email_worker.letters import Letter

# Without quoted ones, which the blog took once and nobody has: what fits is safe in a header and in
# a command.
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
LONGEST_WORD = 60
LINE_END = re.compile(r"\r\n?|\n")


def composed(letter: Letter, *, sender: str, event_id: str, date: datetime) -> bytes:
    """The message, with CRLF at the ends of its lines.

    The same event gets the same Message-ID every time, so that a server or a mailbox can recognise
    a mail that was sent again. Raises NeverError when the recipient's address is none that mail can
    be sent to.
    """
    message = MIMEMultipart("alternative")
    message["From"] = sender
    message["To"] = _addressed(letter.to.name, letter.to.email)
    message["Subject"] = _encoded(letter.subject, "Subject")
    message["Date"] = format_datetime(date)
    message["Message-ID"] = message_id(event_id, sender)
    message["Content-Language"] = letter.language
    # No out-of-office notes in answer, please (RFC 3834, 5).
    message["Auto-Submitted"] = "auto-generated"
    message.attach(_part("\n\n".join(letter.paragraphs) + "\n", "plain"))
    message.attach(_part(_html(letter), "html"))
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False).flatten(message, linesep="\r\n")
    return out.getvalue()


def message_id(event_id: str, sender: str) -> str:
    """The Message-ID of an event's mail; what an id should not hold is written as %XX."""
    return f"<{quote(event_id, safe='')}@{sender.rpartition('@')[2]}>"


def _html(letter: Letter) -> str:
    paragraphs = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in letter.paragraphs)
    return f'<!doctype html>\n<html lang="{letter.language}"><body>\n{paragraphs}\n</body></html>\n'


def _part(text: str, subtype: str) -> MIMEText:
    # Base64 for whatever it is: no line is too long, none begins with a dot, none is changed on
    # its way. Text has CRLF inside it, too (RFC 2045, 6.8).
    return MIMEText(LINE_END.sub("\r\n", text), subtype, "utf-8")


def _addressed(name: str, address: str) -> str:
    if not ADDRESS.fullmatch(address):
        # Not told: it would be in the log.
        raise NeverError("The recipient's address is none that mail can be sent to.")
    name = " ".join(name.split())
    if _is_plain(name):
        return formataddr((name, address))
    header = Header(header_name="To")
    header.append(name, "utf-8")
    header.append(f"<{address}>", "us-ascii")
    return header.encode()


def _encoded(text: str, name: str) -> str:
    return Header(text, None if _is_plain(text) else "utf-8", header_name=name).encode()


def _is_plain(text: str) -> bool:
    """Whether it can stand in a header as it is, and folds: all else goes into encoded words.

    What only looks like an encoded word must be one (RFC 2047).
    """
    printable = text.isascii() and text.isprintable()
    return printable and "=?" not in text and all(len(w) <= LONGEST_WORD for w in text.split(" "))
