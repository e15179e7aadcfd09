"""An SMTP server that delivers to a folder: one .eml file a message, on disk before the 250.

A message that was acknowledged is there after a kill; one whose file is only `.part` was not.
"""

import asyncio
import itertools
import os
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from scripts.embedded.standin import (
    LOOPBACK,
    announce,
    read_place,
    until_told_to_stop,
    write_durably,
)

MAX_MESSAGE_BYTES = 10 * 1024 * 1024


class KeepEachMessage:
    """An aiosmtpd handler that writes messages to a folder in the order of their names."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)

    # The name and the arguments are aiosmtpd's.
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the message with its envelope in X-Envelope headers, then acknowledge it."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers):06d}.eml"
        received = envelope.original_content or b""
        head = f"X-Envelope-From: {envelope.mail_from}\r\n" + "".join(
            f"X-Envelope-To: {recipient}\r\n" for recipient in envelope.rcpt_tos
        )
        await asyncio.to_thread(
            write_durably, self._directory / name, head.encode("utf-8") + received
        )
        return "250 2.0.0 Kept as " + name


async def serve(port: int, directory: Path) -> None:
    """Accept mail until told to stop."""
    handler = KeepEachMessage(directory)
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        # SMTPUTF8, because the blog's users may have addresses and names beyond ASCII.
        return SMTP(
            handler,
            hostname="mail-sink.localhost",
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            loop=loop,
        )

    server = await loop.create_server(session, LOOPBACK, port)
    announce("mail_sink", f"smtp://{LOOPBACK}:{server.sockets[0].getsockname()[1]}")
    try:
        await until_told_to_stop()
    finally:
        server.close()


def main() -> None:
    """Serve at the place that the command line names."""
    place = read_place(__doc__)
    asyncio.run(serve(place.port, place.directory))


if __name__ == "__main__":
    main()
