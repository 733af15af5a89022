"""Every RPC of the wire contract as its own descriptors tell it, so that no list can forget a new one."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

import qubitd.v1


def every_method() -> list[MethodDescriptor]:
    """Give the RPCs of all services in `qubitd.v1`."""
    modules = [f"qubitd.v1.{module.name}" for module in pkgutil.iter_modules(qubitd.v1.__path__)]
    files = [importlib.import_module(name).DESCRIPTOR for name in modules if name.endswith("_pb2")]
    return [method for file in files for service in file.services_by_name.values() for method in service.methods]


def rpc_of(method: MethodDescriptor) -> str:
    """Give service and name, as rights are kept and calls are addressed."""
    return f"{method.containing_service.full_name}/{method.name}"


def filled(message: Message, names: dict[str, str], depth: int = 4) -> Message:
    """Set every field to something; of a choice the last is kept."""
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth:
                inner = getattr(message, field.name)
                filled(inner.add() if field.is_repeated else inner, names, depth - 1)
                if not field.is_repeated:
                    inner.SetInParent()
            continue
        text = names.get(field.name, "x")
        values: dict[int, Any] = {FieldDescriptor.CPPTYPE_STRING: text, FieldDescriptor.CPPTYPE_BOOL: True}
        value = b"x" if field.type == FieldDescriptor.TYPE_BYTES else values.get(field.cpp_type, 1)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message
