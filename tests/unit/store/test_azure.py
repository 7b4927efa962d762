"""Where what reaches an Azure store comes from."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.store.azure import EMULATED_ACCOUNT, EMULATED_KEY, AzureSettings, find_settings

CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
FULL = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;EndpointSuffix=core.windows.net"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (FULL, AzureSettings("acc", "", "a2V5==")),
        (f" {FULL};; ", AzureSettings("acc", "", "a2V5==")),
        ("accountname=acc;ACCOUNTKEY=a2V5", AzureSettings("acc", "", "a2V5")),
        (FULL.replace("windows.net", "other.cn"), AzureSettings("acc", "https://acc.blob.core.other.cn", "a2V5==")),
        (FULL.replace("https", "http"), AzureSettings("acc", "http://acc.blob.core.windows.net", "a2V5==")),
        (f"{FULL};BlobEndpoint=http://10.0.0.5:1/acc/", AzureSettings("acc", "http://10.0.0.5:1/acc", "a2V5==")),
        (
            "BlobEndpoint=https://acc.blob.core.windows.net;SharedAccessSignature=?sv=1&sig=a%3D",
            AzureSettings("acc", "https://acc.blob.core.windows.net", "", "sv=1&sig=a%3D"),
        ),
        (
            "BlobEndpoint=http://10.0.0.5:1/acc/;SharedAccessSignature=sv=1",
            AzureSettings("acc", "http://10.0.0.5:1/acc", "", "sv=1"),
        ),
    ],
)
def test_connection_strings(text: str, found: AzureSettings) -> None:
    assert find_settings({CONNECTION: text, "AZURE_STORAGE_ACCOUNT": "other", "AZURE_CLIENT_ID": "x"}) == found


@pytest.mark.parametrize(
    "text", ["AccountKey", "=x", "AccountKey=topsecret", "AccountName=a;AccountKey=topsecret;oops"]
)
def test_what_is_no_connection_string_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match=CONNECTION) as caught:
        find_settings({CONNECTION: text})
    assert "topsecret" not in str(caught.value)


def test_the_emulator_is_named_by_a_switch_or_a_connection_string() -> None:
    emulated = AzureSettings(EMULATED_ACCOUNT, f"http://127.0.0.1:10000/{EMULATED_ACCOUNT}", EMULATED_KEY)
    assert find_settings({"AZURE_STORAGE_USE_EMULATOR": "true"}) == emulated
    assert find_settings({CONNECTION: "UseDevelopmentStorage=true"}) == emulated
    elsewhere = find_settings({CONNECTION: "UseDevelopmentStorage=true", "AZURITE_BLOB_STORAGE_URL": "http://h:1/"})
    assert elsewhere.endpoint == f"http://h:1/{EMULATED_ACCOUNT}"
    assert not find_settings({"AZURE_STORAGE_USE_EMULATOR": "false"}).endpoint


def test_single_variables() -> None:
    environ = {
        "AZURE_STORAGE_ACCOUNT": "acc",
        "AZURE_STORAGE_KEY": "a2V5",
        "AZURE_STORAGE_SERVICE_ENDPOINT": "http://h/acc",
    }
    assert find_settings(environ) == AzureSettings("acc", "http://h/acc", "a2V5")
    environ = {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_SAS_TOKEN": "?sv=1"}
    assert find_settings(environ) == AzureSettings("acc", signature="sv=1")
    assert find_settings({}) == AzureSettings("")


def test_the_destination_names_the_account() -> None:
    assert (
        find_settings({"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_KEY": "a2V5"}, account="other").account == "other"
    )
    for environ in ({CONNECTION: FULL}, {"AZURE_STORAGE_USE_EMULATOR": "1"}):
        with pytest.raises(UsageError, match="'other'") as caught:
            find_settings(environ, account="other")
        assert next(iter(environ)) in str(caught.value)
    assert find_settings({CONNECTION: FULL}, account="acc").key


def test_other_credentials_go_to_the_library_when_there_is_no_key() -> None:
    others = {"AZURE_CLIENT_ID": "id", "AZURE_CLIENT_SECRET": "s", "AZURE_TENANT_ID": "t", "AZURE_USE_AZURE_CLI": ""}
    environ = {"AZURE_STORAGE_ACCOUNT": "acc", **others}
    assert find_settings(environ).others == {"client_id": "id", "client_secret": "s", "tenant_id": "t"}
    assert find_settings({**environ, "AZURE_STORAGE_KEY": "a2V5"}).others == {}


@pytest.mark.parametrize(
    "name", ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_KEY", "AZURE_CLIENT_SECRET"]
)
def test_words_that_no_request_can_hold(name: str) -> None:
    with pytest.raises(UsageError, match="copied along") as caught:
        find_settings({"AZURE_STORAGE_ACCOUNT": "acc", name: "top secret\n"})
    assert "top" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["h", "ftp://h", "http://", "http://h:x", "https://u:p@h", "http://h/?a=1", "http://h h"]
)
def test_endpoints_that_are_none(text: str) -> None:
    for environ in (
        {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_ENDPOINT": text},
        {CONNECTION: f"AccountName=acc;BlobEndpoint={text}"},
        {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": text},
    ):
        with pytest.raises(UsageError, match="the Azure endpoint"):
            find_settings(environ)


def test_secrets_are_not_shown() -> None:
    environ = {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_CLIENT_SECRET": "topsecret"}
    assert "topsecret" not in repr(find_settings(environ))
    assert "a2V5" not in repr(find_settings({CONNECTION: FULL}))
