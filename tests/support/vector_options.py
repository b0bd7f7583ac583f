"""What Vector 0.51 documents of the components that ops/vector has, and what is wrong with a configuration by that.

Options as in https://vector.dev/docs/reference/configuration/; those that we have no use for are left out, so that
using one means looking it up. It is no substitute for `vector validate`, which nobody could run here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1}
FLAG = {"type": "boolean"}
UINT = {"type": "integer", "minimum": 0}


def _object(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def _one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


_LIBRDKAFKA = {"type": "object", "additionalProperties": TEXT}
_ENCODING = {
    "except_fields": TEXTS,
    "only_fields": TEXTS,
    "timestamp_format": _one_of("rfc3339", "unix", "unix_float", "unix_ms", "unix_ns", "unix_us"),
}
_BATCH = _object(max_bytes=UINT, max_events=UINT, timeout_secs={"type": "number"})
_BUFFER = {
    "oneOf": [
        _object(
            ("type", "max_size"),
            type={"const": "disk"},
            max_size={"type": "integer", "minimum": 268435488},  # Vector refuses less
            when_full=_one_of("block", "drop_newest"),
        ),
        _object(
            ("type",),
            type={"const": "memory"},
            max_events=UINT,
            max_size=UINT,
            when_full=_one_of("block", "drop_newest"),
        ),
    ]
}
_ACKNOWLEDGED = _object(enabled=FLAG)
_REQUEST = _object(
    concurrency={"anyOf": [_one_of("adaptive", "none"), UINT]},
    rate_limit_duration_secs=UINT,
    rate_limit_num=UINT,
    retry_attempts=UINT,
    retry_initial_backoff_secs=UINT,
    retry_max_duration_secs=UINT,
    retry_jitter_mode=_one_of("Full", "None"),
    timeout_secs=UINT,
)

SOURCES = {
    "docker_logs": _object(
        auto_partial_merge=FLAG, include_containers=TEXTS, exclude_containers=TEXTS, include_images=TEXTS,
        include_labels=TEXTS, docker_host=TEXT, retry_backoff_secs=UINT,
    ),
    "file": _object(
        ("include",),
        include=TEXTS, exclude=TEXTS, read_from=_one_of("beginning", "end"), max_line_bytes=UINT, max_read_bytes=UINT,
        ignore_older_secs=UINT, remove_after_secs=UINT, oldest_first=FLAG,
        fingerprint=_object(strategy=_one_of("checksum", "device_and_inode"), lines=UINT, ignored_header_bytes=UINT),
    ),
    "kafka": _object(
        ("bootstrap_servers", "group_id", "topics"),
        bootstrap_servers=TEXT, group_id=TEXT, topics=TEXTS, commit_interval_ms=UINT, session_timeout_ms=UINT,
        auto_offset_reset=_one_of("smallest", "earliest", "beginning", "largest", "latest", "end", "error"),
        drain_timeout_ms=UINT, fetch_wait_max_ms=UINT, socket_timeout_ms=UINT, librdkafka_options=_LIBRDKAFKA,
        metrics=_object(topic_lag_metric=FLAG),
    ),
    "internal_metrics": _object(namespace=TEXT, scrape_interval_secs={"type": "number"}),
}  # fmt: skip
TRANSFORMS = {
    "remap": {
        **_object(
            ("inputs",),
            inputs=TEXTS, file=TEXT, source=TEXT, drop_on_abort=FLAG, drop_on_error=FLAG, reroute_dropped=FLAG,
            timezone=TEXT,
        ),
        "oneOf": [{"required": ["file"]}, {"required": ["source"]}],
    },
}  # fmt: skip
SINKS = {
    "kafka": _object(
        ("inputs", "bootstrap_servers", "topic", "encoding"),
        inputs=TEXTS, bootstrap_servers=TEXT, topic=TEXT, key_field=TEXT, headers_key=TEXT, healthcheck_topic=TEXT,
        encoding=_object(("codec",), codec=_one_of("json", "text", "native_json", "raw_message"), **_ENCODING),
        compression=_one_of("none", "gzip", "lz4", "snappy", "zstd"), message_timeout_ms=UINT, socket_timeout_ms=UINT,
        librdkafka_options=_LIBRDKAFKA, batch=_BATCH, buffer=_BUFFER, acknowledgements=_ACKNOWLEDGED,
    ),
    "elasticsearch": _object(
        ("inputs", "endpoints"),
        inputs=TEXTS, endpoints=TEXTS, api_version=_one_of("auto", "v6", "v7", "v8"),
        auth=_object(("strategy", "user", "password"), strategy={"const": "basic"}, user=TEXT, password=TEXT),
        mode=_one_of("bulk", "data_stream"), bulk=_object(action=TEXT, index=TEXT), id_key=TEXT, pipeline=TEXT,
        compression=_one_of("none", "gzip", "snappy", "zlib", "zstd"), encoding=_object(**_ENCODING), request=_REQUEST,
        request_retry_partial=FLAG, batch=_BATCH, buffer=_BUFFER, acknowledgements=_ACKNOWLEDGED,
    ),
    "prometheus_exporter": _object(("inputs",), inputs=TEXTS, address=TEXT, default_namespace=TEXT),
}  # fmt: skip
_TOP = _object(
    ("sources", "transforms", "sinks"),
    data_dir=TEXT,
    api=_object(enabled=FLAG, address=TEXT, playground=FLAG),
    **{part: {"type": "object"} for part in ("sources", "transforms", "sinks")},
    tests={"type": "array"},
)


def faults(config: dict[str, Any]) -> list[str]:
    """What Vector would refuse, and what it would take and lose events by."""
    if top := [f"the file: {fault.message}" for fault in Draft202012Validator(_TOP).iter_errors(config)]:
        return top
    return [*_option_faults(config), *_input_faults(config), *_circles(config), *_unread(config)]


def _option_faults(config: dict[str, Any]) -> Iterator[str]:
    for part, documented in (("sources", SOURCES), ("transforms", TRANSFORMS), ("sinks", SINKS)):
        for name, component in config[part].items():
            options = {option: value for option, value in component.items() if option != "type"}
            schema = documented.get(component.get("type"))
            if schema is None:
                yield f"{part}.{name}: no type {component.get('type')!r} is known here"
                continue
            for fault in Draft202012Validator(schema).iter_errors(options):
                yield f"{part}.{name}{'.'.join(['', *map(str, fault.absolute_path)])}: {fault.message}"


def _outputs(config: dict[str, Any]) -> set[str]:
    dropped = {f"{name}.dropped" for name, one in config["transforms"].items() if one.get("reroute_dropped")}
    return {*config["sources"], *config["transforms"], *dropped}


def _inputs(config: dict[str, Any]) -> dict[str, list[str]]:
    return {name: one.get("inputs", []) for part in ("transforms", "sinks") for name, one in config[part].items()}


def _input_faults(config: dict[str, Any]) -> Iterator[str]:
    outputs = _outputs(config)
    for name, inputs in _inputs(config).items():
        yield from (f"{name}: nothing gives its input {one}" for one in inputs if one not in outputs)


def _circles(config: dict[str, Any]) -> Iterator[str]:
    inputs = {name: [one.removesuffix(".dropped") for one in given] for name, given in _inputs(config).items()}
    for start in config["transforms"]:
        seen: set[str] = set()
        ahead = list(inputs[start])
        while ahead:
            if (name := ahead.pop()) in seen:
                continue
            seen.add(name)
            ahead += inputs.get(name, [])
        if start in seen:
            yield f"{start}: is behind itself"


def _unread(config: dict[str, Any]) -> Iterator[str]:
    read = {one for given in _inputs(config).values() for one in given}
    yield from (f"{name}: nobody reads what it gives" for name in sorted(_outputs(config) - read))
