"""The configuration: brought to the schema's types, checked whole, one line a mistake.

Everything here runs at each start of Snakemake, so nothing heavy is imported.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from mistakes import mistakes_of, unknown_key, used_models
from plugins import PluginError, parted, signature, type_of


class ConfigError(ValueError):
    """A mistake in the configuration: one line for each, with key, value and what is allowed."""


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the schema's types and all checks passed. Raises ConfigError.

    Numbers that arrive as text (nested --config values, 1e-3 in YAML 1.1) become numbers, so that
    equal settings are equal in every job's parameters.
    """
    schema = _schema()
    validator = Draft202012Validator(schema)
    typed = _typed(config, schema, schema)
    mistakes = [_mistake(error) for error in validator.iter_errors(typed)]
    mistakes += _not_finite(typed)
    if not mistakes:
        try:
            typed = _typed_options(typed)
            mistakes = list(_not_finite(typed)) or list(mistakes_of(typed))
        except PluginError as error:
            mistakes = [str(error)]
    if mistakes:
        raise ConfigError("\n".join(f"config: {mistake}" for mistake in mistakes))
    return typed


@cache
def _schema() -> dict[str, Any]:
    return yaml.safe_load(
        Path(__file__).with_name("config.schema.yaml").read_text(encoding="utf-8")
    )


def _typed(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """`value` with texts read as the numbers and booleans that the schema wants."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, Mapping):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        other = other if isinstance(other, Mapping) else {}
        return {key: _typed(item, known.get(key, other), root) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_typed(item, schema.get("items", {}), root) for item in value]
    return _scalar(value, schema.get("type"))


def _scalar(value: Any, wanted: str | list[str] | None) -> Any:
    wanted = [wanted] if isinstance(wanted, str) else wanted or []
    if value == "null" and "null" in wanted:
        return None
    if isinstance(value, str) and "string" not in wanted and wanted:
        value = _number(value)
    if "number" in wanted and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if "integer" in wanted and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _number(text: str) -> Any:
    try:
        return float(text) if "e" in text.lower() or "." in text else int(text)
    except ValueError:
        return yaml.safe_load(text) if text.lower() in ("true", "false", "null") else text


def _typed_options(config: dict[str, Any]) -> dict[str, Any]:
    """`config` with options of models and threshold rule in the types that their files annotate.

    Models that no iteration names stay as they are: their files may be half written.
    """
    models, em = dict(config["models"]), dict(config["em"])
    for name in models.keys() & set(used_models(config)):
        architecture = f"models/{models[name]['architecture']}.py"
        models[name] = _annotated(models[name], architecture, "Model.__init__")
    rule = f"thresholds/{em['threshold']['rule']}.py"
    em["threshold"] = _annotated(em["threshold"], rule, "thresholds")
    return config | {"models": models, "em": em}


def _annotated(entry: Mapping[str, Any], file: str, function: str) -> dict[str, Any]:
    wanted = {int: "integer", float: "number", bool: "boolean"}
    annotated = signature(file, function) or {}
    kinds = {key: wanted.get(type_of(parted(kind)[0])) for key, kind in annotated.items()}
    return {key: _scalar(value, kinds.get(key)) for key, value in entry.items()}


def _mistake(error: Any) -> str:
    """One line for a violation of the schema: key, value, what is allowed."""
    where = ".".join(map(str, error.absolute_path)) or "the top level"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = [key for key in error.instance if key not in known]
        return "; ".join(
            unknown_key(_join(error.absolute_path, key), key, known) for key in unknown
        )
    if error.validator == "required":
        return f"{where}: {error.message.replace(' is a required property', ' is missing')}"
    if error.validator == "enum":
        return f"{where}: {error.instance!r} is not one of {', '.join(error.validator_value)}"
    if error.validator == "contains":
        return f"{where}: {error.instance!r} must hold {error.validator_value['const']}"
    if error.validator == "not":
        taken = ", ".join(error.validator_value["enum"])
        return f"{where}: {error.instance!r} is a name of the workflow's own (these are: {taken})"
    if error.validator_value == "string" and isinstance(error.instance, int | float):
        return f"{where}: {error.message}; quote it (after --config: '\"{error.instance}\"')"
    if error.validator == "pattern":
        return f"{where}: {error.instance!r} is not {error.schema['description']}"
    return f"{where}: {error.message}"


def _not_finite(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """YAML knows .nan and .inf, which no range of the schema keeps out."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{'.'.join(path)}: {value} is not a finite number"
    items = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from _not_finite(item, (*path, str(key)))


def _join(path: Any, key: str) -> str:
    return ".".join([*map(str, path), str(key)])
