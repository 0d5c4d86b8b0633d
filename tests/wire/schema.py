"""The .proto files as google's protobuf understands them, and random messages of them."""

import importlib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
)
from google.protobuf.message import Message as Foreign

from ironflow.wire.message import Message, Service

ROOT = Path(__file__).parent.parent.parent
KNOWN = (struct_pb2, timestamp_pb2, duration_pb2, empty_pb2, field_mask_pb2)
_Field = descriptor_pb2.FieldDescriptorProto


def load_script() -> ModuleType:
    """Return `scripts/protos` as a module."""
    loader = SourceFileLoader("protos", str(ROOT / "scripts" / "protos"))
    spec = spec_from_loader("protos", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


SCRIPT = load_script()
FILES = [SCRIPT.read(path) for path in sorted(SCRIPT.SOURCES.glob("*.proto"))]
ENUMS = {name for file in FILES for name in file.enums}


def _add_field(
    message: descriptor_pb2.DescriptorProto, each: dict[str, str], oneofs: list[str]
) -> None:
    field = message.field.add(name=each["name"], number=int(each["number"]))
    is_many = each["label"] == "repeated " or each["value"]
    field.label = _Field.LABEL_REPEATED if is_many else _Field.LABEL_OPTIONAL
    if each["value"]:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = _add_entry(message, each)
    else:
        _set_type(field, each["type"])
    if each["oneof"]:
        field.oneof_index = oneofs.index(each["oneof"])
    elif each["label"] == "optional ":
        field.proto3_optional = True
        field.oneof_index = oneofs.index("_" + each["name"])


def _set_type(field: descriptor_pb2.FieldDescriptorProto, wire: str) -> None:
    if wire in SCRIPT.SCALARS:
        field.type = getattr(_Field, f"TYPE_{wire.upper()}")
        return
    field.type = _Field.TYPE_ENUM if wire in ENUMS else _Field.TYPE_MESSAGE
    field.type_name = "." + (wire if "." in wire else f"ironflow.v1.{wire}")


def _add_entry(message: descriptor_pb2.DescriptorProto, each: dict[str, str]) -> str:
    parts = each["name"].split("_")
    entry = message.nested_type.add(
        name="".join(p.capitalize() for p in parts) + "Entry"
    )
    entry.options.map_entry = True
    key = entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL)
    key.type = _Field.TYPE_STRING
    value = entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL)
    _set_type(value, each["value"])
    return f".ironflow.v1.{message.name}.{entry.name}"


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    whole = descriptor_pb2.FileDescriptorProto(
        name="ironflow.proto", package="ironflow.v1", syntax="proto3"
    )
    for known in KNOWN:
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        whole.dependency.append(known.DESCRIPTOR.name)
    for file in FILES:
        for name, values in file.enums.items():
            enum = whole.enum_type.add(name=name)
            for value, number in values:
                enum.value.add(name=value, number=number)
        for name, fields in file.messages.items():
            message = whole.message_type.add(name=name)
            oneofs = list(dict.fromkeys(f["oneof"] for f in fields if f["oneof"]))
            oneofs += ["_" + f["name"] for f in fields if f["label"] == "optional "]
            for oneof in oneofs:
                message.oneof_decl.add(name=oneof)
            for each in fields:
                _add_field(message, each, oneofs)
    pool.Add(whole)
    return pool


POOL = _pool()


def foreign_class(name: str) -> type[Foreign]:
    """Return google's class of a message of ironflow.v1."""
    descriptor = POOL.FindMessageTypeByName(f"ironflow.v1.{name}")
    return message_factory.GetMessageClass(descriptor)


def modules() -> list[ModuleType]:
    """Every module that was made."""
    return [importlib.import_module(f"ironflow.wire.proto.{f.name}") for f in FILES]


def our_classes() -> dict[str, type[Message]]:
    """Every message that was made, by name."""
    return {
        name: value
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Message)
        and value.__module__ == module.__name__
    }


def our_services() -> dict[str, Service]:
    """Every service that was made, by name."""
    services: dict[str, Any] = {}
    for file, module in zip(FILES, modules(), strict=True):
        services |= {name: getattr(module, name) for name in file.services}
    return services
