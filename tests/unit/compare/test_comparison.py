"""Two answers in, findings out: what is seen, what the rules allow, and what they do not."""

import json

import pytest

from strangler_proxy.compare import (
    Answer,
    Difference,
    JsonRule,
    Kind,
    NotComparable,
    RuleError,
    Rules,
    compare,
    learn_noise,
    unexplained,
)

JSON = (("Content-Type", "application/json"),)


def answer(document, status=200, headers=JSON):
    return Answer(status, headers, json.dumps(document).encode())


def places(findings):
    return [finding.where for finding in findings]


def test_the_same_answers_give_no_findings():
    assert compare(answer({"a": [1, None]}), answer({"a": [1, None]})) == []


def test_spacing_and_order_of_names_are_not_differences():
    left = Answer(200, JSON, b'{"a": 1, "b": 2}')
    right = Answer(200, (("content-type", "application/json"),), b'{"b":2,"a":1}')
    assert compare(left, right) == []


@pytest.mark.parametrize(
    ("control", "candidate", "expected"),
    [
        ({"id": 1}, {"id": "1"}, ["$.id"]),
        ({"id": 1}, {"id": 1.0}, ["$.id"]),
        ({"id": 1}, {"id": True}, ["$.id"]),
        ({"id": None}, {}, ["$.id"]),
        ({}, {"more": 1}, ["$.more"]),
        ([1, 2], [2, 1], ["$[0]", "$[1]"]),
        ([1], [1, 2], ["$"]),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, ["$.a.b[0].c"]),
        ({"odd key": 1, "it's": 1}, {"odd key": 2, "it's": 2}, ["$['odd key']", '$["it\'s"]']),
    ],
)
def test_a_difference_is_found_where_it_is(control, candidate, expected):
    findings = compare(answer(control), answer(candidate))
    assert places(findings) == expected
    assert {finding.kind for finding in findings} == {Kind.REAL}


def test_an_allowed_difference_is_noise_and_says_which_rule_allowed_it():
    rules = Rules.parse(["$.posts[*].id"])
    control = answer({"posts": [{"id": 1, "title": "x"}, {"id": 2, "title": "x"}]})
    candidate = answer({"posts": [{"id": 7, "title": "x"}, {"id": 8, "title": "y"}]})
    findings = compare(control, candidate, rules)
    assert [(f.where, f.kind, f.rule) for f in findings] == [
        ("$.posts[0].id", Kind.NOISE, "ignore $.posts[*].id"),
        ("$.posts[1].id", Kind.NOISE, "ignore $.posts[*].id"),
        ("$.posts[1].title", Kind.REAL, None),
    ]
    assert places(unexplained(findings)) == ["$.posts[1].title"]


def test_a_rule_that_keeps_the_type_allows_another_value_but_not_another_type_or_none_at_all():
    rules = Rules(json=(JsonRule.at("$.id", keeps_type=True),))
    assert unexplained(compare(answer({"id": 1}), answer({"id": 2}), rules)) == []
    assert places(unexplained(compare(answer({"id": 1}), answer({"id": "2"}), rules))) == ["$.id"]
    assert places(unexplained(compare(answer({"id": 1}), answer({}), rules))) == ["$.id"]


def test_answers_of_different_status_differ_in_that_alone():
    findings = compare(answer({"a": 1}), answer({"error": 2}, status=500))
    assert places(findings) == ["status"]


def test_headers_compare_by_value_in_order_and_a_missing_one_is_seen():
    left = Answer(200, (("Vary", "a"), ("Vary", "b"), ("ETag", '"1"')))
    right = Answer(200, (("vary", "b"), ("vary", "a")))
    findings = compare(left, right)
    assert places(findings) == ["header vary", "header etag"]
    assert "absent" in str(findings[1])


def test_headers_of_one_message_are_not_compared():
    left = Answer(200, (("Date", "then"), ("Server", "a"), ("X-Request-Id", "1")))
    assert compare(left, Answer(200, (("Date", "now"),))) == []


def test_only_the_chosen_headers_are_compared_when_some_are_chosen():
    rules = Rules.parse(headers=["Content-Type"])
    left = Answer(200, (("Content-Type", "a/b"), ("ETag", "1")))
    assert compare(left, Answer(200, (("Content-Type", "a/b"), ("ETag", "2"))), rules) == []
    assert places(compare(left, Answer(200, ()), rules)) == ["header content-type"]


