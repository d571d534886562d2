"""The key that hides user ids in the database: 32 random bytes in a file that only this user can read.

It lives beside the database, not inside, so that a copy of the database alone tells nobody who spoke. Losing it makes
the stored ids unreadable for good. Hosts that keep no files state it in UNDERTONE_SECRET_KEY.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Final

from bot.errors import KeyFileError
from bot.settings import Settings

KEY_BYTES: Final = 32
KEY_FILE: Final = "secret.key"
WRITTEN_WITHIN_S: Final = 10.0


def key_of(settings: Settings, *, make: bool = True) -> bytes:
    """The key that the settings state, or that of the data folder; see `load_key`. Raises KeyFileError."""
    if settings.secret_key is not None:
        return bytes.fromhex(settings.secret_key.get_secret_value())
    return load_key(settings.data_dir, make=make)


def load_key(data_dir: Path, *, make: bool = True) -> bytes:
    """Return the key of `data_dir`, making folder and key on the first start. Raises KeyFileError.

    Without `make` none is made: to whoever asks about what is stored, a new key would say nothing.
    """
    path = data_dir / KEY_FILE
    try:
        if make:
            data_dir.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                return _create(path)
        key = _read(path)
        if len(key) != KEY_BYTES:
            raise KeyFileError(
                f"{path} holds {len(key)} bytes instead of {KEY_BYTES}. Restore it from a backup; without it the "
                "stored user ids cannot be read."
            )
        path.chmod(0o600)
    except FileNotFoundError as error:
        raise KeyFileError(f"There is no {path}. Set UNDERTONE_DATA_DIR to the folder of the service.") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise KeyFileError(f"{data_dir} is no folder. Name one for the data: UNDERTONE_DATA_DIR=…") from error
    except OSError as error:
        raise KeyFileError(f"{path} cannot be used: {error.strerror}. Check the owner of the folder.") from error
    return key


def _create(path: Path) -> bytes:
    """Make the file, whole from its first moment: what a full disk, a kill or a power cut leaves behind is never taken
    for a key. The database writes ids that only it can read, and sees to it that they outlive a power cut."""
    key = secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _write(draft, key)
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            _write(path, key)
    except FileExistsError:  # another process was first
        return _read(path)
    finally:
        draft.unlink(missing_ok=True)
    return key


def _write(path: Path, key: bytes) -> None:
    """Write a new file. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    """What the file holds; without links, another process may have made it and not have written into it yet."""
    until_s = time.monotonic() + WRITTEN_WITHIN_S
    while not (key := path.read_bytes()) and time.monotonic() < until_s:
        time.sleep(0.01)
    return key
