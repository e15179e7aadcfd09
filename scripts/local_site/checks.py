"""Whether an environment describes a site that can work, as its parts themselves read it.

Every part's own settings are read, also of what is not moved yet: a mistake is told before anything
is started, and not at the fourth step. Opens nothing.
"""

from collections.abc import Callable, Mapping

from extracted.auth.settings import Settings as Auth
from extracted.chassis.settings import SettingsError
from extracted.email_worker.settings import Settings as EmailWorker
from extracted.image.settings import Settings as Image
from extracted.payment.settings import Settings as Payment
from extracted.posts.settings import Settings as Posts
from monolith.settings import Settings as Monolith
from monolith.settings import SettingsError as MonolithSettingsError

Read = Callable[[Mapping[str, str]], object]
# Each part, and the variable that it knows as DATABASE_URL.
PARTS: tuple[tuple[Read, str], ...] = (
    (Monolith.from_environ, "DATABASE_URL"),
    (Image.from_environ, "DATABASE_URL"),
    (Auth.from_environ, "AUTH_DATABASE_URL"),
    (Posts.from_environ, "POSTS_DATABASE_URL"),
    (Payment.from_environ, "PAYMENT_DATABASE_URL"),
    (EmailWorker.from_environ, "DATABASE_URL"),
)


def problems(environ: Mapping[str, str]) -> list[str]:
    """What is wrong, each variable once, in sentences that begin with its name."""
    found: dict[str, str] = {}
    for read, database in PARTS:
        for problem in _problems(read, {**environ, "DATABASE_URL": environ[database]}):
            name, _, what = problem.partition(" ")
            variable = database if name == "DATABASE_URL" else name
            found.setdefault(variable, what)
    return [f"{variable} {what}" for variable, what in found.items()]


def _problems(read: Read, environ: Mapping[str, str]) -> list[str]:
    try:
        read(environ)
    except (SettingsError, MonolithSettingsError) as wrong:
        return wrong.problems
    return []
