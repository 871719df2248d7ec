"""``python -m bench.torture``: sends thousands of messages while a third of all calls fail; none may be lost."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bench.torture.account import Account, End, settle
from bench.torture.messages import Copy, Kind
from bench.torture.run import Conditions, Report, run

MOST_SHOWN = 10  # differences of each rule
HARMLESS = frozenset({"close_after_reply"})  # the call that it hits is answered


def table_of(account: Account) -> Table:
    """A table of the kinds of messages, and where they ended."""
    table = Table(title="Where every message ended († and in a dead-letter queue)", header_style="bold")
    table.add_column("kind of message", no_wrap=True)
    for name in ("messages", *(end.value for end in End), "still failed† after the redrive"):
        table.add_column(name, justify="right")
    for kind in Kind:
        if kind in account.ends:
            table.add_row(kind.value, *_numbers(account, (kind,)))
    table.add_section()
    table.add_row("all", *_numbers(account, tuple(account.ends)), style="bold")
    return table


def _numbers(account: Account, kinds: tuple[Kind, ...]) -> list[str]:
    ends = [sum(account.ends[kind][end] for kind in kinds) for end in End]
    failed = [account.after_redrive[kind][end] for kind in kinds for end in (End.CONFLICT, End.FAILED, End.NO_RESULT)]
    return [str(number or "·") for number in (sum(ends), *ends, sum(failed))]


def facts(report: Report, account: Account) -> list[str]:
    """The run in numbers: messages, calls, faults, kills, moves, time."""
    evidence = report.evidence
    failed = sum(bool(set(entry.faults) - HARMLESS) for entry in evidence.journal)
    changes = sum(entry.effect is not None for entry in evidence.journal)
    copies = {copy: sum(sent.message.copy is copy for sent in evidence.sent) for copy in Copy}
    silent = sum(bool(entry.effect and set(entry.faults) - HARMLESS) for entry in evidence.journal)
    moved = sum(dead.result is None for dead in evidence.dead_letters)
    refused = ", ".join(f"{name}: {count}" for name, count in sorted(report.refused.items()))
    copied = f"{copies[Copy.REDELIVERED]} delivered twice and {copies[Copy.SENT_AGAIN]} sent twice"
    apart = [f"counted apart: {count} {what}" for what, count in account.apart.items()]
    turned = Counter("vanished" if change.state is None else "changed" for change in evidence.changes)
    return [
        f"messages: {len(evidence.sent)}, of them {copied}; received {len(evidence.receives)} times",
        f"calls to the providers, looks among them: {len(evidence.journal)}, of them {failed} hit by a fault",
        f"changes at the providers: {changes}, of them {silent} without a proper answer",
        f"tasks changed on the way: {turned['changed']}, vanished: {turned['vanished']}",
        *apart,
        f"workers killed in the middle of a batch: {evidence.kills}",
        f"messages that SQS moved, since they killed every worker: {moved}",
        f"calls to AWS that failed: {refused}",
        f"dead-letter queues: {len(evidence.dead_letters)} before the redrive, {len(evidence.left)} after it",
        f"time: {report.seconds:.0f} seconds",
    ]


def differences(account: Account) -> Iterator[str]:
    """A line for each of a rule's first ``MOST_SHOWN`` differences, and one for the number of the others."""
    for rule, count in Counter(difference.rule for difference in account.differences).items():
        cases = [difference.case for difference in account.differences if difference.rule == rule]
        yield from (f"✗ {rule}: {case}" for case in cases[:MOST_SHOWN])
        if count > MOST_SHOWN:
            yield f"✗ {rule}: … and {count - MOST_SHOWN} more"


def main(arguments: list[str] | None = None) -> int:
    """Make a run, judge it and print both; returns the process's exit status."""
    conditions = Conditions()
    parser = argparse.ArgumentParser(prog="python -m bench.torture", description=__doc__)
    parser.add_argument("--messages", type=int, default=conditions.messages)
    parser.add_argument("--seed", type=int, default=conditions.seed, help="of messages, faults and kills")
    parser.add_argument("--visibility", type=int, default=conditions.visibility, help="seconds, instead of 180")
    parser.add_argument("--kill-every", type=float, default=conditions.kill_every, help="seconds")
    parser.add_argument("--away", type=float, default=conditions.away, help="seconds that each provider is down")
    parser.add_argument("--time-limit", type=float, default=conditions.time_limit, help="seconds")
    conditions = Conditions(**vars(parser.parse_args(arguments)))
    console = Console(width=max(160, Console().width), highlight=False)
    limit = f"at most {conditions.time_limit:.0f} seconds"
    console.print(f"{conditions.messages} messages, seed {conditions.seed}, {limit}")
    report = run(conditions, console.print)
    account = settle(report.evidence)
    console.print(table_of(account))
    for fact in facts(report, account):
        console.print(fact)
    for text in differences(account):
        console.print(text, style="red", soft_wrap=True, markup=False)
    if account.differences:
        console.print(f"[red]{len(account.differences)} differences.[/]")
        return 1
    console.print(f"[green]All {len(report.evidence.sent)} messages are accounted for.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
