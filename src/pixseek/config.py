"""Settings: an argument beats the environment, which beats the file, which beats the default.

argument / option     environment          config.toml    default
library, --library    PIXSEEK_LIBRARY      library        .pixseek here or above, else the
                                                          user's data folder
model, --model        PIXSEEK_MODEL        model          clip-b32-datacomp
models_dir            PIXSEEK_MODELS_DIR   models_dir     the user's data folder
offline, --offline    PIXSEEK_OFFLINE      offline        false
allow_private,        PIXSEEK_ALLOW_       allow_private  false
--allow-private       PRIVATE
threads               PIXSEEK_THREADS      threads        one per processor
precision             PIXSEEK_PRECISION    precision      auto
compile               PIXSEEK_COMPILE      compile        false
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from pixseek.errors import ConfigError, unknown
from pixseek.redaction import is_address
from pixseek.types import Precision
from pixseek.types.dataclass import dataclass

#: How to keep the records of a library on a server.
_ENGINE = (
    "Name a folder for what belongs to this machine, and give the address once, when you create "
    "the library:\npixseek index ~/Pictures --library photos.lib --engine postgresql://HOST/DATABASE"
)

#: Name of a library that lies next to its photos.
PORTABLE_NAME = ".pixseek"


#: Of the settings file.
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one run.

    Attributes:
        library: folder of the library.
        model: alias or folder of the model for a new library; None for the library's own.
        models_dir: folder that downloaded models are kept in.
        offline: never touch the network.
        allow_private: fetch an example by its URL also from this machine and private networks.
        threads: how many threads decode and embed; 0 for one per processor.
        precision: number format that images are embedded in: "auto", "fp32", "bf16" or "int8".
        compile: compile the image tower of a model for torch before many images.
        is_found: nothing named the library; it lies in the current folder or one above. Not a
            setting.
    """

    library: Path
    model: str | None
    models_dir: Path
    offline: bool
    allow_private: bool
    threads: int
    precision: Precision
    compile: bool
    is_found: bool = False

    @property
    def thread_count(self) -> int:
        """`threads`, or the number of processors this process may use."""
        if self.threads:
            return self.threads
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1


#: The names of all settings.
SETTINGS = [field.name for field in fields(Config) if field.name != "is_found"]


def config_file() -> Path:
    """Return where the settings file is looked for; it need not exist."""
    import platformdirs

    return platformdirs.user_config_path("pixseek", appauthor=False) / "config.toml"


def libraries_file() -> Path:
    """Return the file that lists the libraries this user has made or trusted; it need not exist."""
    return config_file().with_name("libraries.json")


def data_folder() -> Path:
    """Return the folder of this user's data: the default library, and models."""
    import platformdirs

    return platformdirs.user_data_path("pixseek", appauthor=False)


def make_folder(folder: Path) -> None:
    """Make a folder if it is missing; the folder of this user's data is for this user alone.

    Raises:
        OSError: it can't be made.
    """
    data = data_folder()
    if folder.is_relative_to(data) and not data.is_dir():
        data.parent.mkdir(parents=True, exist_ok=True)
        data.mkdir(0o700, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def load_config(environment: Mapping[str, str] | None = None, **arguments: Any) -> Config:
    """Return the settings.

    Args:
        environment: variables to read; None for those of the process.
        **arguments: settings given by the caller, by name; None for not given.

    Raises:
        ConfigError: a setting has an unknown name or an invalid value.
    """
    environment = os.environ if environment is None else environment
    names = SETTINGS
    for name in arguments:
        if name not in names:
            raise ConfigError("Unknown setting", name, unknown("setting", name, names))
    from_file = _read_file(config_file(), names)
    values: dict[str, Any] = {}
    for name in names:
        variable = f"PIXSEEK_{name.upper()}"
        if arguments.get(name) is not None:
            values[name] = _typed(name, arguments[name], f"argument {name}")
        elif environment.get(variable):
            values[name] = _typed(name, environment[variable], variable)
        elif name in from_file:
            values[name] = _typed(name, from_file[name], f"{name} in {config_file()}")
    data = data_folder()
    library, is_found = _library_folder(values.get("library"), data)
    return Config(
        library=library,
        model=values.get("model"),
        models_dir=values.get("models_dir", data / "models"),
        offline=values.get("offline", False),
        allow_private=values.get("allow_private", False),
        threads=values.get("threads", 0),
        precision=values.get("precision", "auto"),
        compile=values.get("compile", False),
        is_found=is_found,
    )


def _library_folder(given: Path | None, data: Path) -> tuple[Path, bool]:
    """Return the folder of the library, and whether it was found without being named."""
    if given is not None:
        beside = given / PORTABLE_NAME
        return (beside if os.path.isdir(beside) else given), False
    # A library next to its photos is found from any folder below, as git finds its repository.
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PORTABLE_NAME).is_dir():
            return folder / PORTABLE_NAME, True
    return data / "library", False


def _read_file(path: Path, names: list[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    import tomllib

    from pixseek import files

    try:
        values = tomllib.loads(files.read(path, _MOST_BYTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            "The settings file can't be read", path, f"{error}. Fix it or remove it."
        ) from error
    for name in values:
        if name not in names:
            raise ConfigError(
                "Unknown setting", f"{name} in {path}", unknown("setting", name, names)
            )
    return values


def _typed(name: str, value: Any, where: str) -> Any:
    """Return `value` as the type of the setting `name`."""
    is_text = isinstance(value, str | os.PathLike)
    is_text = is_text and (name != "models_dir" or "\0" not in str(os.fspath(value)))
    if name in ("library", "models_dir", "model") and not is_text:
        raise ConfigError(
            f"{where} must be a text", repr(value), "Write it in quotation marks: a name or a path."
        )
    if name == "library" and is_address(os.fspath(value)):
        raise ConfigError(
            "A library is a folder, and this is the address of a server", value, _ENGINE
        )
    if name in ("library", "models_dir"):
        return Path(os.path.expanduser(value))
    if name in ("offline", "allow_private", "compile"):
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"{where} must be true or false", repr(value), "Write 1 or 0.")
    if name == "threads":
        try:
            threads = int(value)
        except (TypeError, ValueError, OverflowError):
            threads = -1
        if threads < 0 or isinstance(value, bool):
            raise ConfigError(
                f"{where} must be a whole number", repr(value), "Write 0 for one per processor."
            )
        return threads
    if name == "precision" and value not in get_args(Precision):
        raise ConfigError(
            f"{where} is not a known precision",
            repr(value),
            unknown("precision", value, get_args(Precision)),
        )
    return str(value)
