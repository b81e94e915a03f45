"""What the commands print: no text from outside is obeyed by a terminal, and warnings are seen and counted."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from figureground.escaping import escape_json
from flows.cli.output import SafeConsole

ROOT = Path(__file__).parents[3]
ODD = "clip\x1b]0;owned\x9b2J\u202egpj.mp4"
SHOWN = "clip\\x1b]0;owned\\x9b2J\\u202egpj.mp4"

PROGRAM = """
import logging, sys, threading
from figureground.errors import SourceError
from flows.cli import app, output, options
from flows.cli.streams import make_streams_tolerant

def command():
    options.configure_logging("--verbose" in sys.argv)
    with output.collect_warnings() as warnings:
        logging.getLogger("figureground.datasets.release_plan").warning("%s/manifest.json is altered", sys.argv[1])
        logging.getLogger("urllib3.connectionpool").warning("Retrying %s", sys.argv[2])
        logging.getLogger("yt_dlp").info("Downloading %s", sys.argv[2])
        output.console.print(f"[bold]{sys.argv[1]}[/]: 3 frames", soft_wrap=True)
    raise {error}(f"{sys.argv[1]} at {sys.argv[2]}")

app.app = command
app.main()
"""
ADDRESS = "https://me:s3cret-a@example.org/a.mp4?X-Amz-Signature=s3cret-b"


def run_program(error: str, *options: str) -> "subprocess.CompletedProcess[str]":
    program = PROGRAM.replace("{error}", error)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", program, ODD, ADDRESS, *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("error", ["SourceError", "ValueError", "MemoryError"])
@pytest.mark.parametrize("options", [(), ("--verbose",)])
def test_nothing_from_outside_is_obeyed_and_no_secret_is_printed(error: str, options: tuple[str, ...]) -> None:
    done = run_program(error, *options)
    assert done.returncode == 1
    assert done.stdout == f"{SHOWN}: 3 frames\n"
    everything = done.stdout + done.stderr
    assert "s3cret" not in everything
    assert not [character for character in everything if character not in "\n\t" and not character.isprintable()]
    assert ("Traceback" in done.stderr) == (bool(options) or error == "ValueError")
    assert f"{SHOWN}/manifest.json is altered" in done.stderr


@pytest.mark.slow
def test_own_warnings_are_printed_and_those_of_libraries_only_with_verbose() -> None:
    plain, verbose = run_program("SourceError"), run_program("SourceError", "--verbose")
    assert plain.stderr.splitlines()[0] == f"warning: {SHOWN}/manifest.json is altered"
    assert "Retrying" not in plain.stderr and "Downloading" not in plain.stderr
    assert "WARNING urllib3.connectionpool: Retrying https://example.org/a.mp4" in verbose.stderr
    assert "INFO yt_dlp: Downloading https://example.org/a.mp4" in verbose.stderr


def test_a_terminal_gets_the_styles_of_rich_and_nothing_else() -> None:
    stream = io.StringIO()
    console = SafeConsole(file=stream, force_terminal=True, color_system="standard", width=200)
    console.print("[bold]a\x1b[2Jb[/] c\u202ed", highlight=False)
    assert stream.getvalue() == "\x1b[1ma\\x1b[2Jb\x1b[0m c\\u202ed\n"


def test_json_that_is_printed_keeps_its_content() -> None:
    content = {"name": ODD, "place": "人 \U000e0001"}
    written = escape_json(json.dumps(content, ensure_ascii=False))
    assert json.loads(written) == content
    assert "人" in written and written.isprintable()
