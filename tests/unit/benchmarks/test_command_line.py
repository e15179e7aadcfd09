import pytest

from scripts.benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["proxy", "--only", "strangler,apache"], "unknown: apache; known: strangler, nginx"),
        (["proxy", "--only", ","], "unknown: ,; known"),
        (["proxy", "--rounds", "0"], "from 1 to 600"),
        (["proxy", "--seconds", "soon"], "invalid"),
        (["gateway", "--only", "nginx"], "unknown: nginx; known: strangler-alone, strangler"),
        (["gateway", "--duties", "plain,tls"], "unknown: tls; known: plain, canary"),
        (["gateway", "--only", "fastapi", "--duties", "plain"], "none of these is measured in"),
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


@pytest.mark.parametrize("command", ["proxy", "gateway"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"scripts/bench {command}" in capsys.readouterr().out.partition("examples:")[2]
