"""The file that `export` writes, opened by somebody who believes nothing that stands in it.

Members are stored uncompressed, named exactly as expected and bounded; each is verified when it is
read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from sharedcli.errors import CorruptionError, SharedCLIError, UsageError
from sharedcli.ingest.sanitise import sanitise_line
from sharedcli.store import portable


@contextmanager
def checked(path: Path) -> Iterator[None]:
    """Turn whatever a wrong value leads to into one error about the file."""
    try:
        yield
    except CorruptionError as error:
        raise _refused(path, str(error)) from error
    except SharedCLIError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from error
    except (RecursionError, RuntimeError, SafetensorError, zipfile.BadZipFile, EOFError) as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from error
    except struct.error as error:
        raise _refused(path, str(error)) from error
    except OSError as error:
        # offsets of a damaged archive lead to places that no file has
        if error.errno == errno.EINVAL:
            raise _refused(path, "its offsets lead nowhere") from error
        raise SharedCLIError(
            f"{path} cannot be read ({error.strerror}); check its permissions and the disk"
        ) from error


def _refused(path: Path, reason: str) -> CorruptionError:
    return CorruptionError(
        f"{path} is no whole file of `sharedcli export` ({sanitise_line(reason)}); nothing was "
        "stored: export it again"
    )


class Archive:
    """The members, each verified when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Archive:
        with checked(self._path):
            if not self._path.is_file():
                raise UsageError(f"{self._path} is no file; give one that `export` has written")
            self._zip = zipfile.ZipFile(self._path)
            try:
                self._open()
            except BaseException:
                self._zip.close()
                raise
        return self

    def _open(self) -> None:
        infos = self._zip.infolist()
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) != len(infos) or portable.MANIFEST not in self._infos:
            raise CorruptionError("its members are not those of an export")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise CorruptionError(f"member {info.filename!r} is compressed or encrypted")
            if not 0 <= info.file_size == info.compress_size <= portable.MEMBER_LIMIT:
                raise CorruptionError(f"member {info.filename!r} is too large")
        self.manifest: dict[str, Any] = json.loads(
            self._bytes(portable.MANIFEST, portable.MANIFEST_LIMIT)
        )
        if self.manifest.get("format") != portable.FORMAT:
            raise CorruptionError("it has another format")
        if self.manifest.get("version") != portable.VERSION:
            raise UsageError(
                f"{self._path} has version {sanitise_line(str(self.manifest.get('version')), 40)} "
                f"of the format, this release reads version {portable.VERSION}; use the release "
                "that wrote it"
            )
        members = self.manifest["members"]
        names = {portable.TEXT, portable.PASSAGES}
        names.update(portable.chunk_member(i) for i in range(len(members) - len(names)))
        if set(members) != names or set(self._infos) != names | {portable.MANIFEST}:
            raise CorruptionError("its members are not those of an export")

    def __exit__(self, *_error: object) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """A member's bytes, which are those that the manifest names."""
        size, sha256 = self.manifest["members"][name]
        data = self._bytes(name, portable.MEMBER_LIMIT)
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptionError(f"member {name} does not match its digest")
        return data

    def tensors(self, name: str) -> dict[str, Tensor]:
        """A member's tensors."""
        return load(self.read(name))

    def _bytes(self, name: str, limit: int) -> bytes:
        info = self._infos[name]
        if info.file_size > limit:
            raise CorruptionError(f"member {name} is too large")
        with self._zip.open(info) as member:
            return member.read(limit + 1)
