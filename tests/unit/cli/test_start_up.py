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


def test_threads_that_ask_at_once_get_one_module() -> None:
    """One is held at each step in turn, until the other is done or waits for it."""
    program = """
import sys, threading
from drystone.cli import start_up
from drystone.cli.start_up import _import, defer

def ask(step):
    del sys.modules["colorsys"]
    defer("colorsys")
    begun, go_on, found, steps = threading.Event(), threading.Event(), [], []
    def get():
        try:
            found.append(_import("colorsys"))
        except BaseException as error:
            found.append(error)
    def hold(frame, event, argument):
        if frame.f_code is not _import.__code__ or go_on.is_set():
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps.append(frame.f_lasti)
            if len(steps) == step:
                begun.set()
                go_on.wait()
        return hold
    def let_go(frame, event, argument):
        if frame.f_code is not _import.__code__:
            return None
        if start_up._REPLACING.locked():
            go_on.set()
        return let_go
    def first():
        sys.settrace(hold)
        get()
        sys.settrace(None)
        begun.set()
    def second():
        sys.settrace(let_go)
        get()
        sys.settrace(None)
        go_on.set()
    one, other = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    begun.wait()
    other.start()
    one.join()
    other.join()
    assert found[0] is found[1] is sys.modules["colorsys"], (step, found)
    assert hasattr(found[0], "rgb_to_hsv")
    return len(steps) >= step

import colorsys
step = 1
while ask(step):
    step += 1
print(step > 20)
"""
    assert run(program) == "True"


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


def test_patterns_wait_for_the_first_text() -> None:
    program = """
import sys
from drystone.cli.start_up import spare_msgspec
spare_msgspec()
import re, typing, msgspec
print(hasattr(re, "__file__"), typing.Pattern.__origin__ is re.Pattern)
print(hasattr(sys.modules["msgspec._json_schema"], "__file__"))
print(re.fullmatch("(a)b", "ab")[1], isinstance(re.compile("a"), re.Pattern), isinstance(re.match("a", "a"), re.Match))
import re as again
print(hasattr(again, "__file__"), re.compile("a") is again.compile("a"), again.Pattern is re.Pattern, re.I is again.I)
from typing import Annotated
Short = Annotated[str, msgspec.Meta(pattern="^a$")]
try:
    msgspec.json.decode(b'"b"', type=Short)
except msgspec.ValidationError as error:
    print(error)
"""
    assert run(program).splitlines() == [
        "False True",
        "False",
        "a True True",
        "True True True True",
        "Expected `str` matching regex '^a$'",
    ]


def test_numbers_of_the_module_decimal_are_none_of_a_documents() -> None:
    """The price; and all else that was passed over while msgspec was imported is there."""
    program = """
import sys
from drystone.cli.start_up import spare_msgspec
spare_msgspec()
import decimal, msgspec, uuid
print(decimal.Decimal("1.5") + 1, uuid.uuid1().version, uuid.uuid4().version, str(uuid.UUID(int=1))[-2:])
print(msgspec.json.encode(uuid.UUID(int=1))[-3:])
try:
    msgspec.json.encode(decimal.Decimal(1))
except TypeError as error:
    print(error)
"""
    assert run(program).splitlines() == [
        "2.5 1 4 01",
        "b'01\"'",
        "Encoding objects of type decimal.Decimal is unsupported",
    ]


def test_no_document_of_dvm_holds_one() -> None:
    program = """
import pkgutil, importlib, decimal, msgspec, drystone.dvm
for each in pkgutil.walk_packages(drystone.dvm.__path__, "drystone.dvm."):
    importlib.import_module(each.name)
def below(kind):
    for each in kind.__subclasses__():
        yield each
        yield from below(each)
kinds = [each for each in below(msgspec.Struct) if each.__module__.startswith("drystone.dvm")]
texts = [f"{name}: {text}" for each in kinds for name, text in each.__annotations__.items()]
print(len(kinds) > 100, [each for each in texts if "Decimal" in each])
"""
    assert run(program) == "True []"


def test_a_process_ends_at_once_when_nobody_asked_to_be_called() -> None:
    program = """
import os, sys
from drystone.cli.exits import leave
def note(event, arguments, write=os.write):
    if event == "cpython.PyInterpreterState_Clear":
        write(1, b"taken apart")
sys.addaudithook(note)
print("out")
sys.stderr.write("err")
{then}leave(3)
"""
    thread = (
        "import threading; threading.Thread(target=lambda: (threading.main_thread().join(), print('late'))).start(); "
    )
    calls = {
        "": "out\n",
        "import atexit; atexit.register(print, 'asked'); ": "out\nasked\ntaken apart",
        thread: "out\nlate\ntaken apart",
    }
    for then, told in calls.items():
        words = [sys.executable, "-c", program.format(then=then)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (3, told, "err")


def test_msgspec_that_is_there_stays() -> None:
    program = """
import sys, msgspec
from drystone.cli.start_up import spare_msgspec
spare_msgspec()
print(sys.modules["msgspec"] is msgspec)
"""
    assert run(program) == "True"
