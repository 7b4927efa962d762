"""`dlvm jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.cli.cluster.asking import find_all, print_list, print_one, write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import DLV, JOB, Where, Words, Writing, api_options, lasting_options
from drystone.cli.output import json_option

if TYPE_CHECKING:
    from drystone.cluster.model.job import Job

_COLUMNS = ("id", "kind", "dlv", "status", "reason")
_STATUS = click.Choice(["creating", "processing", "finishing", "finished", "canceling", "canceled", "failed"])


@click.group()
def jobs() -> None:
    """Work on volumes that takes longer than a request."""


def _row(job: Job) -> tuple[object, ...]:
    return job.id, job.kind, job.dlv, job.status, job.reason


@jobs.command("list", cls=ClusterCommand)
@click.option("--dlv", type=DLV, help="Those of this dlv.")
@click.option("--status", type=_STATUS, help="Those with this status.")
@click.option("--kind", type=Words(), help="Those of this kind.")
@click.option("--descending", is_flag=True, help="From the last id to the first.")
@api_options
@json_option
def list_(where: Where, dlv: str | None, status: str | None, kind: str | None, descending: bool, as_json: bool) -> None:
    """List jobs, in the order of their ids.

    \b
    Example:
      dlvm jobs list --dlv db --status processing
    """
    from drystone.cluster.model.job import Job

    query = {"dlv": dlv, "status": status, "kind": kind, "descending": descending}
    print_list(find_all(where, "/jobs", query), Job, _COLUMNS, _row, as_json=as_json)


@jobs.command("show", cls=ClusterCommand)
@click.argument("job", type=JOB)
@api_options
@json_option
def show(where: Where, job: str, as_json: bool) -> None:
    """Show the job with the id JOB.

    \b
    Example:
      dlvm jobs show 7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11
    """
    from drystone.cluster.client.api import place
    from drystone.cluster.model.job import Job

    print_one(where, place("jobs", job), Job, _COLUMNS, _row, as_json=as_json)


@jobs.command("cancel", cls=ClusterCommand)
@click.argument("job", type=JOB)
@api_options
@lasting_options
@json_option
def cancel(where: Where, writing: Writing, job: str, as_json: bool) -> None:
    """Cancel the job with the id JOB, as long as that is possible.

    \b
    Example:
      dlvm jobs cancel 7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11 --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("POST", place("jobs", job, "cancel"))
    write(where, writing, request, f"job {job}", goal=Goal("job", job, "canceled"), as_json=as_json)
