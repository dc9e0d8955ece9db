"""`mail-operator`'s help teaches: each command has examples, and they are commands."""

import shlex

import pytest

from mailoperator import cli


@pytest.mark.parametrize("command", ["", "local", "run"])
def test_the_examples_in_the_help_are_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*filter(None, [command]), "--help"])
    said = capsys.readouterr().out
    examples = [line.strip() for line in said.splitlines() if line.startswith(f"  mail-operator {command}")]
    assert ended.value.code == 0 and len(examples) >= 2
    assert not command or "\nexit status: 0 " in said
    for example in examples:
        words = shlex.split(example.partition("  ")[0])[1:]
        if "--help" not in words:
            assert cli._parser().parse_args(words).command == words[0]
