"""Cancel and delete leftover migration and background tasks on other clouds: the code all functions share.

Read it in the order data flows: ``triggers`` → ``validation`` → ``operation`` → ``credentials`` →
``signing`` → ``transport`` (with ``retries``) → ``providers`` (what the reply means) → ``results`` → ``delivery``.
"""

import warnings

# requests warns at import that no library for guessing encodings is there: the layer leaves it out on purpose.
warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")

__version__ = "1.0.0"
