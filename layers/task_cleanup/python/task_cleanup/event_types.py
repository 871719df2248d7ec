"""Source and types (`detail-type`) of the events that the functions put on the bus or receive from it."""

from enum import StrEnum

SOURCE = "task-cleanup"  # of every event that a function puts on the bus


class EventType(StrEnum):
    """Every `detail-type` of this project. The template repeats them in rules, roles and the schedule."""

    DELETE_REQUESTED = "Task Cleanup Requested"
    TASK_COMPLETED = "Task Cleanup Completed"
    TASK_FAILED = "Task Cleanup Failed"
    SWEEP_REQUESTED = "Sweep Requested"
    SWEEP_COMPLETED = "Sweep Completed"
    SWEEP_REFUSED = "Sweep Refused"
    SWEEP_FAILED = "Sweep Failed"
    SWEEP_FINISHED = "Sweep Finished"
