"""Clients that change things: authors, commenters and photographers."""

from random import Random
from typing import Any

from urllib3.filepost import encode_multipart_formdata

from scripts.walking.client import Client, Scene, Writing
from scripts.walking.journal import Row
from scripts.walking.photographs import Photograph
from scripts.walking.readers import POST, fetch_picture, read_post

WORDS = (
    *("Übergänge", "fig", "ivy", "branch", "harbour", "θάλασσα", "copper", "lantern"),
    *("木漏れ日", "quiet", "river", "ember", "moss", "naïve", "thistle"),
)
MOVES = 0.5  # how often somebody is at another address than before


def words(rng: Random, count: int) -> str:
    """Return some text, with letters beyond ASCII in it."""
    return " ".join(rng.choices(WORDS, k=count))


class Member:
    """Somebody with an account: registers and logs in before anything else."""

    def __init__(self, scene: Scene, rng: Random, role: str) -> None:
        self.client = Client(scene, role)
        self.rng = rng
        self.email = f"{self.client.name}.{rng.getrandbits(40):x}@example.org"
        self.name = f"{words(rng, 2)} {self.client.name}"
        self._password = f"{rng.getrandbits(64):x} Pässword"
        self._numbers = 0
        self._row: Row | None = None

    @property
    def user_id(self) -> int:
        """The account's id, once there is one."""
        if self._row is None:
            raise LookupError(f"{self.email} has not registered yet")
        return int(self._row.id)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def mark(self, what: str) -> str:
        """Return words that nobody else writes."""
        self._numbers += 1
        return f"{what} {self._numbers} of {self.client.name}: {words(self.rng, 3)}"

    def join(self) -> None:
        """Make the account unless it is there, and log in."""
        if self._row is None:
            facts = {"email": self.email, "name": self.name}
            writing = Writing(self.client.scene, "user", self.email, facts)
            body = {**facts, "password": self._password}
            answer = self.client.call("register", "POST", "/register", status=201, json=body)
            user = answer.json("id", "email", "name", "created_at")
            answer.require_echo(user, facts)
            self._row = writing.done(answer, user["id"])
        self.log_in()

    def log_in(self) -> None:
        """Get a new token and see that it is good."""
        body = {"email": self.email, "password": self._password}
        answer = self.client.call("login", "POST", "/login", json=body)
        given = answer.json("token", "expires_at", "user")
        answer.require_echo(given["user"], {"id": self.user_id, "email": self.email})
        self.client.token = given["token"]
        answer = self.client.call("verify", "POST", "/verify", json={"token": given["token"]})
        answer.require_echo(answer.json(), {"valid": True, "user_id": self.user_id})

    def act(self) -> None:
        """Join at the first time; afterwards do what the role does, from here and there."""
        if self.rng.random() < MOVES:
            self.client.move()
        if self.client.token is None:
            self.join()
        else:
            self.work()

    def work(self) -> None:
        """Do one thing of the role."""
        raise NotImplementedError

    def post(self, photograph: Photograph | None) -> None:
        """Write a post, with a picture in the same form or as plain JSON, and read it again."""
        title, body = self.mark("Post"), words(self.rng, 40)
        facts = {"title": title, "body": body, "author_id": self.user_id}
        scene = self.client.scene
        writing = Writing(scene, "post", title, facts)
        picture = picture_of(scene, photograph, title) if photograph else None
        if photograph is None:
            sent: dict[str, Any] = {"json": {"title": title, "body": body}}
        else:
            sent = {"data": {"title": title, "body": body}, "files": {"image": named(photograph)}}
        answer = self.client.call("post-create", "POST", "/posts", status=201, **sent)
        post = answer.json(*POST)
        answer.require_echo({**post, "author_id": post["author"]["id"]}, facts)
        answer.require(bool(post["image_url"]) == bool(photograph), f"image: {post['image_url']}")
        row = writing.done(answer, post["id"], {**facts, "image_url": post["image_url"]})
        if picture is not None:
            picture.done(answer, post["image_url"].rpartition("/")[2])
            fetch_picture(self.client, post["image_url"])
        read_post(self.client, row.id, row)

    def comment(self, post: Row) -> None:
        """Comment on a post, which may just be going."""
        body = self.mark("Comment")
        facts = {"post_id": post.id, "body": body, "author_id": self.user_id}
        writing = Writing(self.client.scene, "comment", body, facts, post)
        sent = {"post_id": post.id, "body": body}
        answer = self.client.call(
            "comment-create", "POST", "/comments", status=(201, 404), json=sent
        )
        if answer.status == 404:
            writing.refused()
            self.client.require_promised(answer, post, None)
            return
        comment = answer.json("id", "post_id", "body", "author", "created_at")
        answer.require_echo({**comment, "author_id": comment["author"]["id"]}, facts)
        writing.done(answer, comment["id"])


