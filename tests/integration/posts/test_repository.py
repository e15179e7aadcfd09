"""What every repository of posts promises: in SQLite, PostgreSQL and over MongoDB's protocol."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from extracted.chassis.events.envelope import Event, read
from extracted.chassis.events.payloads import PostCreated
from extracted.chassis.relaying import Relay
from extracted.posts.model import Post, PostDraft
from extracted.posts.service import created
from tests.integration.events.outboxes import ListPublisher
from tests.integration.posts.storages import NOON, Kept, remark, write, writer

LATER = NOON + timedelta(hours=1)
LATEST = NOON + timedelta(hours=2)


def sent(kept: Kept) -> list[PostCreated]:
    """What the relay sends now."""
    publisher = ListPublisher()
    Relay(kept.storage.outbox, publisher).send_waiting()
    return [read(message.body).payload for message in publisher.taken]


def test_a_post_is_found_as_it_was_written(kept: Kept) -> None:
    post = write(kept.repository, writer(7, "Grüße 🙂"), "Title", "Body\n" * 1000)
    assert (post.author_id, post.author_name) == (7, "Grüße 🙂")
    assert post.created_at == post.updated_at == NOON + timedelta(seconds=1)
    assert kept.repository.find(post.id) == post
    assert kept.repository.find(post.id + 1) is None


def test_posts_come_newest_first_in_windows(kept: Kept) -> None:
    assert kept.repository.newest(0, 10) == ([], 0)
    posts = [write(kept.repository, title=f"{number}") for number in range(5)]
    assert [post.id for post in posts] == sorted({post.id for post in posts})
    found, total = kept.repository.newest(1, 2)
    assert (list(found), total) == ([posts[3], posts[2]], 5)
    assert kept.repository.newest(5, 2) == ([], 5)


def test_a_change_names_its_fields_and_its_moment(kept: Kept) -> None:
    post = write(kept.repository)
    changed = kept.repository.change(post.id, {"body": "New"}, LATER)
    assert changed is not None
    assert (changed.title, changed.body, changed.updated_at) == ("Title", "New", LATER)
    assert changed.created_at == post.created_at
    assert kept.repository.find(post.id) == changed
    assert kept.repository.change(post.id + 1, {"body": "New"}, LATER) is None


def test_a_post_takes_its_comments_with_it_and_no_others(kept: Kept) -> None:
    gone, stays = write(kept.repository), write(kept.repository)
    for post in (gone, stays, gone):
        assert kept.repository.comment(remark(post.id)) is not None
    kept.repository.remove(gone.id)
    kept.repository.remove(gone.id)
    assert kept.repository.find(gone.id) is None
    assert kept.repository.newest(0, 10) == ([stays], 1)
    assert kept.repository.comments(gone.id, 0, 10) == ([], 0)
    assert kept.repository.comments(stays.id, 0, 10)[1] == 1
    assert kept.repository.comment(remark(gone.id)) is None
    assert kept.repository.change(gone.id, {"title": "x"}, LATER) is None


def test_an_id_is_never_given_again(kept: Kept) -> None:
    first = write(kept.repository)
    kept.repository.remove(first.id)
    assert write(kept.repository).id > first.id


def test_comments_come_oldest_first_in_windows(kept: Kept) -> None:
    post = write(kept.repository)
    written = [kept.repository.comment(remark(post.id, body=f"{number}")) for number in range(4)]
    found, total = kept.repository.comments(post.id, 1, 2)
    assert (list(found), total) == (written[1:3], 4)
    assert kept.repository.comments(post.id, 4, 2) == ([], 4)
    assert kept.repository.comments(post.id + 1, 0, 2) == ([], 0)
    assert kept.repository.comment(remark(post.id + 1)) is None


def test_a_new_post_is_told_of_once(kept: Kept) -> None:
    post = write(kept.repository, writer(7, "Ann"), "Told")
    (told,) = sent(kept)
    assert (told.post_id, told.title) == (post.id, "Told")
    author = told.author
    assert (author.id, author.name, author.email) == (7, "Ann", "ann@example.org")
    assert author.language == "ko"
    assert sent(kept) == []


def test_a_post_that_is_deleted_before_its_event_went_is_told_of_all_the_same(kept: Kept) -> None:
    post = write(kept.repository)
    kept.repository.remove(post.id)
    assert [told.post_id for told in sent(kept)] == [post.id]


def test_a_post_without_its_event_is_not_kept(kept: Kept) -> None:
    def too_large(_post: object) -> object:
        raise ValueError("too large")

    with pytest.raises(ValueError, match="too large"):
        kept.repository.add(PostDraft(writer(), "T", "B", None, NOON), too_large)  # type: ignore[arg-type]
    assert kept.repository.newest(0, 10) == ([], 0)
    assert sent(kept) == []


def test_a_rename_refreshes_every_copy_and_nobody_elses(kept: Kept) -> None:
    ann, bob = writer(1, "Ann"), writer(2, "Bob")
    post, other = write(kept.repository, ann), write(kept.repository, bob)
    kept.repository.comment(remark(other.id, ann))
    kept.repository.comment(remark(post.id, bob))
    kept.repository.rename("e1", 1, "Anna", LATER)
    assert names(kept, post.id) == ["Anna", "Bob"]
    assert names(kept, other.id) == ["Bob", "Anna"]


def names(kept: Kept, post_id: int) -> list[str]:
    """Beside a post, and beside its comments."""
    post = kept.repository.find(post_id)
    assert post is not None
    found, _ = kept.repository.comments(post_id, 0, 10)
    return [post.author_name, *(comment.author_name for comment in found)]


def test_an_older_rename_that_comes_late_does_not_win(kept: Kept) -> None:
    post = write(kept.repository)
    kept.repository.rename("e2", 1, "Newer", LATEST)
    kept.repository.rename("e1", 1, "Older", LATER)
    assert names(kept, post.id) == ["Newer"]


def test_renames_are_told_apart_by_microseconds(kept: Kept) -> None:
    post = write(kept.repository)
    kept.repository.rename("e1", 1, "First", LATER)
    kept.repository.rename("e2", 1, "Second", LATER + timedelta(microseconds=1))
    kept.repository.rename("e3", 1, "Zeroth", LATER - timedelta(microseconds=1))
    assert names(kept, post.id) == ["Second"]


def test_a_rename_that_is_repeated_changes_nothing_more(kept: Kept) -> None:
    post = write(kept.repository)
    for _ in range(2):
        kept.repository.rename("e1", 1, "Anna", LATER)
    kept.repository.rename("e2", 1, "Annie", LATEST)
    kept.repository.rename("e1", 1, "Anna", LATER)
    assert names(kept, post.id) == ["Annie"]


def test_what_is_written_bears_the_newer_of_the_tokens_and_the_events_name(kept: Kept) -> None:
    kept.repository.rename("e1", 1, "Anna", LATER)
    old_token = write(kept.repository, writer(1, "Ann", NOON))
    comment = kept.repository.comment(remark(old_token.id, writer(1, "Ann", NOON)))
    new_token = write(kept.repository, writer(1, "Annie", LATEST))
    assert comment is not None
    assert (old_token.author_name, comment.author_name) == ("Anna", "Anna")
    assert new_token.author_name == "Annie"
    assert [told.author.name for told in sent(kept)] == ["Anna", "Annie"]


def test_a_rename_in_the_midst_of_a_writing_is_not_missed(kept: Kept) -> None:
    renaming = threading.Thread(target=lambda: kept.repository.rename("e1", 1, "Anna", LATER))

    def announce(post: Post) -> Event[PostCreated]:
        renaming.start()
        renaming.join(0.3)  # in SQL it waits for the end of this transaction
        return created(post, writer())

    write(kept.repository)  # so that something is known of the author before
    post = kept.repository.add(PostDraft(writer(), "T", "B", None, NOON), announce)
    renaming.join(30)
    assert names(kept, post.id) == ["Anna"]


def test_no_copy_is_left_behind_by_renames_that_meet_writes(kept: Kept) -> None:
    post = write(kept.repository)
    started = threading.Barrier(3)

    def renames() -> None:
        started.wait(10)
        for number in range(12):
            at = LATER + timedelta(seconds=number)
            kept.repository.rename(f"e{number}", 1, f"name {number}", at)

    def posts() -> None:
        started.wait(10)
        for _ in range(12):
            write(kept.repository)

    def comments() -> None:
        started.wait(10)
        for _ in range(12):
            assert kept.repository.comment(remark(post.id)) is not None

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(work) for work in (renames, posts, comments)]:
            done.result(60)
    found, total = kept.repository.newest(0, 100)
    assert total == 13
    assert {each.author_name for each in found} == {"name 11"}
    assert set(names(kept, post.id)) == {"name 11"}


def test_comments_that_meet_the_deletion_of_their_post_go_with_it(kept: Kept) -> None:
    posts = [write(kept.repository) for _ in range(6)]
    started = threading.Barrier(3)

    def comments() -> None:
        started.wait(10)
        for post in posts:
            for _ in range(20):
                if kept.repository.comment(remark(post.id)) is None:
                    break

    def delete() -> None:
        started.wait(10)
        for post in posts:
            kept.repository.remove(post.id)
            kept.repository.rename(f"e{post.id}", 1, f"name {post.id}", LATER)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(work) for work in (comments, comments, delete)]:
            done.result(60)
    assert kept.repository.newest(0, 100) == ([], 0)
    assert [kept.repository.comments(post.id, 0, 10) for post in posts] == [([], 0)] * 6
