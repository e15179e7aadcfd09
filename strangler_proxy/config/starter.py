"""The first strangler.yaml for one's own monolith: all goes where it always went. Pure."""

_TEXT = """\
# Who answers which requests. The running proxy reads this file again when it changes;
# a file with a mistake is refused, and the routes stay as they were.
#
#   strangler check                       every mistake in this file, with its line
#   strangler serve --workers 2           the proxy; point your clients at `listen`
#   strangler flip upload --to 5%         a twentieth of the callers to the new service
#   strangler flip upload --to control    everybody back

listen: 127.0.0.1:8000

upstreams:
  monolith:
    url: {monolith}
  # image:                        # a service that you have extracted
  #   url: http://127.0.0.1:3003
  #   health: /health

# Whatever no route names is the monolith's, as it has always been.
default: monolith

# One entry for each thing that moves by itself. `match` is Flask's own rule syntax.
routes: []
#  - name: upload
#    match: POST /upload
#    control: monolith            # trusted today
#    candidate: image             # to take over
#    serve: control               # control | candidate | {{candidate_percent: 5, sticky: client}}
"""


def starter(monolith: str) -> str:
    """The text of a configuration that sends everything to this URL."""
    return _TEXT.format(monolith=monolith.rstrip("/"))
