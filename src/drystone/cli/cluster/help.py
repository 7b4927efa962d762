"""Commands that two programs have, `dlvm` and `drystone cluster`: their help shows the one that is run."""

from __future__ import annotations

import click

PROGRAM = "dlvm"
"""As which help texts are written."""


class ClusterCommand(click.Command):
    """A command whose help says `drystone cluster` for `dlvm` when it was called so."""

    def get_help(self, ctx: click.Context) -> str:
        """What `--help` prints."""
        text = super().get_help(ctx)
        root = ctx.find_root().info_name or ""
        return text if root.startswith(PROGRAM) else text.replace(f"  {PROGRAM} ", "  drystone cluster ")
