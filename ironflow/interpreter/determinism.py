"""The run's own random numbers: seeded by run and scope, so replay draws the same."""

from random import Random
from typing import final


@final
class Generators:
    """One generator per scope of a run, made when it is first asked for."""

    __slots__ = ("_generators", "_run_id")

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._generators: dict[str, Random] = {}

    def of(self, prefix: str) -> Random:
        """Return the generator of the scope with this id prefix."""
        generator = self._generators.get(prefix)
        if generator is None:
            generator = Random(f"{self._run_id}\0{prefix}")
            self._generators[prefix] = generator
        return generator
