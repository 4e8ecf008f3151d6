"""``striate db shell``: lines from -c, from stdin and from a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import striate
from striate.cli.database import db

Run = Callable[..., Any]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with striate.open(tmp_path / "shop") as opened:
        opened.table("stock").set_many({b"tea": b"5", b"two words": b'say "hi"'})
        opened.table("prices", "json")["tea"] = {"eur": 3}
    return str(tmp_path / "shop")


def lines(*commands: str) -> list[str]:
    return [part for command in commands for part in ("-c", command)]


def test_commands_are_those_of_the_group(run: Run, shop: str) -> None:
    listed = [line.split()[0] for line in run("db", "shell", shop, "-c", "help").text.splitlines()]
    assert listed == sorted((set(db.commands) - {"shell"}) | {"help", "exit"})


def test_a_script(run: Run, shop: str) -> None:
    result = run(
        "db",
        "shell",
        shop,
        *lines(
            "tables  # those there are",
            "",
            "# nothing",
            "get stock 'two words'",
            'set stock "a key" "a value" --ttl 1h',
            "get stock a\\ key",
            "delete stock tea",
            "scan prices --json",
            "stat --json",
        ),
    )
    assert result.code == 0 and result.err == ""
    out = result.text.splitlines()
    assert out[:3] == ["prices", "stock", 'say "hi"'] and out[3].startswith("version ") and out[4] == "a value"
    assert out[5] == '{"key": "tea", "value": "{\\"eur\\":3}"}'
    with striate.open(shop) as opened:
        assert opened.table("stock")["a key"] == b"a value" and "tea" not in opened.table("stock")


def test_lines_from_stdin(run: Run, shop: str) -> None:
    result = run("db", "shell", shop, stdin="set new kéy välue\nget new kéy\nexit\nget none none\n".encode())
    assert (result.code, result.text.splitlines()[1]) == (0, "välue")


# what is wrong → the exit code and a word of the one line on stderr
WRONG: dict[str, tuple[int, str]] = {
    "frobnicate": (2, "no such command: frobnicate"),
    "get stock": (2, "KEY"),
    "get stock a b": (2, "get --help"),
    "get stock none": (1, "no such key: none"),
    "get nothing tea": (1, "no table"),
    "get 'stock tea": (2, "No closing quotation"),
    "set stock tea": (2, "VALUE"),
    "set stock tea 5 --ttl soon": (2, "duration"),
    "scan stock --count x": (2, "'x'"),
    "import": (2, "FILE"),
    "shell": (2, "no such command"),
    "help frobnicate": (2, "no such command"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_ends_a_script(line: str, run: Run, shop: str) -> None:
    code, words = WRONG[line]
    result = run("db", "shell", shop, stdin=f"get stock tea\n{line}\ndelete stock tea\n".encode())
    assert result.code == code and result.out == b"5\n"
    assert len(result.err.splitlines()) == 1 and words in result.err and "line 2" in result.err
    assert run("db", "get", shop, "stock", "tea").code == 0


def test_errors_as_json(run: Run, shop: str) -> None:
    error = run("db", "shell", shop, "-c", "get nothing a --json").error
    assert error["error"] == "TableNotFoundError" and error["name"] == "nothing" and error["notes"] == ["line 1"]


def test_help(run: Run, shop: str) -> None:
    result = run("db", "shell", shop, *lines("help get", "get --help"))
    assert result.code == 0 and result.text.count("Usage: get [OPTIONS] TABLE KEY") == 2


def test_what_is_no_database(run: Run, tmp_path: Path) -> None:
    assert run("db", "shell", tmp_path / "none", "-c", "tables").code == 2
    assert not (tmp_path / "none").exists()


def test_a_failing_verification_is_a_failure(run: Run, shop: str) -> None:
    store = next(Path(shop, "log").glob("*.store"))
    data = bytearray(store.read_bytes())
    place = data.index(b"two words")
    data[place] ^= 1
    store.write_bytes(data)
    result = run("db", "shell", shop, "-c", "verify", "-c", "tables")
    assert result.code == 1 and b"stock" not in result.out


def test_a_terminal(shop: str) -> None:
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "striate", "db", "shell", shop],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(theirs)
    os.write(terminal, b"get stock tea\nfrobnicate\nget stock none\nset stock tea 6\n\x04")
    out, err = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 0
    assert b"5\n" in out and b"version" in out and b"`help` lists" in out
    errors = [line for line in err.splitlines() if b"Error" in line]
    assert len(errors) == 2 and b"frobnicate" in errors[0] and b"no such key" in errors[1]
    with striate.open(shop) as opened:
        assert opened.table("stock")["tea"] == b"6"
