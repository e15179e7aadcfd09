"""Whether somebody consumes a queue of the RabbitMQ at BROKER_URL; for a consumer's health check.

Exit codes: 0 somebody does, 1 nobody, or the broker does not answer; 2 wrong usage.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

import pika
from pika.exceptions import AMQPError


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Ask for the queue that the only argument names."""
    url = environ.get("BROKER_URL")
    if len(arguments) != 1 or not url:
        print("usage: BROKER_URL=amqp://... python consumes.py QUEUE", file=sys.stderr)  # noqa: T201 (a command)
        return 2
    try:
        with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            queue = connection.channel().queue_declare(arguments[0], passive=True)
    except (AMQPError, OSError) as error:
        print(f"{arguments[0]}: {error!r}", file=sys.stderr)  # noqa: T201 (a command)
        return 1
    return 0 if queue.method.consumer_count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
