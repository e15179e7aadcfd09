import pytest

from scripts.benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["proxy", "--only", "strangler,apache"], "unknown: apache; known: strangler, nginx"),
        (["proxy", "--only", ","], "unknown: ,; known"),
        (["proxy", "--rounds", "0"], "from 1 to 600"),
        (["proxy", "--seconds", "soon"], "invalid"),
        ([], "required: command"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", "--help"])
    assert ended.value.code == 0
    assert "scripts/bench proxy --only strangler,haproxy --quick" in capsys.readouterr().out
