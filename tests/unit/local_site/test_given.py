"""Which environment counts: what is kept, what is given, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import stack
from scripts.local_site import checks
from scripts.local_site.given import FOLLOWING, TAKEN, WITH, settle, shown

MADE = stack.environment(Path("/site"), stack.Ports(), stack.new_secrets())
POSTGRES = "postgresql+psycopg://blog:hush@db:5432/auth"
S3 = "http://minio:9000"


def test_what_is_given_first_is_taken_and_kept_from_then_on() -> None:
    first = settle(MADE, {}, {"AUTH_DATABASE_URL": POSTGRES})
    assert first.values == {**MADE, "AUTH_DATABASE_URL": POSTGRES}
    assert first.taken == ("AUTH_DATABASE_URL",)
    assert not first.otherwise
    again = settle(MADE, first.values, {})
    assert again.values["AUTH_DATABASE_URL"] == POSTGRES
    assert not again.taken


def test_what_is_kept_counts_and_what_is_given_otherwise_is_told_without_passwords() -> None:
    settled = settle(MADE, {"DATABASE_URL": "sqlite:////site/mine.db"}, {"DATABASE_URL": POSTGRES})
    assert settled.values["DATABASE_URL"] == "sqlite:////site/mine.db"
    (told,) = settled.otherwise
    assert "DATABASE_URL=postgresql+psycopg://blog:…@db:5432/auth is given" in told
    assert "hush" not in told
    assert "counts: change it in the file" in told


def test_a_shell_that_has_sourced_the_file_changes_and_tells_nothing() -> None:
    settled = settle(MADE, MADE, MADE)
    assert (settled.values, settled.taken, settled.otherwise) == (MADE, (), ())


def test_an_empty_variable_is_none() -> None:
    assert settle(MADE, {}, {"DATABASE_URL": ""}).values == MADE


@pytest.mark.parametrize("name", sorted({*MADE} - {*TAKEN} - {*FOLLOWING} - {*WITH}))
def test_what_is_the_sites_own_is_not_taken_but_told(name: str) -> None:
    settled = settle(MADE, {}, {name: "/elsewhere"})
    assert settled.values == MADE
    assert "is the site's own" in settled.otherwise[0]


def test_addresses_follow_strangler_yaml_whatever_is_kept_or_given() -> None:
    old = {"IMAGE_SERVICE_URL": "http://127.0.0.1:1"}
    settled = settle(MADE, old, old)
    assert settled.values == MADE
    assert "follows strangler.yaml" in settled.otherwise[0]


def test_somebodys_keys_are_taken_only_with_the_address_that_they_are_for() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_DEFAULT_REGION": "x"}
    alone = settle(MADE, {}, keys)
    assert alone.values == MADE
    assert len(alone.otherwise) == 3
    assert "hush" not in " ".join(alone.otherwise)
    together = settle(MADE, {}, {**keys, "S3_ENDPOINT_URL": S3})
    assert together.values == {**MADE, **keys, "S3_ENDPOINT_URL": S3}
    assert not together.lacking


def test_an_address_elsewhere_without_its_keys_is_lacking_them() -> None:
    lacking = settle(MADE, {}, {"S3_ENDPOINT_URL": S3, "STRIPE_API_BASE": "http://s"}).lacking
    assert [line.split()[-3] for line in lacking] == [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "STRIPE_API_KEY",
    ]


def test_a_shell_that_has_sourced_a_site_since_forgotten_begins_it_anew() -> None:
    forgotten = {**MADE, "AWS_ACCESS_KEY_ID": "OLD", "STRIPE_API_KEY": "sk_old"}
    anew = settle(MADE, {}, forgotten)
    assert anew.values == MADE
    assert not anew.lacking


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("JWT_SECRET", "abc", "…"),
        ("BROKER_URL", "amqp://u:p@mq/?x=p", "amqp://u:…@mq/?…"),
        ("BROKER_URL", "amqp://u@mq/", "amqp://u@mq/"),
        ("DATABASE_URL", "sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("SMTP_URL", "smtp://u:p@[", "…"),
        ("S3_BUCKET", "blog", "blog"),
    ],
)
def test_values_are_shown_without_secrets(name: str, value: str, told: str) -> None:
    assert shown(name, value) == f"{name}={told}"


def test_every_part_reads_the_made_environment_without_a_problem() -> None:
    assert checks.problems(MADE) == []


def test_each_bad_url_is_told_once_under_the_name_that_the_site_has_for_it() -> None:
    bad = {
        "DATABASE_URL": "oracle://db/blog",
        "AUTH_DATABASE_URL": "nonsense",
        "POSTS_DATABASE_URL": "mongodb://db",
        "PAYMENT_DATABASE_URL": "redis://db",
        "BROKER_URL": "kafka://mq",
        "SMTP_URL": "http://mail",
        "S3_ENDPOINT_URL": "minio:9000",
    }
    problems = checks.problems({**MADE, **bad})
    assert sorted(problem.split()[0] for problem in problems) == sorted(bad)
