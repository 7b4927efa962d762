"""Where account, credentials and endpoint of an Azure store come from: a connection string, or single variables.

The connection string is Microsoft's ("Configure Azure Storage connection strings"); names of variables are those of the
client library (AZURE_STORAGE_ACCOUNT_NAME ...) and of Microsoft's command line (AZURE_STORAGE_ACCOUNT, _KEY,
_SAS_TOKEN, _SERVICE_ENDPOINT, _CONNECTION_STRING). Service principals, tokens and machines' identities go to the client
library as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from drystone.base.errors import UsageError
from drystone.store.settings import check_endpoint, check_words, find_first, is_true

_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_KEYS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY", "AZURE_STORAGE_KEY")
_SIGNATURES = ("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN")
_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_STORAGE_SERVICE_ENDPOINT", "AZURE_ENDPOINT")
_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_EMULATOR = "AZURE_STORAGE_USE_EMULATOR"

_LIBRARY = {
    "token": ("AZURE_STORAGE_TOKEN",),
    "client_id": ("AZURE_STORAGE_CLIENT_ID", "AZURE_CLIENT_ID"),
    "client_secret": ("AZURE_STORAGE_CLIENT_SECRET", "AZURE_CLIENT_SECRET"),
    "tenant_id": ("AZURE_STORAGE_TENANT_ID", "AZURE_TENANT_ID", "AZURE_STORAGE_AUTHORITY_ID", "AZURE_AUTHORITY_ID"),
    "authority_host": ("AZURE_STORAGE_AUTHORITY_HOST", "AZURE_AUTHORITY_HOST"),
    "federated_token_file": ("AZURE_FEDERATED_TOKEN_FILE",),
    "msi_endpoint": ("AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT"),
    "object_id": ("AZURE_OBJECT_ID",),
    "msi_resource_id": ("AZURE_MSI_RESOURCE_ID",),
    "use_azure_cli": ("AZURE_USE_AZURE_CLI",),
}
"""Settings of the client library for credentials other than keys, and the variables that hold them."""

# Account and key of every emulator, published by Microsoft ("Use the Azurite emulator"); they guard nothing.
EMULATED_ACCOUNT = "devstoreaccount1"
EMULATED_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR_URL = "http://127.0.0.1:10000"

_SCHEME, _SUFFIX = "https", "core.windows.net"


@dataclass(frozen=True, slots=True)
class AzureSettings:
    """What reaches an Azure store. Secrets are "" when none were found; they are not in the repr.

    :ivar endpoint: URL of an account's blobs that is not `https://ACCOUNT.blob.core.windows.net`; "" for that one.
    :ivar signature: a shared access signature (SAS), without its question mark.
    :ivar others: further settings of the client library, by its names.
    """

    account: str
    endpoint: str = ""
    key: str = field(repr=False, default="")
    signature: str = field(repr=False, default="")
    others: Mapping[str, str] = field(repr=False, default_factory=dict)


def find_settings(environ: Mapping[str, str], *, account: str = "") -> AzureSettings:
    """Settings from `environ`; the account is "" when nothing names one.

    :param account: the destination's, "" when it names none; comes before the environment's.

    :raises UsageError: an endpoint that is no URL, a connection string that is none or of another account, text that
        cannot stand in a request.
    """
    found, source = _find_account(environ, account)
    if account and found.account != account:
        raise UsageError(
            f"the destination is in account {account!r}, and {source} names {found.account[:40]!r}",
            hint=f"unset {source}, or mend the destination",
        )
    others = {} if found.key or found.signature else _find_others(environ)
    check_words("Azure", account=found.account, key=found.key, shared_access_signature=found.signature, **others)
    return replace(found, others=others)


def _find_account(environ: Mapping[str, str], account: str) -> tuple[AzureSettings, str]:
    """Account, endpoint and key, from one place; and the variable that is the place."""
    if is_true(environ.get(_EMULATOR, "")):
        return _emulated(environ), _EMULATOR
    if text := environ.get(_CONNECTION, ""):
        return _read_connection(text, environ), _CONNECTION
    single = AzureSettings(
        account=account or find_first(environ, _ACCOUNTS),
        endpoint=check_endpoint(find_first(environ, _ENDPOINTS), "Azure"),
        key=find_first(environ, _KEYS),
        signature=find_first(environ, _SIGNATURES).removeprefix("?"),
    )
    return single, _ACCOUNTS[0]


def _find_others(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, names in _LIBRARY.items() if (text := find_first(environ, names))}


def _emulated(environ: Mapping[str, str]) -> AzureSettings:
    url = check_endpoint(environ.get("AZURITE_BLOB_STORAGE_URL") or _EMULATOR_URL, "Azure")
    return AzureSettings(EMULATED_ACCOUNT, f"{url}/{EMULATED_ACCOUNT}", EMULATED_KEY)


def _read_connection(text: str, environ: Mapping[str, str]) -> AzureSettings:
    """`Name=value;Name=value`, names in any case. Its text is in no message: it holds the key."""
    pairs: dict[str, str] = {}
    for part in text.split(";"):
        name, found, value = part.strip().partition("=")
        if part.strip() and not (found and name):
            raise UsageError(f"{_CONNECTION} is no connection string", hint="copy it from the account's access keys")
        pairs[name.lower()] = value
    if is_true(pairs.get("usedevelopmentstorage", "")):
        return _emulated(environ)
    account = pairs.get("accountname", "")
    endpoint = check_endpoint(pairs.get("blobendpoint", ""), "Azure")
    scheme, suffix = pairs.get("defaultendpointsprotocol", _SCHEME), pairs.get("endpointsuffix", _SUFFIX)
    if account and not endpoint and (scheme, suffix) != (_SCHEME, _SUFFIX):
        endpoint = check_endpoint(f"{scheme}://{account}.blob.{suffix}", "Azure")
    if not account:
        # One with a shared access signature may name the account in its endpoint alone: in the path, or in the host.
        parts = urlsplit(endpoint)
        account = parts.path.strip("/") or (parts.hostname or "").partition(".")[0]
    if not account:
        raise UsageError(f"{_CONNECTION} names no account", hint="it has AccountName=, AccountKey= and more")
    signature = pairs.get("sharedaccesssignature", "").removeprefix("?")
    return AzureSettings(account, endpoint, pairs.get("accountkey", ""), signature)
