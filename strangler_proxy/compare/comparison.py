"""The comparison itself: status, then headers, then bodies, each difference judged by the rules.

Bodies are compared by the comparator given for their media type; JSON by structure; anything
else byte by byte. When the statuses differ, that is the one finding: the rest of two answers of
different kinds differs as a matter of course.
"""

from collections.abc import Iterator
from dataclasses import replace

from strangler_proxy.compare.answer import Answer
from strangler_proxy.compare.finding import ABSENT, Finding, Kind, NotComparable, unexplained
from strangler_proxy.compare.jsonpath import JsonPath, spell
from strangler_proxy.compare.rules import BodyComparator, JsonRule, Rules

from . import json_body

NOISE_RULE = "noise: the control differs from itself"


def compare(
    control: Answer, candidate: Answer, rules: Rules | None = None, *, lagging: bool = False
) -> list[Finding]:
    """Every difference between the two answers, with its kind; the same answers give none.

    `lagging`: the candidate's data is known to trail the control's, so that what no rule
    explains is *stale* and may be asked again, not *real*.
    """
    findings = list(_findings(control, candidate, rules or Rules()))
    if not lagging:
        return findings
    return [replace(f, kind=Kind.STALE) if f.kind is Kind.REAL else f for f in findings]


def learn_noise(first: Answer, second: Answer, rules: Rules | None = None) -> Rules:
    """The rules, and one more for each place where two answers of the control itself differ.

    Noise at one item of a list is taken as noise at every item. Raises ValueError if the two
    differ in status: a control that contradicts itself so far cannot be compared with.
    """
    rules = rules or Rules()
    for finding in unexplained(_findings(first, second, rules)):
        if finding.where == "status":
            raise ValueError(
                f"the control answered {first.status} and then {second.status} to one request"
            )
        rules = _with_noise(rules, finding.where)
    return rules


def _with_noise(rules: Rules, where: str) -> Rules:
    if where.startswith("header "):
        return rules.ignoring(f"header:{where.removeprefix('header ')}", NOISE_RULE)
    if not where.startswith("$"):
        return rules.ignoring("body", NOISE_RULE)
    place = JsonPath.parse(where).segments
    anywhere = spell(tuple(s for s in place if isinstance(s, str | int)), any_index=True)
    return replace(rules, json=(*rules.json, JsonRule.at(anywhere, NOISE_RULE)))


def _findings(control: Answer, candidate: Answer, rules: Rules) -> Iterator[Finding]:
    if control.status != candidate.status:
        yield Finding("status", control.status, candidate.status)
        return
    yield from _header_findings(control, candidate, rules)
    if control.body != candidate.body:
        yield from _body_findings(control, candidate, rules)


def _header_findings(control: Answer, candidate: Answer, rules: Rules) -> Iterator[Finding]:
    names = dict.fromkeys(name.lower() for name, _ in (*control.headers, *candidate.headers))
    for name in filter(rules.compares_header, names):
        left, right = control.header(name), candidate.header(name)
        if left != right:
            rule = rules.ignored_headers.get(name)
            kind = Kind.NOISE if rule else Kind.REAL
            yield Finding(f"header {name}", _values(left), _values(right), kind, rule)


def _values(values: tuple[str, ...]) -> object:
    if not values:
        return ABSENT
    return values[0] if len(values) == 1 else list(values)


def _body_findings(control: Answer, candidate: Answer, rules: Rules) -> Iterator[Finding]:
    if rules.ignored_body:
        yield Finding("body", control.body, candidate.body, Kind.NOISE, rules.ignored_body)
        return
    if control.media_type == candidate.media_type:
        comparator = rules.comparator(control.media_type)
        if comparator is not None:
            yield from _judged_by(comparator, control.body, candidate.body)
            return
    if json_body.is_json(control.media_type) and json_body.is_json(candidate.media_type):
        yield from _json_findings(control.body, candidate.body, rules)
        return
    yield Finding("body", control.body, candidate.body)


def _judged_by(comparator: BodyComparator, control: bytes, candidate: bytes) -> Iterator[Finding]:
    try:
        for found in comparator(control, candidate):
            yield Finding(found.where, found.control, found.candidate, rule=comparator.name)
    except NotComparable as fault:
        rule = f"{comparator.name}: {fault}"
        yield Finding("body", control, candidate, Kind.NOT_COMPARABLE, rule)


def _json_findings(control: bytes, candidate: bytes, rules: Rules) -> Iterator[Finding]:
    try:
        left, right = json_body.parse(control), json_body.parse(candidate)
    except ValueError as fault:
        yield Finding("body", control, candidate, Kind.NOT_COMPARABLE, f"json: {fault}")
        return
    for found in json_body.differences(left, right):
        allowed_by = (r for r in rules.json if r.allows(found.place, same_type=found.same_type))
        rule = next(allowed_by, None)
        kind = Kind.NOISE if rule else Kind.REAL
        name = rule.name if rule else None
        yield Finding(spell(found.place), found.control, found.candidate, kind, name)
