"""Reads a seed file and checks it."""

from pydantic import ValidationError

from coolthing_site.seeding import checks, document
from coolthing_site.seeding.problems import Path, Problem, SeedError
from coolthing_site.seeding.shape import SeedFile

# Texts in place of pydantic's for the most frequent mistakes.
REASONS = {
    "extra_forbidden": "is not a known key",
    "missing": "is missing",
    "string_type": "is not a text: put it in quotes",
    "string_too_short": "is empty",
    "timezone_aware": "has no time zone: end it with Z or +03:00",
}


def read(file: str) -> SeedFile:
    """Read and check the file. Raises SeedError with all problems."""
    data, lines = document.load(file)
    try:
        seed = SeedFile.model_validate(data)
    except ValidationError as error:
        raise SeedError(
            file, [_located(_problem(item["loc"], item["type"], item["msg"]), lines) for item in error.errors()]
        ) from error
    found = checks.problems(seed)
    if found:
        raise SeedError(file, [_located(problem, lines) for problem in found])
    return seed


def _problem(path: Path, kind: str, message: str) -> Problem:
    reason = REASONS.get(kind) or message.removeprefix("Value error, ")
    return Problem(path, reason[0].lower() + reason[1:])


def _located(problem: Problem, lines: document.Lines) -> Problem:
    """Add the line of the problem's path, or of its longest beginning that the file contains."""
    for length in range(len(problem.path), 0, -1):
        if problem.path[:length] in lines:
            return Problem(problem.path, problem.reason, lines[problem.path[:length]])
    return problem
