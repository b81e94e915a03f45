"""The kinds of values that a catalog may hold: names, sizes, addresses, paths, and what is said about a wrong one."""

import zoneinfo
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from figureground.errors import SourceError
from figureground.media import addresses
from figureground.storage import disk_budget

SHA256_PATTERN = "^[0-9a-f]{64}$"
SHA256_OR_EMPTY_PATTERN = "^([0-9a-f]{64})?$"
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
FILE_NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
ADDRESS_PATTERN = "^https?://"
CLUSTER_PATTERN = "^(tcp|tls|ws|wss)://"
SCHEDULE_PATTERN = r"^(\S+( \S+){4}|every [1-9][0-9]* (minutes?|hours?|days?)|never)$"
ADDRESS_OR_EMPTY_PATTERN = "^(https?://.*)?$"
WEBHOOK_PATTERN = "^(https?://.+|env:[A-Za-z_][A-Za-z0-9_]*)$"
HOST_PATTERN = r"^[A-Za-z0-9._:-]+$"
_SHA256_HINT = "expected a sha256, 64 characters of 0-9 and a-f (`sha256sum FILE` prints it)"
EXPECTED_BY_PATTERN = {
    SHA256_PATTERN: _SHA256_HINT,
    SHA256_OR_EMPTY_PATTERN: _SHA256_HINT,
    NAME_PATTERN: "expected a name of 1 to 64 letters A-Z, a-z, digits, '_' and '-', starting with a letter or digit",
    FILE_NAME_PATTERN: "expected a file name of letters A-Z, a-z, digits, '.', '_' and '-'",
    ADDRESS_PATTERN: "expected an address that starts with http:// or https://",
    CLUSTER_PATTERN: "expected a Dask scheduler's address, such as tcp://10.0.0.5:8786",
    SCHEDULE_PATTERN: "expected cron's five fields such as '0 2 * * *', 'every 15 minutes', or 'never'",
    ADDRESS_OR_EMPTY_PATTERN: "expected an address that starts with http:// or https://",
    HOST_PATTERN: "expected a host's name or number without http:// and port, such as media.lan or 10.0.0.5",
    WEBHOOK_PATTERN: "expected an address that starts with http:// or https://, or env:NAME, the variable that holds it",
}


def refuse_secrets(address: str) -> str:
    """Refuse an address with a name, password or token in it."""
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("expected an address without name, password or token; these come from the environment")
    return address


def refuse_credentials(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse storage options that hold credentials."""
    if credentials := sorted(set(options) & {"key", "secret", "token", "username", "password"}):
        raise ValueError(f"expected no {', '.join(credentials)} here: credentials come from the environment or ~/.aws")
    return options


def check_time_zone(name: str) -> str:
    """Refuse a time zone that the system does not know."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected a time zone such as UTC or Europe/Berlin") from error
    return name


def check_size(text: str) -> str:
    """Refuse a size that cannot be read."""
    disk_budget.parse_size(text)
    return text


def check_path(path: str) -> str:
    """Refuse an address that names no file or package member."""
    if addresses.is_in_package(path):
        try:
            addresses.parse_package_path(path)
        except SourceError as error:
            raise ValueError(str(error)) from error
    elif "://" in path and not urlsplit(path).path.strip("/"):
        raise ValueError("expected the address of a file, such as https://example.org/clips/park.mp4")
    return path


def absolute_path(path: str, folder: Path) -> str:
    """Give a local path that means the same from every folder; an address stays as it is."""
    return path if addresses.is_address(path) else str((folder / Path(path).expanduser()).absolute())


def _parse_bytes(value: Any) -> Any:
    return disk_budget.parse_size(value) if isinstance(value, str) else value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _as_mapping(value: Any) -> Any:
    """Let a name, or a list of names and of mappings, stand for a mapping of names to settings."""
    if isinstance(value, str):
        return {value: None}
    if isinstance(value, list) and all(isinstance(entry, str | dict) for entry in value):
        names = [name for entry in value for name in ([entry] if isinstance(entry, str) else entry)]
        if repeated := sorted({str(name) for name in names if names.count(name) > 1}):
            raise ValueError(f"expected each name once; {', '.join(repeated)} stands there twice")
        return {name: own for entry in value for name, own in _as_mapping(entry).items()}
    return value


Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
FileName = Annotated[str, Field(pattern=FILE_NAME_PATTERN)]
Schedule = Annotated[str, Field(pattern=SCHEDULE_PATTERN)]
Size = Annotated[str, AfterValidator(check_size)]
Bytes = Annotated[int, Field(ge=1), BeforeValidator(_parse_bytes)]
Host = Annotated[str, Field(pattern=HOST_PATTERN), AfterValidator(str.lower)]
SourcePath = Annotated[str, Field(min_length=1), AfterValidator(check_path)]
SourcePaths = Annotated[tuple[SourcePath, ...], Field(min_length=1), BeforeValidator(_as_tuple)]
Plugin = Annotated[dict[str, dict[str, Any] | None], Field(min_length=1, max_length=1), BeforeValidator(_as_mapping)]
"""A plug-in by its name, with its settings; the name alone takes the defaults."""

Plugins = Annotated[dict[str, dict[str, Any] | None], BeforeValidator(_as_mapping)]
"""Plug-ins by their names, with their settings; a list of names takes the defaults."""


class Strict(BaseModel):
    """A frozen part of the catalog that takes no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("expected no true/false here (yes, no, on and off mean these in YAML; quote them to mean words)")
        return value
