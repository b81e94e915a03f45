"""The command that trains the head of a check."""

import pytest

from tasks.models import train_head


def test_the_command_refuses_a_check_without_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train_head.main(["sharpness", "--data", "anywhere"])
    assert "invalid choice: 'sharpness'" in capsys.readouterr().err
