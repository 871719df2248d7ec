"""The events that the functions put on the bus or are asked by: their source, and their types (`detail-type`)."""

from enum import StrEnum

SOURCE = "task-cleanup"  # of every event that a function puts on the bus


class EventType(StrEnum):
    """Every `detail-type` that is this project's own. Rules, roles and the schedule in the template name them too."""

    DELETE_REQUESTED = "Task Cleanup Requested"
    TASK_COMPLETED = "Task Cleanup Completed"
    TASK_FAILED = "Task Cleanup Failed"
    SWEEP_REQUESTED = "Sweep Requested"
    SWEEP_COMPLETED = "Sweep Completed"
    SWEEP_REFUSED = "Sweep Refused"
    SWEEP_FAILED = "Sweep Failed"
