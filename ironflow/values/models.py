"""Models of pydantic, and what acts like them.

Pydantic is never imported for this: a class is known by its methods.
"""

from typing import Protocol, cast


class _Model(Protocol):
    def model_dump(
        self, *, mode: str, by_alias: bool, round_trip: bool
    ) -> dict[str, object]: ...

    @classmethod
    def model_validate(cls, stored: object) -> object: ...


def is_model(kind: type) -> bool:
    """Say whether a class can dump its values as data and read them back."""
    return hasattr(kind, "model_dump") and hasattr(kind, "model_validate")


def dump_model(model: object) -> dict[str, object]:
    """Return a model as the data that `rebuild_model` takes."""
    return cast("_Model", model).model_dump(mode="json", by_alias=True, round_trip=True)


def rebuild_model(kind: type, stored: object) -> object:
    """Return the model of this class that the data stands for."""
    return cast("_Model", kind).model_validate(stored)


def model_fields(model: object) -> dict[str, object]:
    """Return what a model holds, also beyond its declared fields."""
    extra = cast("dict[str, object] | None", getattr(model, "__pydantic_extra__", None))
    return {**vars(model), **(extra or {})}
