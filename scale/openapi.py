"""The description of the service in OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..mimaface_core.media.provenance import VERSION

_STATES = ["queued", "running", "done", "failed"]


def description(workflows: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        workflows: files that each workflow takes, by its name.
    """
    job = {"name": "job", "in": "path", "required": True, "schema": {"type": "string"}}
    told = _answer("The job.", {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}})
    paths: dict[str, Any] = {
        f"/v1/workflows/{name}": {"post": _submission(name, files, told)} for name, files in workflows.items()
    }
    paths["/v1/workflows"] = {
        "get": {"summary": "Workflows and the files that each takes", "responses": {"200": _answer("By name.")}}
    }
    paths["/v1/jobs/{job}"] = {
        "parameters": [job],
        "get": {"summary": "State of a job", "responses": {"200": told, "404": _error()}},
        "delete": {"summary": "Remove a job that is over", "responses": {"204": _answer("Removed."), "409": _error()}},
    }
    events = _answer("Its states, to its end.", {"text/event-stream": {"schema": {"type": "string"}}})
    paths["/v1/jobs/{job}/events"] = {
        "parameters": [job],
        "get": {"summary": "States of a job as server-sent events", "responses": {"200": events, "404": _error()}},
    }
    file = _answer("A video or image.", {"*/*": {"schema": {"type": "string", "format": "binary"}}})
    paths["/v1/jobs/{job}/result"] = {
        "parameters": [job],
        "get": {"summary": "The result of a job", "responses": {"200": file, "409": _error()}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "MIMAFace", "version": VERSION},
        "paths": paths,
        "security": [{"token": []}, {}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "schemas": _schemas()},
    }


def _submission(name: str, files: Sequence[str], told: dict[str, Any]) -> dict[str, Any]:
    """The operation that runs a workflow."""
    form = {
        "type": "object",
        "properties": {file: {"type": "string", "format": "binary"} for file in files},
        "required": list(files),
        "additionalProperties": {"type": "string", "description": "set.TITLE.INPUT: a value of a node"},
    }
    key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
    return {
        "summary": f"Run {name}",
        "parameters": [key],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {"202": told, "200": told, **{str(status): _error() for status in (400, 401, 409, 413, 429)}},
    }


def _answer(text: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"description": text, **({"content": content} if content else {})}


def _error() -> dict[str, Any]:
    return _answer("Refused.", {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}})


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    job = {"id": text, "workflow": text, "state": {"type": "string", "enum": _STATES}, "before": {"type": "integer"}}
    return {
        "Job": {"type": "object", "properties": {**job, "reason": text, "result": text}},
        "Error": {"type": "object", "properties": {"error": text}},
    }
