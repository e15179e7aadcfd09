from __future__ import annotations

import fcntl
import os

from tests.e2e.proxy.conftest import Bench
from tests.wire_tools.client import Client
from tests.wire_tools.ports import free_port


def test_log_that_nobody_reads_holds_up_no_route_and_no_end(bench: Bench) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    try:
        dead = f"http://127.0.0.1:{free_port()}"
        text = bench.text().replace(f"new: {{url: '{bench.new.url}'", f"new: {{url: '{dead}'")
        text = text.replace("serve: control", "serve: candidate")
        served = bench.serve(workers=1, text=text, stderr=writing)
        with Client(served.port) as client:
            for _ in range(200):
                assert client.ask("/moving").status == 502
            assert client.ask("/").status == 200
        assert len(os.read(reading, 65_536)) > 3000  # it was full
        served.stop()
    finally:
        os.close(reading)
        os.close(writing)
