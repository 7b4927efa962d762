"""The tools and command lines that start without click; a test holds this table to their commands.

The options that are seldom used are not here: a command line with one of them goes to click. Configuration files are
such an option, so what is run from here has the defaults.
"""

from __future__ import annotations

from drystone.cli.dvm.plain.words import Line, take_one_of, take_size, take_text

_GROUP_FILE = {"--group": ("file", take_text)}
_FROM_STDIN = {"file": "-"}
_DEVICES = {"--devices": ("file", take_text)}
_PATHS = {"--device": "paths"}
_SPACE = {"--policy": ("policy", take_one_of("contiguous", "cling", "spread", "anywhere"))}
_SPACE_DEFAULTS = {"policy": "anywhere", **_FROM_STDIN}
_SEED = {"--seed": ("seed", take_text)}
_TABLES = {"--live": "ask", "--text": "text", "--lvm-json": "lvm_json", "--parts": "parts"}

MUTATOR = "mutators:mutate"
"""Where all mutators are run; the word behind `metadata` says which."""

LINES = {
    "discover find": Line("groups:find", ("group",), flags={"--text": "text"}, repeated={"--file": "files"}),
    "transact read": Line("groups:read", ("group",), values=_DEVICES, repeated=_PATHS, defaults={"file": None}),
    "transact update": Line(
        "groups:update",
        ("group",),
        behind="mutator",
        flags={"--dry-run": "dry_run", "--activate": "activate"},
        values=_DEVICES,
        repeated=_PATHS,
        defaults={"file": None},
    ),
    "metadata create": Line(
        MUTATOR,
        ("name",),
        values={
            "--size": ("size", take_size),
            "--kind": ("kind", take_one_of("linear", "striped", "raid1", "raid5", "raid6", "raid10")),
            **_SPACE,
            **_SEED,
            **_GROUP_FILE,
        },
        repeated={"--on": "devices", "--tag": "tags"},
        defaults={"kind": "linear", "seed": None, **_SPACE_DEFAULTS},
    ),
    "metadata extend": Line(
        MUTATOR,
        ("name",),
        values={"--size": ("size", take_size), "--by": ("by", take_size), **_SPACE, **_GROUP_FILE},
        repeated={"--on": "devices"},
        defaults={"size": None, "by": None, **_SPACE_DEFAULTS},
    ),
    "metadata rename": Line(MUTATOR, ("name", "new"), values=_GROUP_FILE, defaults=_FROM_STDIN),
    "metadata remove": Line(
        MUTATOR,
        rest="names",
        least=1,
        flags={"--join": "join"},
        values=_GROUP_FILE,
        defaults=_FROM_STDIN,
    ),
    "metadata snapshot": Line(
        MUTATOR,
        ("origin", "name"),
        flags={"--join": "join"},
        values={"--size": ("size", take_size), **_SPACE, **_SEED, **_GROUP_FILE},
        repeated={"--on": "devices", "--tag": "tags"},
        defaults={"size": None, "seed": None, **_SPACE_DEFAULTS},
    ),
    "metadata thin": Line(
        MUTATOR,
        ("pool",),
        rest="names",
        least=1,
        flags={"--join": "join"},
        values={"--size": ("size", take_size), **_SEED, **_GROUP_FILE},
        repeated={"--tag": "tags"},
        defaults={"seed": None, **_FROM_STDIN},
    ),
    "report": Line(
        "reports:report",
        rest="kinds",
        flags=_TABLES,
        values={"--devices": ("found", take_text), "--state": ("state", take_text), **_GROUP_FILE},
        defaults={"found": None, "state": None, **_FROM_STDIN},
    ),
    "show": Line(
        "reports:show",
        ("group",),
        rest="kinds",
        flags=_TABLES,
        values=_DEVICES,
        repeated=_PATHS,
        defaults={"file": None},
    ),
    "volactivate": Line("states:volactivate", values=_GROUP_FILE, defaults=_FROM_STDIN),
    "observe": Line("states:observe", repeated={"--name": "names", "--uuid": "uuids"}),
    "dmactivate": Line("states:dmactivate", ("current", "desired"), flags={"--text": "text", "--describe": "in_words"}),
    "dmexec": Line("states:dmexec", optional="file", flags={"--check": "only_check"}, defaults=_FROM_STDIN),
    "replicate status": Line("regions:status", ("regions",)),
}
"""The tool's words -> how its command line is read."""