def test_a_header_can_be_allowed_to_differ():
    findings = compare(
        Answer(200, (("ETag", "1"),)), Answer(200, (("ETag", "2"),)), Rules.parse(["header:ETag"])
    )
    assert [(f.kind, f.rule) for f in findings] == [(Kind.NOISE, "ignore header:ETag")]


def test_other_bodies_compare_byte_by_byte():
    left, right = Answer(200, (), b"\x00a"), Answer(200, (), b"\x00b")
    assert places(compare(left, right)) == ["body"]
    assert unexplained(compare(left, right, Rules.parse(["body"]))) == []


@pytest.mark.parametrize("broken", [b"{", b"", b'{"a": NaN}', b"[" * 100_000])
def test_a_body_that_is_not_the_json_it_says_is_not_comparable(broken):
    findings = compare(answer({"a": 1}), Answer(200, JSON, broken))
    assert [f.kind for f in findings] == [Kind.NOT_COMPARABLE]
    assert unexplained(findings) == findings


def test_documents_as_deep_as_the_parser_reads_are_compared_to_the_bottom():
    deep = b"[" * 900 + b"%d" + b"]" * 900
    findings = compare(Answer(200, JSON, deep % 1), Answer(200, JSON, deep % 2))
    assert places(findings) == ["$" + "[0]" * 900]


class CaseInsensitive:
    name = "letters"

    def __call__(self, control, candidate):
        if b"?" in candidate:
            raise NotComparable("no letters")
        if control.lower() != candidate.lower():
            yield Difference("letters", control, candidate)


@pytest.mark.parametrize("media_type", ["text/plain", "text/*"])
def test_a_comparator_judges_the_media_types_it_is_given_for(media_type):
    rules = Rules(bodies={media_type: CaseInsensitive()})
    text = (("Content-Type", "text/plain; charset=utf-8"),)
    assert compare(Answer(200, text, b"A"), Answer(200, text, b"a"), rules) == []
    differs = compare(Answer(200, text, b"A"), Answer(200, text, b"b"), rules)
    assert [(f.where, f.rule) for f in differs] == [("letters", "letters")]
    refused = compare(Answer(200, text, b"A"), Answer(200, text, b"?"), rules)
    assert [(f.kind, f.rule) for f in refused] == [(Kind.NOT_COMPARABLE, "letters: no letters")]


def test_what_the_control_answers_differently_each_time_is_learnt_as_noise():
    first = Answer(
        200, (*JSON, ("ETag", "1")), b'{"items": [{"at": 1, "n": 1}, {"at": 2, "n": 2}]}'
    )
    second = Answer(
        200, (*JSON, ("ETag", "2")), b'{"items": [{"at": 3, "n": 1}, {"at": 2, "n": 2}]}'
    )
    candidate = Answer(
        200, (*JSON, ("ETag", "3")), b'{"items": [{"at": 9, "n": 1}, {"at": 9, "n": 8}]}'
    )
    findings = compare(first, candidate, learn_noise(first, second))
    assert places(unexplained(findings)) == ["$.items[1].n"]
    assert {f.kind for f in findings if f.where != "$.items[1].n"} == {Kind.NOISE}


@pytest.mark.parametrize("name", ["a\nb", 'it\'s "x"', "a']['b", "a\\", "'\"]", ""])
def test_noise_is_learnt_whatever_its_name(name):
    first, second, candidate = (answer({name: n}) for n in range(3))
    findings = compare(first, candidate, learn_noise(first, second))
    assert [f.kind for f in findings] == [Kind.NOISE]


def test_a_control_that_contradicts_its_own_status_cannot_be_learnt_from():
    with pytest.raises(ValueError, match="200 and then 500"):
        learn_noise(Answer(200), Answer(500))


def test_differences_while_the_data_trails_are_stale_and_speak_against_nobody():
    findings = compare(answer({"a": 1}), answer({"a": 2}), lagging=True)
    assert [f.kind for f in findings] == [Kind.STALE]
    assert unexplained(findings) == []


def test_a_finding_reads_as_one_short_line():
    findings = compare(answer({"t": "x\n" * 500}), answer({"t": None}))
    line = str(findings[0])
    assert line.startswith('real difference at $.t: control "x\\nx')
    assert line.endswith("candidate null")
    assert "\n" not in line
    assert len(line) < 200


@pytest.mark.parametrize("rule", ["url", "header:", "$.a[-1]", "$x", "$.a[?(@.b)]", ""])
def test_a_rule_that_cannot_be_read_is_refused_by_name(rule):
    with pytest.raises(RuleError, match=r"path|rule"):
        Rules.parse([rule])
