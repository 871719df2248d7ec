"""Cancel and delete leftover migration and background tasks on other clouds: the code all functions share.

Read it in the order data flows: ``triggers`` → ``validation`` → ``operation`` → ``credentials`` →
``signing`` → ``transport`` → ``providers`` (what the reply means) → ``results`` → ``delivery``.
"""

__version__ = "1.0.0"
