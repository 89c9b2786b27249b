"""Every error that sharedcli raises on purpose, with the exit code that the command line gives it.

    SharedCLIError                 1   something failed; the message says what and what to do next
    ├── UsageError                 2   an option or argument does not fit
    ├── SomeFilesFailedError       3   a batch went on past files that could not be read
    ├── NotInDocumentsError        4   the documents hold no answer
    ├── NoStoreError              10   no store at that place, or it holds no document
    ├── StoreLockedError          11   another process is writing
    ├── ModelMismatchError        12   a tree was made by another model, adapter, dtype or geometry
    ├── CorruptionError           13   a digest does not match: damaged bytes are never used
    ├── ModelMissingError         14   the model is not on this machine and may not be fetched
    ├── OutOfMemoryError          15   not enough memory, with the settings that would need less
    └── DocumentError              1   one file cannot be indexed; the others go on
        ├── UnreadableError            no such file, no permission, unknown or broken format
        ├── EncryptedError             needs a password
        ├── NoTextError                empty, or scanned pages without a text layer
        └── LimitError                 took more time, memory or output than documents may

Messages follow one form: what happened, the value, what to do next.
"""


class SharedCLIError(Exception):
    """Base of all errors raised on purpose. ``exit_code`` is what the process ends with."""

    exit_code = 1


class UsageError(SharedCLIError):
    """An option or argument does not fit."""

    exit_code = 2


class SomeFilesFailedError(SharedCLIError):
    """A batch went on past files that could not be read."""

    exit_code = 3


class NotInDocumentsError(SharedCLIError):
    """The documents hold no answer to the question."""

    exit_code = 4


class NoStoreError(SharedCLIError):
    """There is no store at that place, or it holds no matching document."""

    exit_code = 10


class StoreLockedError(SharedCLIError):
    """Another process is writing to the store."""

    exit_code = 11


class ModelMismatchError(SharedCLIError):
    """A context tree was made by another model, adapter, dtype or geometry."""

    exit_code = 12


class CorruptionError(SharedCLIError):
    """Stored bytes do not match their digest."""

    exit_code = 13


class ModelMissingError(SharedCLIError):
    """The model is not on this machine and may not, or could not, be fetched."""

    exit_code = 14


class OutOfMemoryError(SharedCLIError):
    """Not enough memory on the device."""

    exit_code = 15


class DocumentError(SharedCLIError):
    """One file cannot be indexed; the rest of the batch goes on."""


class UnreadableError(DocumentError):
    """The file is missing, forbidden, of an unknown format, or broken."""


class EncryptedError(DocumentError):
    """The file needs a password."""


class NoTextError(DocumentError):
    """The file is empty, or holds scanned pages without a text layer."""


class LimitError(DocumentError):
    """Reading the file took more time, memory or output than a document may."""
