"""The proxies of a move: those that it lists, or the one of this machine that is worked with."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import Proxy
from strangler_proxy.handover.local_proxy import LocalProxy
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.proxy_place import ProxyPlace
from strangler_proxy.handover.remote_proxy import RemoteProxy


def proxies_of(
    move: Move, config_path: Path, environ: Mapping[str, str] = os.environ
) -> tuple[Proxy, ...]:
    """Every proxy whose writers a cut-over of this move holds; asks none of them anything.

    `config_path` is the file of the one proxy there is when the move lists none. Raises
    HandoverRefused with every variable that holds no token.
    """
    places = move.proxies or (ProxyPlace(config=config_path),)
    reasons = tuple(_without_token(places, environ))
    if reasons:
        raise HandoverRefused(reasons)
    return tuple(_proxy(place, move, environ) for place in places)


def _without_token(places: tuple[ProxyPlace, ...], environ: Mapping[str, str]) -> Iterator[str]:
    for place in places:
        if place.admin is not None and not environ.get(place.token_env):
            yield f"{place.token_env} is not set: it holds the token of the proxy at {place}"


def _proxy(place: ProxyPlace, move: Move, environ: Mapping[str, str]) -> Proxy:
    if place.admin is not None:
        return RemoteProxy(place.admin, environ[place.token_env], move.routes)
    return LocalProxy(place.config or Path(), move.routes)
