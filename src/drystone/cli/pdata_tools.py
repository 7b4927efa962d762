"""`convoy-pdata_tools`: the tools of thin-provisioning-tools under their own names, flags, output and exit codes.

0 success · 1 the metadata is bad, or the tool could not do it · 2 wrong arguments. Errors are one line on stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from drystone import __version__
from drystone.base.errors import DrystoneError, UsageError
from drystone.cli.exits import BROKEN_PIPE, INTERRUPTED, invoke

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_VERSION = click.version_option(__version__, "-V", "--version", message="%(version)s")


@click.group("convoy-pdata_tools", context_settings=HELP)
@_VERSION
def pdata_tools() -> None:
    """Tools for the metadata of dm-thin, with the flags and the output of thin-provisioning-tools.

    \b
    Example:
      convoy-pdata_tools thin_metadata_size -b 2m -s 100G -m 100000 -u M
    """


@pdata_tools.command(
    "thin_metadata_size",
    context_settings=HELP,
    epilog="Units: b bytes, s sectors, k m g t p e z y powers of 1024, K M G T P E Z Y powers of 1000.",
)
@_VERSION
@click.option("-b", "--block-size", required=True, metavar="SIZE[unit]", help="Block size of the pool.")
@click.option("-s", "--pool-size", required=True, metavar="SIZE[unit]", help="Size of the pool's data device.")
@click.option("-m", "--max-thins", required=True, metavar="COUNT[unit]", help="Thin devices and snapshots at most.")
@click.option("-u", "--unit", default="s", metavar="UNIT", help="Unit of the output; sectors by default.")
@click.option(
    "-n",
    "--numeric-only",
    is_flag=False,
    flag_value="plain",
    metavar="[short|long]",
    help="Print the number alone, or with the unit's letter or name.",
)
def thin_metadata_size(block_size: str, pool_size: str, max_thins: str, unit: str, numeric_only: str | None) -> None:
    """Estimate how large a pool's metadata device must be.

    Sizes without a unit are sectors of 512 bytes.

    \b
    Example:
      convoy-pdata_tools thin_metadata_size -b 2m -s 100G -m 100000 -u M
    """
    from drystone.formats.thin.size import estimate_metadata_size, find_unit, format_amount, parse_quantity

    block = parse_quantity(block_size, "block size")
    pool = parse_quantity(pool_size, "pool size")
    thins = parse_quantity(max_thins, "max thins")
    shown = find_unit(unit)
    amount = format_amount(estimate_metadata_size(block.sectors, pool.sectors, thins.times), shown)
    if numeric_only is not None:
        click.echo(amount + {"plain": "", "short": shown.letter, "long": shown.name}[_find_style(numeric_only)])
        return
    asked = f"--block-size={block.format('sectors')} --pool-size={pool.format('sectors')} --max-thins={thins.format()}"
    click.echo(f'thin_metadata_size - {amount} {shown.name} estimated metadata area size for "{asked}"')


def _find_style(text: str) -> str:
    """`plain`, or the one of short and long that `text` begins."""
    for style in ("plain", "short", "long"):
        if text and style.startswith(text):
            return style
    raise UsageError(f"-n {text!r} is not known", hint="short or long")


def run_tool(arguments: Sequence[str] | None = None) -> int:
    """Run one tool; its exit code. A broken pipe ends it without a word."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((word for word in words if word in pdata_tools.commands), "convoy-pdata_tools")
    try:
        return invoke(pdata_tools, words, "convoy-pdata_tools")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        click.echo(f"{name}: {error.format_message()}", err=True)
        return 2
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except DrystoneError as error:
        click.echo(f"{name}: {error}", err=True)
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        click.echo(f"{name}: {error.filename or ''}: {error.strerror}", err=True)
        return 1


def main() -> None:
    """The console script."""
    sys.exit(run_tool())


if __name__ == "__main__":
    main()
