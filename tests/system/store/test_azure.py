"""A real server of Azure's Blob service: the check that every store passes, failing networks, and what a user reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from drystone.base.errors import TimedOutError, UnavailableError, UsageError
from drystone.store import Store, open_store
from drystone.store.azure import EMULATED_ACCOUNT, EMULATED_KEY
from drystone.store.clients import Patience
from drystone.testing.azure import ACCOUNT, KEY, AzureServer, make_signature, start_server, why_absent
from drystone.testing.proxy import BadGateway, CutAnswer, CutRequest, Fault, FaultyProxy, Silence
from drystone.testing.store_faults import check_listing_goes_on, check_own_put_is_known, check_reads_are_whole
from drystone.testing.stores import CONFORMANCE, check_deleting, check_listing, check_put_and_get, check_refusal

CHECKS = [check for check in CONFORMANCE if check is not check_listing]
SHORT = Patience(connect=1.0, silence=5.0, first=0.3, again=0.3)
WRONG_KEY = "Z3Vlc3NlZC1zZWNyZXQ="


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path_factory.mktemp("azure")) as started:
        yield started


@pytest.fixture
def container(azure: AzureServer) -> str:
    return azure.make_container()


@pytest.fixture(scope="module")
def crowded(azure: AzureServer) -> str:
    """A container in which `check_listing` passed below x/: more than a page of objects. Made once."""
    name = azure.make_container()
    check_listing(open_store(f"az://{name}/x/", environ=azure.environ()))
    return name


@pytest.fixture
def azure_proxy(azure: AzureServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(azure.port) as listening:
        yield listening


def open_behind(proxy: FaultyProxy, azure: AzureServer, container: str, patience: Patience) -> Store:
    return open_store(f"az://{container}/x", environ=azure.environ(port=proxy.port), patience=patience)


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
def test_a_real_azure_server_conforms(check: Callable[[Store], None], azure: AzureServer, container: str) -> None:
    check(open_store(f"az://{container}/deep/store/", environ=azure.environ()))


def test_a_real_azure_server_conforms_in_listing(azure: AzureServer, crowded: str) -> None:
    # The check itself is passed where `crowded` is made.
    listed = list(open_store(f"az://{crowded}/x", environ=azure.environ()).list(""))
    assert len(listed) == len(set(listed)) == 1105


@pytest.mark.parametrize("path", ["", "/with blank/a=1,b@c+d.e_f-g/"], ids=["container", "odd"])
@pytest.mark.parametrize("check", [check_put_and_get, check_deleting], ids=["put", "delete"])
def test_any_path_conforms(check: Callable[[Store], None], path: str, azure: AzureServer, container: str) -> None:
    check(open_store(f"az://{container}{path}", environ=azure.environ()))


def test_stores_whose_paths_begin_alike_do_not_meet(azure: AzureServer, container: str) -> None:
    stores = [open_store(f"az://{container}/{path}", environ=azure.environ()) for path in ("vol1", "vol10", "vol")]
    for number, store in enumerate(stores):
        assert store.put_if_absent("a", b"%d" % number)
    stores[0].delete("a")
    assert [list(store.list("")) for store in stores] == [[], [("a", 1)], [("a", 1)]]
    assert [stores[1].get("a"), stores[2].get("a")] == [b"1", b"2"]


def test_every_way_to_name_it_reaches_it(azure: AzureServer, container: str) -> None:
    url = f"http://127.0.0.1:{azure.port}"
    single = {"AZURE_STORAGE_ENDPOINT": f"{url}/{ACCOUNT}", "NO_PROXY": "127.0.0.1"}
    named = {**single, "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT}
    ways = [
        (f"az://{container}/x", {**named, "AZURE_STORAGE_ACCOUNT_KEY": KEY}),
        (f"az://{container}/x", {**named, "AZURE_STORAGE_KEY": KEY}),
        (f"az://{container}/x", {**named, "AZURE_STORAGE_SAS_TOKEN": f"?{make_signature('rwdlac')}"}),
        (f"az://{container}/x", azure.environ(signature=make_signature("rwdlac"))),
        (f"abfss://{container}@{ACCOUNT}.dfs.core.windows.net/x", {**single, "AZURE_STORAGE_ACCOUNT_KEY": KEY}),
    ]
    for number, (dest, environ) in enumerate(ways):
        assert open_store(dest, environ=environ).put_if_absent(f"way/{number}", b"")
    assert len(list(open_store(f"az://{container}/x", environ=azure.environ()).list("way"))) == len(ways)
    emulated = azure.make_container(EMULATED_ACCOUNT, EMULATED_KEY)
    for number, switch in enumerate(
        ({"AZURE_STORAGE_USE_EMULATOR": "true"}, {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"})
    ):
        store = open_store(f"az://{emulated}", environ={**switch, "AZURITE_BLOB_STORAGE_URL": url})
        assert store.put_if_absent(f"way/{number}", b"")
        assert len(list(store.list(""))) == number + 1


def test_variables_for_other_credentials_do_not_meet_the_key(
    azure: AzureServer, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "of-somebody-else")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=1&sig=of-somebody-else")
    monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
    assert open_store(f"az://{container}", environ=azure.environ()).put_if_absent("key", b"data")


PUT_FAULTS = [CutAnswer(0), BadGateway(), CutRequest(60_000), Silence()]


@pytest.mark.parametrize("fault", PUT_FAULTS, ids=repr)
def test_a_put_knows_its_own_object_again(
    fault: Fault, azure_proxy: FaultyProxy, azure: AzureServer, container: str, patience: Patience
) -> None:
    store = open_behind(azure_proxy, azure, container, replace(patience, silence=1.5))
    check_own_put_is_known(store, azure_proxy, fault)


@pytest.mark.parametrize("fault", [CutAnswer(150), CutAnswer(70_000), Silence()], ids=repr)
def test_reads_are_whole(
    fault: Fault, azure_proxy: FaultyProxy, azure: AzureServer, container: str, patience: Patience
) -> None:
    store = open_behind(azure_proxy, azure, container, replace(patience, silence=1.5))
    check_reads_are_whole(store, azure_proxy, fault, listing=("GET", "comp=list"), deletion=("POST", "comp=batch"))


def test_a_long_listing_goes_on_where_it_broke(
    azure_proxy: FaultyProxy, azure: AzureServer, crowded: str, patience: Patience
) -> None:
    store = open_behind(azure_proxy, azure, crowded, patience)
    broken: list[str] = []

    def plan(_number: int, line: str) -> Fault | None:
        if "marker=" in line and len(broken) < 2:
            broken.append(line)
            return CutAnswer(3_000)
        return None

    azure_proxy.plan(plan)
    check_listing_goes_on(store)
    assert len(broken) == 2


def test_a_silent_store_is_given_up_in_time(azure: AzureServer, container: str, azure_proxy: FaultyProxy) -> None:
    store = open_behind(azure_proxy, azure, container, Patience(silence=1.0, answer=5.0, first=1.0, again=2.0))
    assert store.put_if_absent("a", b"x")
    azure_proxy.plan(lambda _number, _line: Silence())
    known = len(azure_proxy.lines)
    with pytest.raises(TimedOutError, match="get a took too long"):
        store.get("a")
    with pytest.raises(TimedOutError, match="delete a took too long"):
        store.delete("a")
    assert 2 <= len(azure_proxy.lines) - known <= 6, "each is tried for two seconds, and a try lasts one"
    azure_proxy.plan(None)
    assert store.put_if_absent("b", b"x")


def all_refuse(store: Store, kind: type[UnavailableError | UsageError], says: str, *, hint: str) -> None:
    check_refusal(store, kind, says, hint=hint, secrets=(KEY, WRONG_KEY, "guessed-secret", "AccountKey", "sig="))


def test_a_container_that_is_not_there(azure: AzureServer) -> None:
    store = open_store("az://no-such-container/x", environ=azure.environ(), patience=SHORT)
    all_refuse(store, UsageError, "there is no such container", hint="make it first")


def test_an_account_that_is_not_there(azure: AzureServer) -> None:
    store = open_store("az://container", environ=azure.environ(account="nobody"), patience=SHORT)
    all_refuse(store, UsageError, "there is no such container", hint="mend the destination")


def test_a_name_that_no_container_has(azure: AzureServer) -> None:
    store = open_store("az://A_b", environ=azure.environ(), patience=SHORT)
    all_refuse(store, UsageError, "for no name of a container", hint="")


def test_a_wrong_key(azure: AzureServer, container: str) -> None:
    store = open_store(f"az://{container}", environ=azure.environ(key=WRONG_KEY), patience=SHORT)
    all_refuse(store, UnavailableError, "does not accept the credentials", hint="AZURE_STORAGE_ACCOUNT_KEY")


def test_a_key_that_is_none(azure: AzureServer, container: str) -> None:
    with pytest.raises(UnavailableError, match="cannot be used") as caught:
        open_store(f"az://{container}", environ=azure.environ(key="guessed-secret"))
    assert "guessed" not in str(caught.value)


def test_a_signature_that_expired(azure: AzureServer, container: str) -> None:
    environ = azure.environ(signature=make_signature("rwdlac", hours=-1))
    store = open_store(f"az://{container}", environ=environ, patience=SHORT)
    all_refuse(store, UnavailableError, "does not accept the credentials", hint="AZURE_STORAGE_CONNECTION_STRING")


def test_a_signature_that_may_only_read(azure: AzureServer, container: str) -> None:
    assert open_store(f"az://{container}", environ=azure.environ()).put_if_absent("key", b"data")
    store = open_store(f"az://{container}", environ=azure.environ(signature=make_signature("rl")), patience=SHORT)
    assert store.get("key") == b"data"
    with pytest.raises(UnavailableError, match="is denied to this user"):
        store.put_if_absent("other", b"")
