"""A client of a typed service in Python: sets a key of `example:kv/store`, reads it, and prints it."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import store


class Run(exports.Run):
    """`wasi:cli/run`: a command runs once, to its end."""

    def run(self) -> None:
        try:
            revision = store.set("from-python", b"Python was here")
            entry = store.get("from-python")
        except Err as error:
            print(f"the store does not answer: {error.value}")
            raise Err(None)
        print(f"revision {revision} by {entry.by}: {entry.value.decode()}")
