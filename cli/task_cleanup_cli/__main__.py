"""``python -m task_cleanup_cli``: the same as ``task-cleanup``."""

from task_cleanup_cli.main import main

if __name__ == "__main__":
    main()
