"""What a person is told of a site that has come up: where everything is, and what to try."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts import stack
from scripts.local_site.given import shown

TRY_IT = """\
Try it:

    curl -s http://127.0.0.1:{port}/health
    curl -s http://127.0.0.1:{port}/register -H 'Content-Type: application/json' \\
        -d '{{"email": "ann@example.org", "password": "correct horse", "name": "Ann"}}'
    token=$(curl -s http://127.0.0.1:{port}/login -H 'Content-Type: application/json' \\
        -d '{{"email": "ann@example.org", "password": "correct horse"}}' \\
        | python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')
    curl -s http://127.0.0.1:{port}/posts -H "Authorization: Bearer $token" \\
        -F title=Hello -F body='With a picture' -F image=@photograph.jpg
    curl -s http://127.0.0.1:{port}/posts

Carve services out of it, in a shell with the site's environment:

    set -a; . {env}; set +a
    scripts/step_1_image.py                 prints the plan; --execute, --status and --undo act
    scripts/step_2_auth.py                  then step_3_posts, step_4_payment, step_5_retire

Their gates want callers, and --help of each has a line for a rehearsal. In a second terminal:

    scripts/traffic http://127.0.0.1:{port}
"""
STAND_INS = {
    "object_store": ("S3", "objects in {folder}/objects"),
    "mail_sink": ("mail", "messages in {folder}/mail"),
    "stripe_double": ("Stripe", "its double; charges in {folder}/stripe"),
}


def greeting(folder: Path, ports: stack.Ports, environ: Mapping[str, str]) -> str:
    """The whole of it."""
    rows = "\n".join(
        f"    {what:<10} {where:<29} {note}".rstrip()
        for what, where, note in (
            ("proxy", f"http://127.0.0.1:{ports.proxy}", "every request goes in here"),
            ("monolith", f"http://127.0.0.1:{ports.monolith}", ""),
            *_stand_ins(folder, ports, environ),
            ("logs", str(folder / "log"), ""),
        )
    )
    tried = TRY_IT.format(port=ports.proxy, env=shlex.quote(str(folder / "env")))
    return f"The blog is up, behind the proxy:\n\n{rows}\n\n{tried}"


def _stand_ins(
    folder: Path, ports: stack.Ports, environ: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    for name, variable in stack.STAND_INS.items():
        what, keeps = STAND_INS[name]
        here = stack.leads_to(environ[variable], getattr(ports, name))
        url = shown(variable, environ[variable]).partition("=")[2]
        yield what, url, keeps.format(folder=folder) if here else "elsewhere: no stand-in runs"
