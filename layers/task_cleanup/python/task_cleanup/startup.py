"""What makes a cold start shorter, and has no other reason.

With the two, a function has executed 651 million instructions when its first call can begin, without them 735
(docs/performance.md).

- ``UncollectedImports``: imports make objects that stay. The garbage collector would look through them a dozen times
  and find nothing.
- ``wired``: a dataclass compiles the source of each of its methods when it is made. What is made once and handed
  around is neither compared nor printed, so ``__eq__``, ``__hash__`` and ``__repr__`` are left out.
"""

import gc


class UncollectedImports:
    """Switches garbage collection off within this block, and excludes from it what exists at the block's end."""

    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.freeze()
        if self._was_enabled:
            gc.enable()


with UncollectedImports():  # `dataclasses` imports `inspect`, which would be collected four times
    from dataclasses import dataclass, field
    from typing import TypeVar, dataclass_transform

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def wired(cls: type[_Class]) -> type[_Class]:
    """A frozen dataclass without ``__eq__`` and ``__repr__``, for objects made once: each equals only itself."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)
