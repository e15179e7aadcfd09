"""What has happened, by type: the payload of each event that the blog's services publish.

Payloads grow and never change: a new field has a default and adds one to `VERSION`; fields are not
renamed, removed or given another meaning. So an old reader ignores what it does not know, and a new
one reads what was written before. Whatever is not additive is another type of event.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

Id = Annotated[int, msgspec.Meta(ge=1)]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The parent of every payload.

    `TYPE` is the event's routing key. With `AWAITED` an event is work for somebody: while no queue
    takes this type, it waits in the outbox and is not thrown away.
    """

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1
    AWAITED: ClassVar[bool] = True

    @property
    def key(self) -> str:
        """Of what the event tells; events with the same key are kept in order."""
        raise NotImplementedError


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an account, as of the moment of the event: whom to write to and how.

    `language` is `ko` or `en` today; whoever does not know it writes English.
    """

    id: Id
    name: str
    email: str
    language: str = "en"


class UserRegistered(Payload, frozen=True, kw_only=True):
    """An account was made. Good to know; nobody has to do anything."""

    TYPE: ClassVar[str] = "user.registered"
    AWAITED: ClassVar[bool] = False

    user: Person

    @property
    def key(self) -> str:
        """The user."""
        return f"user:{self.user.id}"


class UserRenamed(Payload, frozen=True, kw_only=True):
    """A user has another name now; copies of it are to be refreshed."""

    TYPE: ClassVar[str] = "user.renamed"

    user_id: Id
    name: str

    @property
    def key(self) -> str:
        """The user."""
        return f"user:{self.user_id}"


class PostCreated(Payload, frozen=True, kw_only=True):
    """A post was published; its author gets a mail."""

    TYPE: ClassVar[str] = "post.created"

    post_id: Id
    title: str
    author: Person

    @property
    def key(self) -> str:
        """The post."""
        return f"post:{self.post_id}"


class PaymentCompleted(Payload, frozen=True, kw_only=True):
    """A payment has succeeded; the payer gets a receipt.

    `amount` is in the minor unit of `currency` (ISO 4217, lower case), as Stripe counts it;
    `reference` is Stripe's own id.
    """

    TYPE: ClassVar[str] = "payment.completed"

    payment_id: Id
    amount: Annotated[int, msgspec.Meta(ge=0)]
    currency: Annotated[str, msgspec.Meta(pattern="^[a-z]{3}$")]
    reference: str
    payer: Person

    @property
    def key(self) -> str:
        """The payment."""
        return f"payment:{self.payment_id}"


BY_TYPE: dict[str, type[Payload]] = {
    payload.TYPE: payload
    for payload in (UserRegistered, UserRenamed, PostCreated, PaymentCompleted)
}
