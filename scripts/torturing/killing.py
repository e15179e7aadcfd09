"""Carries out one death at a site, and says when it was over and what it may excuse."""

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from scripts.torturing.failures import Trouble
from scripts.torturing.movers import Movers, pause
from scripts.torturing.nemesis import EXCUSES, Act, Death
from scripts.torturing.site import Site, pick


@dataclass(slots=True)
class Killing:
    """What can be done to a site. `rng` picks among processes that no schedule can know."""

    site: Site
    movers: Movers
    rng: random.Random

    def carry_out(self, act: Act) -> Trouble:
        """Kill and start again; the time in which clients may see it."""
        began = time.monotonic()
        match act.death:
            case Death.MOVER:
                self.movers.kill(act.side)
            case Death.MOVER_BEHIND:
                self.movers.kill_behind(act.step)
            case Death.MOVER_PAUSED:
                self.movers.pause(act.side, act.pause_s)
            case Death.WORKER:
                self._kill_worker()
            case Death.WORKER_PAUSED:
                worker = pick(self.site.workers(), self.rng)
                if worker:
                    pause(worker, act.pause_s)
            case Death.PROXY:
                self.site.kill_proxy()
                self.site.start_proxy()
            case Death.SERVICE:
                self.site.services[act.side].kill()
                self.site.start_service(act.side)
            case Death.DATABASE:
                self._kill_database(act)
            case Death.SESSION:
                self.site.servers[act.side].kill_session(self.rng)
                self.site.servers[act.side].start()
            case Death.BYPASS:
                self.site.bypass.kill()
                self.site.start_bypass()
        ordered = act.death == Death.MOVER_BEHIND
        return Trouble(began, time.monotonic(), str(act.death), EXCUSES[act.death], ordered)

    def _kill_worker(self) -> None:
        worker = pick(self.site.workers(), self.rng)
        if worker:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def _kill_database(self, act: Act) -> None:
        """With SQLite, all who have it open; a server stays away for a moment."""
        server = self.site.servers[act.side]
        if server.url.startswith("sqlite"):
            self.movers.kill(act.side)
            for part in (self.site.services[act.side], self.site.bypass):
                part.kill()
            self.site.start_service(act.side)
            self.site.start_bypass()
            return
        server.kill()
        if act.with_mover:
            self.movers.kill(act.side)
        time.sleep(min(act.pause_s, 1.0))
        server.start()