class Author(Member):
    """Writes posts, a part of them with a photograph; corrects them, and takes some back."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        super().__init__(scene, rng, "author")
        self._own: list[Row] = []

    def work(self) -> None:
        """Write, correct or take back one post, or change the account."""
        choice = self.rng.random()
        if len(self._own) < 3 or choice < 0.45:
            pictured = self.rng.random() < 0.4
            self.post(self.rng.choice(self.client.scene.album) if pictured else None)
            self._own = self._mine()
        elif choice < 0.75:
            self._correct(self.rng.choice(self._own))
        elif choice < 0.87:
            self._take_back(self._own.pop(self.rng.randrange(len(self._own))))
        elif choice < 0.95:
            self._rename()
        else:
            self.log_in()

    def _mine(self) -> list[Row]:
        rows = self.client.scene.journal.alive("post", self.client.scene.clock())
        mine = (row for row in rows if (row.changes[0].facts or {})["author_id"] == self.user_id)
        return list(mine)[-20:]

    def _correct(self, row: Row) -> None:
        last = row.changes[-1].facts or {}
        facts = {**last, "body": f"{words(self.rng, 30)} (edit {len(row.changes)})"}
        writing = Writing(self.client.scene, "post", row.mark, facts)
        sent = {"body": facts["body"]}
        answer = self.client.call("post-change", "PATCH", f"/posts/{row.id}", json=sent)
        post = answer.json(*POST)
        answer.require_echo({**post, "author_id": post["author"]["id"]}, facts)
        writing.done(answer, row.id)

    def _take_back(self, row: Row) -> None:
        writing = Writing(self.client.scene, "post", row.mark, None)
        answer = self.client.call("post-change", "DELETE", f"/posts/{row.id}", status=204)
        answer.require(answer.content == b"", "a 204 has a body")
        writing.done(answer, row.id)
        read_post(self.client, row.id, row)

    def _rename(self) -> None:
        name = f"{words(self.rng, 2)} {self.client.name}"
        facts = {"email": self.email, "name": name}
        writing = Writing(self.client.scene, "user", self.email, facts)
        path = f"/users/{self.user_id}"
        answer = self.client.call("user-change", "PATCH", path, json={"name": name})
        answer.require_echo(answer.json("id", "name"), {"id": self.user_id, "name": name})
        writing.done(answer, self.user_id)


class Commenter(Member):
    """Comments on what is new."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        super().__init__(scene, rng, "commenter")

    def work(self) -> None:
        """Comment once."""
        posts = list(self.client.scene.journal.alive("post", self.client.scene.clock()))
        if posts:
            self.comment(self.rng.choice(posts[-30:]))


class Photographer(Member):
    """Uploads photographs and looks at what became of them."""

    def __init__(self, scene: Scene, rng: Random, album: list[Photograph], role: str) -> None:
        super().__init__(scene, rng, role)
        self._forms = [(each, *form_of(each)) for each in album]

    def work(self) -> None:
        """Upload one, and fetch it."""
        photograph, body, media_type = self.rng.choice(self._forms)
        self.upload(photograph, body, media_type)

    def upload(self, photograph: Photograph, body: bytes, media_type: str) -> None:
        """Upload an encoded form."""
        writing = picture_of(self.client.scene, photograph, self.mark("Upload"))
        headers = {"Content-Type": media_type}
        answer = self.client.call(
            "upload", "POST", "/upload", status=201, headers=headers, data=body
        )
        given = answer.json("name", "url", "width", "height")
        for got, wanted in zip(
            (given["width"], given["height"]), photograph.shown_size, strict=True
        ):
            answer.require(abs(got - wanted) <= 1, f"{got} wide or high, not {wanted}")
        answer.require(given["url"] == f"/images/{given['name']}", f"the url is {given['url']}")
        writing.done(answer, given["name"])
        fetch_picture(self.client, given["url"])


def named(photograph: Photograph) -> tuple[str, bytes, str]:
    """Return a file for a form, as `requests` takes it."""
    return photograph.name, photograph.content, photograph.media_type


def form_of(photograph: Photograph) -> tuple[bytes, str]:
    """Return an upload's body and its type, encoded once instead of at every upload."""
    return encode_multipart_formdata({"image": named(photograph)})


def picture_of(scene: Scene, photograph: Photograph, mark: str) -> Writing:
    """Note that a picture is about to be made of a photograph."""
    facts = {"size": photograph.shown_size, "look": photograph.look, "problem": None}
    return Writing(scene, "image", mark, facts)
