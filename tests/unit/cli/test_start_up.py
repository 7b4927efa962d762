"""Imports that wait until they are needed. In processes of their own: this one has imported everything already."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


def test_a_deferred_module_is_imported_when_something_in_it_is_asked_for() -> None:
    program = """
import sys
from drystone.cli.start_up import defer
defer("colorsys")
import colorsys
assert not hasattr(colorsys, "__file__")
print(colorsys.rgb_to_hsv(1, 1, 1), hasattr(sys.modules["colorsys"], "__file__"))
import colorsys as again
print(again.__file__ == sys.modules["colorsys"].__file__, colorsys.hsv_to_rgb is again.hsv_to_rgb)
"""
    assert run(program).splitlines() == ["(0.0, 0.0, 1) True", "True True"]


def test_what_is_known_of_a_deferred_module_is_answered_without_it() -> None:
    program = """
import sys
from drystone.cli.start_up import spare_msgspec
spare_msgspec()
import platform, uuid
print(hasattr(sys.modules["platform"], "__file__"), platform.system() == "Linux", len(str(uuid.uuid4())))
print(platform.python_implementation(), hasattr(sys.modules["platform"], "__file__"))
"""
    assert run(program).splitlines() == ["False True 36", "CPython True"]


def test_what_a_deferred_module_lacks_is_an_error() -> None:
    program = """
from drystone.cli.start_up import defer
defer("colorsys")
import colorsys
try:
    colorsys.nothing
except AttributeError as error:
    print(error)
try:
    from colorsys import nothing
except ImportError:
    print("no import")
"""
    assert run(program).splitlines() == ["module 'colorsys' has no attribute 'nothing'", "no import"]


def test_a_module_that_is_there_stays() -> None:
    program = """
import sys, colorsys
from drystone.cli.start_up import defer
defer("colorsys")
print(sys.modules["colorsys"] is colorsys)
"""
    assert run(program) == "True"


def test_msgspec_does_all_that_it_does_otherwise() -> None:
    program = """
import sys
from drystone.cli.start_up import spare_msgspec
spare_msgspec()
assert "typing_extensions" not in sys.modules
import msgspec
class Kind(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    sizes: tuple[int, ...] = ()
try:
    msgspec.json.decode(b'{"name": 1}', type=Kind)
except msgspec.ValidationError as error:
    print(error)
print(msgspec.toml.decode(b"a = 1"), msgspec.inspect.type_info(Kind).cls is Kind)
print(msgspec.json.schema(Kind)["$defs"]["Kind"]["required"])
import typing_extensions, inspect
print(inspect.cleandoc(" a"), typing_extensions.__name__)
"""
    assert run(program).splitlines() == [
        "Expected `str`, got `int` - at `$.name`",
        "{'a': 1} True",
        "['name']",
        "a typing_extensions",
    ]


def test_dates_are_what_they_are_otherwise() -> None:
    program = """
import sys
from drystone.cli.start_up import spare_msgspec
spare_msgspec()
import copy, pickle
from datetime import UTC, datetime, timedelta, timezone
moment = datetime(2026, 1, 2, 15, 4, 5, tzinfo=timezone(timedelta(hours=1)))
print(moment.isoformat(), moment.astimezone(UTC).strftime("%H"), datetime.strptime("2026", "%Y").year)
print(datetime.fromisoformat(moment.isoformat()) == moment, pickle.loads(pickle.dumps(moment)) == copy.copy(moment))
import msgspec, email.utils, zoneinfo
print(msgspec.json.decode(msgspec.json.encode(moment), type=datetime) == moment, "_pydatetime" in sys.modules)
"""
    assert run(program).splitlines() == ["2026-01-02T15:04:05+01:00 14 2026", "True True", "True False"]


def test_msgspec_that_is_there_stays() -> None:
    program = """
import sys, msgspec
from drystone.cli.start_up import spare_msgspec
spare_msgspec()
print(sys.modules["msgspec"] is msgspec)
"""
    assert run(program) == "True"
