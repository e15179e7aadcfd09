"""The command that runs the proxy."""

import asyncio
from typing import Annotated

import typer

from strangler_proxy.cli.app import (
    BAD_CONFIG,
    DEFAULT_PATH,
    FAILED,
    ConfigPath,
    app,
    load_or_stop,
    stop,
)
from strangler_proxy.config import ConfigError


@app.command(epilog="Example:  strangler serve -c strangler.yaml --workers 4")
def serve(
    config: ConfigPath = DEFAULT_PATH,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, one a core.")] = 1,
) -> None:
    """Run the proxy until SIGTERM or Ctrl-C, then finish what is in flight."""
    from strangler_proxy.running.socket_path import AlreadyRunning
    from strangler_proxy.serve.logs import log_aside
    from strangler_proxy.serve.run import serve as run
    from strangler_proxy.serve.sockets import AddressInUse

    log_aside()
    values = load_or_stop(config)
    try:
        asyncio.run(run(config, values, workers))
    except ConfigError as refused:
        stop(BAD_CONFIG, str(refused))
    except (AddressInUse, AlreadyRunning, OSError) as fault:
        stop(FAILED, str(fault))
