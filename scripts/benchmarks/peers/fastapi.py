"""The forwarder of the tutorials: fastapi_forwarder.py under uvicorn."""

from functools import partial

from scripts.benchmarks.peers.peer import (
    IDLE_S,
    PEERS_VENV,
    PIP,
    ROOT,
    Launch,
    Peer,
    Site,
    in_peers_venv,
    printed_version,
)

_ASK = "from importlib.metadata import version; print(version('{}'))"


def launch_application(name: str, executable: str, site: Site) -> Launch:
    """How `name:create_app` of this folder's parent is started, by uvicorn with one worker."""
    argv = [executable, "--app-dir", str(ROOT / "scripts" / "benchmarks")]
    argv += ["--factory", f"{name}:create_app", "--host", "127.0.0.1"]
    argv += ["--port", str(site.listen), "--workers", "1", "--backlog", "4096"]
    argv += ["--no-access-log", "--log-level", "error", "--timeout-keep-alive", str(IDLE_S)]
    env = {
        "PAGES_URL": f"http://127.0.0.1:{site.pages}",
        "SINK_URL": f"http://127.0.0.1:{site.sink}",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": "",  # the peers' environment alone
    }
    return Launch(argv, env=env)


def _version(_executable: str) -> str:
    python = str(PEERS_VENV / "bin" / "python")
    packages = ("fastapi", "httpx", "uvicorn")
    asked = (f"{one} {printed_version('-c', _ASK.format(one))(python)}" for one in packages)
    return f"({', '.join(asked)})"


FASTAPI = Peer(
    name="fastapi",
    title="FastAPI + httpx",
    install=PIP,
    find=in_peers_venv("uvicorn"),
    version=_version,
    launch=partial(launch_application, "fastapi_forwarder"),
    note="holds every body in memory",
)
