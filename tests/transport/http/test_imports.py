"""What the HTTP server may know of the rest of ironflow: nothing."""

import ast
from pathlib import Path

from ironflow.transport import http

ALLOWED = {"ironflow", "ironflow.errors", "ironflow.limits", "ironflow.sockets"}
OWN = "ironflow.transport.http."


def test_the_server_knows_sockets_limits_errors_and_itself() -> None:
    """A linter's contract names what is forbidden; here, what is allowed."""
    [folder] = http.__path__
    foreign = [
        f"{path.name}: {name}"
        for path in sorted(Path(folder).glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imported(node)
        if name.partition(".")[0] == "ironflow"
        and name not in ALLOWED
        and not name.startswith(OWN)
    ]

    assert not foreign


def imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [each.name for each in node.names]
        case ast.ImportFrom(module="ironflow"):
            return [f"ironflow.{each.name}" for each in node.names]
        case ast.ImportFrom():
            return [node.module or ""]
        case _:
            return []
