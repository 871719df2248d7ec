"""Cancel and delete leftover migration and background tasks on other clouds: the code all functions share.

Read it in the order data flows: ``triggers`` → ``validation`` → ``operation`` → ``credentials`` →
``signing`` → ``transport`` (with ``retries``) → ``providers`` (what the reply means) → ``results`` → ``delivery``.
"""

import warnings

# requests says at import that it cannot guess encodings: the layer leaves out what it would guess with, on purpose.
warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")

__version__ = "1.0.0"
